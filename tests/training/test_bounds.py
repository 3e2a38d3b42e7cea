"""The bounds against a model whose likelihood is in closed form: x = A z + b + noise, all Gaussian."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cvae_training.bounds import Bounds, Score, latent_variances, log_constant, posterior_bounds
from cvae_training.likelihood import LIKELIHOODS

LATENT, PIXELS, IMAGES = 2, 5, 6


class LinearGaussian(NamedTuple):
    """z ~ N(0, I), x ~ N(A z + b, I), with orthogonal columns in A, so that the posterior's covariance is diagonal."""

    a: np.ndarray
    b: np.ndarray
    x: np.ndarray

    def log_evidence(self) -> np.ndarray:
        """x ~ N(b, A A^T + I), in float64."""
        covariance = self.a @ self.a.T + np.eye(PIXELS)
        d = self.x - self.b
        _, logdet = np.linalg.slogdet(covariance)
        return -0.5 * ((d * np.linalg.solve(covariance, d.T).T).sum(axis=1) + logdet + PIXELS * np.log(2 * np.pi))

    def posterior(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean and log-variance: S = (I + A^T A)^-1, mean = S A^T (x - b)."""
        s = np.linalg.inv(np.eye(LATENT) + self.a.T @ self.a)
        return (self.x - self.b) @ self.a @ s.T, np.tile(np.log(np.diag(s)), (IMAGES, 1))

    def score(self, z: jax.Array) -> Score:
        error = jnp.float32(self.x) - z @ jnp.float32(self.a).T - jnp.float32(self.b)
        half = 0.5 * (error**2).sum(axis=-1)
        return Score(-half - 0.5 * PIXELS * np.log(2 * np.pi), half)


@pytest.fixture
def model(rng: np.random.Generator) -> LinearGaussian:
    orthogonal, _ = np.linalg.qr(rng.normal(size=(PIXELS, LATENT)))
    a, b = orthogonal * [1.5, 0.7], rng.normal(size=PIXELS)
    x = rng.normal(size=(IMAGES, LATENT)) @ a.T + b + rng.normal(size=(IMAGES, PIXELS))
    return LinearGaussian(a, b, x)


def bounds(model: LinearGaussian, mean: np.ndarray, logvar: np.ndarray, draws: int, seed: int = 0) -> Bounds:
    run = jax.jit(lambda mean, logvar: posterior_bounds(mean, logvar, model.score, jax.random.key(seed), draws))
    return Bounds(*map(np.asarray, run(mean.astype(np.float32), logvar.astype(np.float32))))


def log_weights(model: LinearGaussian, mean: np.ndarray, logvar: np.ndarray, draws: int) -> np.ndarray:
    """log w_i, in float64, from the noise that the docstring of `posterior_bounds` promises."""
    key = jax.random.key(0)
    noise = np.stack([jax.random.normal(jax.random.fold_in(key, i), mean.shape) for i in range(draws)]).astype(float)
    z = mean + np.exp(logvar / 2) * noise

    def log_normal(value: np.ndarray, center: np.ndarray | float, logvar: np.ndarray | float) -> np.ndarray:
        return (-0.5 * ((value - center) ** 2 / np.exp(logvar) + logvar + np.log(2 * np.pi))).sum(axis=-1)

    return log_normal(model.x, z @ model.a.T + model.b, 0.0) + log_normal(z, 0.0, 0.0) - log_normal(z, mean, logvar)


def perturbed(model: LinearGaussian) -> tuple[np.ndarray, np.ndarray]:
    mean, logvar = model.posterior()
    return mean + 0.3, logvar + 0.5


@pytest.mark.parametrize("draws", [1, 2, 50])
def test_with_the_exact_posterior_the_weights_are_the_likelihood_for_any_k(model: LinearGaussian, draws: int) -> None:
    got = bounds(model, *model.posterior(), draws)
    # Each log weight is a sum of a dozen float32 terms of order 10; no sampling error is left.
    np.testing.assert_allclose(got.importance_weighted, model.log_evidence(), atol=2e-5)


def test_with_the_exact_posterior_the_elbo_is_the_likelihood(model: LinearGaussian) -> None:
    draws = 20_000
    got = bounds(model, *model.posterior(), draws)
    # The KL is in closed form, the likelihood is not: its standard deviation over draws is at most about 2 here.
    np.testing.assert_allclose(got.elbo, model.log_evidence(), atol=5 * 2 / np.sqrt(draws))


def test_with_another_posterior_importance_weighting_converges_to_the_likelihood(model: LinearGaussian) -> None:
    draws = 20_000
    mean, logvar = perturbed(model)
    got = bounds(model, mean, logvar, draws)
    weights = log_weights(model, mean, logvar, 2000)
    # Five standard errors of the mean weight, relative to it.
    relative = np.exp(weights - model.log_evidence()).std(axis=0) / np.sqrt(draws)
    assert (relative < 0.01).all()
    assert (np.abs(got.importance_weighted - model.log_evidence()) < 5 * relative).all()
    # And the ELBO lies below by KL(q || posterior), which is this for Gaussians.
    gap = 0.5 * (np.exp(0.5) - 1 - 0.5 + 0.3**2 / np.exp(model.posterior()[1])).sum(axis=-1)
    spread = 0.1  # the ELBO's own standard error is below 3 / sqrt(20,000) = 0.02
    np.testing.assert_allclose(model.log_evidence() - got.elbo, gap, atol=spread)


@pytest.mark.parametrize("draws", [1, 7, 500])
def test_importance_weighting_in_float32_equals_float64_with_the_same_noise(model: LinearGaussian, draws: int) -> None:
    weights = log_weights(model, *perturbed(model), draws)
    expected = np.logaddexp.reduce(weights, axis=0) - np.log(draws)
    # Float32 roundings of terms of order 10, and of a sum of up to 500 weights: relative 500 * 6e-8.
    np.testing.assert_allclose(bounds(model, *perturbed(model), draws).importance_weighted, expected, atol=5e-5)


def test_at_k_1_importance_weighting_is_the_elbos_estimate_by_the_same_noise(model: LinearGaussian) -> None:
    # E[log w] is the ELBO; one draw of log w is its estimate with the KL estimated too.
    (log_weight,) = log_weights(model, *perturbed(model), 1)
    np.testing.assert_allclose(bounds(model, *perturbed(model), 1).importance_weighted, log_weight, atol=2e-5)


def test_at_k_1_importance_weighting_is_the_elbo_in_expectation(model: LinearGaussian) -> None:
    mean, logvar = perturbed(model)
    one_draw = jax.jit(
        jax.vmap(lambda key: posterior_bounds(jnp.float32(mean), jnp.float32(logvar), model.score, key, 1))
    )
    got = one_draw(jax.random.split(jax.random.key(3), 20_000))
    difference = np.asarray(got.importance_weighted - got.elbo, np.float64)
    # Five standard errors.
    assert (np.abs(difference.mean(axis=0)) < 5 * difference.std(axis=0) / np.sqrt(len(difference))).all()


def test_the_bound_grows_with_k(model: LinearGaussian) -> None:
    mean, logvar = perturbed(model)
    means = []
    for draws in (1, 5, 50):
        many = jax.vmap(
            lambda key, k=draws: posterior_bounds(jnp.float32(mean), jnp.float32(logvar), model.score, key, k)
        )
        means.append(float(jax.jit(many)(jax.random.split(jax.random.key(4), 2000)).importance_weighted.mean()))
    # Steps between these are above 0.01, and 12,000 values of standard deviation 1 leave an error of 0.01 at k = 1.
    assert means == sorted(means)
    assert means[0] < means[-1] - 0.1
    assert means[-1] < model.log_evidence().mean() + 0.01


def test_the_parts_add_up(model: LinearGaussian) -> None:
    got = bounds(model, *perturbed(model), 40)
    np.testing.assert_allclose(got.elbo, got.log_likelihood - got.kl, rtol=1e-6)
    # log N(x; A z + b, I) is minus half the squared error and a constant, in this model.
    np.testing.assert_allclose(got.mse, -got.log_likelihood - 0.5 * PIXELS * np.log(2 * np.pi), rtol=1e-5)


def test_weights_that_float32_cannot_hold_give_finite_bounds() -> None:
    def score(z: jax.Array) -> Score:
        return Score(-5000 - 1000 * (z**2).sum(axis=-1), jnp.zeros(z.shape[0]))

    got = posterior_bounds(jnp.zeros((3, 2)), jnp.zeros((3, 2)), score, jax.random.key(0), 30)
    assert np.isfinite(np.asarray(got)).all()
    assert (np.asarray(got.importance_weighted) < -5000).all()


@pytest.mark.parametrize("likelihood", sorted(LIKELIHOODS))
def test_every_likelihood_has_its_constant(likelihood: str, rng: np.random.Generator) -> None:
    x, decoded = rng.random((2, 1, PIXELS), np.float32)
    x = np.round(255 * x) / np.float32(255)  # the logistic one is of grey levels
    scale = 0.3
    got = -LIKELIHOODS[likelihood].reconstruction(decoded, x, np.log(scale))[0] + log_constant(likelihood, PIXELS)
    p = 1 / (1 + np.exp(-decoded))
    if likelihood == "l2":
        expected = (-0.5 * (x - decoded) ** 2 - 0.5 * np.log(2 * np.pi)).sum()
    elif likelihood == "gaussian":
        expected = (-0.5 * ((x - p) / scale) ** 2 - np.log(scale * np.sqrt(2 * np.pi))).sum()
    elif likelihood == "logistic":
        expected = np.log([logistic_share(*pair, scale) for pair in zip(x[0], decoded[0], strict=True)]).sum()
    else:
        expected = (x * np.log(p) + (1 - x) * np.log(1 - p)).sum()
    np.testing.assert_allclose(got, expected, rtol=1e-5)


def logistic_share(level: float, location: float, scale: float) -> float:
    """What a logistic distribution has within half a grey level of `level`, inside 0 and 1."""
    edges = [level - 1 / 510, level + 1 / 510]
    return float(np.diff(1 / (1 + np.exp((location - np.array(edges)) / scale)))[0])


def test_only_latents_that_follow_the_images_vary(rng: np.random.Generator) -> None:
    x = rng.normal(size=(4000, 2))
    means = np.stack([x[:, 0], np.full(4000, 3.0), 0.05 * x[:, 1], 0.5 * x[:, 1]], axis=1).astype(np.float32)
    variances = latent_variances(means)
    # Variance 1, 0, 0.0025 and 0.25; the relative error of a variance of 4,000 normal values is sqrt(2 / 4000) = 2 %.
    np.testing.assert_allclose(variances, [1, 0, 0.0025, 0.25], rtol=0.1)
    assert (variances > 0.01).tolist() == [True, False, False, True]
