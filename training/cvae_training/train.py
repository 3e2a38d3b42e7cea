"""Training as one compiled program per epoch over images that lie on the device.

    state_{t+1} = step(state_t, batch_t, fold_in(noise_key, t))
    batch_t     = part of the permutation of the images by fold_in(order_key, epoch)

No key is kept from step to step, so step t draws the same noise whenever and wherever it is run.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int32, PRNGKeyArray, PyTree, UInt8

from cvae_training.config import Config
from cvae_training.data import DataSet, Split
from cvae_training.errors import InputError, TrainingError
from cvae_training.model import Cvae, build_model
from cvae_training.objective import Losses, losses
from cvae_training.optimizer import build_optimizer

__all__ = ["EpochReport", "TrainState", "count_steps", "evaluate_losses", "initial_state", "train"]

_INIT, _ORDER, _NOISE, _HELD_OUT = range(4)


class TrainState(NamedTuple):
    """Everything that a step changes."""

    step: Int32[Array, ""]
    params: PyTree
    opt_state: PyTree


class EpochReport(NamedTuple):
    """The mean losses of an epoch's training steps, and those of the held-out images after it."""

    epoch: int
    steps: int
    train: Losses
    held_out: Losses


def initial_state(config: Config, image_shape: tuple[int, int, int], num_classes: int, total_steps: int) -> TrainState:
    """Parameters drawn from the config's seed, with the optimizer's state for a run of `total_steps`."""
    height, width, channels = image_shape
    model = build_model(config, image_shape)
    key = _key(config, _INIT)
    params = model.init(key, jnp.zeros((1, height * width * channels)), jnp.zeros((1, num_classes)), key)
    return TrainState(jnp.zeros((), jnp.int32), params, build_optimizer(config.optimizer, total_steps).init(params))


def count_steps(config: Config, num_images: int) -> int:
    """Steps per epoch; InputError for a batch larger than the data."""
    if config.batch_size > num_images:
        raise InputError(f"batch_size must be at most the {num_images} training images, got {config.batch_size}")
    return num_images // config.batch_size


def train(config: Config, data: DataSet, on_epoch: Callable[[EpochReport], None]) -> TrainState:
    """Train for `config.epochs` and return the last state; `on_epoch` is told of each epoch as it ends.

    Raises InputError for a batch larger than the data, TrainingError when the loss is no longer finite.
    """
    steps_per_epoch = count_steps(config, len(data.train))
    total_steps = config.epochs * steps_per_epoch
    model = build_model(config, data.image_shape)
    state = initial_state(config, data.image_shape, len(data.classes), total_steps)
    run_epoch = _compile_epoch(config, model, build_optimizer(config.optimizer, total_steps), len(data.classes))
    images, labels = jnp.asarray(data.train.images), jnp.asarray(data.train.labels)
    for epoch in range(config.epochs):
        state, train_losses = run_epoch(state, images, labels, epoch)
        held_out = evaluate_losses(config, state.params, data.held_out, len(data.classes))
        for loss in (train_losses.loss, held_out.loss):
            if not np.isfinite(loss):
                raise TrainingError(
                    f"the loss became {loss} in epoch {epoch + 1}: try a lower --learning-rate, or warm-up"
                )
        on_epoch(EpochReport(epoch + 1, steps_per_epoch, train_losses, held_out))
    return state


def evaluate_losses(config: Config, params: PyTree, split: Split, num_classes: int) -> Losses:
    """The losses over a whole split, with noise of its own that is the same at every call."""
    height, width, channels = split.images.shape[1:]
    return _evaluate(config, (height, width, channels), num_classes, params, split.images, split.labels)


def _key(config: Config, stream: int) -> PRNGKeyArray:
    return jax.random.fold_in(jax.random.key(config.seed), stream)


def _forward(
    config: Config,
    model: Cvae,
    num_classes: int,
    params: PyTree,
    images: UInt8[Array, "batch height width channels"],
    labels: Int32[Array, " batch"],
    key: PRNGKeyArray,
) -> Losses:
    x = images.reshape(images.shape[0], -1).astype(jnp.float32) / 255
    outputs: Any = model.apply(params, x, jax.nn.one_hot(labels, num_classes), key)
    decoded, mean, logvar = outputs
    return losses(config.objective, x, decoded, mean, logvar)


def _compile_epoch(
    config: Config, model: Cvae, optimizer: optax.GradientTransformation, num_classes: int
) -> Callable[..., tuple[TrainState, Losses]]:
    order_key, noise_key = _key(config, _ORDER), _key(config, _NOISE)

    def loss_and_parts(params: PyTree, *batch: Any) -> tuple[Float[Array, ""], Losses]:
        parts = _forward(config, model, num_classes, params, *batch)
        return parts.loss, parts

    def run_epoch(
        state: TrainState,
        images: UInt8[Array, "n height width channels"],
        labels: Int32[Array, " n"],
        epoch: Int32[Array, ""],
    ) -> tuple[TrainState, Losses]:
        def step(state: TrainState, chosen: Int32[Array, " batch"]) -> tuple[TrainState, Losses]:
            key = jax.random.fold_in(noise_key, state.step)
            (_, parts), gradients = jax.value_and_grad(loss_and_parts, has_aux=True)(
                state.params, images[chosen], labels[chosen], key
            )
            updates, opt_state = optimizer.update(gradients, state.opt_state, state.params)
            params = optax.apply_updates(state.params, updates)
            return TrainState(state.step + 1, params, opt_state), parts

        steps = images.shape[0] // config.batch_size
        order = jax.random.permutation(jax.random.fold_in(order_key, epoch), images.shape[0])
        batches = order[: steps * config.batch_size].reshape(steps, config.batch_size)
        state, parts = jax.lax.scan(step, state, batches)
        return state, jax.tree.map(jnp.mean, parts)

    return jax.jit(run_epoch, donate_argnames="state")


def _evaluate_whole(
    config: Config,
    image_shape: tuple[int, int, int],
    num_classes: int,
    params: PyTree,
    images: UInt8[Array, "n height width channels"],
    labels: Int32[Array, " n"],
) -> Losses:
    model = build_model(config, image_shape)
    return _forward(config, model, num_classes, params, images, labels, _key(config, _HELD_OUT))


_evaluate = jax.jit(_evaluate_whole, static_argnums=(0, 1, 2))
