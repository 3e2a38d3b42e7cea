"""How primitives that move, repeat, cut and join elements are drawn in TensorFlow."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from cvae_export.tf_shapes import Shapes

__all__ = ["LAYOUT", "dilated", "padded_or_cropped"]


def dilated(x: tf.Tensor, dilation: Sequence[int], value: Any = 0) -> tf.Tensor:
    """`x` with d - 1 times `value` between neighbors along each axis of dilation d, whose size must be known."""
    for axis, d in enumerate(dilation):
        if d == 1:
            continue
        shape = [-1 if size is None else size for size in x.shape]
        size = shape[axis]
        x = tf.pad(tf.expand_dims(x, axis + 1), _along(axis + 1, (0, d - 1), len(shape) + 1), constant_values=value)
        x = tf.reshape(x, [*shape[:axis], size * d, *shape[axis + 1 :]])
        x = x[_slices({axis: slice(0, size * d - d + 1)}, len(shape))]
    return x


def padded_or_cropped(x: tf.Tensor, amounts: Sequence[tuple[int, int]], value: Any = 0) -> tf.Tensor:
    """`x` with `value` added at both ends of each axis where an amount is above 0, cut where it is below."""
    if any(amount > 0 for pair in amounts for amount in pair):
        x = tf.pad(x, [[max(low, 0), max(high, 0)] for low, high in amounts], constant_values=value)
    if any(amount < 0 for pair in amounts for amount in pair):
        x = x[tuple(slice(max(-low, 0), min(high, 0) or None) for low, high in amounts)]
    return x


def _along(axis: int, amounts: tuple[int, int], rank: int) -> list[tuple[int, int]]:
    return [amounts if i == axis else (0, 0) for i in range(rank)]


def _slices(slices: Mapping[int, slice], rank: int) -> tuple[slice, ...]:
    return tuple(slices.get(axis, slice(None)) for axis in range(rank))


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
    return tf.broadcast_to(x, shapes.value(shape))


def _reshape(shapes: Shapes, shape: Any, x: tf.Tensor, /, **_: Any) -> tf.Tensor:
    return tf.reshape(x, shapes.for_reshape(shape))


def _squeeze(shapes: Shapes, shape: Any, x: tf.Tensor, /, *, dimensions: Sequence[int], **_: Any) -> tf.Tensor:
    return tf.squeeze(x, axis=list(dimensions)) if dimensions else x


def _transpose(shapes: Shapes, shape: Any, x: tf.Tensor, /, *, permutation: Sequence[int], **_: Any) -> tf.Tensor:
    return tf.transpose(x, list(permutation))


def _rev(shapes: Shapes, shape: Any, x: tf.Tensor, /, *, dimensions: Sequence[int], **_: Any) -> tf.Tensor:
    return tf.reverse(x, list(dimensions))


def _concatenate(shapes: Shapes, shape: Any, /, *operands: tf.Tensor, dimension: int, **_: Any) -> tf.Tensor:
    # ONNX's Expand does not broadcast to a size of 0, as jnp.pad does where it adds nothing.
    return tf.concat([operand for operand in operands if operand.shape[dimension] != 0], axis=dimension)


def _stack(shapes: Shapes, shape: Any, /, *operands: tf.Tensor, axis: int, **_: Any) -> tf.Tensor:
    return tf.stack(operands, axis=axis)


def _unstack(shapes: Shapes, shape: Any, x: tf.Tensor, /, *, axis: int, **_: Any) -> list[tf.Tensor]:
    sizes = [1] * (x.shape[axis] or 0)  # the batch alone is free, and JAX unstacks no such axis
    return [tf.squeeze(part, axis=[axis]) for part in tf.split(x, sizes, axis=axis)]


def _tile(shapes: Shapes, shape: Any, x: tf.Tensor, /, *, reps: Sequence[Any], **_: Any) -> tf.Tensor:
    return tf.tile(x, shapes.value(reps))


def _split(
    shapes: Shapes, shape: Any, x: tf.Tensor, /, *, sizes: Sequence[Any], axis: int, **_: Any
) -> list[tf.Tensor]:
    return tf.split(x, shapes.value(sizes), axis=axis, num=len(sizes))


def _slice(
    shapes: Shapes,
    shape: Any,
    x: tf.Tensor,
    /,
    *,
    start_indices: Sequence[Any],
    limit_indices: Sequence[Any],
    strides: Sequence[int] | None,
    **_: Any,
) -> tf.Tensor:
    steps = strides or [1] * len(start_indices)
    return x[
        tuple(
            slice(None, None, step) if start == 0 and _is_whole(size, limit) else _range(shapes, start, limit, step)
            for start, limit, step, size in zip(start_indices, limit_indices, steps, x.shape, strict=True)
        )
    ]


def _is_whole(size: int | None, limit: Any) -> bool:
    """Whether a slice up to `limit` takes the whole axis; a free size is taken whole by what has the batch's size."""
    return size == limit if size is not None else str(limit) == "batch"


def _range(shapes: Shapes, start: Any, limit: Any, step: int) -> slice:
    return slice(shapes.size(start), shapes.size(limit), step)


def _dynamic_slice(
    shapes: Shapes, shape: Any, x: tf.Tensor, /, *starts: tf.Tensor, slice_sizes: Sequence[Any], **_: Any
) -> tf.Tensor:
    sizes = shapes.value(shape)
    last = tf.shape(x) - sizes
    begin = tf.minimum(tf.maximum(tf.stack([tf.cast(start, tf.int32) for start in starts]), 0), last)
    return tf.ensure_shape(tf.slice(x, begin, sizes), [size if isinstance(size, int) else None for size in shape])


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
    x = dilated(x, [between + 1 for _, _, between in padding_config], value)
    return padded_or_cropped(x, [(low, high) for low, high, _ in padding_config], value)


def _iota(shapes: Shapes, shape: Any, /, *dynamic: Any, dtype: Any, dimension: int, **_: Any) -> tf.Tensor:
    size = shape[dimension]
    if isinstance(size, int):
        line = tf.constant(np.arange(size, dtype=np.dtype(dtype)))
    else:
        line = tf.cast(tf.range(shapes.size(size)), np.dtype(dtype).name)
    line = tf.reshape(line, [-1 if axis == dimension else 1 for axis in range(len(shape))])
    if all(size == 1 for axis, size in enumerate(shape) if axis != dimension):
        return line
    return tf.broadcast_to(line, shapes.value(shape))


def _dim_as_value(shapes: Shapes, shape: Any, /, *, dim: Any, **_: Any) -> tf.Tensor:
    return tf.convert_to_tensor(shapes.size(dim))


def _identity(shapes: Shapes, shape: Any, x: tf.Tensor, /, **_: Any) -> tf.Tensor:
    return x


def _identities(shapes: Shapes, shape: Any, /, *operands: tf.Tensor, **_: Any) -> list[tf.Tensor]:
    return list(operands)


LAYOUT: Mapping[str, Callable[..., Any]] = {
    "broadcast_in_dim": _broadcast_in_dim,
    "concatenate": _concatenate,
    "copy": _identity,
    "copy_p": _identity,
    "dim_as_value": _dim_as_value,
    "dynamic_slice": _dynamic_slice,
    "iota": _iota,
    "optimization_barrier": _identities,
    "pad": _pad,
    "reshape": _reshape,
    "rev": _rev,
    "slice": _slice,
    "split": _split,
    "squeeze": _squeeze,
    "stack": _stack,
    "stop_gradient": _identity,
    "tile": _tile,
    "transpose": _transpose,
    "unstack": _unstack,
}
