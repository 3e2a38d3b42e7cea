import math

import numpy as np
import pytest

from cvae_training import InputError
from cvae_training.config import OptimizerConfig
from cvae_training.optimizer import build_optimizer, build_schedule

RATE = 2e-3
# float32 arithmetic on values up to RATE; the cosine near its end is a difference of numbers near 1.
TOLERANCE = 2e-7 * RATE


@pytest.mark.parametrize("step", [0, 1, 499, 1000])
def test_a_constant_schedule_is_the_learning_rate(step: int) -> None:
    schedule = build_schedule(OptimizerConfig(learning_rate=RATE), total_steps=1000)
    assert schedule(step) == pytest.approx(RATE, abs=TOLERANCE)


@pytest.mark.parametrize("step", [0, 1, 250, 500, 999, 1000])
def test_a_cosine_falls_to_zero_at_the_runs_end(step: int) -> None:
    schedule = build_schedule(OptimizerConfig(learning_rate=RATE, schedule="cosine"), total_steps=1000)
    assert schedule(step) == pytest.approx(RATE * (1 + math.cos(math.pi * step / 1000)) / 2, abs=TOLERANCE)


@pytest.mark.parametrize("schedule", ["constant", "cosine"])
@pytest.mark.parametrize("step", [0, 1, 99, 100, 101, 550, 1000])
def test_warm_up_grows_from_zero_and_the_schedule_follows(schedule: str, step: int) -> None:
    config = OptimizerConfig(learning_rate=RATE, schedule=schedule, warmup_steps=100)
    if step < 100:
        expected = RATE * step / 100
    else:
        expected = RATE if schedule == "constant" else RATE * (1 + math.cos(math.pi * (step - 100) / 900)) / 2
    assert build_schedule(config, total_steps=1000)(step) == pytest.approx(expected, abs=TOLERANCE)


def test_warm_up_may_take_the_whole_run() -> None:
    schedule = build_schedule(OptimizerConfig(learning_rate=RATE, schedule="cosine", warmup_steps=10), total_steps=10)
    assert schedule(9) == pytest.approx(0.9 * RATE, abs=TOLERANCE)


def test_warm_up_longer_than_the_run_is_refused() -> None:
    with pytest.raises(InputError, match=r"warmup_steps must be at most the run's 10 steps, got 11"):
        build_optimizer(OptimizerConfig(warmup_steps=11), total_steps=10)


def test_the_first_steps_are_adamws(rng: np.random.Generator) -> None:
    config = OptimizerConfig(learning_rate=RATE, weight_decay=0.1, warmup_steps=2)
    optimizer = build_optimizer(config, total_steps=10)
    params = rng.normal(size=6).astype(np.float32)
    state = optimizer.init(params)
    first, second = np.zeros(6), np.zeros(6)
    for step in range(4):
        gradient = rng.normal(size=6).astype(np.float32)
        first = 0.9 * first + 0.1 * gradient
        second = 0.999 * second + 0.001 * gradient.astype(np.float64) ** 2
        scaled = first / (1 - 0.9 ** (step + 1)) / (np.sqrt(second / (1 - 0.999 ** (step + 1))) + 1e-8)
        expected = -RATE * min(step / 2, 1) * (scaled + 0.1 * params)
        updates, state = optimizer.update(gradient, state, params)
        # float32 moments: 1 - 0.999^t keeps four digits less than float32 has.
        np.testing.assert_allclose(updates, expected, rtol=1e-4, atol=1e-4 * RATE)
        params = params + np.asarray(updates)
