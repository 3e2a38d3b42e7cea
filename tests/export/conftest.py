"""Runs with random parameters, and an artifact of one, made once for all tests."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import jax
import pytest

from cvae_export import export_run
from cvae_export.forms import get_forms
from cvae_training import Run, preset
from cvae_training.train import initial_state

IMAGE_SHAPE = (28, 28, 1)
CLASSES = tuple("0123456789")


def random_run(preset_name: str, likelihood: str | None = None, seed: int = 7) -> Run:
    config = preset(preset_name)
    if likelihood is not None:
        objective = dataclasses.replace(config.objective, likelihood=likelihood)
        config = dataclasses.replace(config, objective=objective)
    params = initial_state(config, IMAGE_SHAPE, len(CLASSES), total_steps=1000).params
    # Flax starts biases at 0, which would hide a form that forgets one.
    keys = iter(jax.random.split(jax.random.key(seed), 1000))
    params = jax.tree.map(lambda leaf: leaf + 0.02 * jax.random.normal(next(keys), leaf.shape), params)
    losses = {"loss": 1.0, "mse": 1.0, "kl": 0.0}
    metrics = ({"epoch": 1, "step": 1, "train": losses, "held_out": losses},)
    return Run(
        config, CLASSES, IMAGE_SHAPE, {"train": 8500, "held_out": 1500}, params, metrics, {"jax": jax.__version__}
    )


@pytest.fixture(scope="session")
def make_run() -> Callable[..., Run]:
    """random_run itself, for tests that need one of other settings."""
    return random_run


@pytest.fixture(scope="session", params=["article", "fast"])
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


@pytest.fixture(scope="session")
def complete(run: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An artifact with every form; not to be changed."""
    folder = tmp_path_factory.mktemp("complete") / run.config.objective.likelihood
    export_run(run, folder, forms=get_forms(["all"]))
    return folder
