"""What a shard of images is on disk, in each format; the same images give the same bytes.

    png          a folder of PNG files 000000000123.png, named by the image's index, and labels.csv
    npz          NumPy's zip of arrays, not compressed: images uint8 [n, height, width, channels], index int64 [n], and
                 labels int32 [n] or, for mixes, class_weights float32 [n, classes]
    webdataset   a POSIX ustar archive of 000000000123.png and 000000000123.cls, the class's number, or for mixes
                 000000000123.json with class_weights; owner, group and times are 0
    parquet      a table of index, label or class_weights, and the image as a PNG: see bulk/parquet.py

The SHA-256 of a folder is that of the text that `sha256sum *` prints in it, its names in the order of their bytes.
Files reach the disk before they have their final name; folders need not, since a stream that goes
on hashes what is there.
"""

import csv
import hashlib
import io
import json
import os
import tarfile
import zipfile
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
import numpy.typing as npt

from cvae_sdk.errors import BackendUnavailableError
from cvae_sdk.png import png_files

__all__ = ["SHARD_FORMATS", "Batch", "ShardFormat", "hash_folder", "png_folder_names", "write_npz", "write_tar"]

_TABLE = "labels.csv"


@dataclass(frozen=True)
class Batch:
    """Consecutive images of a stream."""

    first: int
    """The index of the first."""
    images: npt.NDArray[np.uint8]
    """[n, height, width, channels]"""
    labels: npt.NDArray[Any]
    """int32 [n], or class weights float32 [n, classes]."""
    classes: tuple[str, ...]
    """All classes' names, in label order."""


@dataclass(frozen=True)
class ShardFormat:
    """A format: what its shards' names end in, and what writes one and gives its SHA-256 and bytes."""

    suffix: str
    write: Callable[[Path, Iterator[Batch], int], tuple[str, int]]


def png_folder_names(first: int, count: int) -> list[str]:
    """The files of a folder of PNGs, in the order of their bytes."""
    return [*(f"{index:012d}.png" for index in range(first, first + count)), _TABLE]


def hash_folder(folder: Path, names: Sequence[str]) -> tuple[str, int]:
    """The SHA-256 and the bytes of those files of a folder; OSError for one that cannot be read."""
    sums = hashlib.sha256()
    size = 0
    for name in names:
        content = (folder / name).read_bytes()
        sums.update(_sum_line(name, content))
        size += len(content)
    return sums.hexdigest(), size


def write_tar(file: BinaryIO, batches: Iterator[Batch]) -> None:
    """A WebDataset shard."""
    for batch in batches:
        for offset, png in enumerate(png_files(batch.images)):
            key = f"{batch.first + offset:012d}"
            _add(file, f"{key}.png", png)
            label = batch.labels[offset]
            if batch.labels.ndim == 1:
                _add(file, f"{key}.cls", str(label).encode())
            else:
                _add(file, f"{key}.json", json.dumps({"class_weights": label.tolist()}).encode())
    file.write(bytes(2 * tarfile.BLOCKSIZE))


def write_npz(file: BinaryIO, batches: Iterator[Batch], count: int) -> None:
    """A .npz file of `count` images; its labels, few bytes each, are kept until the images are written."""
    labels: list[npt.NDArray[Any]] = []
    first = 0
    with zipfile.ZipFile(file, "w") as archive:
        with _member(archive, "images") as member:
            for batch in batches:
                if not labels:
                    first = batch.first
                    _write_header(member, batch.images.dtype, (count, *batch.images.shape[1:]))
                labels.append(batch.labels)
                member.write(np.ascontiguousarray(batch.images).data)
        every = np.concatenate(labels)
        index = np.arange(first, first + count, dtype=np.int64)
        for name, array in (("labels" if every.ndim == 1 else "class_weights", every), ("index", index)):
            with _member(archive, name) as member:
                _write_header(member, array.dtype, array.shape)
                member.write(array.tobytes())


