"""NumPy alone runs every network that training knows, and refuses parameters that are not its network's."""

import dataclasses
import itertools
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save

from cvae_export.decoder import build_decoder
from cvae_sdk.artifact import Artifact
from cvae_sdk.backends.numpy_backend import open_numpy
from cvae_sdk.backends.numpy_layers import Convolution, blocks_of_pixels, pixels_of_blocks, sigmoid, silu, softplus
from cvae_sdk.errors import ArtifactError, ModelError
from cvae_training import Config, Run
from cvae_training.config import ModelConfig, ObjectiveConfig

Change = Callable[[dict[str, np.ndarray], dict[str, Any]], object]
FILE = "weights.safetensors"
GOLDEN = Path(__file__).parents[2] / "golden" / "artifact-2026-11-23"
TOLERANCE = 1e-5
"""Relative above 1. Sums of float32 in another order; each layer of a prior may make a difference e times as large."""
NETWORKS: dict[str, dict[str, Any]] = {
    "mlp": {"network": "mlp", "encoder_dimensions": (9, 7), "decoder_dimensions": (8, 6)},
    "one dense layer": {"network": "mlp", "encoder_dimensions": (9,), "decoder_dimensions": (8,)},
    "conv of one": {"network": "conv", "channels": (3,), "encoder_dimensions": (9,), "decoder_dimensions": (8,)},
    "conv of three": {"network": "conv", "channels": (3, 4, 5), "encoder_dimensions": (9,), "decoder_dimensions": (8,)},
    "conv to fewer channels": {
        "network": "conv", "channels": (24, 4), "encoder_dimensions": (9, 8), "decoder_dimensions": (8, 7),
    },
}  # fmt: skip
LIKELIHOODS = ("l2", "bernoulli", "gaussian", "logistic")


@dataclasses.dataclass(frozen=True)
class InMemory(Artifact):
    """The manifest of another artifact, and one file."""

    content: bytes = b""

    def read(self, path: str, *, most: int | None = None) -> bytes:
        assert (path, most) == (FILE, None)
        return self.content


def in_memory(run: Run, change: Change | None = None) -> InMemory:
    decoder = build_decoder(run)
    parameters, network = dict(decoder.parameters), dict(decoder.network or {})
    if change:
        change(parameters, network)
    golden = Artifact.open(GOLDEN)
    form = dataclasses.replace(golden.manifest.formats["onnx"], path=FILE)
    manifest = dataclasses.replace(
        golden.manifest, formats={"weights": form}, classes=run.classes, image_shape=run.image_shape,
        latent_dim=run.config.model.latent_dim,
    )  # fmt: skip
    contiguous = {name: np.asarray(array, order="C") for name, array in parameters.items()}
    return InMemory(golden.folder, manifest, save(contiguous, {"network": json.dumps(network)}))


def config_of(network: str, likelihood: str, flow_layers: int, latent_dim: int = 5, activation: str = "silu") -> Config:
    model = ModelConfig(
        **NETWORKS[network], flow_layers=flow_layers, flow_width=8, latent_dim=latent_dim, activation=activation
    )
    return Config(
        model=model, objective=ObjectiveConfig(likelihood=likelihood, recognition_weight=0.1 * (flow_layers > 0))
    )


def check_against_jax(run: Run, batch: int) -> None:
    backend, functions = open_numpy(in_memory(run)), build_decoder(run).functions
    assert backend.signatures == functions.keys()
    rng, classes = np.random.default_rng(batch), len(run.classes)
    z = rng.standard_normal((batch, run.config.model.latent_dim), dtype=np.float32)
    label = rng.integers(0, classes, batch, dtype=np.int32)
    class_weights = rng.dirichlet(np.ones(classes), batch).astype(np.float32)
    image = rng.random((batch, *run.image_shape), dtype=np.float32)
    mix, encode = jax.jit(functions["mix"].call), jax.jit(functions["encode"].call)
    cases: list[tuple[str, dict[str, np.ndarray], Any]] = [
        ("decode", {"z": z, "label": label}, mix(z, np.eye(classes, dtype=np.float32)[label])),
        ("mix", {"z": z, "class_weights": class_weights}, mix(z, class_weights)),
        ("encode", {"image": image, "label": label}, encode(image, label)),
    ]
    for signature, inputs, expected in cases:
        outputs = backend.run(signature, inputs)
        assert outputs.keys() == expected.keys()
        for name, output in outputs.items():
            right = np.asarray(expected[name])
            assert output.dtype == np.float32
            assert np.abs((output - right) / np.maximum(1, np.abs(right))).max() <= TOLERANCE, (signature, name)


