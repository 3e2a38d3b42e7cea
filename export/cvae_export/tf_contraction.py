"""JAX's general product of two tensors, drawn with TensorFlow's: a matrix product, or Einstein's sum."""

from typing import Any

import numpy as np
import tensorflow as tf

__all__ = ["contraction"]


def contraction(
    x: tf.Tensor, y: tf.Tensor, *, dimension_numbers: Any, preferred_element_type: Any, **_: Any
) -> tf.Tensor:
    """Draw `lax.dot_general`; parameters are that primitive's."""
    if preferred_element_type is not None:
        dtype = np.dtype(preferred_element_type).name
        x, y = tf.cast(x, dtype), tf.cast(y, dtype)
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
