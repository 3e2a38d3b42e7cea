"""The loop. That its step is the article's is held by test_article.py."""

import sys
from dataclasses import replace
from typing import NamedTuple

import jax
import numpy as np
import pytest
from jaxtyping import PyTree

from cvae_training import Config, DataSet, InputError, Split, TrainingError, TrainState, build_model, train
from cvae_training.config import OptimizerConfig
from cvae_training.train import EpochReport, evaluate_losses, initial_state

# Which fold of the seed's key is the noise of held-out images.
HELD_OUT_STREAM = 3


class Trained(NamedTuple):
    state: TrainState
    reports: list[EpochReport]


def trained(config: Config, data: DataSet) -> Trained:
    reports: list[EpochReport] = []
    return Trained(train(config, data, reports.append), reports)


def same_bits(a: PyTree, b: PyTree) -> bool:
    return all(jax.tree.leaves(jax.tree.map(lambda x, y: np.array_equal(x, y), a, b)))


def still(config: Config) -> Config:
    """Steps too small to change a float32 parameter."""
    return replace(config, optimizer=OptimizerConfig(learning_rate=1e-30, weight_decay=0))


@pytest.fixture(scope="module")
def config(tiny: Config) -> Config:
    return replace(tiny, epochs=8)


@pytest.fixture(scope="module")
def baseline(config: Config, few_digits: DataSet) -> Trained:
    return trained(config, few_digits)


def test_two_runs_of_one_config_are_the_same_bits(baseline: Trained, config: Config, few_digits: DataSet) -> None:
    again = trained(config, few_digits)
    assert same_bits(again.state, baseline.state)
    assert again.reports == baseline.reports


def test_another_seed_is_another_run(baseline: Trained, config: Config, few_digits: DataSet) -> None:
    other = trained(replace(config, seed=config.seed + 1), few_digits)
    assert not same_bits(other.state.params, baseline.state.params)
    assert other.reports[-1].train.loss != baseline.reports[-1].train.loss


def test_the_losses_fall(baseline: Trained) -> None:
    first, last = baseline.reports[0], baseline.reports[-1]
    # Logits near 0 cost 784 * log 2 = 543 nats an image; the mean image alone costs about 200.
    assert first.train.loss > 400
    assert last.train.loss < 300
    assert last.held_out.loss < 300
    assert last.train.mse < first.train.mse


def test_each_epoch_is_reported_once_and_every_step_counted(baseline: Trained) -> None:
    assert [(report.epoch, report.steps) for report in baseline.reports] == [(epoch, 6) for epoch in range(1, 9)]
    assert int(baseline.state.step) == 48


def kl_of_each_image(config: Config, params: PyTree, data: DataSet) -> np.ndarray:
    x = data.train.images.reshape(len(data.train), -1).astype(np.float32) / 255
    mean, logvar = (
        np.asarray(part, np.float64) for part in build_model(config, data.image_shape).apply(params, x, method="encode")
    )
    return 0.5 * (np.expm1(logvar) - logvar + mean**2).sum(axis=-1)


def test_an_epoch_sees_every_image_once(tiny: Config, few_digits: DataSet) -> None:
    # The KL of an image depends on no noise: while the parameters stand still, its mean over an epoch's batches is the
    # mean over all images, if and only if each was seen once. Brighter images have larger KLs, so a repetition shows.
    brightness = np.linspace(0, 1, 96)[:, None, None, None]
    images = (few_digits.train.images * brightness).astype(np.uint8)
    data = replace(few_digits, train=Split(images, few_digits.train.labels))
    config = still(replace(tiny, epochs=3))
    state, reports = trained(config, data)
    each = kl_of_each_image(config, state.params, data)
    for report in reports:
        assert report.train.kl == pytest.approx(each.mean(), rel=1e-5)  # float32 sums
    repeated = np.concatenate([each[1:], each[-1:]])
    assert each.mean() != pytest.approx(repeated.mean(), rel=1e-4)  # one image twice would be seen


def test_epochs_take_other_images_in_another_order_and_leave_out_what_fills_no_batch(
    tiny: Config, few_digits: DataSet
) -> None:
    # One step of 60 of the 96 images: the KL of those that were seen tells the orders apart.
    state, reports = trained(still(replace(tiny, epochs=3, batch_size=60)), few_digits)
    assert int(state.step) == 3
    assert len({float(report.train.kl) for report in reports}) == 3


