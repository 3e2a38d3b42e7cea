"""Artifacts of tiny networks in every form that a local backend reads, made once for all tests."""

import functools
import math
from collections.abc import Callable

import jax
import numpy as np
import pytest

from cvae_export import export_run
from cvae_export.forms import get_forms
from cvae_sdk.artifact import Artifact
from cvae_training import Config, Run
from cvae_training.config import ModelConfig, ObjectiveConfig
from cvae_training.model import build_model

CLASSES = ("circle", "square", "star")
FORMS = ("stablehlo", "saved_model", "onnx", "litert", "weights")
NETWORKS = {
    "mlp": Config(
        model=ModelConfig(latent_dim=5, encoder_dimensions=(9, 7), decoder_dimensions=(8, 6)),
        objective=ObjectiveConfig(likelihood="l2"),
    ),
    "conv-flow": Config(
        model=ModelConfig(
            network="conv",
            channels=(4, 6),
            activation="silu",
            flow_layers=5,
            flow_width=8,
            latent_dim=5,
            encoder_dimensions=(9,),
            decoder_dimensions=(8,),
        ),
        objective=ObjectiveConfig(likelihood="bernoulli", recognition_weight=0.1),
    ),
}
IMAGE_SHAPES = {"mlp": (6, 5, 1), "conv-flow": (7, 6, 3)}


def random_run(config: Config, image_shape: tuple[int, int, int]) -> Run:
    """A run that was never trained, none of whose parameters is 0; kernels keep the size of what flows through."""
    model, key = build_model(config, image_shape), jax.random.key(0)
    x, c = np.zeros((1, math.prod(image_shape)), np.float32), np.zeros((1, len(CLASSES)), np.float32)
    shapes = jax.eval_shape(model.init, key, x, c, key)
    rng = np.random.default_rng(17)

    def draw(leaf: jax.ShapeDtypeStruct) -> np.ndarray:
        deviation = 1 / math.sqrt(math.prod(leaf.shape[:-1])) if len(leaf.shape) > 1 else 0.3
        return rng.normal(scale=deviation, size=leaf.shape).astype(np.float32)

    params = jax.tree.map(draw, shapes)
    losses = {"loss": 1.0, "mse": 1.0, "kl": 0.0}
    metrics = ({"epoch": 1, "step": 1, "train": losses, "held_out": losses},)
    versions = {"jax": jax.__version__}
    return Run(config, CLASSES, image_shape, {"train": 9, "held_out": 3}, params, metrics, versions)


@pytest.fixture(scope="session")
def make_run() -> Callable[[Config, tuple[int, int, int]], Run]:
    return random_run


@pytest.fixture(scope="session")
def artifact_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Artifact]:
    """An artifact of a network in all forms, written when it is first asked for; not to be changed."""

    @functools.cache
    def write(network: str) -> Artifact:
        folder = tmp_path_factory.mktemp("artifacts") / network
        export_run(random_run(NETWORKS[network], IMAGE_SHAPES[network]), folder, forms=get_forms(FORMS))
        return Artifact.open(folder)

    return write


@pytest.fixture(scope="session", params=list(NETWORKS))
def whole(request: pytest.FixtureRequest, artifact_of: Callable[[str], Artifact]) -> Artifact:
    """An artifact in all forms; not to be changed."""
    return artifact_of(request.param)


@pytest.fixture(scope="session")
def mlp(artifact_of: Callable[[str], Artifact]) -> Artifact:
    """The one without a learned prior; not to be changed."""
    return artifact_of("mlp")
