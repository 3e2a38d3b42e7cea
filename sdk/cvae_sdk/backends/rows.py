"""A batch run in pieces or with rows added, so that what a runtime needs of memory, or prepares, is bounded.

Rows do not mix.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from cvae_sdk.backends.functions import Arrays
from cvae_sdk.manifest import Signature

__all__ = ["in_pieces", "one_row", "padded"]


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


def padded(inputs: Arrays) -> Arrays:
    """With rows of zeros up to the next power of two: few sizes serve all batches, for a runtime that compiles each."""
    batch = len(next(iter(inputs.values())))
    missing = (1 << (batch - 1).bit_length()) - batch
    if not missing:
        return inputs
    return {
        name: np.concatenate([array, np.zeros((missing, *array.shape[1:]), array.dtype)])
        for name, array in inputs.items()
    }


def one_row(signature: Signature) -> Arrays:
    """A batch of one, all zeros: what a runtime is tried with."""
    return {
        name: np.zeros([1 if axis == "batch" else int(axis) for axis in spec.shape], spec.dtype)
        for name, spec in signature.inputs.items()
    }
