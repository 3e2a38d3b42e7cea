"""A batch run in pieces, so that what a runtime needs of memory, or has to prepare, is bounded; rows do not mix."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from cvae_sdk.backends.functions import Arrays

__all__ = ["in_pieces", "padded_size"]


def in_pieces(function: Callable[[Arrays], Arrays], inputs: Arrays, most: int) -> Arrays:
    """What the function gives of all rows, called with at most so many of them."""
    batch = len(next(iter(inputs.values())))
    if batch <= most:
        return function(inputs)
    outputs: dict[str, npt.NDArray[Any]] = {}
    for start in range(0, batch, most):
        piece = function({name: array[start : start + most] for name, array in inputs.items()})
        for name, array in piece.items():
            if name not in outputs:
                outputs[name] = np.empty((batch, *array.shape[1:]), array.dtype)
            outputs[name][start : start + most] = array
    return outputs


def padded_size(batch: int) -> int:
    """The next power of two: so few sizes serve all batches, for a runtime that compiles each."""
    return 1 << (batch - 1).bit_length()
