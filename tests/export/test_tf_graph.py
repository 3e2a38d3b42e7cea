"""The interpreter: each primitive, decoders of other kinds, and what it cannot draw."""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tensorflow as tf
from jax import lax

from cvae_export import UnsupportedPrimitiveError
from cvae_export.decoder import Function
from cvae_export.tf_graph import to_tf_function
from cvae_export.tf_rules import RULES
from cvae_sdk.manifest import Signature, TensorSpec

FEATURES = 6
# One float32 rounding each in a few operations on values below 10; tanh and erf are each library's own polynomials.
TOLERANCE = 5e-6


def draw(call: Callable[..., jax.Array]) -> Any:
    """`call` of z float32 [batch, 6] and label int32 [batch], as a tf.function."""
    inputs = {"z": TensorSpec("float32", ("batch", FEATURES)), "label": TensorSpec("int32", ("batch",))}
    signature = Signature(inputs, {"image": TensorSpec("float32", ("batch",))})
    return to_tf_function(Function(lambda *arguments: {"image": call(*arguments)}, signature))


def assert_drawn_equal(call: Callable[..., jax.Array], batches: tuple[int, ...] = (1, 2, 7)) -> None:
    drawn = draw(call)
    for batch in batches:
        rng = np.random.default_rng(batch)
        z = rng.standard_normal((batch, FEATURES)).astype(np.float32)
        label = rng.integers(0, 10, batch).astype(np.int32)
        expected = np.asarray(jax.jit(call)(z, label))
        got = drawn(tf.constant(z), tf.constant(label))["image"].numpy()
        assert got.shape == expected.shape
        assert got.dtype == expected.dtype
        np.testing.assert_allclose(got, expected, rtol=TOLERANCE, atol=TOLERANCE)


def primitives(call: Callable[..., jax.Array]) -> set[str]:
    """The names of all primitives in the function, inside its calls too."""

    def names(jaxpr: Any) -> set[str]:
        found = set()
        for equation in jaxpr.eqns:
            found.add(equation.primitive.name)
            for value in equation.params.values():
                inner = getattr(value, "jaxpr", value)
                if hasattr(inner, "eqns"):
                    found |= names(inner)
        return found

    z, label = jnp.zeros((2, FEATURES)), jnp.zeros(2, jnp.int32)
    return names(jax.make_jaxpr(call)(z, label).jaxpr)


def positive(z: jax.Array) -> jax.Array:
    return jnp.abs(z) + 0.1


KERNEL = jnp.asarray(np.random.default_rng(0).standard_normal((3, 3, 2, 4)), jnp.float32)


def image_of(z: jax.Array) -> jax.Array:
    """[batch, 5, 6, 2], all values different."""
    return jnp.sin(z[:, :5, None, None] * jnp.arange(1.0, 7)[None, None, :, None] + jnp.arange(2.0))


def convolve(z: jax.Array, **options: Any) -> jax.Array:
    defaults = {"window_strides": (1, 1), "padding": "SAME", "dimension_numbers": ("NHWC", "HWIO", "NHWC")}
    return lax.conv_general_dilated(image_of(z), options.pop("kernel", KERNEL), **(defaults | options))


