"""The interpreter: each primitive, decoders of other kinds, and what it cannot draw."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import onnx
import onnxruntime
import pytest
import tensorflow as tf
from flax import nnx
from jax import lax

import cvae_export.tf_graph
from cvae_export import UnsupportedPrimitiveError
from cvae_export.decoder import Function
from cvae_export.onnx_graph import OPSET, to_onnx
from cvae_export.servable_ops import SERVABLE_OPS
from cvae_export.tf_graph import to_tf_function
from cvae_export.tf_rules import RULES
from cvae_sdk.manifest import Signature, TensorSpec
from cvae_sdk.onnx_model import check_onnx

FEATURES = 6
# One float32 rounding each in a few operations on values below 10; tanh and erf are each library's own polynomials.
TOLERANCE = 5e-6


def function_of(call: Callable[..., jax.Array]) -> Function:
    """`call` of z float32 [batch, 6] and label int32 [batch], as what is exported."""
    inputs = {"z": TensorSpec("float32", ("batch", FEATURES)), "label": TensorSpec("int32", ("batch",))}
    signature = Signature(inputs, {"image": TensorSpec("float32", ("batch",))})
    return Function(lambda z, label: {"image": call(z, label)}, signature)


def draw(call: Callable[..., jax.Array]) -> Any:
    drawn = to_tf_function(function_of(call))
    graph = drawn.get_concrete_function().graph.as_graph_def()
    nodes = [*graph.node, *(node for function in graph.library.function for node in function.node_def)]
    assert {node.op for node in nodes} <= SERVABLE_OPS
    return drawn


def in_onnx(call: Callable[..., jax.Array]) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """The drawn function in ONNX Runtime."""
    function = function_of(call)
    model = to_onnx(function).SerializeToString()
    graph = onnx.load_from_string(model).graph
    inputs = {value.name: function.signature.inputs[value.name] for value in graph.input}
    shape = tuple(axis.dim_value or "batch" for axis in graph.output[0].type.tensor_type.shape.dim)
    signature = Signature(inputs, {"image": TensorSpec("float32", shape)})
    check_onnx(model, "decoder.onnx", signature, OPSET)  # the SDK's reader takes it
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    names = [value.name for value in session.get_inputs()]

    def run(z: np.ndarray, label: np.ndarray) -> np.ndarray:
        inputs = {"z": z, "label": label}
        return np.asarray(session.run(["image"], {name: inputs[name] for name in names})[0])

    return run


def assert_drawn_equal(call: Callable[..., jax.Array], batches: tuple[int, ...] = (1, 2, 7)) -> None:
    """TensorFlow and ONNX Runtime give what JAX gives."""
    drawn, onnx = draw(call), in_onnx(call)
    for batch in batches:
        rng = np.random.default_rng(batch)
        z = rng.standard_normal((batch, FEATURES)).astype(np.float32)
        label = rng.integers(0, 10, batch).astype(np.int32)
        expected = np.asarray(jax.jit(call)(z, label))
        for got in (drawn(tf.constant(z), tf.constant(label))["image"].numpy(), onnx(z, label)):
            assert got.shape == expected.shape
            assert got.dtype == expected.dtype
            np.testing.assert_allclose(got, expected, rtol=TOLERANCE, atol=TOLERANCE)


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
    "acos": lambda z, label: jnp.arccos(jnp.tanh(z)),
    "acosh": lambda z, label: jnp.arccosh(1 + positive(z)),
    "add": lambda z, label: z + z[:, ::-1],
    "and": lambda z, label: ((z > 0) & (z < 1)).astype(jnp.float32),
    "argmax": lambda z, label: jnp.argmax(z, axis=1).astype(jnp.float32),
    "argmin": lambda z, label: jnp.argmin(z, axis=1).astype(jnp.float32),
    "asin": lambda z, label: jnp.arcsin(jnp.tanh(z)),
    "asinh": lambda z, label: jnp.arcsinh(z),
    "atan": lambda z, label: jnp.arctan(z),
    "atanh": lambda z, label: jnp.arctanh(0.9 * jnp.tanh(z)),
    "broadcast_in_dim": lambda z, label: jnp.broadcast_to(z[:, None, :1], (z.shape[0], 3, 4)),
    "cbrt": lambda z, label: jnp.cbrt(z),
    "ceil": lambda z, label: jnp.ceil(z),
    "clamp": lambda z, label: lax.clamp(-0.5, z, 0.5),
    "concatenate": lambda z, label: jnp.concatenate([z, 2 * z], axis=1),
    "conv_general_dilated": lambda z, label: convolve(z),
    "convert_element_type": lambda z, label: label.astype(jnp.float32),
    "copy": lambda z, label: jnp.array(z, copy=True),
    "cos": lambda z, label: jnp.cos(z),
    "cosh": lambda z, label: jnp.cosh(z),
    "cumsum": lambda z, label: jnp.cumsum(z, axis=1) * lax.cumsum(z, axis=1, reverse=True),
    "dim_as_value": lambda z, label: z / z.shape[0],
    "div": lambda z, label: z / positive(z),
    "dot_general": lambda z, label: z @ jnp.arange(24.0).reshape(FEATURES, 4),
    "dynamic_slice": lambda z, label: lax.dynamic_slice(z, (0, label[0] - 2), (z.shape[0], 2)),
    "eq": lambda z, label: jax.nn.one_hot(label, 10),
    "erf": lambda z, label: lax.erf(z),
    "erfc": lambda z, label: jax.nn.gelu(z, approximate=False),
    "exp": lambda z, label: jnp.exp(z),
    "exp2": lambda z, label: jnp.exp2(z),
    "expm1": lambda z, label: jnp.expm1(z),
    "floor": lambda z, label: jnp.floor(z),
    "gather": lambda z, label: jnp.arange(60.0).reshape(10, FEATURES)[label],
    "ge": lambda z, label: (z >= 0).astype(jnp.float32),
    "gt": lambda z, label: (z > 0).astype(jnp.float32),
    "integer_pow": lambda z, label: z**3 + positive(z) ** -2 + z**0,
    "iota": lambda z, label: z + lax.broadcasted_iota(jnp.float32, z.shape, 0),
    "is_finite": lambda z, label: jnp.isfinite(1 / jnp.maximum(z, 0)).astype(jnp.float32),
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
    "optimization_barrier": lambda z, label: sum(lax.optimization_barrier((z, 2 * z))),
    "or": lambda z, label: ((z > 1) | (z < 0)).astype(jnp.float32),
    "pad": lambda z, label: jnp.pad(z, ((0, 0), (1, 2)), constant_values=3.0),
    "pow": lambda z, label: positive(z) ** 1.7,
    "reduce_and": lambda z, label: jnp.all(z > -1, axis=1).astype(jnp.float32),
    "reduce_max": lambda z, label: z.max(axis=1),
    "reduce_min": lambda z, label: z.min(axis=1),
    "reduce_or": lambda z, label: jnp.any(z > 1, axis=1).astype(jnp.float32),
    "reduce_prod": lambda z, label: z.prod(axis=1),
    "reduce_sum": lambda z, label: z.sum(axis=1, keepdims=True),
    "rem": lambda z, label: ((label - 5) % 3).astype(jnp.float32) + (label - 5) // 3,
    "reshape": lambda z, label: z.reshape(-1, 3),
    "rev": lambda z, label: jnp.flip(z, axis=1),
    "round": lambda z, label: jnp.round(2 * z) + lax.round(jnp.round(8 * z) / 4, lax.RoundingMethod.AWAY_FROM_ZERO),
    "rsqrt": lambda z, label: lax.rsqrt(positive(z)),
    "select_n": lambda z, label: jnp.where(z > 0, z, 2 * z),
    "sign": lambda z, label: jnp.sign(z),
    "sin": lambda z, label: jnp.sin(z),
    "sinh": lambda z, label: jnp.sinh(z),
    "slice": lambda z, label: lax.slice_in_dim(z, 1, 6, 2, axis=1),
    "split": lambda z, label: jnp.subtract(*jnp.split(z, 2, axis=1)),
    "sqrt": lambda z, label: jnp.sqrt(positive(z)),
    "square": lambda z, label: jnp.square(z),
    "squeeze": lambda z, label: jnp.squeeze(z[:, None], axis=1),
    "stack": lambda z, label: jnp.stack([z, 2 * z], axis=1),
    "sub": lambda z, label: z - 1.5,
    "tan": lambda z, label: jnp.tan(jnp.tanh(z)),
    "tanh": lambda z, label: jnp.tanh(z),
    "tile": lambda z, label: jnp.tile(z, (1, 3)),
    "transpose": lambda z, label: z.reshape(-1, 2, 3).transpose(0, 2, 1),
    "unstack": lambda z, label: jnp.subtract(*lax.unstack(z.reshape(-1, 2, FEATURES // 2), axis=1)),
    "xor": lambda z, label: ((z > 0) ^ (z > 1)).astype(jnp.float32),
}
# Primitives that JAX 0.12 has and 0.10 has not, where other ones stand in the same jaxpr.
NEWER_CASES: dict[str, Callable[[jax.Array, jax.Array], jax.Array]] = {
    "log2": lambda z, label: jnp.log2(positive(z)),
    "one_minus_square": lambda z, label: jax.jvp(jnp.tanh, (z,), (z,))[1],
}
CASES |= {name: case for name, case in NEWER_CASES.items() if hasattr(lax, f"{name}_p")}
# Aliases: gradients' addition, and names that only some versions of JAX use.
WITHOUT_A_CASE = {"add_any", "copy_p", "stop_gradient"}


def test_every_rule_has_a_case() -> None:
    assert set(CASES) | set(NEWER_CASES) == set(RULES) - WITHOUT_A_CASE


def test_the_rules_of_newer_primitives_compute_what_they_are_named_for() -> None:
    """Whichever JAX is here."""
    x = np.array([[0.25, 0.999999, 3]], np.float32)
    got = RULES["one_minus_square"](None, None, tf.constant(x)).numpy()
    np.testing.assert_allclose(got, 1 - x.astype(np.float64) ** 2, rtol=TOLERANCE)
    np.testing.assert_allclose(RULES["log2"](None, None, tf.constant(x)).numpy(), np.log2(x), rtol=TOLERANCE)


@pytest.mark.parametrize("primitive", CASES)
def test_a_primitive_is_drawn_as_jax_computes_it(primitive: str, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[str] = []

    def noted(name: str, rule: Callable[..., Any]) -> Callable[..., Any]:
        return lambda *operands, **params: drawn.append(name) or rule(*operands, **params)

    monkeypatch.setattr(cvae_export.tf_graph, "RULES", {name: noted(name, rule) for name, rule in RULES.items()})
    assert_drawn_equal(CASES[primitive])
    assert primitive in drawn


@pytest.mark.parametrize("name", ["log1p", "expm1"])
def test_small_and_large_numbers_keep_their_precision(name: str) -> None:
    """tf2onnx has neither operation: identities of others stand for them."""
    drawn, onnx = draw(lambda z, label: getattr(jnp, name)(z)), in_onnx(lambda z, label: getattr(jnp, name)(z))
    z = np.array([[-1, -0.999, -1e-3, -1e-8, 1e-30, 0], [1e-8, 1e-3, 1, 80, 1e30, np.inf]], np.float32)
    with np.errstate(divide="ignore", over="ignore"):
        expected = getattr(np, name)(z.astype(np.float64)).astype(np.float32)
    label = np.zeros(2, np.int32)
    for got in (drawn(tf.constant(z), tf.constant(label))["image"].numpy(), onnx(z, label)):
        np.testing.assert_allclose(got, expected, rtol=3e-6)  # exp(80) is ill-conditioned: 80 roundings


def test_log1p_is_exact_to_a_few_roundings_on_both_sides_of_its_seams() -> None:
    """A series of five terms between -1/4 and 1/2, a logarithm outside."""
    x = np.linspace(-0.9, 2, 200_001, dtype=np.float32)
    expected = np.log1p(x.astype(np.float64))
    got = RULES["log1p"](None, None, tf.constant(x)).numpy()
    np.testing.assert_allclose(got, expected, rtol=4e-7)  # 1 + x is rounded by 6e-8, beside a logarithm of 0.29


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
        {"lhs_dilation": (2, 2), "rhs_dilation": (1, 2), "padding": ((1, 2), (2, 3))},
        {"lhs_dilation": (3, 3), "window_strides": (2, 2), "padding": ((2, 2), (2, 2))},
        {
            "kernel": KERNEL.reshape(3, 3, 1, 8),
            "feature_group_count": 2,
            "lhs_dilation": (2, 2),
            "padding": ((2, 1), (1, 1)),
        },
    ],
    ids=lambda options: " ".join(f"{k}={v.shape if hasattr(v, 'shape') else v}" for k, v in options.items()),
)
def test_a_convolution_is_drawn_as_jax_computes_it(options: dict[str, Any]) -> None:
    assert_drawn_equal(lambda z, label: convolve(z, **options))


@pytest.mark.parametrize("lhs_dilation", [1, 2])
def test_a_convolution_of_one_axis_is_drawn_as_jax_computes_it(lhs_dilation: int) -> None:
    options = {"window_strides": (1,), "padding": ((1, 2),), "lhs_dilation": (lhs_dilation,)}
    numbers = ("NCH", "HIO", "NHC")
    assert_drawn_equal(
        lambda z, label: lax.conv_general_dilated(z.reshape(-1, 2, 3), KERNEL[0], dimension_numbers=numbers, **options)
    )


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
        lambda z, label: jnp.take(jnp.arange(10.0).reshape(5, 2), label, axis=0),
        lambda z, label: jnp.arange(240.0).reshape(10, 6, 4)[label],
        lambda z, label: jax.vmap(lambda i: jnp.arange(60.0).reshape(10, 6)[i])(label),
        lambda z, label: jnp.take_along_axis(z, (label % 6)[:, None], axis=1),
        lambda z, label: jax.vmap(lambda row, i: lax.dynamic_slice_in_dim(row, i, 2))(z, label),
        lambda z, label: jnp.arange(60.0).reshape(10, 6)[label, label % 6],
    ],
    ids=[
        "reversed",
        "column",
        "columns",
        "every other",
        "chosen",
        "two axes",
        "table's columns",
        "filled",
        "clipped",
        "filled with NaN",
        "table of matrices",
        "vmapped row",
        "one of each row",
        "windows of rows",
        "two at once",
    ],
)
def test_indexing_is_drawn_as_jax_computes_it(call: Callable[..., jax.Array]) -> None:
    assert_drawn_equal(call)


class ConvolutionalDecoder(nn.Module):
    """What a convolutional VAE would use; E[x^2] - E[x]^2, Flax's fast variance, would multiply roundings by ten."""

    @nn.compact
    def __call__(self, z: jax.Array, label: jax.Array) -> jax.Array:
        h = nn.Dense(7 * 7 * 8)(z) + nn.Dense(7 * 7 * 8)(jax.nn.one_hot(label, 10))
        h = nn.gelu(h.reshape(-1, 7, 7, 8))
        h = nn.silu(nn.GroupNorm(num_groups=2, use_fast_variance=False)(nn.ConvTranspose(8, (4, 4), strides=(2, 2))(h)))
        h = nn.leaky_relu(nn.LayerNorm(use_fast_variance=False)(nn.ConvTranspose(4, (3, 3), strides=(2, 2))(h)))
        return nn.sigmoid(nn.Conv(1, (3, 3))(h))


