"""What the article lists at its end: schedules, clipping, averages, fine-tuning; and KL warm-up, free bits and more."""

import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from cvae_training import Config, DataSet, InputError, TrainState, build_model, create_run, load_run, resume_run, train
from cvae_training.config import ModelConfig, ObjectiveConfig, OptimizerConfig
from cvae_training.objective import kl_beyond_free_bits, losses
from cvae_training.optimizer import build_optimizer, build_schedule, trainable_leaves
from cvae_training.run import RunFolder
from cvae_training.train import initial_state, train_in_stretches


def flat(params: Any) -> dict[str, np.ndarray]:
    leaves = jax.tree_util.tree_leaves_with_path(params)
    return {"/".join(entry.key for entry in path): np.asarray(leaf) for path, leaf in leaves}


def changed(before: Any, after: Any) -> set[str]:
    """The paths of the leaves of which a bit differs."""
    new = flat(after)
    return {name for name, value in flat(before).items() if value.tobytes() != new[name].tobytes()}


@pytest.fixture
def config(tiny: Config) -> Config:
    return replace(tiny, epochs=1)


def start(config: Config, data: DataSet) -> TrainState:
    return initial_state(config, data.image_shape, len(data.classes), 6 * config.epochs)


def with_optimizer(config: Config, **changes: Any) -> Config:
    return replace(config, optimizer=replace(config.optimizer, **changes))


def test_a_linear_schedule_falls_to_0_in_a_straight_line_after_its_warm_up() -> None:
    schedule = build_schedule(OptimizerConfig(learning_rate=0.8, schedule="linear", warmup_steps=4), total_steps=20)
    expected = [0.8 * min(step / 4, (20 - step) / 16) for step in range(21)]
    np.testing.assert_allclose([schedule(step) for step in range(21)], expected, rtol=1e-6)


def test_gradients_longer_than_the_clip_norm_are_scaled_to_it_and_shorter_ones_left() -> None:
    # By what Adam's first moment holds after one step: (1 - b1) = 0.1 of the gradient that it was given.
    params = {"a": jnp.zeros(2), "b": jnp.zeros(1)}
    for length, kept in ((10.0, 0.5), (0.3, 0.3)):
        gradients = {"a": jnp.array([0.6, 0.0]) * length, "b": jnp.array([0.8]) * length}
        optimizer = build_optimizer(OptimizerConfig(clip_norm=0.5), total_steps=1)
        _, state = optimizer.update(gradients, optimizer.init(params), params)
        moment = optax.tree.get(state, "mu")
        np.testing.assert_allclose(moment["a"], [0.1 * 0.6 * kept, 0], rtol=1e-6)
        np.testing.assert_allclose(moment["b"], [0.1 * 0.8 * kept], rtol=1e-6)


def test_the_average_is_what_its_formula_gives_over_the_states_of_a_run(
    config: Config, few_digits: DataSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.modules["cvae_training.train"], "_next_stretch", lambda *_: 1)
    config = with_optimizer(config, ema_decay=0.25)
    state = start(config, few_digits)
    average = {name: value.astype(np.float64) for name, value in flat(state.params).items()}
    for step, (state, _) in enumerate(train_in_stretches(config, few_digits, state)):  # noqa: B020
        decay = min(0.25, (1 + step) / (10 + step))
        average = {name: decay * average[name] + (1 - decay) * value for name, value in flat(state.params).items()}
    for name, value in flat(state.ema).items():
        np.testing.assert_allclose(value, average[name], rtol=1e-5, atol=1e-7)  # 6 roundings of float32
    assert changed(state.params, state.ema)
    assert state.evaluated is state.ema


def test_without_an_average_the_parameters_are_evaluated(config: Config, few_digits: DataSet) -> None:
    state = start(config, few_digits)
    assert state.evaluated is state.params


