"""JAX's gather along one axis, drawn with TensorFlow's: `x[:, 2:5]` and `table[label]` where the batch is free."""

from typing import Any

import tensorflow as tf
from jax.lax import GatherScatterMode

from cvae_export.errors import UnsupportedPrimitiveError

__all__ = ["gather"]


def gather(
    x: tf.Tensor,
    indices: tf.Tensor,
    *,
    dimension_numbers: Any,
    slice_sizes: Any,
    mode: Any,
    fill_value: Any,
    **_: Any,
) -> tf.Tensor:
    """Draw `lax.gather` where one axis is indexed and the others are taken whole; parameters are that primitive's.

    Raises UnsupportedPrimitiveError for more axes.
    """
    numbers = dimension_numbers
    whole = all(
        size == x.shape[i] or not isinstance(size, int)
        for i, size in enumerate(slice_sizes)
        if i not in numbers.start_index_map
    )
    if len(numbers.start_index_map) != 1 or numbers.operand_batching_dims or not whole:
        raise UnsupportedPrimitiveError("gather can only be drawn along one axis, with the others taken whole")
    (axis,) = numbers.start_index_map
    positions = tf.squeeze(indices, axis=-1)
    length = slice_sizes[axis]
    if axis not in numbers.collapsed_slice_dims:
        if len(positions.shape) != 0:
            raise UnsupportedPrimitiveError("gather of several slices longer than 1 cannot be drawn")
        # One slice: its elements are taken one by one, which keeps the axis where it is.
        return tf.gather(x, _clipped(positions, x, axis, length) + tf.range(length), axis=axis)
    if mode == GatherScatterMode.FILL_OR_DROP and fill_value is None:
        raise UnsupportedPrimitiveError("gather that fills by the dtype's own value cannot be drawn: give a fill_value")
    result = tf.gather(x, _clipped(positions, x, axis, 1), axis=axis)
    if mode == GatherScatterMode.FILL_OR_DROP:
        outside = (positions < 0) | (positions >= tf.shape(x)[axis])
        shape = [1] * axis + [-1 if size is None else size for size in positions.shape]
        outside = tf.reshape(outside, shape + [1] * (len(result.shape) - len(shape)))
        result = tf.where(outside, tf.constant(fill_value, result.dtype), result)
    # tf.gather puts the indices' axes in the gathered axis's place; `offset_dims` says where the others go.
    drawn_at = range(axis, axis + len(positions.shape))
    others = iter(i for i in range(len(result.shape)) if i not in drawn_at)
    theirs = iter(drawn_at)
    order = [next(others) if i in numbers.offset_dims else next(theirs) for i in range(len(result.shape))]
    return tf.transpose(result, order)


def _clipped(positions: tf.Tensor, x: tf.Tensor, axis: int, length: int) -> tf.Tensor:
    return tf.clip_by_value(positions, 0, tf.shape(x)[axis] - length)
