"""shards.json: what a folder of shards is of, and which of them are done.

    schema_version   1
    artifact         the digest of the artifact's manifest
    seed, labels, temperature, truncation, first, total, shard_size, format        see StreamSpec
    complete         whether all shards are done
    shards           of each that is done, in order: name, first (the index of its first image), count, sha256, bytes

It is there before the first shard is, and is replaced whole.
"""

import json
import os
import tempfile
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, cast

from cvae_sdk.errors import CvaeError, InputError, one_line
from cvae_sdk.shards import ShardRecord, StreamSpec, plan_shards

__all__ = ["SHARDS_NAME", "ShardManifest", "find_manifest", "open_folder"]

SHARDS_NAME = "shards.json"
_SCHEMA_VERSION = 1


@dataclass(frozen=True)
class ShardManifest:
    """What a folder of shards is of, and the shards in it."""

    spec: StreamSpec
    shards: tuple[ShardRecord, ...] = ()

    @property
    def complete(self) -> bool:
        """Whether all shards are done."""
        return sum(record.count for record in self.shards) == self.spec.total

    def to_bytes(self) -> bytes:
        """shards.json, the same bytes for the same shards in whatever order they were done."""
        shards = [asdict(record) for record in sorted(self.shards, key=lambda record: record.first)]
        labels = [entry if isinstance(entry, str) else dict(entry) for entry in self.spec.labels]
        spec = {**{each.name: getattr(self.spec, each.name) for each in fields(self.spec)}, "labels": labels}
        values = {"schema_version": _SCHEMA_VERSION, **spec, "complete": self.complete, "shards": shards}
        return (json.dumps(values, indent=1, ensure_ascii=False) + "\n").encode("utf-8", "surrogatepass")

    @classmethod
    def parse(cls, content: bytes) -> "ShardManifest":
        """The manifest of these bytes; CvaeError for others."""
        try:
            values = cast("dict[str, Any]", json.loads(content))
            if values["schema_version"] != _SCHEMA_VERSION:
                raise CvaeError(f"{SHARDS_NAME} has schema_version {one_line(values['schema_version'])}, not 1")
            given: dict[str, Any] = {each.name: values[each.name] for each in fields(StreamSpec)}
            given["labels"] = tuple(given["labels"])
            spec = StreamSpec(**given)
            each_name = [each.name for each in fields(ShardRecord)]
            records = tuple(ShardRecord(**{name: shard[name] for name in each_name}) for shard in values["shards"])
            planned = {(shard.name, shard.first, shard.count) for shard in plan_shards(spec)}
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise CvaeError(f"{SHARDS_NAME} is not that of a stream: {one_line(error)}") from error
        if any((record.name, record.first, record.count) not in planned for record in records):
            raise CvaeError(f"{SHARDS_NAME} is not that of a stream: it lists a shard that its stream has not")
        return cls(spec, records)

    def write(self, folder: str | os.PathLike[str]) -> None:
        """Replace shards.json in a folder; CvaeError where it cannot be written."""
        path = Path(folder) / SHARDS_NAME
        try:
            descriptor, temporary = tempfile.mkstemp(prefix=f".{SHARDS_NAME}-", dir=folder)
            try:
                with os.fdopen(descriptor, "wb") as file:
                    file.write(self.to_bytes())
                    file.flush()
                    os.fsync(file.fileno())
                Path(temporary).chmod(0o644)  # mkstemp's own is for its user alone
                Path(temporary).replace(path)
            finally:
                with suppress(OSError):
                    Path(temporary).unlink()
        except OSError as error:
            raise CvaeError(f"cannot write {path}: {error.strerror or error}") from error


def open_folder(folder: str | os.PathLike[str], spec: StreamSpec) -> ShardManifest:
    """The manifest of a folder for this stream: the one that is there or, in a new or empty folder, a new one.

    Raises InputError for a folder with another stream or with anything else, CvaeError for one that cannot be used.
    """
    path = Path(folder)
    found = find_manifest(path)
    if found is None:
        manifest = ShardManifest(spec)
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise CvaeError(f"cannot write {path}: {error.strerror or error}") from error
        manifest.write(path)
        return manifest
    for each in fields(StreamSpec):
        was, now = getattr(found.spec, each.name), getattr(spec, each.name)
        if was != now:
            raise InputError(
                f"{path} holds a stream of another {each.name}, {_told(was)} and not {_told(now)}: "
                "choose another folder, or what that stream was made with",
                field=each.name,
                expected=was,
                found=now,
            )
    return found


def find_manifest(folder: Path) -> ShardManifest | None:
    """The manifest of a folder, None for an empty or missing folder; InputError for one with other things in it."""
    try:
        return ShardManifest.parse((folder / SHARDS_NAME).read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        pass
    except OSError as error:
        raise CvaeError(f"cannot read {folder / SHARDS_NAME}: {error.strerror or error}") from error
    except CvaeError as error:
        raise CvaeError(f"{folder}: {error}") from error
    if not os.path.lexists(folder):
        return None
    if not folder.is_dir():
        raise InputError(f"{folder} is a file: choose another name, or remove it", field="out")
    try:
        others = sorted(path.name for path in folder.iterdir() if not path.name.startswith(f".{SHARDS_NAME}-"))
    except OSError as error:
        raise CvaeError(f"cannot read {folder}: {error.strerror or error}") from error
    if others:
        raise InputError(
            f"{folder} holds {others[0]} and no {SHARDS_NAME}: choose a new or an empty folder", field="out"
        )
    return None


def _told(value: object) -> str:
    return one_line(list(cast("tuple[object, ...]", value)) if isinstance(value, tuple) else value)
