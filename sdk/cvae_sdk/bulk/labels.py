"""The labels of a bulk sample, as its plan names them: classes by name, mixes by their shares, repeated in order."""

from collections.abc import Mapping, Sequence
from typing import cast

import numpy as np

from cvae_sdk.errors import InputError, one_line
from cvae_sdk.label_text import Entry, entry_from_text
from cvae_sdk.labels import to_label

__all__ = ["UNIFORM", "BulkLabels", "to_entries"]

UNIFORM = "uniform"
"""Every class in turn: image i has label i modulo the number of classes."""

BulkLabels = str | Sequence[int | Entry]


def to_entries(labels: BulkLabels, classes: tuple[str, ...]) -> tuple[Entry, ...]:
    """The entries of "uniform", or of a sequence of labels, names, mixes as text ("3:1,8:1") or {class: share}.

    Raises InputError for others.
    """
    if isinstance(labels, str):
        if labels == UNIFORM:
            return classes
        raise InputError(f'labels must be "uniform" or a list of labels, got {one_line(labels)}', field="labels")
    if isinstance(labels, np.ndarray):
        labels = cast("list[int]", labels.tolist())
    return tuple(_to_entry(label, classes) for label in labels)


def _to_entry(label: object, classes: tuple[str, ...]) -> Entry:
    if isinstance(label, str):
        return entry_from_text(label, classes)
    if isinstance(label, Mapping):
        shares = cast("Mapping[object, float]", label)
        return entry_from_text(
            ",".join(f"{classes[to_label(c, classes)]}:{share!r}" for c, share in shares.items()), classes
        )
    return classes[to_label(label, classes)]