def test_an_average_is_what_a_run_is_loaded_with(tiny: Config, tmp_path: Path) -> None:
    config = with_optimizer(replace(tiny, epochs=1, batch_size=2000), ema_decay=0.9)
    reports: list[Any] = []
    create_run(tmp_path / "run", config, reports.append)
    state = RunFolder.open(tmp_path / "run").restore()
    assert not changed(state.ema, load_run(tmp_path / "run").params)
    assert changed(state.params, load_run(tmp_path / "run").params)


@pytest.mark.parametrize(
    ("patterns", "left_alone"),
    [
        (("decoder/*",), ("encoder", "pre_latent_proj", "post_latent_proj", "class_proj")),
        (("*", "!encoder/*"), ("encoder",)),
        (("!encoder/*",), ("encoder",)),
        (("*", "!encoder/*", "encoder/Dense_1/*"), ("encoder/Dense_0",)),
    ],
    ids=str,
)
def test_frozen_parameters_stay_bit_identical_and_the_others_change(
    config: Config, few_digits: DataSet, patterns: tuple[str, ...], left_alone: tuple[str, ...]
) -> None:
    config = with_optimizer(config, trainable=patterns)
    before = start(config, few_digits).params
    after = train(config, few_digits, lambda _: None).params
    names = {name for name in flat(before) if not name.removeprefix("params/").startswith(left_alone)}
    assert changed(before, after) == names


def test_minus_zero_in_a_frozen_parameter_stays_minus_zero(config: Config, few_digits: DataSet) -> None:
    config = with_optimizer(config, trainable=("decoder/*",))
    state = start(config, few_digits)
    params = jax.tree.map(jnp.copy, state.params)
    params["params"]["encoder"]["Dense_0"]["bias"] = -jnp.zeros(12)
    state = initial_state(config, few_digits.image_shape, 10, 6, params)
    before = flat(state.params)["params/encoder/Dense_0/bias"].tobytes()
    for state, _ in train_in_stretches(config, few_digits, state):  # noqa: B020, B007
        pass
    assert flat(state.params)["params/encoder/Dense_0/bias"].tobytes() == before != np.zeros(12, np.float32).tobytes()


