"""What a worker does: one Sampler, and whole shards made by it, each there as a whole or not at all.

    DIR/.making/<random>/NAME   while it is written
    DIR/.records/NAME.json      its record, with its SHA-256: in place before the shard is
    DIR/NAME                    the shard, by one rename

So a shard in its place always has a record, and is kept if it still is what that says. Made twice is only what was not
finished, or was damaged since.
"""

import dataclasses
import json
import os
import secrets
import shutil
import socket
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from cvae_sdk.backends.options import BackendOptions
from cvae_sdk.bulk.packed import PackedArtifact
from cvae_sdk.errors import CvaeError
from cvae_sdk.label_text import entries_to_labels
from cvae_sdk.shards import Shard, ShardRecord, StreamSpec, is_whole, write_shard

__all__ = ["MAKING", "RECORDS", "TOKEN", "Made", "Maker", "Workplace"]

MAKING, RECORDS, TOKEN = ".making", ".records", ".driver"
_SECONDS_TO_BE_SEEN = 10.0
"""For a file that another machine wrote: an NFS client may take its folder for what it was some seconds ago."""


@dataclass(frozen=True)
class Workplace:
    """What all workers of a run are told."""

    folder: str
    token: str
    """What the driver wrote into the folder's file TOKEN."""
    artifact: PackedArtifact
    backend: BackendOptions
    spec: StreamSpec


@dataclass(frozen=True)
class Made:
    """A shard that is in its place: its record, whether it had to be made, and the worker's host and process."""

    record: ShardRecord
    anew: bool
    host: str
    pid: int


class Maker:
    """A worker; safe to kill at any time."""

    def __init__(self, place: Workplace) -> None:
        self._spec, self._folder = place.spec, Path(place.folder)
        _check_shared(self._folder, place.token)
        classes = place.artifact.classes
        self._sampler = place.artifact.open(place.backend, entries_to_labels(place.spec.labels, classes))

    def make(self, shard: Shard, known: ShardRecord | None = None) -> Made:
        """Make a shard unless it is there, as its record or the one that is known says.

        Raises CvaeError where it cannot be written, or comes out as other bytes than before.
        """
        try:
            known = self._recorded(shard) or known
            if known and is_whole(known, self._folder):
                return Made(known, False, socket.gethostname(), os.getpid())
            return Made(self._made(shard, known), True, socket.gethostname(), os.getpid())
        except OSError as error:
            raise CvaeError(
                f"cannot write {self._folder / shard.name}: {error.strerror or error}", file=shard.name
            ) from error

    def _recorded(self, shard: Shard) -> ShardRecord | None:
        try:
            values = cast("dict[str, Any]", json.loads(self._record_path(shard).read_bytes()))
            record = ShardRecord(**values)
        except (FileNotFoundError, ValueError, TypeError):
            return None
        return record if (record.name, record.first, record.count) == (shard.name, shard.first, shard.count) else None

    def _made(self, shard: Shard, known: ShardRecord | None) -> ShardRecord:
        making = self._folder / MAKING / secrets.token_hex(8)
        making.mkdir(parents=True)
        try:
            record = write_shard(self._sampler, self._spec, shard, making)
            if known and known.sha256 != record.sha256:
                raise CvaeError(
                    f"{shard.name} comes out with SHA-256 {record.sha256}, and was {known.sha256}: another version of "
                    "a library or another processor; use what the others were made with, or a new folder",
                    file=shard.name,
                    field="sha256",
                    expected=known.sha256,
                    found=record.sha256,
                )
            beside = making / "record.json"
            beside.write_text(json.dumps(dataclasses.asdict(record), sort_keys=True) + "\n")
            beside.replace(self._record_path(shard))
            (making / shard.name).replace(self._folder / shard.name)
        finally:
            shutil.rmtree(making, ignore_errors=True)
        return record

    def _record_path(self, shard: Shard) -> Path:
        return self._folder / RECORDS / f"{shard.name}.json"


def _check_shared(folder: Path, token: str) -> None:
    """CvaeError unless this worker sees what the driver wrote into the folder."""
    end = time.monotonic() + _SECONDS_TO_BE_SEEN
    while not _sees(folder / TOKEN, token):
        if time.monotonic() > end:
            raise CvaeError(
                f"the worker on {socket.gethostname()} does not see what the driver wrote into {folder}: "
                "give a folder of a file system that all of them share"
            )
        time.sleep(0.2)


def _sees(path: Path, token: str) -> bool:
    try:
        return path.read_text() == token
    except OSError:
        return False