@pytest.mark.parametrize("flow_layers", [0, 5])
@pytest.mark.parametrize("network", NETWORKS)
def test_every_network_gives_what_jax_gives(make_run: Callable[..., Run], network: str, flow_layers: int) -> None:
    check_against_jax(make_run(config_of(network, "bernoulli", flow_layers), (7, 6, 3)), 9)


@pytest.mark.parametrize(("network", "likelihood"), list(itertools.product(["mlp", "conv of one"], LIKELIHOODS)))
def test_every_likelihood_gives_what_jax_gives(make_run: Callable[..., Run], network: str, likelihood: str) -> None:
    check_against_jax(make_run(config_of(network, likelihood, 0, activation="relu"), (5, 8, 1)), 4)


@pytest.mark.parametrize("latent_dim", [1, 2, 9])
def test_a_learned_prior_of_any_number_of_latents_gives_what_jax_gives(
    make_run: Callable[..., Run], latent_dim: int
) -> None:
    check_against_jax(make_run(config_of("one dense layer", "l2", 7, latent_dim), (4, 4, 1)), 5)


@pytest.fixture(scope="module")
def run(make_run: Callable[..., Run]) -> Run:
    return make_run(config_of("conv of one", "logistic", 2), (5, 4, 1))


@pytest.fixture(scope="module")
def dense_run(make_run: Callable[..., Run]) -> Run:
    return make_run(config_of("mlp", "bernoulli", 0), (5, 4, 1))


def test_a_single_number_may_be_an_array_of_one(run: Run) -> None:
    inputs = {"z": np.ones((2, 5), np.float32), "label": np.zeros(2, np.int32)}
    as_array = in_memory(run, lambda parameters, _: parameters.update(log_scale=parameters["log_scale"].reshape(1)))
    images = [open_numpy(artifact).run("decode", inputs)["image"] for artifact in (in_memory(run), as_array)]
    np.testing.assert_array_equal(*images)


def test_a_file_without_the_encoder_decodes_and_mixes(run: Run) -> None:
    def drop(parameters: dict[str, np.ndarray], _: dict[str, Any]) -> None:
        for name in list(parameters):
            if name.split("/")[0] in ("encoder", "from_image", "pre_latent_proj", "recognizer"):
                del parameters[name]

    assert open_numpy(in_memory(run, drop)).signatures == {"decode", "mix"}


def set_network(**values: object) -> Change:
    return lambda _, network: network.update(values)


def set_parameter(name: str, array: np.ndarray) -> Change:
    return lambda parameters, _: parameters.update({name: array})


def f(*shape: int) -> np.ndarray:
    return np.full(shape, 0.5, np.float32)


