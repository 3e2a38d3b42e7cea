"""Training as one compiled program over batches that lie on the devices, run for any number of steps at a time.

    state_{t+1} = step(state_t, batch_t, fold_in(noise_key, t))
    ema_{t+1}   = d_t ema_t + (1 - d_t) params_{t+1},   d_t = min(ema_decay, (1 + t) / (10 + t))

All that step t uses follows from t and the state, so a run that is cut anywhere and resumed is the same run, bit for
bit. On several devices each computes its share of a batch, and the gradients are their mean: the same run but for the
rounding of sums.
"""

import math
import time
from collections.abc import Callable, Iterator
from functools import cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int32, PRNGKeyArray, PyTree, UInt8

from cvae_training import processes
from cvae_training.chunks import Batches, batch_at, chunks
from cvae_training.config import Config
from cvae_training.convolution import convolve_in_loops
from cvae_training.data import DataSet, Split
from cvae_training.errors import InputError, TrainingError
from cvae_training.model import Cvae, build_model
from cvae_training.objective import Losses, losses
from cvae_training.optimizer import build_optimizer, trainable_leaves
from cvae_training.placement import Placement, place
from cvae_training.recognition import recognition_and_confusion

__all__ = [
    "EpochReport",
    "Stretch",
    "TrainState",
    "count_steps",
    "evaluate_losses",
    "initial_state",
    "state_shapes",
    "train",
    "train_in_stretches",
]

_INIT, _ORDER, _NOISE, _HELD_OUT = range(4)
_STRETCH_SECONDS = 0.5
_EVALUATED_AT_ONCE = 4096


class TrainState(NamedTuple):
    """Everything that a step changes."""

    step: Int32[Array, ""]
    params: PyTree
    opt_state: PyTree
    ema: PyTree
    """The average of `params`, or an empty dictionary where there is none."""
    sums: Losses
    """The sums of the losses since the epoch began."""

    @property
    def evaluated(self) -> PyTree:
        """The parameters to evaluate and export: the average, where there is one."""
        return self.ema or self.params


class EpochReport(NamedTuple):
    """The mean losses of an epoch's training steps, and those of the held-out images after it."""

    epoch: int
    steps: int
    train: Losses
    held_out: Losses


class Stretch(NamedTuple):
    """A state that training has come to, and the report of the epoch if it ends there."""

    state: TrainState
    report: EpochReport | None


def initial_state(
    config: Config, image_shape: tuple[int, int, int], num_classes: int, total_steps: int, params: PyTree = None
) -> TrainState:
    """The state before the first step of a run of `total_steps`; its parameters are drawn by the seed unless given."""
    if params is None:
        params = _draw_in_one_program(config, image_shape, num_classes)
    opt_state = jax.jit(build_optimizer(config.optimizer, total_steps).init)(params)
    ema = jax.tree.map(jnp.copy, params) if config.optimizer.ema_decay > 0 else {}
    return TrainState(jnp.zeros((), jnp.int32), params, opt_state, ema, Losses(*jnp.zeros(3)))


def state_shapes(config: Config, image_shape: tuple[int, int, int], num_classes: int, total_steps: int) -> TrainState:
    """The shapes and dtypes of `initial_state`, of which nothing is computed."""
    params = jax.eval_shape(lambda: _draw_parameters(config, image_shape, num_classes))
    return jax.eval_shape(lambda params: initial_state(config, image_shape, num_classes, total_steps, params), params)


def count_steps(config: Config, num_images: int) -> int:
    """Steps per epoch; InputError for a batch larger than the data."""
    if config.batch_size > num_images:
        raise InputError(f"batch_size must be at most the {num_images} training images, got {config.batch_size}")
    return num_images // config.batch_size


def train(config: Config, data: DataSet, on_epoch: Callable[[EpochReport], None]) -> TrainState:
    """Train from the first step to the last and return the last state; `on_epoch` is told of each epoch as it ends.

    Raises InputError for a batch larger than the data, TrainingError when the loss is no longer finite.
    """
    total_steps = config.epochs * count_steps(config, len(data.train))
    state = initial_state(config, data.image_shape, len(data.classes), total_steps)
    for state, report in train_in_stretches(config, data, state):  # noqa: B007, B020 -- each state follows from the one before
        if report is not None:
            on_epoch(report)
    return state


