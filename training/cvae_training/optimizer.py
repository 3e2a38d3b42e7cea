"""From settings to an Optax transformation: AdamW with its schedule, clipping, and frozen parameters."""

from fnmatch import fnmatchcase
from typing import Any

import jax
import optax
from jaxtyping import PyTree

from cvae_training.config import OptimizerConfig
from cvae_training.errors import InputError

__all__ = ["build_optimizer", "build_schedule", "trainable_leaves"]


def build_schedule(config: OptimizerConfig, total_steps: int) -> optax.Schedule:
    """The learning rate by step: linear warm-up, then constant, or down to 0 at `total_steps`."""
    if config.warmup_steps > total_steps:
        raise InputError(f"warmup_steps must be at most the run's {total_steps} steps, got {config.warmup_steps}")
    steps = max(1, total_steps - config.warmup_steps)
    after: optax.Schedule
    if config.schedule == "cosine":
        after = optax.cosine_decay_schedule(config.learning_rate, steps)
    elif config.schedule == "linear":
        after = optax.linear_schedule(config.learning_rate, 0.0, steps)
    else:
        after = optax.constant_schedule(config.learning_rate)
    if config.warmup_steps == 0:
        return after
    warmup = optax.linear_schedule(0.0, config.learning_rate, config.warmup_steps)
    return optax.join_schedules([warmup, after], [config.warmup_steps])


def build_optimizer(config: OptimizerConfig, total_steps: int) -> optax.GradientTransformation:
    """AdamW (Loshchilov & Hutter 2019) with its schedule, after clipping, for the parameters that are to be trained.

    The norm that is clipped is that of the trained parameters' gradients. Frozen parameters have no optimizer state,
    and updates of 0. `init` raises InputError for a pattern that matches no parameter.
    """
    update = optax.adamw(build_schedule(config, total_steps), weight_decay=config.weight_decay)
    if config.clip_norm > 0:
        update = optax.chain(optax.clip_by_global_norm(config.clip_norm), update)
    if config.trainable == ("*",):
        return update
    return optax.partition(
        {True: update, False: optax.set_to_zero()}, lambda params: trainable_leaves(config.trainable, params)
    )


def trainable_leaves(patterns: tuple[str, ...], params: PyTree) -> PyTree:
    """For each leaf, whether it is to be trained; InputError for a pattern that matches none, with all paths."""
    paths = jax.tree_util.tree_map_with_path(lambda path, _: _path_name(path), params)
    names: list[str] = jax.tree.leaves(paths)
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern.removeprefix("!")) for name in names):
            raise InputError(f"trainable: {pattern!r} matches no parameter; there are {', '.join(names)}")
    chosen = {name: _is_trainable(patterns, name) for name in names}
    if not any(chosen.values()):
        raise InputError(f"trainable: {','.join(patterns)!r} leaves no parameter to train")
    return jax.tree.map(lambda name: chosen[name], paths)


def _path_name(path: tuple[Any, ...]) -> str:
    """A leaf's path without Flax's outermost "params"."""
    return "/".join(entry.key for entry in path if entry.key != "params")


def _is_trainable(patterns: tuple[str, ...], name: str) -> bool:
    # Where the first pattern takes away, it takes from all.
    chosen = patterns[0].startswith("!")
    for pattern in patterns:
        if fnmatchcase(name, pattern.removeprefix("!")):
            chosen = not pattern.startswith("!")
    return chosen