def test_a_convolutional_decoder_is_drawn_as_jax_computes_it() -> None:
    decoder = ConvolutionalDecoder()
    params = decoder.init(jax.random.key(0), jnp.zeros((1, FEATURES)), jnp.zeros(1, jnp.int32))
    assert_drawn_equal(lambda z, label: decoder.apply(params, z, label), batches=(1, 5))


def steps_of(z: jax.Array) -> jax.Array:
    return z.reshape(-1, 3, 2)


def channels_first(z: jax.Array) -> jax.Array:
    return jnp.moveaxis(image_of(z), -1, 1)


def randomized(
    module: nnx.Module, prepared: Callable[[jax.Array], jax.Array] = lambda z: z
) -> Callable[[jax.Array], jax.Array]:
    """An NNX module of prepared latents, without parameters that are 0 or 1 everywhere."""
    leaves, tree = jax.tree.flatten(nnx.state(module))
    rng = np.random.default_rng(0)
    leaves = [
        leaf + rng.uniform(0.1, 0.3, leaf.shape).astype(np.float32)
        if jnp.issubdtype(leaf.dtype, jnp.floating)
        else leaf
        for leaf in leaves
    ]
    nnx.update(module, jax.tree.unflatten(tree, leaves))
    return lambda z: module(prepared(z))