def train_in_stretches(
    config: Config, data: DataSet, state: TrainState, placement: Placement | None = None
) -> Iterator[Stretch]:
    """Train from `state` to the last epoch's end, in stretches of about half a second that end with each epoch.

    By default on all devices, with the images resident if they fit. A state's arrays are the next stretch's own: save
    or copy it before going on. Raises as `train` does.
    """
    steps_per_epoch = count_steps(config, len(data.train))
    total_steps = config.epochs * steps_per_epoch
    placement = placement or place(config.batch_size, data.train.images.nbytes)
    state = placement.replicate(state)
    step, stretch = int(state.step), _next_stretch(0, 0, 1.0)
    if step == total_steps:
        return
    for chunk in chunks(data.train, _key(config, _ORDER), config.batch_size, step, total_steps, placement):
        while step < chunk.end:
            start, count = time.monotonic(), min(stretch, chunk.end - step)
            state = _steps_program()(
                config, len(data.classes), total_steps, placement, state, chunk.batches, chunk.first, count
            )
            step = int(state.step)
            stretch = _next_stretch(stretch, count, processes.of_first(time.monotonic() - start))
            _require_finite(state.sums.loss, f"step {step}")
            if step % steps_per_epoch:
                yield Stretch(state, None)
                continue
            train_losses = jax.tree.map(lambda total: total / steps_per_epoch, state.sums)
            held_out = evaluate_losses(config, state.evaluated, data.held_out, len(data.classes))
            epoch = step // steps_per_epoch
            _require_finite(held_out.loss, f"step {step}, on the held-out images")
            yield Stretch(state, EpochReport(epoch, steps_per_epoch, train_losses, held_out))


def evaluate_losses(config: Config, params: PyTree, split: Split, num_classes: int) -> Losses:
    """The losses over a whole split, with noise of its own that is the same at every call."""
    height, width, channels = split.images.shape[1:]
    means, counts = [], []
    for part, start in enumerate(range(0, len(split), _EVALUATED_AT_ONCE)):
        images, labels = (values[start : start + _EVALUATED_AT_ONCE] for values in (split.images, split.labels))
        key = jax.random.fold_in(_key(config, _HELD_OUT), part)
        means.append(_evaluate(config, (height, width, channels), num_classes, params, images, labels, key))
        counts.append(len(labels))
    return jax.tree.map(lambda *parts: jnp.float32(np.average(np.array(parts), weights=counts)), *means)


def _next_stretch(stretch: int, count: int, seconds: float) -> int:
    """How many steps to run next, after `count` of an intended `stretch` took `seconds`.

    Half a second's worth, but at most twice as many as before; one to begin with, since it is compiled then.
    """
    return max(1, min(2 * stretch, int(count * _STRETCH_SECONDS / seconds)))


def _draw_parameters(config: Config, image_shape: tuple[int, int, int], num_classes: int) -> PyTree:
    key = _key(config, _INIT)
    pixels = jnp.zeros((1, math.prod(image_shape)))
    return build_model(config, image_shape).init(key, pixels, jnp.zeros((1, num_classes)), key)


# By itself, Flax's init compiles a program per operation and shape. This one runs once: compiling it is what it costs.
_draw_in_one_program = jax.jit(
    _draw_parameters, static_argnums=(0, 1, 2), compiler_options={"xla_backend_optimization_level": 1}
)


def _require_finite(loss: Float[Array, ""], when: str) -> None:
    if not np.isfinite(loss):
        raise TrainingError(
            f"the loss became {loss} in {when}: try a lower --learning-rate, --warmup-steps or --clip-norm"
        )


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
    kl_share: Float[Array, ""] | float = 1.0,
) -> tuple[Float[Array, ""], Losses]:
    """What is minimized, and the losses that are reported, which are of images alone."""
    x = images.reshape(images.shape[0], -1).astype(jnp.float32) / 255
    c = jax.nn.one_hot(labels, num_classes)
    outputs: Any = model.apply(params, x, c, key, method="outputs")
    decoded, mean, logvar, latents, log_prior, log_scale = outputs
    parts = losses(config.objective, x, decoded, mean, logvar, kl_share, log_prior, log_scale)
    if not model.recognizes:
        return parts.loss, parts
    of_prior = jax.random.fold_in(key, 1)
    recognition, confusion = recognition_and_confusion(model, params, latents, c, of_prior)
    return parts.loss + recognition + config.objective.recognition_weight * confusion, parts