def _write_png_folder(folder: Path, batches: Iterator[Batch], _: int) -> tuple[str, int]:
    folder.mkdir()
    table = io.StringIO()
    rows = csv.writer(table, lineterminator="\n")
    sums = hashlib.sha256()
    size = 0

    def write(name: str, content: bytes) -> None:
        nonlocal size
        (folder / name).write_bytes(content)
        sums.update(_sum_line(name, content))
        size += len(content)

    for batch in batches:
        if not size:
            mixed = batch.labels.ndim == 2
            rows.writerow(["file", *([f"weight_{k}" for k in range(batch.labels.shape[1])] if mixed else ["label"])])
        for offset, png in enumerate(png_files(batch.images)):
            name = f"{batch.first + offset:012d}.png"
            write(name, png)
            rows.writerow([name, *np.atleast_1d(batch.labels[offset]).tolist()])
    write(_TABLE, table.getvalue().encode())
    return sums.hexdigest(), size


def _write_npz(path: Path, batches: Iterator[Batch], count: int) -> tuple[str, int]:
    with path.open("xb") as file:
        write_npz(file, batches, count)
        _sync_file(file)
    with path.open("rb") as file:  # read again: a zip's headers are mended after its members are written
        return hashlib.file_digest(file, "sha256").hexdigest(), path.stat().st_size


def _write_tar(path: Path, batches: Iterator[Batch], _: int) -> tuple[str, int]:
    with path.open("xb") as file:
        hashing = _HashingWriter(file)
        write_tar(cast("BinaryIO", hashing), batches)
        _sync_file(file)
    return hashing.sha256.hexdigest(), path.stat().st_size


def _write_parquet(path: Path, batches: Iterator[Batch], _: int) -> tuple[str, int]:
    try:
        from cvae_sdk.bulk.parquet import write_parquet  # takes a second, and the extra `ray`
    except ImportError as error:
        raise BackendUnavailableError(
            "Parquet needs pyarrow: pip install 'cvae-sdk[ray]'", expected="pyarrow"
        ) from error

    with path.open("xb") as file:
        write_parquet(file, batches)
        _sync_file(file)
    with path.open("rb") as file:  # read again: pyarrow asks of a file more than to be written to
        return hashlib.file_digest(file, "sha256").hexdigest(), path.stat().st_size


SHARD_FORMATS = {
    "png": ShardFormat("", _write_png_folder),
    "npz": ShardFormat(".npz", _write_npz),
    "parquet": ShardFormat(".parquet", _write_parquet),
    "webdataset": ShardFormat(".tar", _write_tar),
}


class _HashingWriter:
    def __init__(self, file: BinaryIO) -> None:
        self.file, self.sha256 = file, hashlib.sha256()

    def write(self, content: bytes) -> int:
        self.sha256.update(content)
        return self.file.write(content)


def _sum_line(name: str, content: bytes) -> bytes:
    return f"{hashlib.sha256(content).hexdigest()}  {name}\n".encode()


def _add(file: BinaryIO, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)  # uid, gid, mtime 0; mode 644; no names of an owner
    entry.size = len(content)
    padding = -len(content) % tarfile.BLOCKSIZE
    file.write(entry.tobuf(tarfile.USTAR_FORMAT) + content + bytes(padding))


@contextmanager
def _member(archive: zipfile.ZipFile, name: str) -> Generator[BinaryIO]:
    entry = zipfile.ZipInfo(f"{name}.npy")  # dated 1980, whatever the clock says
    entry.create_system = 3  # Unix, wherever it is made
    with archive.open(entry, "w", force_zip64=True) as member:
        yield cast("BinaryIO", member)


def _write_header(file: BinaryIO, dtype: np.dtype[Any], shape: tuple[int, ...]) -> None:
    descr = np.lib.format.dtype_to_descr(dtype)
    np.lib.format.write_array_header_1_0(file, {"descr": descr, "fortran_order": False, "shape": shape})


def _sync_file(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())
