"""The article's own code, word for word but for types and names, against the trainer's."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jaxtyping import PyTree

from cvae_training import Config, DataSet, build_model, preset, train
from cvae_training.train import EpochReport, initial_state

BATCH_SIZE, LATENT_DIM, KL_WEIGHT, NUM_CLASSES, SEED = 16, 32, 0.5, 10, 0xFFFF
# Which key each fold of the seed's key is: a run is reproducible only while these stay.
INIT, ORDER, NOISE = 0, 1, 2


class ArticleFeedForward(nn.Module):
    dimensions: tuple[int, ...] = (256, 128, 64)
    activation_fn: Callable = nn.relu
    drop_last_activation: bool = False

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        for i, d in enumerate(self.dimensions):
            x = nn.Dense(d)(x)
            if i != len(self.dimensions) - 1 or not self.drop_last_activation:
                x = self.activation_fn(x)
        return x


class ArticleVae(nn.Module):
    encoder_dimensions: tuple[int, ...] = (256, 128, 64)
    decoder_dimensions: tuple[int, ...] = (128, 256, 784)
    latent_dim: int = 4
    activation_fn: Callable = nn.relu

    def setup(self) -> None:
        self.encoder = ArticleFeedForward(self.encoder_dimensions, self.activation_fn)
        self.pre_latent_proj = nn.Dense(self.latent_dim * 2)
        self.post_latent_proj = nn.Dense(self.encoder_dimensions[-1])
        self.class_proj = nn.Dense(self.encoder_dimensions[-1])
        self.decoder = ArticleFeedForward(self.decoder_dimensions, self.activation_fn, drop_last_activation=False)

    def reparam(self, mean: jax.Array, logvar: jax.Array, key: jax.Array) -> jax.Array:
        std = jnp.exp(logvar * 0.5)
        eps = jax.random.normal(key, mean.shape)
        return eps * std + mean

    def encode(self, x: jax.Array) -> tuple[jax.Array, jax.Array]:
        x = self.encoder(x)
        mean, logvar = jnp.split(self.pre_latent_proj(x), 2, axis=-1)
        return mean, logvar

    def decode(self, x: jax.Array, c: jax.Array) -> jax.Array:
        x = self.post_latent_proj(x)
        x = x + self.class_proj(c)
        return self.decoder(x)

    def __call__(self, x: jax.Array, c: jax.Array, key: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
        mean, logvar = self.encode(x)
        z = self.reparam(mean, logvar, key)
        y = self.decode(z, c)
        return y, mean, logvar


def create_train_step(
    model: nn.Module, params: PyTree, optimiser: optax.GradientTransformation
) -> tuple[Callable[..., Any], PyTree]:
    def loss_fn(params: PyTree, x: jax.Array, c: jax.Array, key: jax.Array) -> Any:
        reduce_dims = list(range(1, len(x.shape)))
        c = jax.nn.one_hot(c, NUM_CLASSES)
        recon, mean, logvar = model.apply(params, x, c, key)
        mse_loss = optax.l2_loss(recon, x).sum(axis=reduce_dims).mean()
        kl_loss = jnp.mean(-0.5 * jnp.sum(1 + logvar - mean**2 - jnp.exp(logvar), axis=reduce_dims))
        loss = mse_loss + KL_WEIGHT * kl_loss
        return loss, (mse_loss, kl_loss)

    @jax.jit
    def train_step(params: PyTree, opt_state: PyTree, x: jax.Array, c: jax.Array, key: jax.Array) -> Any:
        (loss, (mse_loss, kl_loss)), grads = jax.value_and_grad(loss_fn, has_aux=True)(params, x, c, key)
        updates, opt_state = optimiser.update(grads, opt_state, params)
        params = optax.apply_updates(params, updates)
        return params, opt_state, loss, mse_loss, kl_loss

    return train_step, optimiser.init(params)


def fold(stream: int, number: int | None = None) -> jax.Array:
    key = jax.random.fold_in(jax.random.key(SEED), stream)
    return key if number is None else jax.random.fold_in(key, number)


def train_as_the_article(data: DataSet, epochs: int, noise: Callable[[int], jax.Array]) -> tuple[PyTree, np.ndarray]:
    """The parameters after `epochs`, and each epoch's mean loss, mse and kl."""
    model = ArticleVae(latent_dim=LATENT_DIM)
    key = fold(INIT)
    params = model.init(key, jnp.zeros((BATCH_SIZE, 784)), jnp.zeros((BATCH_SIZE, NUM_CLASSES)), key)
    train_step, opt_state = create_train_step(model, params, optax.adamw(learning_rate=1e-4))
    step, history = 0, []
    for epoch in range(epochs):
        order = np.asarray(jax.random.permutation(fold(ORDER, epoch), len(data.train)))
        parts = []
        for first in range(0, len(order) - BATCH_SIZE + 1, BATCH_SIZE):
            chosen = order[first : first + BATCH_SIZE]
            x = data.train.images[chosen].reshape(BATCH_SIZE, 784).astype(np.float32) / 255
            params, opt_state, *losses = train_step(params, opt_state, x, data.train.labels[chosen], noise(step))
            parts.append(losses)
            step += 1
        history.append(np.mean(np.asarray(parts, np.float64), axis=0))
    return params, np.asarray(history)


