"""How primitives that compute element by element, or along axes, are drawn in TensorFlow.

Where tf2onnx has no operator for TensorFlow's, an identity of those it has stands for it:

    expm1(x) = tanh(x / 2) (exp(x) + 1)
    log1p(x) = 2 atanh(x / (2 + x))                          near 0, as a series; log(1 + x) elsewhere
    erfc(x) = 1 - erf(x)                                     to a rounding of 1, not of itself
    log2(x) = log(x) / log(2)
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from jax.lax import RoundingMethod

from cvae_export.errors import UnsupportedPrimitiveError
from cvae_export.tf_shapes import Shapes

__all__ = ["ARITHMETIC"]


def _elementwise(operation: Callable[..., tf.Tensor]) -> Callable[..., tf.Tensor]:
    def rule(shapes: Shapes, shape: Any, /, *operands: tf.Tensor, **_: Any) -> tf.Tensor:
        return operation(*operands)

    return rule


def _logical(operation: Callable[..., tf.Tensor]) -> Callable[..., tf.Tensor]:
    def rule(shapes: Shapes, shape: Any, /, *operands: tf.Tensor, **_: Any) -> tf.Tensor:
        if operands[0].dtype != tf.bool:
            raise UnsupportedPrimitiveError(f"bits of {operands[0].dtype.name} cannot be drawn: only booleans")
        return operation(*operands)

    return rule


def _reduction(operation: Callable[..., tf.Tensor]) -> Callable[..., tf.Tensor]:
    def rule(shapes: Shapes, shape: Any, x: tf.Tensor, /, *, axes: Sequence[int], **_: Any) -> tf.Tensor:
        return operation(x, axis=list(axes))

    return rule


def _extreme(operation: Callable[..., tf.Tensor]) -> Callable[..., tf.Tensor]:
    def rule(
        shapes: Shapes, shape: Any, x: tf.Tensor, /, *, axes: Sequence[int], index_dtype: Any, **_: Any
    ) -> tf.Tensor:
        return operation(x, axis=axes[0], output_type=tf.as_dtype(np.dtype(index_dtype)))

    return rule


def _cumsum(shapes: Shapes, shape: Any, x: tf.Tensor, /, *, axis: int, reverse: bool, **_: Any) -> tf.Tensor:
    return tf.cumsum(x, axis=axis, reverse=reverse)


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


def _rem(x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
    if not x.dtype.is_integer:
        raise UnsupportedPrimitiveError(f"the remainder of {x.dtype.name} cannot be drawn: only of integers")
    return x - tf.truncatediv(x, y) * y


def _round(shapes: Shapes, shape: Any, x: tf.Tensor, /, *, rounding_method: Any, **_: Any) -> tf.Tensor:
    if rounding_method == RoundingMethod.TO_NEAREST_EVEN:
        return tf.round(x)
    whole = tf.floor(tf.abs(x))
    return tf.sign(x) * (whole + tf.cast(tf.abs(x) - whole >= 0.5, x.dtype))


def _convert(shapes: Shapes, shape: Any, x: tf.Tensor, /, *, new_dtype: Any, **_: Any) -> tf.Tensor:
    return tf.cast(x, np.dtype(new_dtype).name)


def _select_n(shapes: Shapes, shape: Any, which: tf.Tensor, /, *cases: tf.Tensor, **_: Any) -> tf.Tensor:
    if which.dtype == tf.bool:
        return tf.where(which, cases[-1], cases[0])
    chosen = cases[-1]
    for i, case in reversed(list(enumerate(cases[:-1]))):
        chosen = tf.where(tf.equal(which, i), case, chosen)
    return chosen


def _clamp(low: tf.Tensor, x: tf.Tensor, high: tf.Tensor) -> tf.Tensor:
    return tf.minimum(tf.maximum(x, low), high)


def _expm1(x: tf.Tensor) -> tf.Tensor:
    return tf.tanh(x / 2) * (tf.exp(x) + 1)


def _log1p(x: tf.Tensor) -> tf.Tensor:
    small = tf.clip_by_value(x, -0.25, 0.5)  # so that the branch not taken is finite: TensorFlow may add the two up
    y = small / (2 + small)
    # LiteRT has no atanh. abs(y) is 1/5 at most: the next term, y^10 / 11, would be a sixth of a rounding.
    series = tf.constant(0, x.dtype)
    for n in (9, 7, 5, 3):
        series = y * y * (1 / n + series)
    return tf.where(tf.equal(x, small), 2 * y * (1 + series), tf.math.log(1 + x))


def _erfc(x: tf.Tensor) -> tf.Tensor:
    return 1 - tf.math.erf(x)


def _exp2(x: tf.Tensor) -> tf.Tensor:
    return tf.pow(tf.constant(2, x.dtype), x)


def _log2(x: tf.Tensor) -> tf.Tensor:
    return tf.math.log(x) * tf.constant(1 / np.log(2), x.dtype)


def _one_minus_square(x: tf.Tensor) -> tf.Tensor:
    return (1 + x) * (1 - x)  # exact near 1, as JAX computes it


def _cbrt(x: tf.Tensor) -> tf.Tensor:
    return tf.sign(x) * tf.pow(tf.abs(x), tf.constant(1 / 3, x.dtype))


def _is_finite(x: tf.Tensor) -> tf.Tensor:
    return tf.equal(x - x, 0)


ARITHMETIC: Mapping[str, Callable[..., Any]] = {
    "abs": _elementwise(tf.abs),
    "acos": _elementwise(tf.acos),
    "acosh": _elementwise(tf.acosh),
    "add": _elementwise(tf.add),
    "add_any": _elementwise(tf.add),
    "and": _logical(tf.logical_and),
    "argmax": _extreme(tf.argmax),
    "argmin": _extreme(tf.argmin),
    "asin": _elementwise(tf.asin),
    "asinh": _elementwise(tf.asinh),
    "atan": _elementwise(tf.atan),
    "atanh": _elementwise(tf.atanh),
    "cbrt": _elementwise(_cbrt),
    "ceil": _elementwise(tf.math.ceil),
    "clamp": _elementwise(_clamp),
    "convert_element_type": _convert,
    "cos": _elementwise(tf.cos),
    "cosh": _elementwise(tf.cosh),
    "cumsum": _cumsum,
    "div": _elementwise(_div),
    "eq": _elementwise(tf.equal),
    "erf": _elementwise(tf.math.erf),
    "erfc": _elementwise(_erfc),
    "exp": _elementwise(tf.exp),
    "exp2": _elementwise(_exp2),
    "expm1": _elementwise(_expm1),
    "floor": _elementwise(tf.floor),
    "ge": _elementwise(tf.greater_equal),
    "gt": _elementwise(tf.greater),
    "integer_pow": _integer_pow,
    "is_finite": _elementwise(_is_finite),
    "le": _elementwise(tf.less_equal),
    "log": _elementwise(tf.math.log),
    "log1p": _elementwise(_log1p),
    "log2": _elementwise(_log2),
    "logistic": _elementwise(tf.sigmoid),
    "lt": _elementwise(tf.less),
    "max": _elementwise(tf.maximum),
    "min": _elementwise(tf.minimum),
    "mul": _elementwise(tf.multiply),
    "ne": _elementwise(tf.not_equal),
    "neg": _elementwise(tf.negative),
    "not": _logical(tf.logical_not),
    "one_minus_square": _elementwise(_one_minus_square),
    "or": _logical(tf.logical_or),
    "pow": _elementwise(lambda x, y: tf.pow(x, tf.cast(y, x.dtype))),
    "reduce_and": _reduction(tf.reduce_all),
    "reduce_max": _reduction(tf.reduce_max),
    "reduce_min": _reduction(tf.reduce_min),
    "reduce_or": _reduction(tf.reduce_any),
    "reduce_prod": _reduction(tf.reduce_prod),
    "reduce_sum": _reduction(tf.reduce_sum),
    "rem": _elementwise(_rem),
    "round": _round,
    "rsqrt": _elementwise(tf.math.rsqrt),
    "select_n": _select_n,
    "sign": _elementwise(tf.sign),
    "sin": _elementwise(tf.sin),
    "sinh": _elementwise(tf.sinh),
    "sqrt": _elementwise(tf.sqrt),
    "square": _elementwise(tf.square),
    "sub": _elementwise(tf.subtract),
    "tan": _elementwise(tf.tan),
    "tanh": _elementwise(tf.tanh),
    "xor": _logical(tf.math.logical_xor),
}
