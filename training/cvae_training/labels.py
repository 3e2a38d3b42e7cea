"""What a user calls a class, as the label that the network takes."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int32

from cvae_training.errors import InputError

__all__ = ["Labels", "to_labels"]

Labels = int | str | np.integer | Sequence[int | str | np.integer] | np.ndarray


def to_labels(values: Labels, classes: tuple[str, ...], n: int) -> Int32[np.ndarray, " n"]:
    """Labels or class names as n labels; one alone stands for all n. InputError for anything else."""
    each: object = values
    if hasattr(each, "__array__"):  # NumPy's, JAX's, a column of a table
        array = np.asarray(each)
        if array.ndim > 1:
            raise InputError(f"labels must have one axis, got shape {array.shape}")
        each = array.tolist()
    if isinstance(each, str | bytes | bytearray) or not isinstance(each, Sequence):
        return np.full(n, _to_label(each, classes), np.int32)
    if len(each) != n:
        raise InputError(f"labels must be one, or one for each of the {n}, got {len(each)}")
    return np.array([_to_label(value, classes) for value in each], np.int32)


def _to_label(value: object, classes: tuple[str, ...]) -> int:
    if isinstance(value, str):
        if value not in classes:
            raise InputError(f"unknown class {value!r}: there are {', '.join(classes)}")
        return classes.index(value)
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, bool) or not isinstance(value, int):
        raise InputError(f"a label must be an integer or a class name, got {' '.join(repr(value).split())}")
    if not 0 <= value < len(classes):
        raise InputError(f"a label must be from 0 to {len(classes) - 1}, got {value}")
    return value
