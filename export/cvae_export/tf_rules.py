"""How each JAX primitive is drawn in TensorFlow.

A rule takes the symbolic shapes' values, the shape of the (first) result, the operands as tensors, and the
primitive's parameters by name. Only operations are used that a CPU build of TF Serving, the TFLite converter and
tf2onnx all know.
"""

from collections.abc import Callable, Mapping
from typing import Any

import tensorflow as tf

from cvae_export.tf_arithmetic import ARITHMETIC
from cvae_export.tf_contraction import contraction
from cvae_export.tf_convolution import convolution
from cvae_export.tf_gather import gather
from cvae_export.tf_layout import LAYOUT
from cvae_export.tf_shapes import Shapes

__all__ = ["RULES", "Shapes"]


def _of_two(draw: Callable[..., tf.Tensor]) -> Callable[..., tf.Tensor]:
    def rule(shapes: Shapes, shape: Any, x: tf.Tensor, y: tf.Tensor, /, **params: Any) -> tf.Tensor:
        return draw(x, y, **params)

    return rule


RULES: Mapping[str, Callable[..., Any]] = {
    **ARITHMETIC,
    **LAYOUT,
    "conv_general_dilated": _of_two(convolution),
    "dot_general": _of_two(contraction),
    "gather": _of_two(gather),
}
