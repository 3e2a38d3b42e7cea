"""From settings to an Optax transformation: AdamW with its learning-rate schedule."""

import optax

from cvae_training.config import OptimizerConfig
from cvae_training.errors import InputError

__all__ = ["build_optimizer", "build_schedule"]


def build_schedule(config: OptimizerConfig, total_steps: int) -> optax.Schedule:
    """The learning rate by step: linear warm-up, then constant, or a cosine to 0 at `total_steps`."""
    if config.warmup_steps > total_steps:
        raise InputError(f"warmup_steps must be at most the run's {total_steps} steps, got {config.warmup_steps}")
    after: optax.Schedule
    if config.schedule == "cosine":
        after = optax.cosine_decay_schedule(config.learning_rate, max(1, total_steps - config.warmup_steps))
    else:
        after = optax.constant_schedule(config.learning_rate)
    if config.warmup_steps == 0:
        return after
    warmup = optax.linear_schedule(0.0, config.learning_rate, config.warmup_steps)
    return optax.join_schedules([warmup, after], [config.warmup_steps])


def build_optimizer(config: OptimizerConfig, total_steps: int) -> optax.GradientTransformation:
    """AdamW (Loshchilov & Hutter 2019) with the schedule that the settings ask for."""
    return optax.adamw(build_schedule(config, total_steps), weight_decay=config.weight_decay)
