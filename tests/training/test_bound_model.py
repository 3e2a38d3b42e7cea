"""A run's network in a notebook: what it gives, against model.apply and cvae-evaluate; and what it says of mistakes."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cvae_training import BoundModel, DataSet, InputError, Run, RunError, evaluate_command, load, load_run
from cvae_training.classifier import ClassifierConfig
from cvae_training.config import ObjectiveConfig

CLASSIFIER = ClassifierConfig(channels=(4,), features=8, epochs=1, batch_size=500)
ROUNDING = {"atol": 2e-6, "rtol": 1e-5}  # float32 sums of up to 784 terms, in another order for another batch size


@pytest.fixture(scope="module")
def run(finished_run: Any) -> Run:
    return load_run(finished_run.folder)


@pytest.fixture(scope="module")
def model(finished_run: Any) -> BoundModel:
    return load(finished_run.folder)


@pytest.fixture(scope="module")
def l2_model(run: Run) -> BoundModel:
    """The same parameters as a model of the other likelihood."""
    return BoundModel(replace(run, config=replace(run.config, objective=ObjectiveConfig(likelihood="l2"))), "l2")


def applied(run: Run, method: str, *arrays: Any) -> Any:
    return jax.tree.map(np.asarray, run.model.apply(run.params, *map(jnp.asarray, arrays), method=method))


def sigmoid(logits: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-logits.astype(np.float64)))


@pytest.mark.parametrize("n", [1, 3, 32, 501])
def test_it_encodes_as_the_network_does_whatever_the_batch(
    model: BoundModel, run: Run, digits: DataSet, n: int
) -> None:
    images, labels = digits.held_out.images[:n], digits.held_out.labels[:n]
    mean, logvar = model.encode(images, labels)
    expected = applied(run, "encode", images.reshape(n, -1) / np.float32(255))
    np.testing.assert_allclose(mean, expected[0], **ROUNDING)
    np.testing.assert_allclose(logvar, expected[1], **ROUNDING)
    assert (mean.dtype, mean.shape) == (np.float32, (n, 3))


@pytest.mark.parametrize("n", [1, 7, 501])
def test_it_decodes_as_the_network_does_whatever_the_batch(
    model: BoundModel, l2_model: BoundModel, run: Run, rng: np.random.Generator, n: int
) -> None:
    z, labels = rng.normal(size=(n, 3)).astype(np.float32), rng.integers(0, 10, n)
    images = model.decode(z, labels)
    assert (images.dtype, images.shape) == (np.float32, (n, 28, 28, 1))
    logits = applied(run, "decode", z, np.eye(10, dtype=np.float32)[labels])
    np.testing.assert_allclose(images.reshape(n, -1), sigmoid(logits), **ROUNDING)
    rectified = applied(l2_model.run, "decode", z, np.eye(10, dtype=np.float32)[labels])
    np.testing.assert_allclose(l2_model.decode(z, labels).reshape(n, -1), np.clip(rectified, 0, 1), **ROUNDING)


def test_classes_are_mixed_by_their_weights(model: BoundModel, run: Run, rng: np.random.Generator) -> None:
    z, weights = rng.normal(size=(5, 3)).astype(np.float32), rng.dirichlet(np.ones(10), 5).astype(np.float32)
    logits = applied(run, "decode", z, weights)
    np.testing.assert_allclose(model.mix(z, weights).reshape(5, -1), sigmoid(logits), **ROUNDING)


def test_a_reconstruction_decodes_the_posteriors_mean(model: BoundModel, digits: DataSet) -> None:
    images, labels = digits.held_out.images[:9], digits.held_out.labels[:9]
    mean, _ = model.encode(images, labels)
    np.testing.assert_array_equal(model.reconstruct(images, labels), model.decode(mean, labels))


def test_images_of_bytes_and_of_floats_are_the_same_images(model: BoundModel, digits: DataSet) -> None:
    images = digits.held_out.images[:6]
    expected, _ = model.encode(images)
    for same in (images / np.float32(255), images / 255, jnp.asarray(images)):
        np.testing.assert_allclose(model.encode(same)[0], expected, **ROUNDING)


def test_samples_are_standard_normal_latents_of_their_seed_decoded(model: BoundModel) -> None:
    images = model.sample(7, n=6, seed=3)
    np.testing.assert_array_equal(images, model.sample([7] * 6, seed=3))
    np.testing.assert_array_equal(images[:2], model.sample("7", n=2, seed=3))
    assert np.abs(images - model.sample(7, n=6, seed=4)).max() > 0.01
    assert np.abs(images - model.sample(8, n=6, seed=3)).max() > 0.01
    assert model.sample(0).shape == (1, 28, 28, 1)
    # Through a decoder that shows its latents: the identity would be one, a mean over many stands for it.
    seen: list[np.ndarray] = []
    watched = replace(model)
    object.__setattr__(watched, "decode", lambda z, labels: seen.append(z))
    watched.sample(0, n=20_000, seed=5)
    # Four standard errors of a mean and a variance over 60,000 normal numbers.
    assert abs(seen[0].mean()) < 4 / np.sqrt(60_000)
    assert abs(seen[0].var() - 1) < 4 * np.sqrt(2 / 60_000)


@pytest.mark.parametrize("seed", [0, 9])
def test_the_log_likelihood_is_cvae_evaluates(
    model: BoundModel,
    digits: DataSet,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    seed: int,
) -> None:
    monkeypatch.setenv("CVAE_CACHE_DIR", str(tmp_path))
    arguments = [model.name, "-k", "4", "--samples", "2", "--seed", str(seed), "--json", "-"]
    assert evaluate_command.main(arguments, CLASSIFIER) == 0
    figures = json.loads(capsys.readouterr().out)
    each = model.log_likelihood(digits.held_out.images, digits.held_out.labels, k=4, seed=seed)
    assert (each.dtype, each.shape) == (np.float32, (1500,))
    # Float32, and compiled for another batch size.
    assert each.mean(dtype=np.float64) == pytest.approx(figures["held_out"]["importance_weighted"], rel=1e-6)
    per_class = [each[digits.held_out.labels == label].mean(dtype=np.float64) for label in range(10)]
    expected = [figures["held_out_per_class"][label]["importance_weighted"] for label in range(10)]
    assert per_class == pytest.approx(expected, rel=1e-6)


def test_the_log_likelihood_of_l2_has_its_constant(l2_model: BoundModel, digits: DataSet) -> None:
    images, labels = digits.held_out.images[:5], digits.held_out.labels[:5]
    mean, logvar = (array.astype(np.float64) for array in l2_model.encode(images))
    # In importance weighting by one latent: log N(x; decoded, I) + log N(z; 0, I) - log N(z; mean, exp(logvar)).
    key = jax.random.fold_in(jax.random.fold_in(jax.random.fold_in(jax.random.key(2), 0), 0), 0)
    noise = np.asarray(jax.random.normal(key, (8, 3)), np.float64)[:5]
    z = mean + np.exp(logvar / 2) * noise
    decoded = applied(l2_model.run, "decode", z.astype(np.float32), np.eye(10, dtype=np.float32)[labels])
    x = images.reshape(5, -1) / 255

    def log_normal(value: np.ndarray, center: Any, logvar: Any) -> np.ndarray:
        return (-0.5 * (np.log(2 * np.pi) + logvar + (value - center) ** 2 / np.exp(logvar))).sum(axis=-1)

    expected = log_normal(x, decoded, 0.0) + log_normal(z, 0.0, 0.0) - log_normal(z, mean, logvar)
    np.testing.assert_allclose(l2_model.log_likelihood(images, labels, k=1, seed=2), expected, rtol=1e-5)


def test_more_latents_do_not_lower_the_bound(model: BoundModel, digits: DataSet) -> None:
    images, labels = digits.held_out.images[:500], digits.held_out.labels[:500]
    one, many = (model.log_likelihood(images, labels, k=k, seed=1).mean() for k in (1, 200))
    assert many > one


def test_labels_are_integers_or_names_one_or_one_for_each(finished_run: Any, run: Run, digits: DataSet) -> None:
    named = BoundModel(replace(run, classes=tuple("abcdefghij")), "named")
    images = digits.held_out.images[:3]
    expected = named.reconstruct(images, [2, 2, 2])
    for labels in (
        2,
        "c",
        np.int64(2),
        np.array("c"),
        ["c", 2, "c"],
        np.array([2, 2, 2], np.uint8),
        jnp.array([2] * 3),
    ):
        np.testing.assert_array_equal(named.reconstruct(images, labels), expected)


def test_no_images_give_no_results(model: BoundModel, digits: DataSet) -> None:
    none = digits.held_out.images[:0]
    assert [array.shape for array in model.encode(none)] == [(0, 3), (0, 3)]
    assert model.reconstruct(none, []).shape == (0, 28, 28, 1)
    assert model.log_likelihood(none, [], k=1).shape == (0,)


X, Z = np.zeros((2, 28, 28, 1), np.uint8), np.zeros((2, 3), np.float32)


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (
            lambda model: model.encode(X[0]),
            "images must have shape (n, 28, 28, 1), got (28, 28, 1): one image is images[None]",
        ),
        (lambda model: model.encode(X[..., 0]), "images must have shape (n, 28, 28, 1), got (2, 28, 28)"),
        (lambda model: model.encode(X.astype(np.int32)), "images must be uint8, or floats in [0, 1], got int32"),
        (lambda model: model.encode(X + np.float32(255)), "images of floats must be in [0, 1], got 255 to 255"),
        (lambda model: model.encode(X * np.float32(np.nan)), "images of floats must be in [0, 1], got nan to nan"),
        (lambda model: model.encode(X, [1]), "labels must be one, or one for each of the 2, got 1"),
        (lambda model: model.reconstruct(X, [1, 2, 3]), "labels must be one, or one for each of the 2, got 3"),
        (lambda model: model.reconstruct(X, 10), "a label must be from 0 to 9, got 10"),
        (lambda model: model.reconstruct(X, -1), "a label must be from 0 to 9, got -1"),
        (lambda model: model.reconstruct(X, "ten"), "unknown class 'ten': there are 0, 1, 2, 3, 4, 5, 6, 7, 8, 9"),
        (lambda model: model.reconstruct(X, 1.0), "a label must be an integer or a class name, got 1.0"),
        (lambda model: model.reconstruct(X, True), "a label must be an integer or a class name, got True"),
        (lambda model: model.reconstruct(X, np.array([0.5, 1])), "a label must be an integer or a class name, got 0.5"),
        (lambda model: model.reconstruct(X, [[1, 2]] * 2), "a label must be an integer or a class name, got [1, 2]"),
        (lambda model: model.reconstruct(X, np.ones((2, 1), int)), "labels must have one axis, got shape (2, 1)"),
        (lambda model: model.reconstruct(X, None), "a label must be an integer or a class name, got None"),
        (lambda model: model.decode(Z[:, :2], 1), "z must have shape (n, 3), got (2, 2)"),
        (lambda model: model.decode(Z[0], 1), "z must have shape (n, 3), got (3,)"),
        (lambda model: model.decode(Z.astype(int), 1), "z must be floats, got int64"),
        (lambda model: model.decode(Z / np.float32(0.5) * np.inf, 1), "z must be finite, got NaN or infinity in it"),
        (lambda model: model.mix(Z, np.eye(2)), "class_weights must have shape (2, 10), got (2, 2)"),
        (lambda model: model.mix(Z, np.ones((2, 10))), "class_weights must be numbers whose rows sum to 1"),
        (lambda model: model.sample(1, n=0), "n must be an integer from 1 to 1000000, got 0"),
        (lambda model: model.sample(1, n=2.0), "n must be an integer from 1 to 1000000, got 2.0"),
        (lambda model: model.sample([1, 2], n=2), "n goes with one label, got 2 labels: repeat them instead"),
        (lambda model: model.sample(1, seed=-1), "seed must be an integer from 0 to 4294967295, got -1"),
        (lambda model: model.sample(1, seed=True), "seed must be an integer from 0 to 4294967295, got True"),
        (lambda model: model.log_likelihood(X, 1, k=0), "k must be an integer from 1 to 1000000, got 0"),
    ],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")  # 0 * infinity, which is meant
def test_what_does_not_fit_is_named(model: BoundModel, ask: Callable[[BoundModel], Any], message: str) -> None:
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        ask(model)


def test_it_says_what_it_is(model: BoundModel, run: Run, finished_run: Any) -> None:
    loss = finished_run.reports[-1].held_out.loss
    assert repr(model) == (
        f"<cvae {finished_run.folder}: mnist-10k, 10 classes (0, 1, 2, 3, 4, 5, 6, 7, 8, 9), images 28 x 28 x 1, "
        f"3 latents, bernoulli, after epoch 2 of 2, held-out loss {loss:.2f}>"
    )
    many = BoundModel(replace(run, classes=tuple(map(str, range(47))), metrics=()), "many")
    assert "47 classes (0, 1, 2, 3, 4, ..., 46)" in repr(many)
    assert repr(many).endswith("bernoulli, before its first epoch's end>")
    assert (many.classes[46], many.image_shape, many.latent_dim) == ("46", (28, 28, 1), 3)


def test_what_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="is not a run folder"):
        load(str(tmp_path))
