"""The learned prior against what its maths says: a bijection, its Jacobian, a density."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cvae_training.flow import LARGEST_LOG_SCALE, Flow, kept_latents

CLASSES = 4


def random_params(flow: Flow, size: float = 0.15) -> Any:
    """Not those that it begins with, whose map is the identity."""
    zeros = jnp.zeros((1, flow.latent_dim)), jnp.zeros((1, CLASSES))
    params = flow.init(jax.random.key(0), *zeros)
    keys = iter(jax.random.split(jax.random.key(1), 1000))
    return jax.tree.map(lambda leaf: leaf + size * jax.random.normal(next(keys), leaf.shape), params)


def weights(n: int, rng: np.random.Generator) -> np.ndarray:
    return rng.dirichlet(np.ones(CLASSES), n).astype(np.float32)


@pytest.mark.parametrize("latent_dim", [1, 2, 5, 16])
def test_a_new_flow_is_the_identity(latent_dim: int, rng: np.random.Generator) -> None:
    flow = Flow(layers=5, width=8, latent_dim=latent_dim)
    z, c = rng.normal(size=(7, latent_dim)).astype(np.float32), weights(7, rng)
    params = flow.init(jax.random.key(0), z, c)
    np.testing.assert_array_equal(flow.apply(params, z, c), z)
    expected = -0.5 * (z.astype(np.float64) ** 2 + np.log(2 * np.pi)).sum(axis=1)
    np.testing.assert_allclose(flow.apply(params, z, c, method="log_density"), expected, rtol=1e-5)


@pytest.mark.parametrize("latent_dim", [1, 2, 5, 16])
def test_the_inverse_undoes_the_map(latent_dim: int, rng: np.random.Generator) -> None:
    flow = Flow(layers=6, width=8, latent_dim=latent_dim)
    params = random_params(flow)
    z, c = rng.normal(size=(50, latent_dim)).astype(np.float32), weights(50, rng)
    latents: Any = flow.apply(params, z, c)
    assert np.abs(np.asarray(latents) - z).max() > 0.5  # or there was nothing to undo
    back, _ = flow.apply(params, latents, c, method="inverse")
    # Each of 6 layers rounds values of order 10, and exp(-s) <= 7.4 may enlarge that.
    np.testing.assert_allclose(back, z, atol=2e-4)


@pytest.mark.parametrize("latent_dim", [1, 2, 5])
def test_the_log_determinant_is_that_of_the_jacobian(latent_dim: int, rng: np.random.Generator) -> None:
    flow = Flow(layers=6, width=8, latent_dim=latent_dim)
    params = random_params(flow)
    latents, c = rng.normal(size=(9, latent_dim)).astype(np.float32), weights(9, rng)

    def noise_of(latents: jax.Array, c: jax.Array) -> jax.Array:
        back: Any = flow.apply(params, latents[None], c[None], method="inverse")
        return back[0][0]

    jacobians = np.asarray(jax.vmap(jax.jacobian(noise_of))(latents, c), np.float64)
    _, log_det = flow.apply(params, latents, c, method="inverse")
    np.testing.assert_allclose(log_det, np.linalg.slogdet(jacobians)[1], atol=1e-4)


@pytest.mark.parametrize("label", range(CLASSES))
def test_the_density_of_a_class_integrates_to_one(label: int) -> None:
    flow = Flow(layers=3, width=4, latent_dim=2)
    params = random_params(flow, 0.1)
    side = np.linspace(-25, 25, 1501)
    grid = np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2).astype(np.float32)
    c = np.tile(np.eye(CLASSES, dtype=np.float32)[label], (len(grid), 1))
    density = np.exp(np.asarray(jax.jit(lambda x: flow.apply(params, x, c, method="log_density"))(grid), np.float64))
    # The trapezoidal rule on a smooth density that has vanished at the border.
    assert density.reshape(1501, 1501)[[0, -1]].max() < 1e-9
    np.testing.assert_allclose(density.sum() * (side[1] - side[0]) ** 2, 1, atol=1e-3)


def test_samples_have_the_density(rng: np.random.Generator) -> None:
    flow = Flow(layers=4, width=8, latent_dim=2)
    params = random_params(flow)
    draws = 100_000
    z, c = rng.normal(size=(draws, 2)).astype(np.float32), np.tile(np.float32([0, 0.5, 0.5, 0]), (draws, 1))
    latents: Any = flow.apply(params, z, c)
    # E[N(x; o, 0.3^2 I) / p(x)] over x ~ p is the integral of N(x; o, 0.3^2 I): 1, wherever o lies.
    origin = np.asarray(flow.apply(params, np.float32([[0.3, -0.5]]), c[:1]))
    distance = (np.asarray(latents, np.float64) - origin) / 0.3
    log_other = -0.5 * (distance**2 + np.log(2 * np.pi * 0.3**2)).sum(axis=1)
    ratios = np.exp(log_other - np.asarray(flow.apply(params, latents, c, method="log_density"), np.float64))
    error = ratios.std() / np.sqrt(draws)
    assert error < 0.02
    assert abs(ratios.mean() - 1) < 5 * error


@pytest.mark.parametrize("latent_dim", [2, 3, 10, 16])
def test_each_pair_of_layers_keeps_complements_and_some_pair_parts_any_two_latents(latent_dim: int) -> None:
    pairs = (latent_dim - 1).bit_length()
    kept = np.array([kept_latents(layer, latent_dim) for layer in range(2 * pairs)])
    np.testing.assert_array_equal(kept[0::2] + kept[1::2], 1)
    codes = {tuple(column) for column in kept.T}
    assert len(codes) == latent_dim


def test_extreme_networks_cannot_scale_beyond_the_bound() -> None:
    flow = Flow(layers=2, width=4, latent_dim=2)
    params = random_params(flow, 1e4)
    _, log_det = flow.apply(params, jnp.ones((1, 2)), jnp.eye(1, CLASSES), method="inverse")
    assert abs(float(log_det[0])) <= 2 * LARGEST_LOG_SCALE


def test_the_map_depends_on_the_class_weights(rng: np.random.Generator) -> None:
    flow = Flow(layers=4, width=8, latent_dim=3)
    params = random_params(flow)
    z = np.tile(rng.normal(size=3).astype(np.float32), (3, 1))
    c = np.float32([[1, 0, 0, 0], [0, 1, 0, 0], [0.5, 0.5, 0, 0]])
    one, other, between = np.asarray(flow.apply(params, z, c))
    assert min(np.abs(one - other).max(), np.abs(one - between).max(), np.abs(other - between).max()) > 1e-2
