"""A stream of images cut into shards on disk: which there are, and how one is written.

    plan_shards(spec)                            the shards of a stream, from nothing but what was asked for
    write_shard(sampler, spec, shard, folder)    makes one of them, whole or not at all

Image i of the stream is a pure function of the artifact, the seed and i, and so a shard's bytes are one of the spec and
of its place: whoever writes it, in whatever order and on whatever machine (but for a grey level that processors may
differ by, and the version of zlib). shard_manifest.py keeps the list of those that are done.
"""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from cvae_sdk.errors import CvaeError, InputError
from cvae_sdk.label_text import Entry, entries_to_labels
from cvae_sdk.shard_formats import SHARD_FORMATS, Batch, hash_folder, png_folder_names

if TYPE_CHECKING:
    from cvae_sdk.sampler import Sampler

__all__ = ["Shard", "ShardRecord", "StreamSpec", "batches", "is_whole", "plan_shards", "write_shard"]

_MOST_SHARDS = 1_000_000
_BATCH = 1024  # images decoded at a time; the bytes do not depend on it


@dataclass(frozen=True)
class StreamSpec:
    """All that a stream's images depend on, and how they are cut. InputError for numbers that cannot be."""

    artifact: str
    """The digest of the artifact's manifest."""
    seed: int
    labels: tuple[Entry, ...]
    """Repeated in order: image i has label i modulo their number."""
    total: int
    format: str
    """png, npz, parquet or webdataset."""
    shard_size: int = 10_000
    first: int = 0
    """The index of the first image."""
    temperature: float = 1.0
    truncation: float | None = None

    def __post_init__(self) -> None:
        for name, least in (("total", 1), ("shard_size", 1), ("first", 0)):
            if getattr(self, name) < least:
                raise InputError(f"{name} must be at least {least}, got {getattr(self, name)}", field=name)
        if self.first + self.total > 1 << 64:
            raise InputError(f"first and total must sum to 2^64 at most, got {self.first + self.total}", field="total")
        if (shards := -(-self.total // self.shard_size)) > _MOST_SHARDS:
            raise InputError(
                f"a folder has at most {_MOST_SHARDS:,} shards, got {shards:,}: raise shard_size", field="shard_size"
            )
        if not self.labels:
            raise InputError("labels must have one entry or more", field="labels")
        if self.format not in SHARD_FORMATS:
            raise InputError(f"format must be one of {', '.join(SHARD_FORMATS)}, got {self.format}", field="format")


@dataclass(frozen=True)
class Shard:
    """A shard to be: its name in the folder, the index of its first image, and how many it has."""

    name: str
    first: int
    count: int


@dataclass(frozen=True)
class ShardRecord:
    """A shard that was written: a file's SHA-256 and bytes, or a folder's (see shard_formats.py)."""

    name: str
    first: int
    count: int
    sha256: str = field(repr=False)
    bytes: int


def plan_shards(spec: StreamSpec) -> list[Shard]:
    """The shards of a stream in order; a shard is named by its first image, so that jobs' folders can be joined."""
    end, suffix = spec.first + spec.total, SHARD_FORMATS[spec.format].suffix
    return [
        Shard(f"images-{first:012d}{suffix}", first, min(spec.shard_size, end - first))
        for first in range(spec.first, end, spec.shard_size)
    ]


def batches(sampler: "Sampler", spec: StreamSpec, first: int, count: int) -> Iterator[Batch]:
    """Images `first` to `first + count - 1` of the stream, a batch at a time."""
    classes = sampler.classes
    labels = entries_to_labels(spec.labels, classes)
    streamed = sampler.stream(
        labels,
        count,
        _BATCH,
        seed=spec.seed,
        first=first,
        temperature=spec.temperature,
        truncation=spec.truncation,
    )
    for images in streamed:
        chosen = [(first + i) % len(labels) for i in range(len(images))]
        yield Batch(first, images, labels[chosen], classes)
        first += len(images)


def write_shard(
    sampler: "Sampler",
    spec: StreamSpec,
    shard: Shard,
    folder: str | os.PathLike[str],
    made: Callable[[int], object] = lambda count: None,
) -> ShardRecord:
    """Write a shard into a folder under a temporary name, and rename it when it is whole and on disk.

    What has its name is replaced. `made` is told of images as they are written. Raises CvaeError where the folder
    cannot be written; then, as after any other exception, nothing of the shard is left.
    """
    form, final = SHARD_FORMATS[spec.format], Path(folder) / shard.name
    try:
        temporary = Path(tempfile.mkdtemp(prefix=f".{shard.name}-", dir=folder))
        try:
            path = temporary / shard.name
            sha256, size = form.write(
                path, _telling(batches(sampler, spec, shard.first, shard.count), made), shard.count
            )
            _remove_damaged_folder(final, shard)
            path.rename(final)
        finally:
            with suppress(OSError):
                shutil.rmtree(temporary)
    except OSError as error:
        raise CvaeError(f"cannot write {final}: {error.strerror or error}") from error
    return ShardRecord(shard.name, shard.first, shard.count, sha256, size)


def is_whole(record: ShardRecord, folder: str | os.PathLike[str]) -> bool:
    """Whether the shard is there with the very bytes that were recorded."""
    path = Path(folder) / record.name
    try:
        if path.is_dir() and not path.is_symlink():
            return hash_folder(path, png_folder_names(record.first, record.count)) == (record.sha256, record.bytes)
        if path.is_symlink() or path.stat().st_size != record.bytes:
            return False
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == record.sha256
    except OSError:
        return False


def _remove_damaged_folder(folder: Path, shard: Shard) -> None:
    """Remove a folder of PNGs, since a rename replaces files only; but not what others put there."""
    if not folder.is_dir() or folder.is_symlink():
        return
    own = set(png_folder_names(shard.first, shard.count))
    if others := sorted(path.name for path in folder.iterdir() if path.name not in own):
        raise CvaeError(
            f"{folder} is to be made again but holds {others[0]}, which is not of this stream: move it away"
        )
    shutil.rmtree(folder)


def _telling(each: Iterator[Batch], made: Callable[[int], object]) -> Iterator[Batch]:
    for batch in each:
        yield batch
        made(len(batch.images))