RNGS = nnx.Rngs(0)
KEY = jax.random.key(0)
LAYERS: dict[str, Callable[[jax.Array], jax.Array]] = {
    "softmax": lambda z: jax.nn.softmax(z) * jax.nn.logsumexp(z, axis=1, keepdims=True),
    "smooth": lambda z: jax.nn.softplus(z) + jax.nn.elu(z) * jax.nn.mish(z) + jax.nn.log_sigmoid(z) * jax.nn.selu(z),
    "rough": lambda z: jax.nn.hard_swish(z) + jax.nn.relu6(z) * jax.nn.leaky_relu(z) + jax.nn.hard_tanh(z),
    "repeat": lambda z: jnp.repeat(jnp.repeat(image_of(z), 2, axis=1), 2, axis=2),
    "nearest": lambda z: jax.image.resize(image_of(z), (z.shape[0], 10, 12, 2), "nearest"),
    "bilinear": lambda z: jax.image.resize(image_of(z), (z.shape[0], 10, 12, 2), "bilinear"),
    "cubic": lambda z: jax.image.resize(image_of(z), (z.shape[0], 7, 9, 2), "bicubic"),
    "edges": lambda z: jnp.pad(z, ((0, 0), (2, 2)), mode="edge") * jnp.pad(z, ((0, 0), (2, 2)), mode="reflect"),
    "interior": lambda z: lax.pad(z, 3.0, ((0, 0, 0), (-1, 2, 1))),
    "pixel shuffle": lambda z: (
        image_of(z)[:, :4].reshape(-1, 2, 2, 3, 2, 2).transpose(0, 1, 3, 2, 4, 5).reshape(z.shape[0], 6, 2, 4)
    ),
    "masked": lambda z: jax.nn.softmax(jnp.where(z > -0.5, z, -jnp.inf)) + jnp.where(z > 0, z, jnp.nan),
    "roll": lambda z: jnp.roll(z, 2, axis=1),
    "attention": lambda z: jax.nn.dot_product_attention(*[z.reshape(-1, 3, 1, 2)] * 3),
    "remat": lambda z: jax.checkpoint(lambda x: jnp.sin(jnp.sin(x)))(z),
    "scan": lambda z: lax.scan(
        lambda x, w: (jnp.tanh(x @ w), x), z, jnp.eye(FEATURES) * jnp.arange(1.0, 4)[:, None, None]
    )[0],
    "scan's outputs": lambda z: jnp.moveaxis(
        lax.scan(lambda x, w: (jnp.tanh(x * w), x + w), z, jnp.arange(3.0), reverse=True)[1], 0, 1
    ),
    "fori_loop": lambda z: lax.fori_loop(0, 3, lambda i, x: jnp.tanh(i * x + 1), z),
    "twice the batch": lambda z: jnp.concatenate([z, 2 * z]).reshape(2, -1, FEATURES).mean(axis=0),
    "choice": lambda z: lax.select_n(jnp.round(jnp.abs(z[:, 0])).astype(jnp.int32) % 3, z[:, 1], z[:, 2], z[:, 3]),
    "random features": lambda z: jnp.cos(z @ jax.random.normal(jax.random.key(1), (FEATURES, 4))),
    "solved": lambda z: z @ jnp.linalg.inv(jnp.eye(FEATURES) + 0.1),
    "nnx.LayerNorm": randomized(nnx.LayerNorm(FEATURES, rngs=RNGS)),
    "nnx.RMSNorm": randomized(nnx.RMSNorm(FEATURES, rngs=RNGS)),
    "nnx.GroupNorm": randomized(nnx.GroupNorm(2, num_groups=2, rngs=RNGS), image_of),
    "nnx.BatchNorm": randomized(nnx.BatchNorm(FEATURES, use_running_average=True, rngs=RNGS)),
    "nnx.Conv": randomized(nnx.Conv(2, 4, (3, 3), padding="CIRCULAR", rngs=RNGS), image_of),
    "nnx.ConvTranspose": randomized(
        nnx.ConvTranspose(2, 3, (4, 4), strides=(2, 2), transpose_kernel=True, rngs=RNGS), image_of
    ),
    "nnx.LinearGeneral": randomized(nnx.LinearGeneral((3, 2), (4, 5), axis=(-2, -1), rngs=RNGS), steps_of),
    "nnx.MultiHeadAttention": randomized(nnx.MultiHeadAttention(2, 2, decode=False, rngs=RNGS), steps_of),
    "eqx.nn.MLP": jax.vmap(eqx.nn.MLP(FEATURES, 4, 8, 2, key=KEY)),
    "eqx.nn.GroupNorm": lambda z: jax.vmap(eqx.nn.GroupNorm(1, 2))(channels_first(z)),
    "eqx.nn.Conv2d": lambda z: jax.vmap(eqx.nn.Conv2d(2, 4, 3, padding=1, key=KEY))(channels_first(z)),
    "eqx.nn.ConvTranspose2d": lambda z: jax.vmap(
        eqx.nn.ConvTranspose2d(2, 4, 3, stride=2, padding=1, output_padding=1, groups=2, key=KEY)
    )(channels_first(z)),
    "eqx.nn.WeightNorm": jax.vmap(eqx.nn.WeightNorm(eqx.nn.Linear(FEATURES, 4, key=KEY))),
    "eqx.nn.GRUCell": lambda z: jax.vmap(
        lambda steps: lax.scan(lambda h, x: (eqx.nn.GRUCell(2, 4, key=KEY)(x, h), None), jnp.zeros(4), steps)[0]
    )(steps_of(z)),
}


