"""Runs with random parameters, and an artifact of one, made once for all tests."""

from pathlib import Path

import jax
import pytest

from cvae_export import export_run
from cvae_training import Run, preset
from cvae_training.train import initial_state

IMAGE_SHAPE = (28, 28, 1)
CLASSES = tuple("0123456789")


def random_run(preset_name: str) -> Run:
    config = preset(preset_name)
    params = initial_state(config, IMAGE_SHAPE, len(CLASSES), total_steps=1000).params
    # Flax starts biases at 0, which would hide a form that forgets one.
    keys = iter(jax.random.split(jax.random.key(7), 1000))
    params = jax.tree.map(lambda leaf: leaf + 0.02 * jax.random.normal(next(keys), leaf.shape), params)
    losses = {"loss": 1.0, "mse": 1.0, "kl": 0.0}
    metrics = ({"epoch": 1, "step": 1, "train": losses, "held_out": losses},)
    return Run(
        config, CLASSES, IMAGE_SHAPE, {"train": 8500, "held_out": 1500}, params, metrics, {"jax": jax.__version__}
    )


@pytest.fixture(scope="session", params=["article", "best"])
def run(request: pytest.FixtureRequest) -> Run:
    return random_run(request.param)


@pytest.fixture(scope="session")
def article_run() -> Run:
    return random_run("article")


@pytest.fixture(scope="session")
def artifact(run: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An exported artifact; not to be changed."""
    folder = tmp_path_factory.mktemp("artifacts") / run.config.objective.likelihood
    export_run(run, folder)
    return folder
