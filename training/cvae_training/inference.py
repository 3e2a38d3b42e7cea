"""A network as pure functions of arrays, in nats and pixels, for whoever evaluates, draws or asks.

    mean_image              E[x | z, c], in [0, 1], of z ~ N(0, I)
    mean_image_of_latents   the same of what the prior makes of z, where one is learned
    noise_of_image          q(z | x, c): where mean_image takes z from, to have x back
    image_bounds            bounds on log p(x | c), which lack log_constant

Nothing here is compiled: the callers jit, with `model` and `likelihood` static.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray, PyTree

from cvae_training.bounds import Bounds, Score, posterior_bounds
from cvae_training.likelihood import LIKELIHOODS, l2_reconstruction
from cvae_training.model import Cvae

__all__ = ["IMAGE_BATCH", "bounds_key", "image_bounds", "mean_image", "mean_image_of_latents", "noise_of_image"]

IMAGE_BATCH = 500
"""Images whose bounds are computed at a time; the noise of image i follows from i and this."""

_BOUNDS = 0


def mean_image(
    model: Cvae, likelihood: str, params: PyTree, z: Float[Array, "batch latent"], c: Float[Array, "batch classes"]
) -> Float[Array, "batch pixels"]:
    """The likelihood's mean of z ~ N(0, I), through the prior, and class weights c: what is exported and sampled."""
    latents: Any = model.apply(params, z, c, method="from_prior")
    return mean_image_of_latents(model, likelihood, params, latents, c)


def mean_image_of_latents(
    model: Cvae,
    likelihood: str,
    params: PyTree,
    latents: Float[Array, "batch latent"],
    c: Float[Array, "batch classes"],
) -> Float[Array, "batch pixels"]:
    """The likelihood's mean at latents, as the posterior has them, and class weights c, in [0, 1]."""
    decoded: Any = model.apply(params, latents, c, method="decode")
    return LIKELIHOODS[likelihood].mean(decoded, _log_scale(model, params))


def noise_of_image(
    model: Cvae, params: PyTree, x: Float[Array, "batch pixels"], c: Float[Array, "batch classes"]
) -> tuple[Float[Array, "batch latent"], Float[Array, "batch latent"]]:
    """The posterior's mean and log-variance as `mean_image` takes z.

    Where no prior is learned, they are the encoder's own. Where one is, g takes latents to z: the first is g(mean),
    whose mean image is the one of the posterior's mean; the second is the log of the diagonal of J diag(var) J^T, J the
    Jacobian of g at the mean: the variances of g(latents) to first order in the posterior's spread.
    """
    encoded: Any = model.apply(params, x, method="encode")
    mean, logvar = encoded
    if not model.flow_layers:
        return mean, logvar

    def to_prior(latents: Float[Array, "batch latent"]) -> Any:
        return model.apply(params, latents, c, method="to_prior")

    def spread(direction: Float[Array, "batch latent"]) -> Float[Array, "batch latent"]:
        return jax.jvp(to_prior, (mean,), (direction,))[1]

    deviations = jnp.eye(mean.shape[-1])[:, None] * jnp.exp(0.5 * logvar)
    return to_prior(mean), jnp.log((jax.vmap(spread)(deviations) ** 2).sum(axis=0))


def image_bounds(
    model: Cvae,
    likelihood: str,
    params: PyTree,
    x: Float[Array, "batch pixels"],
    c: Float[Array, "batch classes"],
    key: PRNGKeyArray,
    draws: int | Int[Array, ""],
) -> tuple[Float[Array, "batch latent"], Bounds]:
    """The posterior's means, and the bounds by `draws` >= 1 latents of each image."""
    encoded: Any = model.apply(params, x, method="encode")
    mean, logvar = encoded
    explained, log_scale = LIKELIHOODS[likelihood], _log_scale(model, params)

    def score(latents: Float[Array, "batch latent"]) -> Score:
        decoded: Any = model.apply(params, latents, c, method="decode")
        mse = l2_reconstruction(explained.mean(decoded, log_scale), x)
        return Score(-explained.reconstruction(decoded, x, log_scale), mse)

    def log_prior(latents: Float[Array, "batch latent"]) -> Any:
        return model.apply(params, latents, c, method="log_prior")

    return mean, posterior_bounds(mean, logvar, score, key, draws, log_prior if model.flow_layers else None)


def _log_scale(model: Cvae, params: PyTree) -> Any:
    return model.apply(params, method="noise_scale")


def bounds_key(seed: int, start: int) -> PRNGKeyArray:
    """The key of the batch of images that begins with image `start`, a multiple of IMAGE_BATCH."""
    return jax.random.fold_in(jax.random.fold_in(jax.random.key(seed), _BOUNDS), jnp.uint32(start))
