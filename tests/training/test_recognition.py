from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cvae_training import Config, Cvae, DataSet, InputError, StoppedError, build_model, create_run, load_run, resume_run
from cvae_training.config import ModelConfig, ObjectiveConfig
from cvae_training.objective import losses
from cvae_training.recognition import Recognizer, recognition_and_confusion
from cvae_training.train import train


@pytest.fixture
def config(tiny: Config) -> Config:
    """Everything that `best` has, small."""
    network = ModelConfig(
        network="conv",
        channels=(2, 3),
        activation="silu",
        flow_layers=2,
        flow_width=5,
        latent_dim=3,
        encoder_dimensions=(8,),
        decoder_dimensions=(8,),
    )
    objective = ObjectiveConfig("bernoulli", kl_weight=0.7, recognition_weight=2.0)
    return replace(tiny, model=network, objective=objective, optimizer=replace(tiny.optimizer, ema_decay=0.9))


@pytest.fixture
def model(config: Config) -> Cvae:
    return build_model(config, (28, 28, 1))


@pytest.fixture
def params(model: Cvae) -> Any:
    params = model.init(jax.random.key(0), jnp.zeros((1, 784)), jnp.zeros((1, 10)), jax.random.key(1))
    keys = iter(jax.random.split(jax.random.key(2), 100))
    return jax.tree.map(lambda leaf: leaf + 0.2 * jax.random.normal(next(keys), leaf.shape), params)


def test_the_cross_entropy_equals_numpy(rng: np.random.Generator) -> None:
    latents, c = rng.normal(size=(6, 3)).astype(np.float32), rng.dirichlet(np.ones(4), 6).astype(np.float32)
    recognizer = Recognizer(width=5)
    params = recognizer.init(jax.random.key(0), latents, c)
    hidden = latents.astype(np.float64)
    for i in range(3):
        layer = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), params["params"][f"Dense_{i}"])
        hidden = hidden @ layer["kernel"] + layer["bias"]
        hidden = np.maximum(hidden, 0) if i < 2 else hidden
    expected = np.log(np.exp(hidden).sum(axis=1)) - (c * hidden).sum(axis=1)
    np.testing.assert_allclose(recognizer.apply(params, latents, c), expected, rtol=1e-5)


@pytest.mark.parametrize(("which", "learns"), [(0, "recognizer"), (1, "prior")], ids=["recognition", "confusion"])
def test_each_part_teaches_one_part_of_the_network(
    model: Cvae, params: Any, rng: np.random.Generator, which: int, learns: str
) -> None:
    x, c = rng.random((5, 784)).astype(np.float32), np.eye(10, dtype=np.float32)[:5]

    def part(params: Any) -> jax.Array:
        outputs: Any = model.apply(params, x, c, jax.random.key(3), method="outputs")
        return recognition_and_confusion(model, params, outputs.latents, c, jax.random.key(4))[which]

    gradient = jax.grad(part)(params)["params"]
    moved = {name for name, tree in gradient.items() if any(np.abs(leaf).max() > 0 for leaf in jax.tree.leaves(tree))}
    assert moved == {learns}


def test_training_moves_the_prior_off_the_latents_of_other_classes(config: Config, few_digits: DataSet) -> None:
    longer = replace(config, epochs=30)
    confusions = []
    for weight in (1e-6, 5.0):
        own = replace(longer, objective=replace(config.objective, recognition_weight=weight))
        params = train(own, few_digits, lambda report: None).params
        c = jnp.tile(jnp.eye(10), (20, 1))
        model = build_model(own, (28, 28, 1))
        _, confusion = recognition_and_confusion(model, params, jnp.zeros((200, 3)), c, jax.random.key(5))
        confusions.append(float(confusion))
    assert confusions[1] < 0.9 * confusions[0]


def test_what_is_reported_is_of_images_alone(config: Config, few_digits: DataSet, model: Cvae) -> None:
    reports: list[Any] = []
    train(replace(config, epochs=1), few_digits, reports.append)
    parts = reports[0].held_out
    assert float(parts.loss) > float(parts.mse)
    params = train(replace(config, epochs=1), few_digits, lambda report: None).evaluated
    x = few_digits.held_out.images.reshape(32, 784).astype(np.float32) / 255
    c = np.eye(10, dtype=np.float32)[few_digits.held_out.labels]
    key = jax.random.fold_in(jax.random.fold_in(jax.random.key(config.seed), 3), 0)
    outputs: Any = model.apply(params, x, c, key, method="outputs")
    decoded, mean, logvar, _, log_prior, _ = outputs
    expected = losses(config.objective, x, decoded, mean, logvar, log_prior=log_prior)
    np.testing.assert_allclose(parts, expected, rtol=1e-5)


def test_without_a_learned_prior_there_is_nothing_to_recognize(tiny: Config) -> None:
    with pytest.raises(InputError, match=r"^recognition_weight needs a learned prior, flow_layers of 1 or more"):
        replace(tiny, objective=replace(tiny.objective, recognition_weight=1.0))


def test_a_learned_prior_and_its_recognizer_are_resumed_bit_for_bit(
    config: Config, few_digits: DataSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = replace(config, epochs=3)
    create_run(tmp_path / "whole", config, data=few_digits)
    asked: Callable[[], bool] = iter([False, True]).__next__
    with pytest.raises(StoppedError):
        create_run(tmp_path / "cut", config, should_stop=asked, data=few_digits)
    resume_run(tmp_path / "cut", config, data=few_digits)
    one, other = (jax.tree.leaves(load_run(tmp_path / name).params) for name in ("whole", "cut"))
    assert all(np.asarray(a).tobytes() == np.asarray(b).tobytes() for a, b in zip(one, other, strict=True))
    assert {"prior", "recognizer"} < load_run(tmp_path / "cut").params["params"].keys()


def test_the_kl_to_a_learned_prior_is_the_closed_form_while_the_flow_is_the_identity(rng: np.random.Generator) -> None:
    mean, logvar = rng.normal(size=(4, 3)).astype(np.float32), rng.uniform(-2, 1, (4, 3)).astype(np.float32)
    x = decoded = np.zeros((4, 2), np.float32)
    expected = losses(ObjectiveConfig(), x, decoded, mean, logvar).kl
    draws = 20_000
    z = mean + np.exp(logvar / 2) * rng.normal(size=(draws, 4, 3))
    log_prior = (-0.5 * (z**2 + np.log(2 * np.pi)).sum(axis=-1)).astype(np.float32)
    estimates = jax.vmap(lambda prior: losses(ObjectiveConfig(), x, decoded, mean, logvar, 1.0, prior).kl)(log_prior)
    spread = np.asarray(estimates).std() / np.sqrt(draws)
    assert abs(float(estimates.mean()) - float(expected)) < 5 * spread


@pytest.mark.parametrize(("free_bits", "counted"), [(0.1, 1.5), (0.9, 2.7)])
def test_free_bits_of_a_learned_prior_are_those_of_all_latents_together(free_bits: float, counted: float) -> None:
    zeros = np.zeros((2, 3), np.float32)
    entropy = 1.5 * (1 + np.log(2 * np.pi))
    log_prior = np.float32([-entropy - 1, -entropy - 2])  # a KL of 1 and of 2
    objective = ObjectiveConfig("l2", kl_weight=2.0, free_bits=free_bits)
    got = losses(objective, zeros, zeros, zeros, zeros, 1.0, log_prior)
    np.testing.assert_allclose(got, [2 * counted, 0, 1.5], rtol=1e-6)
