"""A data set by name: uint8 images, labels and class names, split into train and held-out.

The split is by position, so that it is the same everywhere: the last 15 % are held out.
"""

import gzip
import hashlib
import math
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Int32, UInt8

from cvae_training.errors import DataError, InputError

__all__ = ["DataSet", "Split", "data_set_names", "load_data_set", "read_idx"]

HELD_OUT_SHARE = 0.15


@dataclass(frozen=True)
class Split:
    """Images and their labels, in the same order."""

    images: UInt8[np.ndarray, "n height width channels"]
    labels: Int32[np.ndarray, " n"]

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class DataSet:
    """A named data set; label k is called `classes[k]`."""

    name: str
    classes: tuple[str, ...]
    train: Split
    held_out: Split

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Height, width and channels of every image."""
        height, width, channels = self.train.images.shape[1:]
        return height, width, channels


@dataclass(frozen=True)
class _IdxSource:
    """Two gzipped IDX files beside this module, their SHA-256, and the names of the classes."""

    images: str
    images_sha256: str
    labels: str
    labels_sha256: str
    classes: tuple[str, ...]


_SOURCES = {
    "mnist-10k": _IdxSource(
        images="mnist-10k/mnist-10k-images-idx3-ubyte.gz",
        images_sha256="0d54ea6c8b122fdfcf5b54d86d42bd45426b02356c5b5233acfa231e0a584004",
        labels="mnist-10k/mnist-10k-labels-idx1-ubyte.gz",
        labels_sha256="8dc8eeae4fa0b96f019d8183eec6241da1627623e3bfcd40e024036d96e6a6a3",
        classes=tuple("0123456789"),
    ),
}


def data_set_names() -> tuple[str, ...]:
    """The names that `load_data_set` takes."""
    return tuple(sorted(_SOURCES))


def load_data_set(name: str, folder: Path | None = None) -> DataSet:
    """Load a data set that ships with the package.

    `folder` is where its files lie, by default inside this package. Raises InputError for an unknown name and
    DataError for files that are missing or changed.
    """
    if name not in _SOURCES:
        raise InputError(f"unknown data set {name!r}: there are {', '.join(data_set_names())}")
    source = _SOURCES[name]
    folder = folder or Path(__file__).parent / "datasets"
    images = read_idx(_checked_bytes(folder / source.images, source.images_sha256), source.images)[..., None]
    labels = read_idx(_checked_bytes(folder / source.labels, source.labels_sha256), source.labels).astype(np.int32)
    if len(images) != len(labels):
        raise DataError(f"data set {name!r} has {len(images)} images but {len(labels)} labels")
    held_out = math.floor(HELD_OUT_SHARE * len(labels))
    return DataSet(
        name=name,
        classes=source.classes,
        train=Split(images[:-held_out], labels[:-held_out]),
        held_out=Split(images[-held_out:], labels[-held_out:]),
    )


def read_idx(gzipped: bytes, name: str) -> UInt8[np.ndarray, "..."]:
    """Decode a gzipped IDX file of unsigned bytes (the format is described on MNIST's page by Y. LeCun).

    `name` is used in errors. Raises DataError for a wrong magic number or a length that differs from the header's.
    """
    try:
        content = gzip.decompress(gzipped)
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise DataError(f"{name} is not a whole gzip file: {error}") from error
    if len(content) < 4 or content[:3] != b"\0\0\x08":
        raise DataError(f"{name} is not an IDX file of unsigned bytes: it starts with {content[:4].hex() or 'nothing'}")
    header = 4 + 4 * content[3]
    if len(content) < header:
        raise DataError(f"{name} ends inside its header of {header} bytes")
    shape = struct.unpack(f">{content[3]}I", content[4:header])
    if len(content) - header != math.prod(shape):
        raise DataError(f"{name} holds {len(content) - header} bytes of data, its header says {math.prod(shape)}")
    return np.frombuffer(content, np.uint8, offset=header).reshape(shape)


def _checked_bytes(path: Path, sha256: str) -> bytes:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from error
    got = hashlib.sha256(content).hexdigest()
    if got != sha256:
        raise DataError(f"{path} has SHA-256 {got}, expected {sha256}: install cvae-training again")
    return content
