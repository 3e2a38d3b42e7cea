"""A data set by name: uint8 images, labels and class names, split into train and held-out.

Published data sets with official test files hold these out, and train on the others whole. Of mnist-10k, the last
15 % by position are held out. Of a user's own data, the last 15 % of each class, at least one image, are held out after
one shuffle that is the same everywhere: image i goes to the place of SHA-256("cvae split <i>") among those of all.
"""

import hashlib
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Int32, UInt8

from cvae_training.config import DataConfig
from cvae_training.errors import DataError, InputError
from cvae_training.own_data import OwnData, read_folder, read_npz
from cvae_training.published import read_published
from cvae_training.sources import SOURCES

__all__ = ["DataSet", "Split", "data_set_names", "load_data_set"]

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
    notes: tuple[str, ...] = ()
    """What was done to a user's own pictures, a line each."""

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Height, width and channels of every image."""
        height, width, channels = self.train.images.shape[1:]
        return height, width, channels


def data_set_names() -> tuple[str, ...]:
    """The names of the published data sets; `load_data_set` takes npz:FILE and folder:DIR too."""
    return tuple(sorted(SOURCES))


def load_data_set(data: DataConfig | str, folder: Path | None = None) -> DataSet:
    """Load a data set by its settings, or by its name alone.

    `folder` is where a published data set's files lie, in place of the settings' `data_dir`; without either they are
    found, or downloaded into the user's cache. Raises InputError for settings that cannot be used and DataError for
    files that are missing, damaged, or not what they should be.
    """
    config = DataConfig(data) if isinstance(data, str) else data
    name = config.data_set
    if folder is None and config.data_dir:
        folder = Path(config.data_dir)
    kind, colon, path = name.partition(":")
    if colon and kind in ("npz", "folder"):
        if not path:
            raise InputError(f"data set {name!r} names no path: write {kind}:{'FILE' if kind == 'npz' else 'DIR'}")
        if folder is not None:
            raise InputError(f"data_dir is for published data sets, {name!r} has its own path, got {str(folder)!r}")
        if kind == "folder":
            return _split(name, read_folder(Path(path), config.image_size))
    elif name not in SOURCES:
        raise InputError(f"unknown data set {name!r}: there are {', '.join(data_set_names())}, npz:FILE, folder:DIR")
    if config.image_size:
        raise InputError(f"image_size is for folder:DIR, whose pictures it resizes, got {name!r}")
    return _split(name, read_npz(Path(path))) if colon else _load_published(name, folder)


def _load_published(name: str, folder: Path | None) -> DataSet:
    source = SOURCES[name]
    (images, labels), test = read_published(name, source, folder)
    if test is not None:
        return DataSet(name, source.classes, train=Split(images, labels), held_out=Split(*test))
    held_out = math.floor(HELD_OUT_SHARE * len(labels))
    return DataSet(
        name=name,
        classes=source.classes,
        train=Split(images[:-held_out], labels[:-held_out]),
        held_out=Split(images[-held_out:], labels[-held_out:]),
    )


def _split(name: str, data: OwnData) -> DataSet:
    order = np.array(sorted(range(len(data.labels)), key=_place))
    labels = data.labels[order]
    is_held_out = np.zeros(len(labels), bool)
    for label, class_name in enumerate(data.classes):
        members = np.flatnonzero(labels == label)
        if len(members) < 2:
            raise DataError(
                f"class {class_name!r} of data set {name!r} has {len(members)} image, "
                "it needs 2 or more: one to train on and one to hold out"
            )
        is_held_out[members[-max(1, math.floor(HELD_OUT_SHARE * len(members))) :]] = True
    train, held_out = order[~is_held_out], order[is_held_out]
    return DataSet(
        name=name,
        classes=data.classes,
        train=Split(data.images[train], data.labels[train]),
        held_out=Split(data.images[held_out], data.labels[held_out]),
        notes=data.notes,
    )


def _place(position: int) -> bytes:
    return hashlib.sha256(f"cvae split {position}".encode()).digest()
