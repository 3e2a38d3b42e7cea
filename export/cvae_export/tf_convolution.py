"""JAX's general convolution in two dimensions, drawn with TensorFlow's.

A convolution over an input dilated by d is a transposed one: conv2d_transpose with stride d and the kernel reversed
in space and turned from in-out to out-in gives all (n - 1) d + k outputs; JAX's padding says how many of them are
kept.
"""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from cvae_export.errors import UnsupportedPrimitiveError

__all__ = ["convolution"]


def convolution(
    x: tf.Tensor,
    kernel: tf.Tensor,
    *,
    window_strides: Sequence[int],
    padding: Sequence[tuple[int, int]],
    lhs_dilation: Sequence[int],
    rhs_dilation: Sequence[int],
    dimension_numbers: Any,
    feature_group_count: int,
    batch_group_count: int,
    **_: Any,
) -> tf.Tensor:
    """Draw `lax.conv_general_dilated` of two spatial axes; parameters are that primitive's.

    Raises UnsupportedPrimitiveError for groups in a transposed convolution, groups over the batch, and other ranks.
    """
    dilated = any(d != 1 for d in lhs_dilation)
    if len(window_strides) != 2 or batch_group_count != 1:
        raise UnsupportedPrimitiveError(
            f"conv_general_dilated over {len(window_strides)} axes in {batch_group_count} batch groups: "
            "only two axes and one group can be drawn"
        )
    if dilated and (feature_group_count != 1 or any(n != 1 for n in (*window_strides, *rhs_dilation))):
        raise UnsupportedPrimitiveError(
            "conv_general_dilated with lhs_dilation takes no groups, strides or rhs_dilation"
        )
    lhs_spec, rhs_spec, out_spec = dimension_numbers
    x = tf.transpose(x, (lhs_spec[0], *lhs_spec[2:], lhs_spec[1]))  # to NHWC
    kernel = tf.transpose(kernel, (*rhs_spec[2:], rhs_spec[1], rhs_spec[0]))  # to HWIO
    if dilated:
        y = _transposed(x, kernel, lhs_dilation, padding)
    else:
        x = _padded_or_cropped(x, padding)
        y = tf.nn.conv2d(x, kernel, strides=list(window_strides), padding="VALID", dilations=list(rhs_dilation))
    # `out_spec` says where batch, features and the spatial axes go.
    order = [0] * 4
    for source, target in zip((0, 3, 1, 2), out_spec, strict=True):
        order[target] = source
    return tf.transpose(y, order)


def _transposed(
    x: tf.Tensor, kernel: tf.Tensor, dilation: Sequence[int], padding: Sequence[tuple[int, int]]
) -> tf.Tensor:
    height, width, _, features = (int(size) for size in kernel.shape)  # pyright: ignore[reportArgumentType]
    flipped = tf.transpose(tf.reverse(kernel, [0, 1]), (0, 1, 3, 2))
    spatial: list[int] = x.shape[1:3].as_list()  # pyright: ignore[reportAssignmentType]
    full = [(n - 1) * d + k for n, d, k in zip(spatial, dilation, (height, width), strict=True)]
    y = tf.nn.conv2d_transpose(
        x, flipped, tf.stack([tf.shape(x)[0], *full, features]), strides=list(dilation), padding="VALID"
    )
    y = tf.ensure_shape(y, (None, *full, features))
    kept = [(low - (k - 1), high - (k - 1)) for (low, high), k in zip(padding, (height, width), strict=True)]
    return _padded_or_cropped(y, kept)


def _padded_or_cropped(x: tf.Tensor, amounts: Sequence[tuple[int, int]]) -> tf.Tensor:
    """Add zeros around the spatial axes of NHWC where an amount is above 0, cut where it is below."""
    if any(amount > 0 for pair in amounts for amount in pair):
        x = tf.pad(x, [[0, 0], *([max(low, 0), max(high, 0)] for low, high in amounts), [0, 0]])
    if any(amount < 0 for pair in amounts for amount in pair):
        x = x[(slice(None), *(slice(max(-low, 0), min(high, 0) or None) for low, high in amounts), slice(None))]
    return x
