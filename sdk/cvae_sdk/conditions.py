"""What images are drawn of: a label each, or weights of the classes each, which mix them.

label           int32 [n], each a class
class_weights   float32 [n, classes], each row of at least 0 and of sum 1
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from cvae_sdk.arguments import checked_unmasked
from cvae_sdk.errors import InputError, one_line
from cvae_sdk.labels import to_label, to_labels
from cvae_sdk.memory import check_fits

__all__ = ["Conditions", "Labels", "to_conditions", "to_weights"]

Labels = int | str | Mapping[Any, float] | Sequence[int | str] | npt.NDArray[np.integer] | npt.NDArray[np.floating]
"""A label or a class's name, or a list or an array of these; or weights: {class: weight}, or floats [classes] or
[n, classes]."""
_BYTES_OF_A_WEIGHT = 5  # float32, and while it is checked a boolean
_SUM_TOLERANCE = 1e-3  # a row of float16 weights sums to 1 within that


@dataclass(frozen=True)
class Conditions:
    """Of n images, one or many of them by the row."""

    values: npt.NDArray[np.int32 | np.float32]
    """int32 [n] or float32 [n, classes], contiguous."""
    one: bool
    """Whether a single one was given, not a list of them."""

    def __len__(self) -> int:
        return len(self.values)

    @property
    def signature(self) -> str:
        """The exported function that takes them, and `name` its input."""
        return "decode" if self.values.ndim == 1 else "mix"

    @property
    def name(self) -> str:
        """The input of that function that takes them."""
        return "label" if self.values.ndim == 1 else "class_weights"

    def weights(self, num_classes: int) -> npt.NDArray[np.float32]:
        """As class weights: a label as 1 for its class."""
        if self.values.ndim == 2:
            return cast("npt.NDArray[np.float32]", self.values)
        return np.eye(num_classes, dtype=np.float32)[self.values.astype(np.intp)]


def to_conditions(labels: object, classes: tuple[str, ...]) -> Conditions:
    """Labels in any of their forms; InputError for anything else."""
    checked_unmasked("labels", labels)
    if isinstance(labels, Mapping):
        return Conditions(_mapped(cast("Mapping[object, Any]", labels), classes)[np.newaxis], one=True)
    if isinstance(labels, np.ndarray) and cast("npt.NDArray[Any]", labels).dtype.kind == "f":
        weights = cast("npt.NDArray[np.floating]", labels)
        return Conditions(to_weights(weights, classes), one=weights.ndim == 1)
    if isinstance(labels, str) or not isinstance(labels, list | tuple | range | np.ndarray):
        return Conditions(np.array([to_label(labels, classes)], np.int32), one=True)
    return Conditions(to_labels(cast("object", labels), classes), one=False)


def to_weights(weights: npt.NDArray[Any], classes: tuple[str, ...]) -> npt.NDArray[np.float32]:
    """Floats [classes] or [n, classes] as class weights [n, classes]; InputError where a row is no mix of classes."""
    rows = weights[np.newaxis] if weights.ndim == 1 else weights
    if rows.dtype.kind != "f" or rows.ndim != 2 or rows.shape[1] != len(classes):
        expected = f"floats of shape ({len(classes)},) or (n, {len(classes)})"
        raise _wrong(f"{expected}, got {weights.dtype} {weights.shape}", expected, weights.shape)
    check_fits(rows.size, _BYTES_OF_A_WEIGHT, "class weights", "class_weights")
    if not (rows >= 0).all():  # NaN is not either
        raise _wrong("of at least 0, got a negative one or NaN", "at least 0", float(rows[~(rows >= 0)][0]))
    with np.errstate(over="ignore"):
        sums = rows.sum(axis=1, dtype=np.float64)
    if not (np.abs(sums - 1) <= _SUM_TOLERANCE).all():
        found = float(sums[~(np.abs(sums - 1) <= _SUM_TOLERANCE)][0])
        raise _wrong(f"of sum 1 in each row, got a sum of {found:.6g}", "a sum of 1", found)
    return np.ascontiguousarray(rows, np.float32)


def _mapped(weights: Mapping[object, Any], classes: tuple[str, ...]) -> npt.NDArray[np.float32]:
    row = np.full(len(classes), np.nan)
    for name, weight in weights.items():
        if isinstance(weight, bool) or not isinstance(weight, int | float | np.integer | np.floating):
            raise _wrong(f"numbers, got {one_line(cast('object', weight))} for {one_line(name)}", "numbers", None)
        label = to_label(name, classes)
        if not np.isnan(row[label]):
            raise _wrong(f"one for each class, got two for {classes[label]!r}", "one for each class", name)
        row[label] = _as_float(cast("float", weight))
    row[np.isnan(row)] = 0.0
    return to_weights(row, classes)[0]


def _as_float(weight: float) -> float:
    try:
        number = float(weight)
    except OverflowError:
        number = np.inf
    if not np.isfinite(number):
        raise _wrong(f"finite, got {one_line(weight)}", "finite", weight)
    return number


def _wrong(what: str, expected: object, found: object) -> InputError:
    return InputError(f"class weights must be {what}", field="class_weights", expected=expected, found=found)
