"""The likelihoods with a learned scale against float64, far beyond any logits and locations that training meets too."""

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from cvae_training.likelihood import LIKELIHOODS, SMALLEST_LOG_SCALE

EXTREME = np.float32([[-1000, -100, -20, -1, 0, 0.5, 1, 20, 100, 1000]])
LEVELS = np.arange(256) / 255
SCALES = [0.01, 0.1, 1.0]


def gaussian_reference(logits: np.ndarray, x: np.ndarray, scale: float) -> np.ndarray:
    p = np.exp(-np.logaddexp(0, -logits.astype(np.float64)))
    return (0.5 * ((p - x.astype(np.float64)) / scale) ** 2 + np.log(scale)).sum(axis=-1)


def log_sigmoid(x: np.ndarray) -> np.ndarray:
    return -np.logaddexp(0, -x)


def logistic_reference(location: np.ndarray, x: np.ndarray, scale: float) -> np.ndarray:
    """-log(F(b) - F(a)) in float64, by F(b) - F(a) = (e^-a - e^-b) F(a) F(b) where both lie far out on one side."""
    location, level = location.astype(np.float64), np.round(255 * x.astype(np.float64))
    a, b = ((level / 255 + side / 510 - location) / scale for side in (-1, 1))
    log_difference = -a + np.log1p(-np.exp(a - b))
    inside = log_difference + log_sigmoid(a) + log_sigmoid(b)
    log_share = np.where(level == 0, log_sigmoid(b), np.where(level == 255, log_sigmoid(-a), inside))
    return -log_share.sum(axis=-1)


REFERENCES = {"gaussian": gaussian_reference, "logistic": logistic_reference}


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("likelihood", sorted(REFERENCES))
@settings(deadline=None)
@given(
    decoded=arrays(np.float32, (2, 3), elements=st.floats(-1000, 1000, width=32)),
    levels=arrays(np.int32, (2, 3), elements=st.integers(0, 255)),
)
def test_the_value_equals_the_float64_reference(
    likelihood: str, scale: float, decoded: np.ndarray, levels: np.ndarray
) -> None:
    x = (levels / 255).astype(np.float32)
    got = LIKELIHOODS[likelihood].reconstruction(decoded, x, np.float32(np.log(scale)))
    # float32 roundings of up to 1000 / scale, or of squares of 1 / scale.
    np.testing.assert_allclose(got, REFERENCES[likelihood](decoded, x, scale), rtol=2e-5, atol=2e-4)


@pytest.mark.parametrize("level", [0, 1, 100, 254, 255])
@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("likelihood", sorted(REFERENCES))
def test_the_gradients_are_finite_and_right_at_extreme_values(likelihood: str, scale: float, level: int) -> None:
    x = np.full_like(EXTREME, level / 255)

    def total(decoded: jax.Array, log_scale: jax.Array) -> jax.Array:
        return LIKELIHOODS[likelihood].reconstruction(decoded, x, log_scale).sum()

    gradients = jax.grad(total, (0, 1))(EXTREME, np.float32(np.log(scale)))
    assert all(np.isfinite(np.asarray(gradient)).all() for gradient in gradients)
    step = 1e-5
    reference = REFERENCES[likelihood]
    for i, value in enumerate(EXTREME[0]):
        one, pixel = np.float64([[value]]), np.float64([[level / 255]])
        expected = (reference(one + step, pixel, scale) - reference(one - step, pixel, scale)) / (2 * step)
        # A float64 difference is right to 1e-11 of the value, which is up to 1e5, over the step; float32's own
        # roundings are relative to the gradient, at most 1 / scale^2.
        np.testing.assert_allclose(gradients[0][0, i], expected[0], rtol=1e-4, atol=1e-4 / scale**2)
    up, down = (reference(EXTREME, x, scale * np.exp(side * step)) for side in (1, -1))
    np.testing.assert_allclose(gradients[1], ((up - down) / (2 * step))[0], rtol=1e-3)


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("location", [-3.0, 0.0, 0.3, 0.998, 4.0])
def test_the_grey_levels_probabilities_sum_to_one(location: float, scale: float) -> None:
    x = LEVELS.astype(np.float32)[:, None]
    nats = LIKELIHOODS["logistic"].reconstruction(np.full_like(x, location), x, np.float32(np.log(scale)))
    np.testing.assert_allclose(np.exp(-np.asarray(nats, np.float64)).sum(), 1, rtol=1e-4)


@pytest.mark.parametrize("scale", SCALES)
def test_the_logistic_mean_image_is_the_mean_grey_level(scale: float) -> None:
    locations = np.float32([-1000, -2, -0.1, 0, 0.004, 0.3, 0.5, 0.999, 1, 1.2, 3, 1000])
    expected = []
    for location in locations:
        nats = logistic_reference(np.full((256, 1), location), LEVELS[:, None], scale)
        expected.append((np.exp(-nats) * LEVELS).sum())
    got = LIKELIHOODS["logistic"].mean(locations, np.float32(np.log(scale)))
    # What the docstring of logistic_mean promises, and float32's rounding of a difference of numbers of order 3.
    np.testing.assert_allclose(got, expected, atol=2e-7 / scale + 2e-6)


@pytest.mark.parametrize("likelihood", sorted(LIKELIHOODS))
@pytest.mark.parametrize("log_scale", [-100.0, -3.0, 0.0, 20.0])
def test_mean_images_lie_in_the_unit_interval_at_any_scale(likelihood: str, log_scale: float) -> None:
    images = np.asarray(LIKELIHOODS[likelihood].mean(EXTREME, np.float32(log_scale)))
    assert ((images >= 0) & (images <= 1)).all()


def test_the_gaussians_best_variance_is_the_mean_squared_error(rng: np.random.Generator) -> None:
    x, logits = rng.random((50, 20)).astype(np.float32), rng.normal(size=(50, 20)).astype(np.float32)
    log_scales = np.linspace(-3, 1, 4001)
    nats = [float(LIKELIHOODS["gaussian"].reconstruction(logits, x, np.float32(s)).sum()) for s in log_scales[::100]]
    error = ((1 / (1 + np.exp(-logits.astype(np.float64))) - x) ** 2).mean()
    # The best of 41 scales lies at most a step of 0.1 from the optimum.
    assert abs(log_scales[::100][int(np.argmin(nats))] - 0.5 * np.log(error)) <= 0.1


@pytest.mark.parametrize("likelihood", sorted(REFERENCES))
def test_a_scale_below_half_a_grey_level_counts_as_that(likelihood: str) -> None:
    x = np.full_like(EXTREME, 0.2)
    reconstruction = LIKELIHOODS[likelihood].reconstruction
    smallest = reconstruction(EXTREME, x, np.float32(SMALLEST_LOG_SCALE))
    np.testing.assert_array_equal(reconstruction(EXTREME, x, np.float32(-50)), smallest)
