"""JAX's general convolution in one or two dimensions, drawn with TensorFlow's in two.

A convolution over an input dilated by d is a transposed one: conv2d_transpose with stride d and the kernel reversed
in space and turned from in-out to out-in gives all (n - 1) d + k outputs; JAX's padding says how many of them are
kept. With groups or strides besides, the input is dilated by zeros instead.
"""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from cvae_export.errors import UnsupportedPrimitiveError
from cvae_export.tf_layout import dilated, padded_or_cropped

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
    """Draw `lax.conv_general_dilated` of one or two spatial axes; parameters are that primitive's.

    Raises UnsupportedPrimitiveError for other ranks, and groups over the batch.
    """
    if (rank := len(window_strides)) not in (1, 2) or batch_group_count != 1:
        raise UnsupportedPrimitiveError(
            f"conv_general_dilated over {rank} axes in {batch_group_count} batch groups: "
            "only one or two axes and one group can be drawn"
        )
    lhs_spec, rhs_spec, out_spec = dimension_numbers
    x = tf.transpose(x, (lhs_spec[0], *lhs_spec[2:], lhs_spec[1]))  # to NHWC
    kernel = tf.transpose(kernel, (*rhs_spec[2:], rhs_spec[1], rhs_spec[0]))  # to HWIO
    strides, input_dilation, kernel_dilation = list(window_strides), list(lhs_dilation), list(rhs_dilation)
    amounts = [(int(low), int(high)) for low, high in padding]
    if rank == 1:
        x, kernel = tf.expand_dims(x, 1), tf.expand_dims(kernel, 0)
        strides, input_dilation, kernel_dilation = [1, *strides], [1, *input_dilation], [1, *kernel_dilation]
        amounts = [(0, 0), *amounts]
    if input_dilation == [1, 1]:
        y = _forward(x, kernel, strides, kernel_dilation, amounts)
    elif strides == [1, 1] and feature_group_count == 1:
        y = _transposed(x, dilated(kernel, [*kernel_dilation, 1, 1]), input_dilation, amounts)
    else:
        y = _forward(dilated(x, [1, *input_dilation, 1]), kernel, strides, kernel_dilation, amounts)
    if rank == 1:
        y = tf.squeeze(y, 1)
    # `out_spec` says where batch, features and the spatial axes go.
    order = [0] * (rank + 2)
    for source, target in zip((0, rank + 1, *range(1, rank + 1)), out_spec, strict=True):
        order[target] = source
    return tf.transpose(y, order)


def _forward(
    x: tf.Tensor, kernel: tf.Tensor, strides: list[int], dilation: list[int], amounts: list[tuple[int, int]]
) -> tf.Tensor:
    x = padded_or_cropped(x, [(0, 0), *amounts, (0, 0)])
    return tf.nn.conv2d(x, kernel, strides=strides, padding="VALID", dilations=dilation)


def _transposed(x: tf.Tensor, kernel: tf.Tensor, dilation: list[int], amounts: list[tuple[int, int]]) -> tf.Tensor:
    height, width, _, features = (int(size) for size in kernel.shape)  # pyright: ignore[reportArgumentType]
    flipped = tf.transpose(tf.reverse(kernel, [0, 1]), (0, 1, 3, 2))
    spatial: list[int] = x.shape[1:3].as_list()  # pyright: ignore[reportAssignmentType]
    full = [(n - 1) * d + k for n, d, k in zip(spatial, dilation, (height, width), strict=True)]
    y = tf.nn.conv2d_transpose(
        x, flipped, tf.stack([tf.shape(x)[0], *full, features]), strides=dilation, padding="VALID"
    )
    y = tf.ensure_shape(y, (None, *full, features))
    kept = [(low - (k - 1), high - (k - 1)) for (low, high), k in zip(amounts, (height, width), strict=True)]
    return padded_or_cropped(y, [(0, 0), *kept, (0, 0)])
