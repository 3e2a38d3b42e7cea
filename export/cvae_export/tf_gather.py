"""JAX's gather, drawn with TensorFlow's: windows of `x` that begin at `indices`.

    out[b..., w...] = x[start(b)[0] + w[0], start(b)[1] + w[1], ...]

Along one axis (`table[label]`, `x[:, 2:5]`) TensorFlow's own does it. Else the elements' places in flattened `x` are
computed, and taken: `x[i, label[i]]`, say.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from jax.lax import GatherScatterMode

__all__ = ["gather"]


def gather(
    x: tf.Tensor,
    indices: tf.Tensor,
    *,
    dimension_numbers: Any,
    slice_sizes: Sequence[Any],
    mode: Any,
    fill_value: Any,
    **_: Any,
) -> tf.Tensor:
    """Draw `lax.gather`; parameters are that primitive's."""
    numbers, indices = dimension_numbers, tf.cast(indices, tf.int32)
    # A window as long as its axis begins at 0.
    axes = [axis for axis in numbers.start_index_map if slice_sizes[axis] != x.shape[axis]]
    limits = {axis: tf.shape(x)[axis] - slice_sizes[axis] for axis in numbers.start_index_map if axis in axes}
    limits |= dict.fromkeys(set(numbers.start_index_map) - set(axes), tf.constant(0))
    asked = {axis: tf.gather(indices, i, axis=-1) for i, axis in enumerate(numbers.start_index_map)}
    starts = {axis: tf.clip_by_value(start, 0, limits[axis]) for axis, start in asked.items()}
    rank = len(indices.shape) - 1 + len(numbers.offset_dims)
    places = [i for i in range(rank) if i not in numbers.offset_dims]  # of the indices' own axes in the result
    if len(axes) == 1 and not numbers.operand_batching_dims:
        result = _along(x, starts[axes[0]], axes[0], slice_sizes, numbers, places)
    else:
        result = _anywhere(x, starts, slice_sizes, numbers, places)
    if mode != GatherScatterMode.FILL_OR_DROP:
        return result
    outside = tf.reduce_any([(start < 0) | (start > limits[axis]) for axis, start in asked.items()], axis=0)
    fill = _default_fill(result.dtype) if fill_value is None else fill_value
    return tf.where(_spread(outside, places, rank), tf.constant(fill, result.dtype), result)


def _along(
    x: tf.Tensor, start: tf.Tensor, axis: int, slice_sizes: Sequence[Any], numbers: Any, places: list[int]
) -> tf.Tensor:
    result = tf.gather(x, tf.expand_dims(start, -1) + tf.range(slice_sizes[axis]), axis=axis)
    window = axis + len(places)  # where tf.gather puts the window's axis, after the indices' own
    dropped = [i if i < axis else i + len(places) for i in numbers.collapsed_slice_dims]
    others = [i for i in range(len(result.shape)) if not axis <= i < window and i not in dropped]
    if dropped:
        result = tf.squeeze(result, dropped)
        others = [i - sum(d < i for d in dropped) for i in others]
        axis -= sum(d < axis for d in dropped)
    theirs, own = iter(range(axis, axis + len(places))), iter(others)
    return tf.transpose(result, [next(theirs if i in places else own) for i in range(len(result.shape))])


def _anywhere(
    x: tf.Tensor, starts: dict[int, tf.Tensor], slice_sizes: Sequence[Any], numbers: Any, places: list[int]
) -> tf.Tensor:
    rank = len(places) + len(numbers.offset_dims)
    batching = dict(zip(numbers.operand_batching_dims, numbers.start_indices_batching_dims, strict=True))
    offsets = iter(numbers.offset_dims)
    sizes, place, stride = tf.shape(x), tf.constant(0), tf.constant(1)
    terms: list[tf.Tensor] = []
    for axis in range(len(x.shape)):
        term = tf.constant(0)
        if axis in starts:
            term += _spread(starts[axis], places, rank)
        if axis in batching:
            term += _spread(tf.range(sizes[axis]), [places[batching[axis]]], rank)
        elif axis not in numbers.collapsed_slice_dims:
            length = slice_sizes[axis] if isinstance(slice_sizes[axis], int) else sizes[axis]
            term += _spread(tf.range(length), [next(offsets)], rank)
        terms.append(term)
    for axis in reversed(range(len(x.shape))):
        place += terms[axis] * stride
        stride *= sizes[axis]
    return tf.gather(tf.reshape(x, [-1]), place)


def _spread(x: tf.Tensor, places: list[int], rank: int) -> tf.Tensor:
    """`x`, whose axes go to `places` of a result of `rank` axes, with axes of size 1 for the others."""
    for axis in range(rank):
        if axis not in places:
            x = tf.expand_dims(x, axis)
    return x


def _default_fill(dtype: tf.DType) -> Any:
    """JAX's own: NaN, or the integer farthest from what is meant."""
    return np.nan if dtype.is_floating else dtype.min
