"""A network as pure functions of arrays, in nats and pixels, for whoever evaluates, draws or asks.

    mean_image     E[x | z, c], in [0, 1]
    image_bounds   bounds on log p(x | c), which lack log_constant

Nothing here is compiled: the callers jit, with `model` and `likelihood` static.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray, PyTree

from cvae_training.bounds import Bounds, Score, posterior_bounds
from cvae_training.model import Cvae
from cvae_training.objective import LIKELIHOODS, l2_reconstruction

__all__ = ["IMAGE_BATCH", "bounds_key", "image_bounds", "mean_image"]

IMAGE_BATCH = 500
"""Images whose bounds are computed at a time; the noise of image i follows from i and this."""

_BOUNDS = 0


def mean_image(
    model: Cvae, likelihood: str, params: PyTree, z: Float[Array, "batch latent"], c: Float[Array, "batch classes"]
) -> Float[Array, "batch pixels"]:
    """The likelihood's mean at latents z and class weights c, in [0, 1]: what is exported and shown."""
    decoded: Any = model.apply(params, z, c, method="decode")
    return LIKELIHOODS[likelihood].mean(decoded)


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

    def score(z: Float[Array, "batch latent"]) -> Score:
        decoded: Any = model.apply(params, z, c, method="decode")
        explained = LIKELIHOODS[likelihood]
        return Score(-explained.reconstruction(decoded, x), l2_reconstruction(explained.mean(decoded), x))

    return mean, posterior_bounds(mean, logvar, score, key, draws)


def bounds_key(seed: int, start: int) -> PRNGKeyArray:
    """The key of the batch of images that begins with image `start`, a multiple of IMAGE_BATCH."""
    return jax.random.fold_in(jax.random.fold_in(jax.random.key(seed), _BOUNDS), jnp.uint32(start))