PROJECTION, HIDDEN, TO_IMAGE = "post_latent_proj/kernel", "decoder/Dense_0/kernel", "to_image/Dense_0/kernel"
WRONG = [
    (lambda p, _: p.pop("class_proj/bias"), "class_proj/bias", "float32 [9]", None),
    (set_parameter("class_proj/bias", f(8)), "class_proj/bias", "float32 [9]", "float32 [8]"),
    (set_parameter("class_proj/bias", f(9, 1)), "class_proj/bias", "float32 [9]", "float32 [9, 1]"),
    (set_parameter("class_proj/bias", f(9).astype(np.float64)), "class_proj/bias", "float32 [9]", "float64 [9]"),
    (set_parameter("class_proj/kernel", f(4, 9)), "class_proj/kernel", "float32 [3, 9]", "float32 [4, 9]"),
    (set_parameter(PROJECTION, f(6, 9)), PROJECTION, "float32 [5, width]", "float32 [6, 9]"),
    (set_parameter(PROJECTION, f(5, 0)), PROJECTION, "float32 [5, width]", "float32 [5, 0]"),
    (set_parameter(HIDDEN, f(8, 8)), HIDDEN, "float32 [9, width]", "float32 [8, 8]"),
    (set_parameter(TO_IMAGE, f(8, 17)), TO_IMAGE, "float32 [8, 18]", "float32 [8, 17]"),
    (
        set_parameter("to_image/Convolution_0/kernel", f(3, 3, 3, 5)),
        "to_image/Convolution_0/kernel", "float32 [3, 3, channels, 4]", "float32 [3, 3, 3, 5]",
    ),
    (
        set_parameter("from_image/Convolution_0/kernel", f(3, 3, 5, 3)),
        "from_image/Convolution_0/kernel", "float32 [3, 3, 4, channels]", "float32 [3, 3, 5, 3]",
    ),
    (set_parameter("pre_latent_proj/kernel", f(9, 8)), "pre_latent_proj/kernel", "float32 [9, 10]", "float32 [9, 8]"),
    (set_parameter("prior/couplings_1/bias", f(7)), "prior/couplings_1/bias", "float32 [8]", "float32 [7]"),
    (set_parameter("log_scale", f(2)), "log_scale", "float32 [1]", "float32 [2]"),
    (
        set_parameter("decoder/Dense_1/kernel", f(8, 8)),
        "decoder/Dense_1/kernel", "no such parameter, by what the file says of its network", "decoder/Dense_1/kernel",
    ),
    (
        set_network(flow_layers=1),
        "prior/couplings_1/bias", "no such parameter, by what the file says of its network", "prior/couplings_1/bias",
    ),
    (set_network(flow_layers=3), "prior/couplings_2/from_latents", "float32 [5, width]", None),
    (set_network(classes=4), "__metadata__.network.classes", "the manifest's 3", 4),
    (set_network(image_shape=[5, 5, 1]), "__metadata__.network.image_shape", "the manifest's (5, 4, 1)", (5, 5, 1)),
    (set_network(image_shape=[5, 4]), "__metadata__.network.image_shape", "height, width and channels", [5, 4]),
    (set_network(activation="gelu"), "__metadata__.network.activation", "one of relu, silu", "gelu"),
    (set_network(activation=["relu"]), "__metadata__.network.activation", "one of relu, silu", ["relu"]),
    (set_network(likelihood=None), "__metadata__.network.likelihood", "one of l2, bernoulli, gaussian, logistic", None),
    (set_network(convolutions=7), "__metadata__.network.convolutions", "an integer from 0 to 6", 7),
    (set_network(dense_layers=True), "__metadata__.network.dense_layers", "an integer from 0 to 1024", True),
    (set_network(dense_layers=-1), "__metadata__.network.dense_layers", "an integer from 0 to 1024", -1),
    (set_network(flow_layers=10**9), "__metadata__.network.flow_layers", "an integer from 0 to 1024", 10**9),
    (set_network(last_activation=1), "__metadata__.network.last_activation", "true or false", 1),
    (
        set_network(convolutions=0, dense_layers=0),
        "__metadata__.network.dense_layers", "at least 1 where there are no convolutions", 0,
    ),
]  # fmt: skip


@pytest.mark.parametrize(
    ("change", "field", "expected", "found"), WRONG, ids=[f"{row[1]}-{i}" for i, row in enumerate(WRONG)]
)
def test_parameters_that_are_not_the_networks_are_refused(
    run: Run, change: Change, field: str, expected: str, found: object
) -> None:
    artifact = in_memory(run, change)
    with pytest.raises(ModelError) as caught:
        open_numpy(artifact)
    error = caught.value
    assert (error.file, error.field, error.expected, error.found) == (FILE, field, expected, found)
    shown = "nothing" if found is None else repr(found)
    assert str(error).startswith(f"{FILE}: {field} must be {expected}, got {shown}: ")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (None, "JSON that says what network it is"),
        ("{", "JSON that says what network it is"),
        ("[" * 100_000, "JSON that says what network it is"),
        ("[]", "an object of activation, classes, convolutions"),
        ('{"activation": "relu"}', "an object of activation, classes, convolutions"),
    ],
)
def test_a_file_that_does_not_say_what_network_it_is_is_refused(
    dense_run: Run, text: str | None, expected: str
) -> None:
    artifact = in_memory(dense_run)
    metadata = {} if text is None else {"network": text}
    parameters = {name: np.ascontiguousarray(array) for name, array in build_decoder(dense_run).parameters.items()}
    with pytest.raises(ModelError, match=f"^{FILE}: __metadata__.network must be {expected}"):
        open_numpy(dataclasses.replace(artifact, content=save(parameters, metadata)))


