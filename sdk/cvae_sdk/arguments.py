"""Numbers that a call is given, checked: each of its type and in its range, or an InputError that names it."""

import math
import os
from typing import cast

import numpy as np

from cvae_sdk.errors import InputError, one_line

__all__ = [
    "checked_count",
    "checked_first",
    "checked_real",
    "checked_seed",
    "checked_temperature",
    "checked_total",
    "checked_truncation",
    "checked_unmasked",
]

INDEX_END = 1 << 64
"""Images of a seed have indices below it."""
MOST_TEMPERATURE = 100.0


def checked_count(name: str, value: object, least: int = 1) -> int:
    """An integer of at least `least`."""
    if _is_no_integer(value) or cast("int", value) < least:
        raise _wrong(name, f"an integer of at least {least}", value)
    return int(cast("int", value))


def checked_total(total: object) -> int:
    """A number of images that may be drawn one after the other: from none to all of a seed's."""
    count = checked_count("total", total, 0)
    if count > INDEX_END:
        raise _wrong("total", "at most 2^64, the images of a seed", total)
    return count


def checked_seed(seed: object) -> int:
    """A seed from 0 to 2^64 - 1; of the system's own randomness for None."""
    if seed is None:
        return int.from_bytes(os.urandom(8), "little")
    if _is_no_integer(seed) or not 0 <= cast("int", seed) < INDEX_END:
        raise _wrong("seed", "an integer from 0 to 2^64 - 1", seed)
    return int(cast("int", seed))


def checked_first(first: object, count: int) -> int:
    """The index of the first of `count` images, the last of which is at most 2^64 - 1."""
    if _is_no_integer(first) or not 0 <= cast("int", first) <= INDEX_END - count:
        raise _wrong("first", f"an integer from 0 to 2^64 - {one_line(count)}", first)
    return int(cast("int", first))


def checked_temperature(temperature: object) -> float:
    """What latents are multiplied by: 0, which gives each class's middle, to 100."""
    return checked_real("temperature", temperature, 0.0, MOST_TEMPERATURE)


def checked_truncation(truncation: object) -> float | None:
    """Standard deviations at which latents are cut off, above 0; None for nowhere."""
    if truncation is None:
        return None
    value = checked_real("truncation", truncation, 0.0, math.inf)
    if value == 0:
        raise _wrong("truncation", "above 0, or None", truncation)
    return value


def checked_real(name: str, value: object, least: float, most: float) -> float:
    """A finite number from `least` to `most`."""
    number = math.nan
    if isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool):
        try:
            number = float(cast("float", value))
        except OverflowError:
            number = math.inf
    if not (math.isfinite(number) and least <= number <= most):
        among = f"finite number of at least {least:g}" if most == math.inf else f"number from {least:g} to {most:g}"
        raise _wrong(name, f"a {among}", cast("object", value))
    return number


def checked_unmasked(name: str, array: object) -> None:
    """No masked array: a model takes all that is in it."""
    if type(array) is not np.ndarray and hasattr(array, "mask"):
        raise InputError(
            f"{name} must not be masked, got {type(array).__name__}: use its filled()",
            field=name, expected="an array without a mask", found=type(array).__name__,
        )  # fmt: skip


def _is_no_integer(value: object) -> bool:
    return isinstance(value, bool | np.bool_) or not isinstance(value, int | np.integer)


def _wrong(name: str, expected: str, found: object) -> InputError:
    return InputError(f"{name} must be {expected}, got {one_line(found)}", field=name, expected=expected, found=found)