def test_the_labels_reach_the_model(tiny: Config, few_digits: DataSet) -> None:
    labels = np.where(np.arange(96) % 2, 3, 7).astype(np.int32)
    data = replace(few_digits, train=Split(few_digits.train.images, labels))
    config = replace(tiny, optimizer=OptimizerConfig(learning_rate=1e-2, weight_decay=0))
    before = np.asarray(initial_state(config, (28, 28, 1), 10, 12).params["params"]["class_proj"]["kernel"])
    after = np.asarray(trained(config, data).state.params["params"]["class_proj"]["kernel"])
    # A class that no image has gets no gradient, and AdamW without decay leaves its row alone.
    assert [k for k in range(10) if not np.array_equal(before[k], after[k])] == [3, 7]


@pytest.mark.parametrize("at_once", [4096, 32, 12])
def test_held_out_losses_equal_numpy_on_the_networks_outputs(
    baseline: Trained, config: Config, few_digits: DataSet, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    monkeypatch.setattr(sys.modules["cvae_training.train"], "_EVALUATED_AT_ONCE", at_once)
    split, params = few_digits.held_out, baseline.state.params
    x = split.images.reshape(32, 784).astype(np.float32) / 255
    stream = jax.random.fold_in(jax.random.key(config.seed), HELD_OUT_STREAM)
    model, terms = build_model(config, (28, 28, 1)), []
    for part, start in enumerate(range(0, 32, at_once)):
        own = slice(start, start + at_once)
        one_hot = np.eye(10, dtype=np.float32)[split.labels[own]]
        outputs = model.apply(params, x[own], one_hot, jax.random.fold_in(stream, part))
        logits, mean, logvar = (np.asarray(output, np.float64) for output in outputs)
        kl = 0.5 * (np.expm1(logvar) - logvar + mean**2).sum(axis=-1)
        reconstruction = (np.logaddexp(0, logits) - x[own] * logits).sum(axis=-1)
        mse = (0.5 * (1 / (1 + np.exp(-logits)) - x[own]) ** 2).sum(axis=-1)
        terms.append([reconstruction + config.objective.kl_weight * kl, mse, kl])
    got = evaluate_losses(config, params, split, 10)
    expected = np.concatenate(terms, axis=1).mean(axis=1)
    np.testing.assert_allclose(got, expected, rtol=1e-5)  # float32 sums of 784 terms
    if at_once >= len(split):
        assert got == baseline.reports[-1].held_out


def test_evaluation_draws_the_same_noise_at_every_call(baseline: Trained, config: Config, few_digits: DataSet) -> None:
    first, second = (evaluate_losses(config, baseline.state.params, few_digits.train, 10) for _ in range(2))
    assert first == second


def test_a_batch_larger_than_the_data_is_refused(tiny: Config, few_digits: DataSet) -> None:
    with pytest.raises(InputError, match=r"^batch_size must be at most the 96 training images, got 97$"):
        trained(replace(tiny, batch_size=97), few_digits)


def test_warm_up_longer_than_the_run_is_refused(tiny: Config, few_digits: DataSet) -> None:
    config = replace(tiny, optimizer=OptimizerConfig(warmup_steps=13))
    with pytest.raises(InputError, match=r"^warmup_steps must be at most the run's 12 steps, got 13$"):
        trained(config, few_digits)


def test_a_loss_that_is_not_finite_stops_the_run_in_its_epoch(tiny: Config, few_digits: DataSet) -> None:
    config = replace(tiny, optimizer=OptimizerConfig(learning_rate=1e30))
    reports: list[EpochReport] = []
    with pytest.raises(TrainingError, match=r"^the loss became (nan|inf) in step [123]: try a lower --learning-rate"):
        train(config, few_digits, reports.append)
    assert reports == []


def test_a_last_step_that_spoils_the_parameters_is_no_success(tiny: Config, few_digits: DataSet) -> None:
    # One epoch of one step: the training loss was taken before the step, only the held-out one comes after it.
    config = replace(tiny, epochs=1, batch_size=96, optimizer=OptimizerConfig(learning_rate=1e30))
    with pytest.raises(TrainingError, match=r"became (nan|inf)"):
        trained(config, few_digits)