@cache
def _steps_program() -> Callable[..., TrainState]:
    """`_run_steps`, compiled."""
    # XLA prefers half of AVX-512's registers; all of them make AdamW's divisions and roots, and so a step of 16 images,
    # an eighth faster; nothing but rounding differs. Other processors have no such registers and do as before.
    wide = {"xla_cpu_prefer_vector_width": 512} if jax.default_backend() == "cpu" else None
    static = ("config", "num_classes", "total_steps", "placement")
    return jax.jit(_run_steps, static_argnames=static, donate_argnames="state", compiler_options=wide)


def _run_steps(
    config: Config,
    num_classes: int,
    total_steps: int,
    placement: Placement,
    state: TrainState,
    batches: Batches,
    first: Int32[Array, ""] | int,
    count: Int32[Array, ""] | int,
) -> TrainState:
    """Run `count` steps of a chunk that begins at step `first`, or stop after one whose loss is not finite."""
    height, width, channels = batches.images.shape[-3:]
    model = build_model(config, (height, width, channels), config.compute_dtype, convolve_in_loops())
    optimizer = build_optimizer(config.optimizer, total_steps)
    # A frozen parameter is left alone rather than added 0 to, which would turn -0 into 0.
    trained = trainable_leaves(config.optimizer.trainable, state.params)
    steps_per_epoch = total_steps // config.epochs

    loss_and_parts = partial(_forward, config, model, num_classes)

    def goes_on(so_far: tuple[Int32[Array, ""], TrainState]) -> Array:
        return (so_far[0] < count) & jnp.isfinite(so_far[1].sums.loss)

    def step(so_far: tuple[Int32[Array, ""], TrainState]) -> tuple[Int32[Array, ""], TrainState]:
        done, state = so_far
        images, labels = batch_at(batches, state.step - first, placement)
        (_, parts), gradients = jax.value_and_grad(loss_and_parts, has_aux=True)(
            state.params,
            images,
            labels,
            jax.random.fold_in(_key(config, _NOISE), state.step),
            _kl_share(config, state.step),
        )
        updates, opt_state = optimizer.update(gradients, state.opt_state, state.params)
        params = jax.tree.map(lambda p, u, t: p + u if t else p, state.params, updates, trained)
        begins = state.step % steps_per_epoch == 0
        sums = jax.tree.map(lambda total, part: jnp.where(begins, 0.0, total) + part, state.sums, parts)
        return done + 1, TrainState(state.step + 1, params, opt_state, _average(config, state, params), sums)

    # Not a scan, which compiles for one number of steps.
    _, state = jax.lax.while_loop(goes_on, step, (jnp.zeros((), jnp.int32), state))
    return jax.lax.with_sharding_constraint(state, placement.everywhere)


def _kl_share(config: Config, step: Int32[Array, ""]) -> Float[Array, ""] | float:
    """The share of kl_weight at a step: (step + 1) / kl_warmup_steps, at most 1."""
    if config.objective.kl_warmup_steps == 0:
        return 1.0
    return jnp.minimum(1.0, (step + 1) / config.objective.kl_warmup_steps)


def _average(config: Config, state: TrainState, params: PyTree) -> PyTree:
    if config.optimizer.ema_decay == 0:
        return {}
    decay = jnp.minimum(config.optimizer.ema_decay, (1 + state.step) / (10 + state.step))
    return jax.tree.map(lambda average, value: decay * average + (1 - decay) * value, state.ema, params)


def _evaluate_whole(
    config: Config,
    image_shape: tuple[int, int, int],
    num_classes: int,
    params: PyTree,
    images: UInt8[Array, "n height width channels"],
    labels: Int32[Array, " n"],
    key: PRNGKeyArray,
) -> Losses:
    return _forward(config, build_model(config, image_shape), num_classes, params, images, labels, key)[1]


_evaluate = jax.jit(_evaluate_whole, static_argnums=(0, 1, 2))
