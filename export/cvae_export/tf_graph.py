"""A JAX function drawn as plain TensorFlow operations: an interpreter over its jaxpr.

jax2tf hides the whole function in one XlaCallModule, which tf2onnx cannot convert, a stock TF Serving refuses and
TensorFlow compiles anew for each batch size. Drawn operation by operation, the same function goes everywhere, with a
free batch.

The batch is the one symbolic dimension; `tf_rules` has a rule for each primitive. What depends on no input is computed
by JAX while drawing, and needs no rule.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import jax
import numpy as np
import tensorflow as tf
from jax.extend import core

from cvae_export.decoder import BATCH, Function
from cvae_export.errors import UnsupportedPrimitiveError
from cvae_export.tf_rules import RULES, Shapes
from cvae_export.user_code import place_of_equations
from cvae_sdk.manifest import TensorSpec

__all__ = ["Constant", "tensor_spec", "to_tf_function"]

Constant = Callable[[np.ndarray], tf.Tensor]

MAX_UNROLLED = 256
"""The most steps of a loop that are drawn one after the other."""


def to_tf_function(function: Function, constant: Constant = tf.constant) -> Any:
    """`function` as a tf.function of named inputs, giving a dictionary of named outputs.

    `constant` turns each of the function's arrays into a tensor; by default they become part of the graph. Raises
    UnsupportedPrimitiveError, which names the primitive and the line it came from, for what no rule draws.
    """
    closed = jax.make_jaxpr(function.positional)(*function.symbolic_specs())
    inputs = [tensor_spec(name, spec) for name, spec in function.signature.inputs.items()]

    def draw(*arguments: tf.Tensor) -> dict[str, tf.Tensor]:
        interpreter = _Interpreter(Shapes(tf.shape(arguments[0])[0]), constant)
        results = interpreter.run(closed, list(arguments))
        return {
            name: tf.identity(_tensor(result), name=name)
            for name, result in zip(function.signature.outputs, results, strict=True)
        }

    drawn = tf.function(draw, input_signature=inputs, autograph=False)
    drawn.get_concrete_function()  # draws it, so that what cannot be drawn is told here
    return drawn


def tensor_spec(name: str, spec: TensorSpec) -> tf.TensorSpec:
    """A tensor of a signature, as TensorFlow describes it."""
    return tf.TensorSpec([None if axis == BATCH else axis for axis in spec.shape], spec.dtype, name)


@dataclass(frozen=True)
class _Known:
    """A value that depends on no input, and how it is drawn where what depends on one needs it."""

    value: Any
    draw: Callable[[], tf.Tensor]

    @cached_property
    def tensor(self) -> tf.Tensor:
        return self.draw()


def _tensor(value: _Known | tf.Tensor) -> tf.Tensor:
    return value.tensor if isinstance(value, _Known) else value


# The primitives that only hold another jaxpr, by the name of the parameter that holds it.
_CALLS: Mapping[str, str] = {
    "jit": "jaxpr",
    "pjit": "jaxpr",
    "closed_call": "call_jaxpr",
    "core_call": "call_jaxpr",
    "checkpoint": "jaxpr",
    "remat2": "jaxpr",
    "custom_jvp_call": "call_jaxpr",
    "custom_vjp_call": "call_jaxpr",
}
# Drawn though known: cheaper as an operation than as the array that it gives.
_EXPANDING = {"broadcast_in_dim", "iota"}
# tf2onnx has no bfloat16, and ONNX Runtime's sums of float16 are not JAX's.
_NARROW = {"bfloat16", "float16"}


@dataclass(frozen=True)
class _Interpreter:
    shapes: Shapes
    constant: Constant

    def run(self, closed: Any, arguments: Sequence[Any], inside: tuple[Any, ...] = ()) -> list[Any]:
        """The results of a closed jaxpr of `arguments`, known or tensors; it is the body of the equations `inside`."""
        jaxpr = closed.jaxpr
        values: dict[Any, Any] = dict(zip(jaxpr.invars, arguments, strict=True))
        values |= zip(jaxpr.constvars, map(self._known, closed.consts), strict=True)

        def read(atom: Any) -> Any:
            if isinstance(atom, core.Literal):
                return self._known(np.asarray(atom.val, atom.aval.dtype))  # pyright: ignore[reportAttributeAccessIssue]
            return values[atom]

        for equation in jaxpr.eqns:
            results = self._equation(equation, [read(atom) for atom in equation.invars], inside)
            values |= zip(equation.outvars, results, strict=True)
        return [read(atom) for atom in jaxpr.outvars]

    def _known(self, value: Any) -> _Known:
        return _Known(value, lambda: self.constant(np.asarray(value)))

    def _equation(self, equation: Any, operands: list[Any], inside: tuple[Any, ...]) -> list[Any]:
        name = equation.primitive.name
        if name in _CALLS:
            inner = equation.params[_CALLS[name]]
            closed = inner if isinstance(inner, core.ClosedJaxpr) else core.ClosedJaxpr(inner, ())
            return self.run(closed, operands, (*inside, equation))
        if _is_known(equation, operands):
            return self._computed(equation, operands)
        if name == "select_n" and isinstance(operands[0], _Known) and len(choice := np.unique(operands[0].value)) == 1:
            return [operands[1 + int(choice[0])]]  # the case not taken may be NaN, as in jnp.var
        if name == "scan":
            return self._unrolled(equation, operands, inside)
        try:
            return self._drawn(equation, operands)
        except UnsupportedPrimitiveError as error:
            raise UnsupportedPrimitiveError(f"{error},{place_of_equations([*inside, equation])}".rstrip(",")) from error

    def _drawn(self, equation: Any, operands: list[Any]) -> list[tf.Tensor]:
        name, results = equation.primitive.name, [variable.aval for variable in equation.outvars]
        if name not in RULES:
            raise UnsupportedPrimitiveError(f"the plain TensorFlow graph has no rule for the primitive {name!r}")
        if narrow := {str(result.dtype) for result in results} & _NARROW:
            raise UnsupportedPrimitiveError(
                f"{name} in {', '.join(narrow)} cannot be drawn: compute in float32, to which parameters are cast"
            )
        try:
            drawn = RULES[name](self.shapes, results[0].shape, *map(_tensor, operands), **equation.params)
        except (TypeError, ValueError, tf.errors.OpError) as error:  # what TensorFlow says of an operation's arguments
            reason = str(error).partition("\n")[0]
            raise UnsupportedPrimitiveError(f"the primitive {name!r} cannot be drawn: {reason}") from error
        return list(drawn) if equation.primitive.multiple_results else [drawn]

    def _computed(self, equation: Any, operands: list[_Known]) -> list[_Known]:
        results = equation.primitive.bind(*(operand.value for operand in operands), **equation.params)
        if equation.primitive.name in _EXPANDING:
            return [_Known(results, lambda: self._drawn(equation, operands)[0])]
        return [self._known(result) for result in (results if equation.primitive.multiple_results else [results])]

    def _unrolled(self, equation: Any, operands: list[Any], inside: tuple[Any, ...]) -> list[Any]:
        params, length = equation.params, equation.params["length"]
        if not isinstance(length, int) or length > MAX_UNROLLED:
            raise UnsupportedPrimitiveError(
                f"a loop of {length} steps cannot be drawn: at most {MAX_UNROLLED} are, and for the batch there is "
                f"jax.vmap,{place_of_equations([*inside, equation])}".rstrip(",")
            )
        constants, carried, sequences = _scan_operands(params, operands)
        steps: list[list[Any]] = []
        for i in reversed(range(length)) if params["reverse"] else range(length):
            each = [self._known(s.value[i]) if isinstance(s, _Known) else s[i] for s in sequences]
            results = self.run(params["jaxpr"], [*constants, *carried, *each], (*inside, equation))
            carried = results[: len(carried)]
            steps.append(results[len(carried) :])
        if params["reverse"]:
            steps.reverse()
        return [*carried, *(tf.stack([_tensor(result) for result in step]) for step in zip(*steps, strict=True))]


def _is_known(equation: Any, operands: list[Any]) -> bool:
    """Whether JAX can compute the equation: its inputs are known, and none of its sizes is the batch's."""
    return (
        all(isinstance(operand, _Known) for operand in operands)
        and equation.primitive.name != "dim_as_value"
        and all(isinstance(size, int) for variable in equation.outvars for size in variable.aval.shape)
    )


def _scan_operands(params: Mapping[str, Any], operands: list[Any]) -> list[list[Any]]:
    """The operands of a scan: constants, what is carried, and what is gone along; JAX 0.12 keeps their numbers anew."""
    if "ft_in" in params:
        return [list(part) for part in params["ft_in"].update(operands).unpack()]
    first, second = params["num_consts"], params["num_consts"] + params["num_carry"]
    return [operands[:first], operands[first:second], operands[second:]]
