"""Labels as text, for command lines and addresses: a class's name, a number, or a mix of classes.

seven       the class of that name, if there is one; names go first, so that a class called "7" is found by it
7           else the class of that number
3:1,8:1     a mix: each class's share of the whole, here half and half
"""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from cvae_sdk.errors import InputError, one_line
from cvae_sdk.labels import to_label

__all__ = ["Entry", "entries_to_labels", "entry_from_text"]

Entry = str | Mapping[str, float]
"""One label: a class's name, or the weights of a mix by the classes' names, which sum to 1."""


def entry_from_text(text: str, classes: tuple[str, ...]) -> Entry:
    """What the text calls; InputError for an unknown class, or a share that is no number of at least 0."""
    if text in classes or ":" not in text:
        return classes[_label(text, classes)]
    shares = [_share(part, text, classes) for part in text.split(",")]
    names = [name for name, _ in shares]
    if twice := [name for name in names if names.count(name) > 1]:
        raise InputError(f"the mix {text!r} has the class {twice[0]} twice", field="label")
    whole = sum(share for _, share in shares)
    if not 0 < whole < math.inf:
        raise InputError(f"the shares of a mix must sum to a number above 0, got {text!r}", field="label")
    return {name: share / whole for name, share in shares}


def entries_to_labels(
    entries: Sequence[Entry], classes: tuple[str, ...]
) -> npt.NDArray[np.int32] | npt.NDArray[np.float32]:
    """What a Sampler takes: labels int32 [n] or, with a mix among them, class weights float32 [n, classes]."""
    if all(isinstance(entry, str) for entry in entries):
        return np.array([classes.index(str(entry)) for entry in entries], np.int32)
    weights = np.zeros((len(entries), len(classes)), np.float32)
    for row, entry in zip(weights, entries, strict=True):
        for name, weight in {entry: 1.0}.items() if isinstance(entry, str) else entry.items():
            row[classes.index(name)] = weight
    return weights


def _label(text: str, classes: tuple[str, ...]) -> int:
    if text in classes:
        return classes.index(text)
    try:
        return to_label(int(text), classes)
    except ValueError as error:
        if isinstance(error, InputError):
            raise
        names = ", ".join(classes)
        raise InputError(f"unknown class {text!r}: there are {names}", field="label", found=text) from None


def _share(part: str, text: str, classes: tuple[str, ...]) -> tuple[str, float]:
    name, colon, number = part.rpartition(":")
    try:
        share = float(number)
    except ValueError:
        share = math.nan
    if not colon or not 0 <= share < math.inf:
        raise InputError(
            f"a mix is CLASS:SHARE,CLASS:SHARE with shares of at least 0, such as 3:1,8:1; got {one_line(text)}",
            field="label",
            found=text,
        )
    return classes[_label(name, classes)], share
