"""The files of a published data set: find each one, check its SHA-256, decode it.

With a folder given, the files are in it, or in its subfolder of the data set's name, and nothing is downloaded. Without
one they are where an installed package puts them, or else downloaded.
"""

import hashlib
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
from jaxtyping import Int32, UInt8

from cvae_training.download import cache_folder, download
from cvae_training.errors import DataError
from cvae_training.idx import read_idx
from cvae_training.sources import IdxPair, PublishedFile, Source

__all__ = ["read_published"]

Pair = tuple[UInt8[np.ndarray, "n height width 1"], Int32[np.ndarray, " n"]]


def read_published(name: str, source: Source, folder: Path | None) -> tuple[Pair, Pair | None]:
    """The training images with their labels, and the official held-out ones, if there are such.

    Raises DataError for a file that is missing, damaged, or cannot be downloaded.
    """
    read = _reader(name, source, folder)
    train = _decoded(name, source, source.train, read)
    held_out = None if source.held_out is None else _decoded(name, source, source.held_out, read)
    if held_out is not None and held_out[0].shape[1:] != train[0].shape[1:]:
        raise DataError(
            f"data set {name!r} has training images of shape {train[0].shape[1:]} "
            f"but held-out images of {held_out[0].shape[1:]}"
        )
    return train, held_out


def _decoded(name: str, source: Source, pair: IdxPair, read: Callable[[PublishedFile], bytes]) -> Pair:
    images, labels = (read_idx(read(file), file.name) for file in (pair.images, pair.labels))
    for array, file, dimensions in ((images, pair.images, 3), (labels, pair.labels, 1)):
        if array.ndim != dimensions:
            raise DataError(f"{file.name} has {array.ndim} dimensions, expected {dimensions}")
    if len(images) != len(labels):
        raise DataError(f"data set {name!r} has {len(images)} images but {len(labels)} labels")
    first, last = source.first_label, source.first_label + len(source.classes) - 1
    wrong = labels[(labels < first) | (labels > last)]
    if len(wrong):
        raise DataError(f"{pair.labels.name} has the label {wrong[0]}, expected {first} to {last}")
    if source.transposed:
        images = np.ascontiguousarray(images.transpose(0, 2, 1))
    return images[..., None], labels.astype(np.int32) - source.first_label


def _reader(name: str, source: Source, folder: Path | None) -> Callable[[PublishedFile], bytes]:
    if folder is not None:
        return _folder_reader(source, folder)
    if source.archive is None:
        for installed in source.found_in:
            if not source.mirrors or _is_whole(source, installed):
                return lambda file: _checked_bytes(installed / file.name, file, source)
    cache = cache_folder() / source.folder
    if source.archive is not None:
        return _archive_reader(download(name, source.archive.name, source.archive.sha256[0], source.mirrors, cache))
    return lambda file: download(name, file.name, file.sha256[0], source.mirrors, cache).read_bytes()


def _folder_reader(source: Source, folder: Path) -> Callable[[PublishedFile], bytes]:
    """The files, or the archive of them, in a folder or in its subfolder of the data set's name."""
    if source.archive is not None and not _found(folder, source, source.train.images.name).exists():
        path = _found(folder, source, source.archive.name)
        if path.exists():
            _checked_bytes(path, source.archive, source)
            return _archive_reader(path)
    return lambda file: _checked_bytes(_found(folder, source, file.name), file, source)


def _found(folder: Path, source: Source, name: str) -> Path:
    nested = folder / source.folder / name
    return nested if nested.exists() else folder / name


def _is_whole(source: Source, folder: Path) -> bool:
    """Whether a package's folder has every file as it was when this table was written."""
    pairs = [source.train] if source.held_out is None else [source.train, source.held_out]
    try:
        return all(
            hashlib.sha256((folder / file.name).read_bytes()).hexdigest() in file.sha256
            for pair in pairs
            for file in (pair.images, pair.labels)
        )
    except OSError:
        return False


def _archive_reader(path: Path) -> Callable[[PublishedFile], bytes]:
    def read(file: PublishedFile) -> bytes:
        try:
            with zipfile.ZipFile(path) as archive:
                members = [entry for entry in archive.namelist() if entry.rpartition("/")[2] == file.name]
                if not members:
                    raise DataError(f"{path} has no {file.name}")
                return archive.read(members[0])
        except (OSError, ValueError, zipfile.BadZipFile, zlib.error) as error:
            raise DataError(f"cannot read {file.name} in {path}: {error}") from error

    return read


def _checked_bytes(path: Path, file: PublishedFile, source: Source) -> bytes:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from error
    got = hashlib.sha256(content).hexdigest()
    if file.sha256 and got not in file.sha256:
        advice = "get the file again" if source.mirrors else "install cvae-training again"
        raise DataError(f"{path} has SHA-256 {got}, expected {' or '.join(file.sha256)}: {advice}")
    return content
