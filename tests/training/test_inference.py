"""The posterior as the noise that a learned prior makes latents of, against the maths of a change of variables."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cvae_training.inference import mean_image, mean_image_of_latents, noise_of_image
from cvae_training.model import Cvae

CLASSES, LATENTS = 3, 5


def random_model(flow_layers: int) -> tuple[Cvae, Any]:
    model = Cvae((8,), (8, 12), LATENTS, image_shape=(3, 4, 1), flow_layers=flow_layers, flow_width=8)
    params = model.init(jax.random.key(0), jnp.zeros((1, 12)), jnp.zeros((1, CLASSES)), jax.random.key(1))
    keys = iter(jax.random.split(jax.random.key(2), 1000))
    return model, jax.tree.map(lambda leaf: leaf + 0.2 * jax.random.normal(next(keys), leaf.shape), params)


@pytest.fixture
def inputs(rng: np.random.Generator) -> tuple[jax.Array, jax.Array]:
    return jnp.asarray(rng.random((6, 12)), jnp.float32), jnp.eye(CLASSES)[jnp.arange(6) % CLASSES]


def test_without_a_flow_it_is_the_encoders_own(inputs: tuple[jax.Array, jax.Array]) -> None:
    model, params = random_model(flow_layers=0)
    for got, expected in zip(
        noise_of_image(model, params, *inputs), model.apply(params, inputs[0], method="encode"), strict=True
    ):
        np.testing.assert_array_equal(got, expected)


def test_its_mean_gives_the_image_of_the_posteriors_mean(inputs: tuple[jax.Array, jax.Array]) -> None:
    model, params = random_model(flow_layers=6)
    x, c = inputs
    mean, _ = noise_of_image(model, params, x, c)
    latents, _ = model.apply(params, x, method="encode")
    assert np.abs(mean - latents).max() > 0.1
    np.testing.assert_allclose(
        mean_image(model, "bernoulli", params, mean, c),
        mean_image_of_latents(model, "bernoulli", params, latents, c),
        rtol=0,
        atol=2e-6,
    )


def test_its_variances_are_those_through_the_inverse_of_the_flows_jacobian(
    inputs: tuple[jax.Array, jax.Array],
) -> None:
    model, params = random_model(flow_layers=6)
    x, c = inputs
    mean, logvar = noise_of_image(model, params, x, c)
    _, latents_logvar = model.apply(params, x, method="encode")
    for i in range(len(x)):

        def from_prior(z: jax.Array, i: int = i) -> Any:
            return model.apply(params, z[None], c[i : i + 1], method="from_prior")[0]

        inverse = np.linalg.inv(np.asarray(jax.jacrev(from_prior)(mean[i]), np.float64))
        covariance = inverse @ np.diag(np.exp(np.float64(latents_logvar[i]))) @ inverse.T
        np.testing.assert_allclose(logvar[i], np.log(np.diag(covariance)), rtol=0, atol=1e-4)


def test_a_narrow_posterior_has_that_spread_of_noise(inputs: tuple[jax.Array, jax.Array], rng) -> None:
    model, params = random_model(flow_layers=6)
    x, c = inputs
    narrow = jax.tree_util.tree_map_with_path(
        lambda path, leaf: leaf.at[LATENTS:].add(-6) if "pre_latent_proj" in str(path) and leaf.ndim == 1 else leaf,
        params,
    )
    _, logvar = noise_of_image(model, narrow, x, c)
    mean, latents_logvar = model.apply(narrow, x, method="encode")
    eps = rng.standard_normal((4000, *mean.shape)).astype(np.float32)
    drawn = (mean + jnp.exp(0.5 * latents_logvar) * eps).reshape(-1, LATENTS)
    z = model.apply(narrow, drawn, jnp.tile(c, (4000, 1)), method="to_prior").reshape(eps.shape)
    # The log of a variance from 4,000 draws deviates by sqrt(2 / 4000) = 0.022.
    np.testing.assert_allclose(np.log(np.var(z, axis=0)), logvar, rtol=0, atol=0.1)
