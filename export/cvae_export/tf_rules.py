"""How each JAX primitive is drawn in TensorFlow.

A rule takes the symbolic shapes' values, the shape of the result, the operands as tensors, and the primitive's
parameters by name. Only operations are used that a CPU build of TF Serving, the TFLite converter and tf2onnx all
know.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from cvae_export.decoder import BATCH
from cvae_export.errors import UnsupportedPrimitiveError
from cvae_export.tf_convolution import convolution
from cvae_export.tf_gather import gather

__all__ = ["RULES", "Shapes"]


class Shapes:
    """Turns JAX's shapes, in which the batch is a symbol, into TensorFlow's."""

    def __init__(self, batch: tf.Tensor) -> None:
        self._batch = batch

    def value(self, shape: Sequence[Any], primitive: str) -> Any:
        """The shape as what a TensorFlow operation takes: integers, or a tensor where the batch is in it."""
        if all(isinstance(size, int) for size in shape):
            return tuple(shape)
        return tf.stack([size if isinstance(size, int) else self._symbol(size, primitive) for size in shape])

    @staticmethod
    def with_one_free(shape: Sequence[Any], primitive: str) -> tuple[int, ...]:
        """The shape for a reshape, which finds one free size by itself, be it any multiple of the batch."""
        if sum(not isinstance(size, int) for size in shape) > 1:
            raise UnsupportedPrimitiveError(f"{primitive} to {tuple(shape)} has more than one free size")
        return tuple(size if isinstance(size, int) else -1 for size in shape)

    def _symbol(self, size: Any, primitive: str) -> tf.Tensor:
        if str(size) != BATCH:
            raise UnsupportedPrimitiveError(f"{primitive} has a size of {size}: only {BATCH!r} itself may be free")
        return self._batch


def _elementwise(operation: Callable[..., tf.Tensor]) -> Callable[..., tf.Tensor]:
    def rule(shapes: Shapes, shape: Any, /, *operands: tf.Tensor, **_: Any) -> tf.Tensor:
        return operation(*operands)

    return rule


def _reduction(operation: Callable[..., tf.Tensor]) -> Callable[..., tf.Tensor]:
    def rule(shapes: Shapes, shape: Any, x: tf.Tensor, /, *, axes: Sequence[int], **_: Any) -> tf.Tensor:
        return operation(x, axis=list(axes))

    return rule


def _integer_pow(shapes: Shapes, shape: Any, x: tf.Tensor, /, *, y: int, **_: Any) -> tf.Tensor:
    """x^y by repeated squaring, as XLA does it."""
    result, base, exponent = None, x, abs(y)
    while exponent:
        if exponent & 1:
            result = base if result is None else result * base
        exponent >>= 1
        if exponent:
            base = base * base
    if result is None:
        return tf.ones_like(x)
    return result if y > 0 else 1 / result


def _div(x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
    return tf.truncatediv(x, y) if x.dtype.is_integer else tf.divide(x, y)


def _convert(shapes: Shapes, shape: Any, x: tf.Tensor, /, *, new_dtype: Any, **_: Any) -> tf.Tensor:
    return tf.cast(x, np.dtype(new_dtype).name)


def _select_n(shapes: Shapes, shape: Any, which: tf.Tensor, /, *cases: tf.Tensor, **_: Any) -> tf.Tensor:
    if which.dtype != tf.bool or len(cases) != 2:
        raise UnsupportedPrimitiveError(f"select_n between {len(cases)} cases: only two, by a boolean, can be drawn")
    return tf.where(which, cases[1], cases[0])


def _broadcast_in_dim(
    shapes: Shapes, shape: Any, x: tf.Tensor, /, *dynamic: Any, broadcast_dimensions: Sequence[int], **_: Any
) -> tf.Tensor:
    spread: list[Any] = [1] * len(shape)
    for axis, size in zip(broadcast_dimensions, x.shape, strict=True):
        spread[axis] = -1 if size is None else size
    if len(shape) != len(x.shape):
        x = tf.reshape(x, spread)
    if all(
        have == want or (have == -1 and not isinstance(want, int)) for have, want in zip(spread, shape, strict=True)
    ):
        return x
    return tf.broadcast_to(x, shapes.value(shape, "broadcast_in_dim"))


def _reshape(shapes: Shapes, shape: Any, x: tf.Tensor, /, **_: Any) -> tf.Tensor:
    return tf.reshape(x, shapes.with_one_free(shape, "reshape"))


def _squeeze(shapes: Shapes, shape: Any, x: tf.Tensor, /, *, dimensions: Sequence[int], **_: Any) -> tf.Tensor:
    return tf.squeeze(x, axis=list(dimensions)) if dimensions else x


def _transpose(shapes: Shapes, shape: Any, x: tf.Tensor, /, *, permutation: Sequence[int], **_: Any) -> tf.Tensor:
    return tf.transpose(x, list(permutation))


def _rev(shapes: Shapes, shape: Any, x: tf.Tensor, /, *, dimensions: Sequence[int], **_: Any) -> tf.Tensor:
    return tf.reverse(x, list(dimensions))


def _concatenate(shapes: Shapes, shape: Any, /, *operands: tf.Tensor, dimension: int, **_: Any) -> tf.Tensor:
    return tf.concat(operands, axis=dimension)


def _split(
    shapes: Shapes, shape: Any, x: tf.Tensor, /, *, sizes: Sequence[int], axis: int, **_: Any
) -> list[tf.Tensor]:
    return tf.split(x, list(sizes), axis=axis)


def _slice(
    shapes: Shapes,
    shape: Any,
    x: tf.Tensor,
    /,
    *,
    start_indices: Sequence[int],
    limit_indices: Sequence[Any],
    strides: Sequence[int] | None,
    **_: Any,
) -> tf.Tensor:
    slices: list[slice] = []
    for i, (start, limit) in enumerate(zip(start_indices, limit_indices, strict=True)):
        if not isinstance(limit, int) and str(limit) != BATCH:
            raise UnsupportedPrimitiveError(f"slice up to {limit}: the batch can only be taken to its end")
        slices.append(slice(start, limit if isinstance(limit, int) else None, strides[i] if strides else None))
    return x[tuple(slices)]


def _pad(
    shapes: Shapes,
    shape: Any,
    x: tf.Tensor,
    value: tf.Tensor,
    /,
    *,
    padding_config: Sequence[tuple[int, int, int]],
    **_: Any,
) -> tf.Tensor:
    if any(low < 0 or high < 0 or interior for low, high, interior in padding_config):
        raise UnsupportedPrimitiveError(f"pad by {tuple(padding_config)}: only outer padding of 0 or more can be drawn")
    return tf.pad(x, [[low, high] for low, high, _ in padding_config], constant_values=value)


def _iota(shapes: Shapes, shape: Any, /, *dynamic: Any, dtype: Any, dimension: int, **_: Any) -> tf.Tensor:
    size = shape[dimension]
    if isinstance(size, int):
        line = tf.constant(np.arange(size, dtype=np.dtype(dtype)))
    else:
        line = tf.cast(tf.range(shapes.value((size,), "iota")[0]), np.dtype(dtype).name)
    line = tf.reshape(line, [-1 if axis == dimension else 1 for axis in range(len(shape))])
    if all(size == 1 for axis, size in enumerate(shape) if axis != dimension):
        return line
    return tf.broadcast_to(line, shapes.value(shape, "iota"))


def _dot_general(
    shapes: Shapes, shape: Any, x: tf.Tensor, y: tf.Tensor, /, *, dimension_numbers: Any, **_: Any
) -> tf.Tensor:
    (x_contracted, y_contracted), (x_batch, y_batch) = dimension_numbers
    if len(x.shape) == len(y.shape) == 2 and len(x_contracted) == 1 and not x_batch:
        return tf.matmul(x, y, transpose_a=x_contracted[0] == 0, transpose_b=y_contracted[0] == 1)
    letters = iter("abcdefghijklmnopqrstuvwxyz")
    x_axes = [next(letters) for _ in x.shape]
    y_axes = [next(letters) for _ in y.shape]
    for i, j in (*zip(x_contracted, y_contracted, strict=True), *zip(x_batch, y_batch, strict=True)):
        y_axes[j] = x_axes[i]
    kept = [x_axes[i] for i in x_batch]
    kept += [axis for i, axis in enumerate(x_axes) if i not in (*x_contracted, *x_batch)]
    kept += [axis for j, axis in enumerate(y_axes) if j not in (*y_contracted, *y_batch)]
    return tf.einsum(f"{''.join(x_axes)},{''.join(y_axes)}->{''.join(kept)}", x, y)


def _convolution(shapes: Shapes, shape: Any, x: tf.Tensor, kernel: tf.Tensor, /, **params: Any) -> tf.Tensor:
    return convolution(x, kernel, **params)


def _gather(shapes: Shapes, shape: Any, x: tf.Tensor, indices: tf.Tensor, /, **params: Any) -> tf.Tensor:
    return gather(x, indices, **params)


def _identity(shapes: Shapes, shape: Any, x: tf.Tensor, /, **_: Any) -> tf.Tensor:
    return x


def _clamp(low: tf.Tensor, x: tf.Tensor, high: tf.Tensor) -> tf.Tensor:
    return tf.minimum(tf.maximum(x, low), high)


RULES: Mapping[str, Callable[..., Any]] = {
    "abs": _elementwise(tf.abs),
    "add": _elementwise(tf.add),
    "add_any": _elementwise(tf.add),
    "and": _elementwise(tf.logical_and),
    "broadcast_in_dim": _broadcast_in_dim,
    "ceil": _elementwise(tf.math.ceil),
    "clamp": _elementwise(_clamp),
    "concatenate": _concatenate,
    "conv_general_dilated": _convolution,
    "convert_element_type": _convert,
    "copy": _identity,
    "copy_p": _identity,
    "cos": _elementwise(tf.cos),
    "div": _elementwise(_div),
    "dot_general": _dot_general,
    "eq": _elementwise(tf.equal),
    "erf": _elementwise(tf.math.erf),
    "exp": _elementwise(tf.exp),
    "expm1": _elementwise(tf.math.expm1),
    "floor": _elementwise(tf.floor),
    "gather": _gather,
    "ge": _elementwise(tf.greater_equal),
    "gt": _elementwise(tf.greater),
    "integer_pow": _integer_pow,
    "iota": _iota,
    "le": _elementwise(tf.less_equal),
    "log": _elementwise(tf.math.log),
    "log1p": _elementwise(tf.math.log1p),
    "logistic": _elementwise(tf.sigmoid),
    "lt": _elementwise(tf.less),
    "max": _elementwise(tf.maximum),
    "min": _elementwise(tf.minimum),
    "mul": _elementwise(tf.multiply),
    "ne": _elementwise(tf.not_equal),
    "neg": _elementwise(tf.negative),
    "not": _elementwise(tf.logical_not),
    "or": _elementwise(tf.logical_or),
    "pad": _pad,
    "pow": _elementwise(tf.pow),
    "reduce_max": _reduction(tf.reduce_max),
    "reduce_min": _reduction(tf.reduce_min),
    "reduce_prod": _reduction(tf.reduce_prod),
    "reduce_sum": _reduction(tf.reduce_sum),
    "reshape": _reshape,
    "rev": _rev,
    "rsqrt": _elementwise(tf.math.rsqrt),
    "select_n": _select_n,
    "sign": _elementwise(tf.sign),
    "sin": _elementwise(tf.sin),
    "slice": _slice,
    "split": _split,
    "sqrt": _elementwise(tf.sqrt),
    "square": _elementwise(tf.square),
    "squeeze": _squeeze,
    "stop_gradient": _identity,
    "sub": _elementwise(tf.subtract),
    "tanh": _elementwise(tf.tanh),
    "transpose": _transpose,
}
