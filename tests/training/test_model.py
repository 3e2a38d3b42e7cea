"""The network against a forward pass in NumPy, in float64, that reads the same parameter tree."""

from dataclasses import replace
from typing import Any

import jax
import numpy as np
import pytest
from jaxtyping import PyTree

from cvae_training import Cvae, FeedForward, build_model, preset
from cvae_training.config import ObjectiveConfig

IMAGE_SHAPE = (28, 28, 1)
# float32 against float64: sums of up to 784 products through six layers, relative to the largest value of the result.
TOLERANCE = 1e-5


def dense(layer: Any, x: np.ndarray) -> np.ndarray:
    return x @ np.asarray(layer["kernel"], np.float64) + np.asarray(layer["bias"], np.float64)


def feed_forward(layers: Any, x: np.ndarray, last_is_rectified: bool = True) -> np.ndarray:
    for i in range(len(layers)):
        x = dense(layers[f"Dense_{i}"], x)
        if i < len(layers) - 1 or last_is_rectified:
            x = np.maximum(x, 0)
    return x


def encode(tree: Any, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    moments = dense(tree["pre_latent_proj"], feed_forward(tree["encoder"], x))
    return moments[:, : moments.shape[1] // 2], moments[:, moments.shape[1] // 2 :]


def decode(tree: Any, z: np.ndarray, c: np.ndarray, last_is_rectified: bool = True) -> np.ndarray:
    hidden = dense(tree["post_latent_proj"], z) + dense(tree["class_proj"], c)
    return feed_forward(tree["decoder"], hidden, last_is_rectified)


def assert_close(got: Any, expected: np.ndarray) -> None:
    np.testing.assert_allclose(got, expected, rtol=0, atol=TOLERANCE * np.abs(expected).max())


def initialized(model: Cvae) -> PyTree:
    key = jax.random.key(0)
    return model.init(key, np.zeros((1, 784), np.float32), np.zeros((1, 10), np.float32), key)


def randomized(params: PyTree, rng: np.random.Generator) -> PyTree:
    """Biases too: Flax starts them at 0, where a forgotten one goes unseen."""
    return jax.tree.map(lambda leaf: (rng.normal(size=leaf.shape) / np.sqrt(leaf.shape[0])).astype(np.float32), params)


@pytest.fixture(scope="module")
def article() -> Cvae:
    return build_model(preset("article"), IMAGE_SHAPE)


@pytest.fixture(scope="module")
def params(article: Cvae) -> PyTree:
    return randomized(initialized(article), np.random.default_rng(1))


def batch(rng: np.random.Generator, size: int = 5) -> tuple[np.ndarray, np.ndarray]:
    """Images, and class weights: the first half one-hot, the others a mixture."""
    weights = rng.dirichlet(np.ones(10), size)
    weights[: size // 2] = np.eye(10)[rng.integers(0, 10, size // 2)]
    return rng.random((size, 784)).astype(np.float32), weights.astype(np.float32)


def test_the_articles_parameters_have_its_names_and_shapes(article: Cvae) -> None:
    def layer(fan_in: int, fan_out: int) -> dict[str, tuple[int, ...]]:
        return {"kernel": (fan_in, fan_out), "bias": (fan_out,)}

    shapes = jax.tree.map(lambda leaf: leaf.shape, initialized(article))
    assert shapes == {
        "params": {
            "encoder": {"Dense_0": layer(784, 256), "Dense_1": layer(256, 128), "Dense_2": layer(128, 64)},
            "pre_latent_proj": layer(64, 64),
            "post_latent_proj": layer(32, 64),
            "class_proj": layer(10, 64),
            "decoder": {"Dense_0": layer(64, 128), "Dense_1": layer(128, 256), "Dense_2": layer(256, 784)},
        }
    }


def test_the_class_itself_defaults_to_the_articles_network(article: Cvae) -> None:
    assert Cvae() == article


def test_encode_equals_numpy(article: Cvae, params: PyTree, rng: np.random.Generator) -> None:
    x, _ = batch(rng)
    mean, logvar = article.apply(params, x, method="encode")
    expected_mean, expected_logvar = encode(params["params"], x)
    assert_close(mean, expected_mean)
    assert_close(logvar, expected_logvar)


@pytest.mark.parametrize("method", [lambda model: model.decode, lambda model: "decode"], ids=["bound", "name"])
def test_decode_equals_numpy(article: Cvae, params: PyTree, rng: np.random.Generator, method: Any) -> None:
    _, c = batch(rng)
    z = rng.normal(size=(len(c), 32)).astype(np.float32)
    assert_close(article.apply(params, z, c, method=method(article)), decode(params["params"], z, c))


def test_a_call_encodes_draws_and_decodes(article: Cvae, params: PyTree, rng: np.random.Generator) -> None:
    x, c = batch(rng)
    key = jax.random.key(3)
    decoded, mean, logvar = article.apply(params, x, c, key)
    expected_mean, expected_logvar = encode(params["params"], x)
    noise = np.asarray(jax.random.normal(key, mean.shape), np.float64)
    z = expected_mean + np.exp(expected_logvar / 2) * noise
    assert_close(mean, expected_mean)
    assert_close(logvar, expected_logvar)
    assert_close(decoded, decode(params["params"], z, c))


def test_reparam_draws_from_the_posterior() -> None:
    mean, logvar = np.float32([-2.0, 0.5]), np.float32([-1.0, 1.5])
    draws = 40_000
    z = np.asarray(
        Cvae().apply(
            {},
            np.broadcast_to(mean, (draws, 2)),
            np.broadcast_to(logvar, (draws, 2)),
            jax.random.key(0),
            method="reparam",
        ),
        np.float64,
    )
    variance = np.exp(logvar, dtype=np.float64)
    # Five standard errors: sqrt(variance / n) of the mean, variance * sqrt(2 / n) of the variance.
    assert (np.abs(z.mean(axis=0) - mean) < 5 * np.sqrt(variance / draws)).all()
    assert (np.abs(z.var(axis=0) - variance) < 5 * variance * np.sqrt(2 / draws)).all()


def test_the_articles_decoder_ends_in_a_relu(article: Cvae, params: PyTree, rng: np.random.Generator) -> None:
    _, c = batch(rng)
    z = rng.normal(size=(len(c), 32)).astype(np.float32)
    rectified = np.asarray(article.apply(params, z, c, method="decode"))
    assert rectified.min() == 0
    assert decode(params["params"], z, c, last_is_rectified=False).min() < 0  # or the ReLU had nothing to do


def test_the_bernoulli_decoder_ends_in_logits(rng: np.random.Generator) -> None:
    config = replace(preset("article"), objective=ObjectiveConfig("bernoulli"))
    model = build_model(config, IMAGE_SHAPE)
    params = randomized(initialized(model), rng)
    _, c = batch(rng)
    z = rng.normal(size=(len(c), 32)).astype(np.float32)
    logits = np.asarray(model.apply(params, z, c, method="decode"))
    assert logits.min() < 0
    assert_close(logits, decode(params["params"], z, c, last_is_rectified=False))


def test_the_last_layer_has_one_unit_per_pixel() -> None:
    assert build_model(preset("article"), (5, 4, 3)).decoder_dimensions == (128, 256, 60)


@pytest.mark.parametrize("drop", [False, True])
def test_feed_forward_rectifies_all_layers_but_the_last_on_demand(drop: bool, rng: np.random.Generator) -> None:
    model = FeedForward(dimensions=(4, 3, 2), drop_last_activation=drop)
    x = rng.normal(size=(50, 8)).astype(np.float32)
    params = randomized(model.init(jax.random.key(0), x), rng)
    y = np.asarray(model.apply(params, x))
    assert (y.min() < 0) == drop
    assert_close(y, feed_forward(params["params"], x, last_is_rectified=not drop))


def test_a_forgotten_bias_would_be_seen(article: Cvae, params: PyTree, rng: np.random.Generator) -> None:
    x, _ = batch(rng)
    faulty = jax.tree.map(lambda leaf: leaf if leaf.ndim == 2 else np.zeros_like(leaf), params)
    with pytest.raises(AssertionError, match="Mismatched elements"):
        assert_close(article.apply(params, x, method="encode")[0], encode(faulty["params"], x)[0])
