"""JAX's shapes, in which the batch is a symbol, as TensorFlow's.

A size is an integer or a polynomial of the batch as JAX prints it, 2*batch + 1 or batch^2 say, which is Python but
for its power.
"""

import ast
import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import tensorflow as tf

from cvae_export.decoder import BATCH
from cvae_export.errors import UnsupportedPrimitiveError

__all__ = ["Shapes"]

_OPERATIONS: Mapping[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Pow: operator.pow,
}


class Shapes:
    """Turns JAX's shapes into TensorFlow's where the batch has the size of `batch`."""

    def __init__(self, batch: tf.Tensor) -> None:
        self._batch = batch

    def size(self, size: Any) -> Any:
        """One size: an integer, or an int32 tensor where the batch is in it.

        Raises UnsupportedPrimitiveError for what is no polynomial of the batch.
        """
        if isinstance(size, int):
            return size
        return self._value(ast.parse(str(size).replace("^", "**"), mode="eval").body, size)

    def value(self, shape: Sequence[Any]) -> Any:
        """The shape as what a TensorFlow operation takes: integers, or a tensor where the batch is in it."""
        if all(isinstance(size, int) for size in shape):
            return tuple(shape)
        return tf.stack([self.size(size) for size in shape])

    def for_reshape(self, shape: Sequence[Any]) -> Any:
        """The shape for a reshape, which finds one free size by itself, be it any multiple of the batch."""
        if sum(not isinstance(size, int) for size in shape) > 1:
            return self.value(shape)
        return tuple(size if isinstance(size, int) else -1 for size in shape)

    def _value(self, node: ast.expr, size: Any) -> Any:
        match node:
            case ast.Constant(int(value)):
                return value
            case ast.Name(name) if name == BATCH:
                return self._batch
            case ast.UnaryOp(ast.USub(), operand):
                return -self._value(operand, size)
            case ast.BinOp(left, operation, right) if type(operation) in _OPERATIONS:
                return _OPERATIONS[type(operation)](self._value(left, size), self._value(right, size))
        raise UnsupportedPrimitiveError(f"a size of {size} cannot be drawn: only sums and products of {BATCH!r}")