@pytest.mark.parametrize("layer", LAYERS)
def test_a_part_that_decoders_have_is_drawn_as_jax_computes_it(layer: str) -> None:
    assert_drawn_equal(lambda z, label: LAYERS[layer](z), batches=(1, 5))


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


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda z, label: jnp.sort(z), "no rule for the primitive 'sort'"),
        (lambda z, label: lax.cond(z[0, 0] > 0, jnp.sin, jnp.cos, z), "no rule for the primitive 'cond'"),
        (lambda z, label: lax.rem(z, 0.7), "the remainder of float32 cannot be drawn: only of integers"),
        (lambda z, label: label & 3, "bits of int32 cannot be drawn: only booleans"),
        (lambda z, label: jnp.ones(z.shape[0] // 2), r"a size of floordiv\(batch, 2\) cannot be drawn: only sums and"),
        (lambda z, label: lax.map(jnp.sin, z), "a loop of batch steps cannot be drawn: .* there is jax.vmap"),
        (
            lambda z, label: lax.fori_loop(0, 300, lambda i, x: x * 0.9, z),
            "a loop of 300 steps cannot .*: at most 256",
        ),
        (
            lambda z, label: z.astype(jnp.bfloat16) * 2,
            "in bfloat16 cannot be drawn: compute in float32",
        ),
        (
            lambda z, label: lax.conv(z.reshape(-1, 1, 1, 2, 3), jnp.ones((1, 1, 1, 1, 1)), (1, 1, 1), "SAME"),
            "conv_general_dilated over 3 axes",
        ),
    ],
    ids=["sort", "cond", "rem", "bits", "half the batch", "map", "long loop", "bfloat16", "three axes"],
)
def test_what_cannot_be_drawn_is_named_with_its_line(call: Callable[..., jax.Array], message: str) -> None:
    with pytest.raises(UnsupportedPrimitiveError, match=message) as raised:
        draw(call)
    assert str(raised.value).endswith(f", at {__file__}:{call.__code__.co_firstlineno} (in <lambda>)")


@jax.jit
def median(z: jax.Array) -> jax.Array:
    return jnp.median(z, axis=1)


def test_the_line_is_that_of_the_jitted_function_that_has_it() -> None:
    jax.eval_shape(median, jax.ShapeDtypeStruct((3, FEATURES), np.float32))  # JAX keeps what it traced elsewhere
    with pytest.raises(UnsupportedPrimitiveError) as raised:
        draw(lambda z, label: 2 * median(z))
    assert str(raised.value).endswith(f", at {__file__}:{median.__wrapped__.__code__.co_firstlineno + 2} (in median)")


def test_the_line_is_that_of_the_call_where_the_library_jitted_it() -> None:
    def elsewhere(z: jax.Array, label: jax.Array) -> jax.Array:
        return jnp.sort(z)

    def here(z: jax.Array, label: jax.Array) -> jax.Array:
        return jnp.sort(z)

    for call in (elsewhere, here):
        with pytest.raises(UnsupportedPrimitiveError) as raised:
            draw(call)
        line = call.__code__.co_firstlineno + 1
        assert str(raised.value).endswith(f", at {__file__}:{line} (in {call.__name__})")