@pytest.mark.parametrize(
    ("patterns", "message"),
    [
        (
            ("decodr/*",),
            r"trainable: 'decodr/\*' matches no parameter; there are class_proj/bias, class_proj/kernel, dec",
        ),
        (("*", "!frobnicate"), "trainable: '!frobnicate' matches no parameter"),
        (("*", "!*"), r"trainable: '\*,!\*' leaves no parameter to train"),
    ],
)
def test_a_pattern_that_matches_nothing_is_refused_with_the_paths(
    config: Config, few_digits: DataSet, patterns: tuple[str, ...], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        start(with_optimizer(config, trainable=patterns), few_digits)


def test_patterns_go_by_the_last_that_matches() -> None:
    params = {"params": {"a": {"kernel": 1, "bias": 2}, "b": {"kernel": 3}}}
    chosen = trainable_leaves(("*", "!*/kernel", "b/*"), params)
    assert chosen == {"params": {"a": {"kernel": False, "bias": True}, "b": {"kernel": True}}}


def test_a_run_starts_from_another_runs_parameters(tiny: Config, tmp_path: Path) -> None:
    first = replace(tiny, epochs=1, batch_size=4000)
    create_run(tmp_path / "first", first)
    second = with_optimizer(replace(first, start_from=str(tmp_path / "first")), trainable=("class_proj/bias",))
    create_run(tmp_path / "second", second)
    before, after = (load_run(tmp_path / name).params for name in ("first", "second"))
    assert changed(before, after) == {"params/class_proj/bias"}


def test_a_run_resumed_before_its_first_checkpoint_starts_from_the_same_parameters(
    tiny: Config, tmp_path: Path
) -> None:
    first = replace(tiny, epochs=1, batch_size=4000)
    create_run(tmp_path / "first", first)
    second = tmp_path / "second"
    create_run(second, replace(first, start_from=str(tmp_path / "first")))
    expected = load_run(second).params
    shutil.rmtree(second / "checkpoints")
    resume_run(second)
    assert not changed(expected, load_run(second).params)


def test_a_run_of_another_network_to_start_from_is_refused(tiny: Config, tmp_path: Path) -> None:
    first = replace(tiny, epochs=1, batch_size=4000)
    create_run(tmp_path / "first", first)
    other = replace(
        first,
        model=ModelConfig(latent_dim=4, encoder_dimensions=(12, 8), decoder_dimensions=(10,)),
        start_from=str(tmp_path / "first"),
    )
    with pytest.raises(InputError, match=r"start_from: .*first is a run of another network"):
        create_run(tmp_path / "second", other)
    assert not (tmp_path / "second").exists()


def test_kl_warm_up_lets_the_kl_grow_larger_at_first(tiny: Config, few_digits: DataSet) -> None:
    kls = []
    for steps in (0, 1000):
        objective = replace(tiny.objective, kl_weight=5.0, kl_warmup_steps=steps)
        reports: list[Any] = []
        train(replace(tiny, objective=objective, epochs=5), few_digits, reports.append)
        kls.append(float(reports[-1].train.kl))
    assert kls[1] > 2 * kls[0]


def test_the_kls_share_is_used_in_the_loss_alone() -> None:
    rng = np.random.default_rng(0)
    arrays = [jnp.asarray(rng.uniform(0, 1, shape), jnp.float32) for shape in ((4, 6), (4, 6), (4, 3), (4, 3))]
    whole, half = (losses(ObjectiveConfig(kl_weight=2.0), *arrays, share) for share in (1.0, 0.5))
    assert whole[1:] == half[1:]
    assert float(whole.loss - half.loss) == pytest.approx(float(whole.kl), rel=1e-5)  # 2 * (1 - 0.5) of it


def test_free_bits_count_only_what_a_latents_mean_kl_has_beyond_them() -> None:
    # Per latent, KL = (mean^2) / 2 at unit variance: batch means of 0.25 and 4.
    mean = jnp.array([[1.0, 2.0], [0.0, np.sqrt(12.0)]])
    logvar = jnp.zeros((2, 2))
    assert float(kl_beyond_free_bits(mean, logvar, 0.5)) == pytest.approx(0.5 + 4)
    assert float(kl_beyond_free_bits(mean, logvar, 0.1)) == pytest.approx(0.25 + 4)
    slope = jax.grad(lambda m: kl_beyond_free_bits(m, logvar, 0.5))(mean)
    np.testing.assert_array_equal(slope[:, 0], 0)
    assert (slope[:, 1] > 0).all()


def test_bfloat16_computes_otherwise_but_keeps_float32_parameters_and_outputs(
    config: Config, few_digits: DataSet
) -> None:
    reports: dict[str, Any] = {}
    for dtype in ("float32", "bfloat16"):
        state = train(
            replace(config, compute_dtype=dtype), few_digits, lambda report, d=dtype: reports.update({d: report})
        )
        assert {leaf.dtype for leaf in jax.tree.leaves(state.params)} == {jnp.float32.dtype}
    assert reports["float32"].train.loss != reports["bfloat16"].train.loss
    # bfloat16 has 8 bits of significand: losses agree to about a hundredth.
    assert float(reports["bfloat16"].train.loss) == pytest.approx(float(reports["float32"].train.loss), rel=0.02)
    outputs = build_model(config, (28, 28, 1), "bfloat16").apply(
        state.params, jnp.zeros((1, 784)), jnp.zeros((1, 10)), jax.random.key(0)
    )
    assert {output.dtype for output in outputs} == {jnp.float32.dtype}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"clip_norm": -1.0}, "clip_norm must be finite and at least 0, got -1.0"),
        ({"ema_decay": 1.0}, "ema_decay must be at least 0 and below 1, got 1.0"),
    ],
)
def test_settings_out_of_range_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        OptimizerConfig(**changes)
