"""What a user calls a class, as the label that the model takes."""

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from cvae_sdk.errors import InputError, named, one_line
from cvae_sdk.memory import check_fits

__all__ = ["Labels", "to_label", "to_labels"]

Labels = int | str | Sequence[int | str] | npt.NDArray[np.integer]

_BYTES_OF_A_LABEL = 5  # int32, and while it is checked a boolean


def to_label(value: object, classes: tuple[str, ...]) -> int:
    """A label from 0 to len(classes) - 1, or a class's name, as a label; InputError for anything else."""
    if isinstance(value, str):
        if value not in classes:
            names = ", ".join(classes)
            raise _wrong(f"unknown class {one_line(value)}: there are {named(names)}", f"one of {names}", value)
        return classes.index(value)
    if isinstance(value, bool | np.bool_) or not isinstance(value, int | np.integer):
        kind = "an integer or a class name"
        raise _wrong(f"a label must be {kind}, got {one_line(cast('object', value))}", kind, cast("object", value))
    label = int(cast("int", value))
    if not 0 <= label < len(classes):
        allowed = f"from 0 to {len(classes) - 1}"
        raise _wrong(f"a label must be {allowed}, got {one_line(label)}", allowed, label)
    return label


def to_labels(values: object, classes: tuple[str, ...]) -> npt.NDArray[np.int32]:
    """A sequence or one-dimensional array of labels or class names, as int32 [n], contiguous."""
    if isinstance(values, np.ndarray):
        array = cast("npt.NDArray[Any]", values)
        if array.ndim != 1:
            raise _wrong(f"labels must have one axis, got shape {array.shape}", "one axis", array.shape)
        check_fits(len(array), _BYTES_OF_A_LABEL, "labels", "label")
        if array.dtype.kind in "iu":
            outside = _outside(array, len(classes))
            if np.count_nonzero(outside):  # much faster than any, where there are few
                to_label(array[outside][0], classes)
            return np.ascontiguousarray(array, np.int32)
        values = cast("list[object]", array.tolist())
    if not isinstance(values, Sequence) or isinstance(values, str | bytes | bytearray):
        kind = type(cast("object", values)).__name__
        raise _wrong(f"labels must be a list or an array of labels, got {kind}", "a list or an array of labels", kind)
    return np.array([to_label(value, classes) for value in cast("Sequence[object]", values)], np.int32)


def _outside(array: npt.NDArray[np.integer], end: int) -> npt.NDArray[np.bool_]:
    """Whether each is below 0, or `end` or more."""
    if array.dtype == np.int32:  # one comparison instead of two: a negative number without its sign is a large one
        return np.ascontiguousarray(array).view(np.uint32) >= end
    return (array < 0) | (array >= end)


def _wrong(message: str, expected: str, found: object) -> InputError:
    return InputError(message, field="label", expected=expected, found=found)
