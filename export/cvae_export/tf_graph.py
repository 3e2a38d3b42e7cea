"""A JAX function drawn as plain TensorFlow operations: an interpreter over its jaxpr.

jax2tf hides the whole function in one XlaCallModule, which tf2onnx cannot convert, a stock TF Serving refuses and
TensorFlow compiles anew for each batch size. Drawn operation by operation, the same function goes everywhere, with a
free batch.

The batch is the one symbolic dimension; `tf_rules` has a rule for each primitive.
"""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np
import tensorflow as tf
from jax.extend import core

from cvae_export.decoder import BATCH, Function
from cvae_export.errors import UnsupportedPrimitiveError
from cvae_export.tf_rules import RULES, Shapes
from cvae_sdk.manifest import TensorSpec

__all__ = ["Constant", "to_tf_function"]

Constant = Callable[[np.ndarray], tf.Tensor]


def to_tf_function(function: Function, constant: Constant = tf.constant) -> Any:
    """`function` as a tf.function of named inputs, giving a dictionary of named outputs.

    `constant` turns each of the function's arrays into a tensor; by default they become part of the graph. Raises
    UnsupportedPrimitiveError, which names the primitive, for what no rule draws.
    """
    closed = jax.make_jaxpr(function.positional)(*function.symbolic_specs())
    inputs = [_tensor_spec(name, spec) for name, spec in function.signature.inputs.items()]

    def draw(*arguments: tf.Tensor) -> dict[str, tf.Tensor]:
        shapes = Shapes(tf.shape(arguments[0])[0])
        results = _interpret(closed, list(arguments), shapes, constant)
        return {
            name: tf.identity(tensor, name=name)
            for name, tensor in zip(function.signature.outputs, results, strict=True)
        }

    drawn = tf.function(draw, input_signature=inputs, autograph=False)
    drawn.get_concrete_function()  # draws it, so that what cannot be drawn is told here
    return drawn


def _tensor_spec(name: str, spec: TensorSpec) -> tf.TensorSpec:
    return tf.TensorSpec([None if axis == BATCH else axis for axis in spec.shape], spec.dtype, name)


def _interpret(closed: Any, arguments: list[tf.Tensor], shapes: Shapes, constant: Constant) -> list[tf.Tensor]:
    jaxpr = closed.jaxpr
    values: dict[Any, tf.Tensor] = dict(zip(jaxpr.invars, arguments, strict=True))
    values |= zip(jaxpr.constvars, (constant(np.asarray(value)) for value in closed.consts), strict=True)

    def read(atom: Any) -> tf.Tensor:
        if isinstance(atom, core.Literal):
            return constant(np.asarray(atom.val, atom.aval.dtype))  # pyright: ignore[reportAttributeAccessIssue]
        return values[atom]

    for equation in jaxpr.eqns:
        operands = [read(atom) for atom in equation.invars]
        values |= zip(equation.outvars, _draw(equation, operands, shapes, constant), strict=True)
    return [read(atom) for atom in jaxpr.outvars]


# The primitives that only hold another jaxpr, by the name of the parameter that holds it.
_CALLS: Mapping[str, str] = {
    "jit": "jaxpr",
    "pjit": "jaxpr",
    "closed_call": "call_jaxpr",
    "core_call": "call_jaxpr",
    "checkpoint": "jaxpr",
    "custom_jvp_call": "call_jaxpr",
    "custom_vjp_call": "call_jaxpr",
}


def _draw(equation: Any, operands: list[tf.Tensor], shapes: Shapes, constant: Constant) -> list[tf.Tensor]:
    name = equation.primitive.name
    if name in _CALLS:
        inner = equation.params[_CALLS[name]]
        closed = inner if isinstance(inner, core.ClosedJaxpr) else core.ClosedJaxpr(inner, ())
        return _interpret(closed, operands, shapes, constant)
    if name not in RULES:
        raise UnsupportedPrimitiveError(
            f"the plain TensorFlow graph has no rule for the primitive {name!r}; it knows {', '.join(sorted(RULES))}"
        )
    results = RULES[name](shapes, equation.outvars[0].aval.shape, *operands, **equation.params)
    return list(results) if equation.primitive.multiple_results else [results]