@pytest.fixture(scope="module")
def two_epochs() -> Config:
    return replace(preset("article"), epochs=2)


@pytest.fixture(scope="module")
def trained(two_epochs: Config, few_digits: DataSet) -> tuple[PyTree, np.ndarray]:
    reports: list[EpochReport] = []
    state = train(two_epochs, few_digits, reports.append)
    return state.params, np.asarray([report.train for report in reports], np.float64)


def largest_difference(a: PyTree, b: PyTree) -> float:
    return max(jax.tree.leaves(jax.tree.map(lambda x, y: float(np.abs(np.asarray(x) - np.asarray(y)).max()), a, b)))


# Two programs may sum in different orders. AdamW divides each gradient by its own size, so that a last bit can move a
# parameter by a small part of the learning rate, 1e-4; a wrong batch or draw of noise moves it by as much, each step.
PARAMETER_TOLERANCE = 1e-5


def test_the_scan_is_the_articles_step(trained: tuple[PyTree, np.ndarray], few_digits: DataSet) -> None:
    expected, history = train_as_the_article(few_digits, 2, lambda step: fold(NOISE, step))
    params, losses = trained
    assert largest_difference(params, expected) < PARAMETER_TOLERANCE
    # Losses near 50 in float32, summed over 784 pixels.
    np.testing.assert_allclose(losses, history, rtol=1e-5)


def test_another_draw_of_noise_would_be_seen(trained: tuple[PyTree, np.ndarray], few_digits: DataSet) -> None:
    expected, _ = train_as_the_article(few_digits, 2, lambda _: fold(NOISE, 0))
    assert largest_difference(trained[0], expected) > 50 * PARAMETER_TOLERANCE


def test_the_articles_parameters_start_from_the_same_bits(two_epochs: Config) -> None:
    key = fold(INIT)
    expected = ArticleVae(latent_dim=LATENT_DIM).init(key, jnp.zeros((1, 784)), jnp.zeros((1, NUM_CLASSES)), key)
    params = initial_state(two_epochs, (28, 28, 1), NUM_CLASSES, total_steps=12).params
    assert jax.tree.structure(params) == jax.tree.structure(expected)
    assert largest_difference(params, expected) == 0


def test_the_articles_model_takes_the_trainers_parameters(trained: tuple[PyTree, np.ndarray]) -> None:
    params, _ = trained
    arguments = (np.full((3, 784), 0.3, np.float32), np.eye(3, 10, dtype=np.float32), jax.random.key(5))
    expected = ArticleVae(latent_dim=LATENT_DIM).apply(params, *arguments)
    outputs = build_model(preset("article"), (28, 28, 1)).apply(params, *arguments)
    # The same operations, one by one: only `eps * std + mean` and `mean + std * eps` may round differently.
    for output, value in zip(outputs, expected, strict=True):
        np.testing.assert_allclose(output, value, rtol=1e-5, atol=1e-6)