# Each case is named for the primitive that it must contain.
CASES: dict[str, Callable[[jax.Array, jax.Array], jax.Array]] = {
    "abs": lambda z, label: jnp.abs(z),
    "add": lambda z, label: z + z[:, ::-1],
    "and": lambda z, label: ((z > 0) & (z < 1)).astype(jnp.float32),
    "broadcast_in_dim": lambda z, label: jnp.broadcast_to(z[:, None, :1], (z.shape[0], 3, 4)),
    "ceil": lambda z, label: jnp.ceil(z),
    "clamp": lambda z, label: lax.clamp(-0.5, z, 0.5),
    "concatenate": lambda z, label: jnp.concatenate([z, 2 * z], axis=1),
    "conv_general_dilated": lambda z, label: convolve(z),
    "convert_element_type": lambda z, label: label.astype(jnp.float32),
    "copy": lambda z, label: jnp.array(z, copy=True),
    "cos": lambda z, label: jnp.cos(z),
    "div": lambda z, label: z / positive(z),
    "dot_general": lambda z, label: z @ jnp.arange(24.0).reshape(FEATURES, 4),
    "eq": lambda z, label: jax.nn.one_hot(label, 10),
    "erf": lambda z, label: lax.erf(z),
    "exp": lambda z, label: jnp.exp(z),
    "expm1": lambda z, label: jnp.expm1(z),
    "floor": lambda z, label: jnp.floor(z),
    "gather": lambda z, label: jnp.arange(60.0).reshape(10, FEATURES)[label],
    "ge": lambda z, label: (z >= 0).astype(jnp.float32),
    "gt": lambda z, label: (z > 0).astype(jnp.float32),
    "integer_pow": lambda z, label: z**3 + positive(z) ** -2 + z**0,
    "iota": lambda z, label: z + lax.broadcasted_iota(jnp.float32, z.shape, 0),
    "le": lambda z, label: (z <= 0).astype(jnp.float32),
    "log": lambda z, label: jnp.log(positive(z)),
    "log1p": lambda z, label: jnp.log1p(positive(z)),
    "logistic": lambda z, label: jax.nn.sigmoid(z),
    "lt": lambda z, label: (z < 0).astype(jnp.float32),
    "max": lambda z, label: jnp.maximum(z, z[:, ::-1]),
    "min": lambda z, label: jnp.minimum(z, 0.3),
    "mul": lambda z, label: z * z[:, ::-1],
    "ne": lambda z, label: (label != 3).astype(jnp.float32),
    "neg": lambda z, label: -z,
    "not": lambda z, label: (~(z > 0)).astype(jnp.float32),
    "or": lambda z, label: ((z > 1) | (z < 0)).astype(jnp.float32),
    "pad": lambda z, label: jnp.pad(z, ((0, 0), (1, 2)), constant_values=3.0),
    "pow": lambda z, label: positive(z) ** 1.7,
    "reduce_max": lambda z, label: z.max(axis=1),
    "reduce_min": lambda z, label: z.min(axis=1),
    "reduce_prod": lambda z, label: z.prod(axis=1),
    "reduce_sum": lambda z, label: z.sum(axis=1, keepdims=True),
    "reshape": lambda z, label: z.reshape(-1, 3),
    "rev": lambda z, label: jnp.flip(z, axis=1),
    "rsqrt": lambda z, label: lax.rsqrt(positive(z)),
    "select_n": lambda z, label: jnp.where(z > 0, z, 2 * z),
    "sign": lambda z, label: jnp.sign(z),
    "sin": lambda z, label: jnp.sin(z),
    "slice": lambda z, label: z[:, 0:1] * lax.slice(jnp.arange(12.0), (1,), (5,), (2,)),
    "split": lambda z, label: jnp.subtract(*jnp.split(z, 2, axis=1)),
    "sqrt": lambda z, label: jnp.sqrt(positive(z)),
    "square": lambda z, label: jnp.square(z),
    "squeeze": lambda z, label: jnp.squeeze(z[:, None], axis=1),
    "sub": lambda z, label: z - 1.5,
    "tanh": lambda z, label: jnp.tanh(z),
    "transpose": lambda z, label: z.reshape(-1, 2, 3).transpose(0, 2, 1),
}
# Aliases: gradients' addition, and names that only some versions of JAX use.
WITHOUT_A_CASE = {"add_any", "copy_p", "stop_gradient"}


def test_every_rule_has_a_case() -> None:
    assert set(CASES) == set(RULES) - WITHOUT_A_CASE


@pytest.mark.parametrize("primitive", CASES)
def test_a_primitive_is_drawn_as_jax_computes_it(primitive: str) -> None:
    assert primitive in primitives(CASES[primitive])
    assert_drawn_equal(CASES[primitive])


@pytest.mark.parametrize(
    "options",
    [
        {"window_strides": (2, 1)},
        {"padding": ((1, 2), (0, 3))},
        {"padding": ((-1, 0), (0, -1))},
        {"padding": "VALID", "rhs_dilation": (2, 1)},
        {"kernel": KERNEL.reshape(3, 3, 1, 8), "feature_group_count": 2},
        {"lhs_dilation": (2, 2), "padding": ((1, 2), (2, 1))},
        {"lhs_dilation": (2, 3), "padding": ((0, 0), (0, 0))},
        {"lhs_dilation": (2, 2), "padding": ((3, 4), (2, 2))},
        {"lhs_dilation": (1, 2), "padding": ((0, 0), (0, 0))},
        {"kernel": KERNEL.transpose(3, 2, 0, 1), "dimension_numbers": ("NHWC", "OIHW", "NHWC")},
        {"dimension_numbers": ("NHWC", "HWIO", "NCHW")},
        {"kernel": KERNEL[:2, :, :, :1], "lhs_dilation": (2, 2), "padding": ((1, 0), (2, 2))},
    ],
    ids=lambda options: " ".join(f"{k}={v.shape if hasattr(v, 'shape') else v}" for k, v in options.items()),
)
def test_a_convolution_is_drawn_as_jax_computes_it(options: dict[str, Any]) -> None:
    assert_drawn_equal(lambda z, label: convolve(z, **options))