def test_a_network_with_a_field_more_is_refused(dense_run: Run) -> None:
    with pytest.raises(ModelError, match="must be an object of activation"):
        open_numpy(in_memory(dense_run, set_network(normalization="group")))


def test_the_last_layer_must_give_the_image(dense_run: Run) -> None:
    with pytest.raises(ModelError, match=r"decoder/Dense_2/kernel must be float32 \[6, 20\], got 'float32 \[6, 21\]'"):
        open_numpy(in_memory(dense_run, set_parameter("decoder/Dense_2/kernel", f(6, 21))))


def test_an_artifact_without_weights_is_an_error_that_lists_its_forms() -> None:
    with pytest.raises(ArtifactError, match="has no form weights: it has onnx, "):
        open_numpy(Artifact.open(GOLDEN))


def test_nothing_is_told_of_latents_at_the_edge_of_float32(dense_run: Run) -> None:
    z = np.full((2, 5), np.finfo(np.float32).max, np.float32)
    image = open_numpy(in_memory(dense_run)).run("decode", {"z": z, "label": np.zeros(2, np.int32)})["image"]
    assert image.shape == (2, 5, 4, 1)  # and no warning, which would be an error here


@settings(deadline=None, max_examples=60)
@given(
    shape=st.tuples(st.integers(1, 3), st.integers(1, 6), st.integers(1, 6), st.integers(1, 5)),
    outputs=st.integers(1, 6),
    seed=st.integers(0, 2**31),
)
def test_a_convolution_is_the_sum_over_neighbors(shape: tuple[int, int, int, int], outputs: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    x = rng.standard_normal(shape, dtype=np.float32)
    kernel = rng.standard_normal((3, 3, shape[3], outputs), dtype=np.float32)
    bias = rng.standard_normal(outputs, dtype=np.float32)
    n, height, width, _ = shape
    expected = np.tile(bias.astype(np.float64), (n, height, width, 1))
    for row, column, i, j in itertools.product(range(height), range(width), range(3), range(3)):
        if 0 <= row + i - 1 < height and 0 <= column + j - 1 < width:
            expected[:, row, column] += x[:, row + i - 1, column + j - 1].astype(np.float64) @ kernel[i, j]
    np.testing.assert_allclose(Convolution(kernel, bias)(x), expected, atol=2e-5)  # 45 products of float32


@settings(deadline=None, max_examples=30)
@given(shape=st.tuples(st.integers(1, 3), st.integers(1, 4), st.integers(1, 4), st.integers(1, 3)))
def test_blocks_of_pixels_are_undone(shape: tuple[int, int, int, int]) -> None:
    n, rows, columns, channels = shape
    x = np.arange(math.prod(shape) * 4, dtype=np.float32).reshape(n, 2 * rows, 2 * columns, channels)
    blocks = blocks_of_pixels(x)
    assert blocks.shape == (n, rows, columns, 4 * channels)
    np.testing.assert_array_equal(blocks[0, 0, 0], x[0, :2, :2].reshape(-1))
    np.testing.assert_array_equal(pixels_of_blocks(blocks), x)


@given(value=st.floats(-80, 80, width=32))
def test_activations_are_their_formulas(value: float) -> None:
    exact = 1 / (1 + math.exp(-value))
    x = np.array([value], np.float32)
    assert sigmoid(x.copy())[0] == pytest.approx(exact, abs=1.2e-7)  # a rounding of float32 at 1
    assert silu(x.copy())[0] == pytest.approx(value * exact, abs=1.2e-7 * max(1, abs(value)))
    assert softplus(x.copy())[0] == pytest.approx(math.log1p(math.exp(value)), rel=3e-7, abs=1e-30)
