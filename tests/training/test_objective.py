import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from cvae_training.config import ObjectiveConfig
from cvae_training.likelihood import LIKELIHOODS
from cvae_training.objective import kl_to_standard_normal, losses

SHAPE = (2, 3)  # one shape, so that JAX compiles once
EXTREME_LOGITS = np.float32([[-1000, -100, -20, 0, 20, 100, 1000]])


def rows(low: float, high: float) -> st.SearchStrategy[np.ndarray]:
    return arrays(np.float32, SHAPE, elements=st.floats(low, high, width=32))


def softplus_reference(logits: np.ndarray, x: np.ndarray) -> np.ndarray:
    """-log Bernoulli(x; sigmoid(l)) = log(1 + e^l) - x l, in float64."""
    logits, x = logits.astype(np.float64), x.astype(np.float64)
    return (np.logaddexp(0, logits) - x * logits).sum(axis=-1)


def sigmoid_reference(logits: np.ndarray) -> np.ndarray:
    return np.exp(-np.logaddexp(0, -logits.astype(np.float64)))


def test_kl_is_zero_at_the_prior() -> None:
    np.testing.assert_array_equal(kl_to_standard_normal(np.zeros(SHAPE), np.zeros(SHAPE)), [0, 0])


def test_kl_equals_monte_carlo(rng: np.random.Generator) -> None:
    mean, logvar = rng.normal(size=SHAPE), rng.uniform(-2, 1, SHAPE)
    draws = 200_000
    z = mean + np.exp(logvar / 2) * rng.normal(size=(draws, *SHAPE))
    log_posterior = -0.5 * (logvar + (z - mean) ** 2 / np.exp(logvar))  # both without log sqrt(2 pi)
    log_prior = -0.5 * z**2
    samples = (log_posterior - log_prior).sum(axis=-1)
    got = np.asarray(kl_to_standard_normal(mean.astype(np.float32), logvar.astype(np.float32)))
    # Five standard errors of the estimate.
    assert (np.abs(got - samples.mean(axis=0)) < 5 * samples.std(axis=0) / np.sqrt(draws)).all()


@settings(deadline=None)
@given(mean=rows(-30, 30), logvar=rows(-30, 30))
def test_kl_is_not_negative(mean: np.ndarray, logvar: np.ndarray) -> None:
    # Where the KL is nearly 0 its terms, up to 1 + |logvar|, cancel: three of them lose a few float32 roundings each.
    assert (np.asarray(kl_to_standard_normal(mean, logvar)) >= -1e-6 * (1 + np.abs(logvar).sum(axis=-1))).all()


@settings(deadline=None)
@given(mean=rows(-30, 30), logvar=rows(-30, 30))
def test_kl_equals_the_float64_closed_form(mean: np.ndarray, logvar: np.ndarray) -> None:
    m, v = mean.astype(np.float64), logvar.astype(np.float64)
    expected = 0.5 * (np.expm1(v) - v + m**2).sum(axis=-1)
    # Relative to the sum, and absolute where its terms cancel.
    np.testing.assert_allclose(
        kl_to_standard_normal(mean, logvar), expected, rtol=5e-6, atol=1e-6 * (1 + np.abs(v).sum())
    )


@settings(deadline=None)
@given(decoded=rows(0, 5), x=rows(0, 1))
def test_l2_is_the_articles_half_squared_error(decoded: np.ndarray, x: np.ndarray) -> None:
    expected = (0.5 * (decoded.astype(np.float64) - x) ** 2).sum(axis=-1)
    # Differences of float32 values up to 5, squared: a few roundings of 6e-8 * 5^2 each.
    np.testing.assert_allclose(LIKELIHOODS["l2"].reconstruction(decoded, x), expected, rtol=1e-5, atol=1e-5)


@settings(deadline=None)
@given(logits=rows(-1000, 1000), x=rows(0, 1))
def test_bernoulli_equals_the_float64_reference(logits: np.ndarray, x: np.ndarray) -> None:
    # log_sigmoid's float32 roundings are relative to the logit; the sum's terms have one sign.
    np.testing.assert_allclose(
        LIKELIHOODS["bernoulli"].reconstruction(logits, x), softplus_reference(logits, x), rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize("pixel", [0.0, 0.25, 1.0])
def test_bernoulli_and_its_gradient_are_finite_and_right_at_extreme_logits(pixel: float) -> None:
    x = np.full_like(EXTREME_LOGITS, pixel)
    value, gradient = jax.value_and_grad(lambda logits: LIKELIHOODS["bernoulli"].reconstruction(logits, x).sum())(
        EXTREME_LOGITS
    )
    # The sum is near 1,000, and sigmoid(l) - x of order 1: float32's roundings of both.
    np.testing.assert_allclose(value, softplus_reference(EXTREME_LOGITS, x).sum(), rtol=1e-6)
    np.testing.assert_allclose(gradient, sigmoid_reference(EXTREME_LOGITS) - x, atol=1e-6)


def test_a_cross_entropy_of_probabilities_would_be_seen() -> None:
    with np.errstate(all="ignore"):
        p = np.float32(1) / (1 + np.exp(-EXTREME_LOGITS))
        naive = -(p * 0 + np.log(1 - p)).sum()
    assert not np.isfinite(naive)


@pytest.mark.parametrize("kl_weight", [0.0, 0.5, 3.0])
@pytest.mark.parametrize("likelihood", ["l2", "bernoulli"])
def test_the_loss_is_reconstruction_plus_weighted_kl(
    likelihood: str, kl_weight: float, rng: np.random.Generator
) -> None:
    x, decoded = rng.random((4, 6)).astype(np.float32), rng.normal(size=(4, 6)).astype(np.float32)
    mean, logvar = rng.normal(size=(2, 4, 3)).astype(np.float32)
    kl = 0.5 * (np.exp(logvar, dtype=np.float64) - 1 - logvar + mean.astype(np.float64) ** 2).sum(axis=-1).mean()
    if likelihood == "l2":
        reconstruction = mse = (0.5 * (decoded.astype(np.float64) - x) ** 2).sum(axis=-1).mean()
    else:
        reconstruction = softplus_reference(decoded, x).mean()
        mse = (0.5 * (sigmoid_reference(decoded) - x) ** 2).sum(axis=-1).mean()
    got = losses(ObjectiveConfig(likelihood, kl_weight), x, decoded, mean, logvar)
    # A few dozen float32 terms of order 1.
    np.testing.assert_allclose(got, [reconstruction + kl_weight * kl, mse, kl], rtol=1e-5)
    assert got._fields == ("loss", "mse", "kl")


@pytest.mark.parametrize("likelihood", ["l2", "bernoulli"])
@settings(deadline=None)
@given(decoded=rows(-(2.0**100), 2.0**100))
def test_mean_images_lie_in_the_unit_interval(likelihood: str, decoded: np.ndarray) -> None:
    images = np.asarray(LIKELIHOODS[likelihood].mean(decoded))
    assert ((images >= 0) & (images <= 1)).all()


def test_the_l2_mean_image_is_the_decoded_value_inside_the_unit_interval() -> None:
    decoded = np.float32([[0, 0.25, 1, 1.5]])
    np.testing.assert_array_equal(LIKELIHOODS["l2"].mean(decoded), [[0, 0.25, 1, 1]])
