"""What a user calls a class, as the label that the model takes."""

from collections.abc import Sequence
from typing import cast

import numpy as np
import numpy.typing as npt

from cvae_sdk.errors import InputError, one_line

__all__ = ["Labels", "to_label", "to_labels"]

Labels = int | str | Sequence[int | str] | npt.NDArray[np.integer]


def to_label(value: object, classes: tuple[str, ...]) -> int:
    """A label from 0 to len(classes) - 1, or a class's name, as a label; InputError for anything else."""
    if isinstance(value, str):
        if value not in classes:
            raise InputError(f"unknown class {value!r}: there are {', '.join(classes)}")
        return classes.index(value)
    if isinstance(value, bool | np.bool_) or not isinstance(value, int | np.integer):
        raise InputError(f"a label must be an integer or a class name, got {one_line(cast('object', value))}")
    label = int(cast("int", value))
    if not 0 <= label < len(classes):
        raise InputError(f"a label must be from 0 to {len(classes) - 1}, got {one_line(label)}")
    return label


def to_labels(values: object, classes: tuple[str, ...]) -> npt.NDArray[np.int32]:
    """A sequence or one-dimensional array of labels or class names, as int32 [n]."""
    if isinstance(values, np.ndarray):
        array = cast("npt.NDArray[np.generic]", values)
        if array.ndim != 1:
            raise InputError(f"labels must have one axis, got shape {array.shape}")
        values = cast("list[object]", array.tolist())
    if not isinstance(values, Sequence) or isinstance(values, str | bytes | bytearray):
        raise InputError(f"labels must be a list or an array of labels, got {type(values).__name__}")
    return np.array([to_label(value, classes) for value in cast("Sequence[object]", values)], np.int32)