@pytest.mark.parametrize(
    "call",
    [
        lambda z, label: jnp.einsum("bij,kj->bik", z.reshape(-1, 2, 3), jnp.arange(12.0).reshape(4, 3)),
        lambda z, label: jnp.einsum("bij,bkj->bik", z.reshape(-1, 2, 3), z.reshape(-1, 2, 3)),
        lambda z, label: jnp.einsum("bi,ki->bk", z, jnp.arange(12.0).reshape(2, FEATURES)),
        lambda z, label: jnp.einsum("bi,bi->b", z, z),
    ],
    ids=["right free axes", "batched", "transposed", "inner"],
)
def test_a_contraction_of_any_axes_is_drawn_as_jax_computes_it(call: Callable[..., jax.Array]) -> None:
    assert_drawn_equal(call)


@pytest.mark.parametrize(
    "call",
    [
        lambda z, label: z[:, ::-1],
        lambda z, label: z[:, 2],
        lambda z, label: z[:, 1:4],
        lambda z, label: z[:, 1:5:2],
        lambda z, label: z[:, jnp.array([3, 1, 1])],
        lambda z, label: z.reshape(-1, 2, 3)[:, jnp.array([[1, 0], [0, 0]])],
        lambda z, label: jnp.take(jnp.arange(40.0).reshape(4, 10), label, axis=1),
        lambda z, label: jnp.take(jnp.arange(10.0).reshape(5, 2), label, axis=0, fill_value=-1.0),
        lambda z, label: jnp.take(jnp.arange(10.0).reshape(5, 2), label, axis=0, mode="clip"),
    ],
    ids=["reversed", "column", "columns", "every other", "chosen", "two axes", "table's columns", "filled", "clipped"],
)
def test_indexing_is_drawn_as_jax_computes_it(call: Callable[..., jax.Array]) -> None:
    assert_drawn_equal(call)


class ConvolutionalDecoder(nn.Module):
    """What a convolutional VAE would use."""

    @nn.compact
    def __call__(self, z: jax.Array, label: jax.Array) -> jax.Array:
        h = nn.Dense(7 * 7 * 8)(z) + nn.Dense(7 * 7 * 8)(jax.nn.one_hot(label, 10))
        h = nn.gelu(h.reshape(-1, 7, 7, 8))
        h = nn.silu(nn.GroupNorm(num_groups=2)(nn.ConvTranspose(8, (4, 4), strides=(2, 2))(h)))
        h = nn.leaky_relu(nn.LayerNorm()(nn.ConvTranspose(4, (3, 3), strides=(2, 2))(h)))
        return nn.sigmoid(nn.Conv(1, (3, 3))(h))


def test_a_convolutional_decoder_is_drawn_as_jax_computes_it() -> None:
    decoder = ConvolutionalDecoder()
    params = decoder.init(jax.random.key(0), jnp.zeros((1, FEATURES)), jnp.zeros(1, jnp.int32))
    assert_drawn_equal(lambda z, label: decoder.apply(params, z, label), batches=(1, 5))


def test_a_jitted_function_inside_is_drawn() -> None:
    assert_drawn_equal(lambda z, label: jax.jit(lambda x: jax.jit(jnp.tanh)(x) + 1)(z))


def test_a_function_with_a_custom_derivative_is_drawn() -> None:
    @jax.custom_vjp
    def doubled(x: jax.Array) -> jax.Array:
        return x * 2

    doubled.defvjp(lambda x: (doubled(x), None), lambda _, g: (g,))
    assert_drawn_equal(lambda z, label: doubled(z))


def test_the_graph_is_of_plain_operations(article_run: Any) -> None:
    from cvae_export import build_decoder

    graph = to_tf_function(build_decoder(article_run).functions["decode"]).get_concrete_function().graph
    operations = {operation.type for operation in graph.get_operations()}
    assert "MatMul" in operations
    assert not {name for name in operations if "Xla" in name or "Call" in name or "PyFunc" in name}


TRANSPOSED = {"lhs_dilation": (2, 2), "padding": ((1, 1), (1, 1))}


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda z, label: jnp.sort(z), "no rule for the primitive 'sort'; it knows abs, add"),
        (lambda z, label: jnp.cumsum(z, axis=1), "no rule for the primitive 'cumsum'"),
        (
            lambda z, label: lax.select_n(label % 3, z[:, 0], z[:, 1], z[:, 2]),
            "no rule for the primitive 'rem'|select_n",
        ),
        (lambda z, label: lax.pad(z, 0.0, ((0, 0, 0), (1, 1, 1))), "pad by .*: only outer padding"),
        (lambda z, label: jnp.broadcast_to(jnp.float32(1), (2 * z.shape[0],)), r"size of 2\*batch"),
        (
            lambda z, label: convolve(z, kernel=KERNEL.reshape(3, 3, 1, 8), feature_group_count=2, **TRANSPOSED),
            "lhs_dilation takes no groups",
        ),
    ],
    ids=["sort", "cumsum", "select_n", "pad", "multiple of batch", "grouped transposed"],
)
def test_what_cannot_be_drawn_is_named(call: Callable[..., jax.Array], message: str) -> None:
    with pytest.raises(UnsupportedPrimitiveError, match=message):
        draw(call)
