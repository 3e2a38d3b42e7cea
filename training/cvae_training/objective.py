"""The loss as pure functions, in nats per image, summed over pixels and latents.

    loss = reconstruction + kl_weight * KL(q(z | x) || N(0, I))

`reconstruction` is a negative log-likelihood: of N(decoded, I) without its constant for l2, of Bernoulli for bernoulli.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from cvae_training.config import ObjectiveConfig

__all__ = [
    "LIKELIHOODS",
    "Likelihood",
    "Losses",
    "kl_beyond_free_bits",
    "kl_of_each_latent",
    "kl_to_standard_normal",
    "losses",
]


class Likelihood(NamedTuple):
    """How decoded values explain pixels."""

    reconstruction: Callable[[Float[Array, "batch pixels"], Float[Array, "batch pixels"]], Float[Array, " batch"]]
    """(decoded, x) -> nats per image."""
    mean: Callable[[Float[Array, "*axes"]], Float[Array, "*axes"]]
    """decoded -> the mean image, in [0, 1]."""


class Losses(NamedTuple):
    """The loss and its parts, each a mean over the batch; mse is l2 of the mean image whatever the likelihood."""

    loss: Float[Array, ""]
    mse: Float[Array, ""]
    kl: Float[Array, ""]


def l2_reconstruction(decoded: Float[Array, "batch pixels"], x: Float[Array, "batch pixels"]) -> Float[Array, " batch"]:
    """Half the squared error, the article's; equal to -log N(x; decoded, I) but for a constant."""
    return optax.l2_loss(decoded, x).sum(axis=-1)


def bernoulli_reconstruction(
    logits: Float[Array, "batch pixels"], x: Float[Array, "batch pixels"]
) -> Float[Array, " batch"]:
    """-log Bernoulli(x; sigmoid(logits)), finite at every finite logit; x in [0, 1]."""
    return optax.sigmoid_binary_cross_entropy(logits, x).sum(axis=-1)


def clip_to_unit(decoded: Float[Array, "*axes"]) -> Float[Array, "*axes"]:
    """A rectified value as a pixel: the article's decoder may pass 1."""
    return jnp.clip(decoded, 0.0, 1.0)


LIKELIHOODS: Mapping[str, Likelihood] = {
    "l2": Likelihood(l2_reconstruction, clip_to_unit),
    "bernoulli": Likelihood(bernoulli_reconstruction, jax.nn.sigmoid),
}


def kl_of_each_latent(
    mean: Float[Array, "batch latent"], logvar: Float[Array, "batch latent"]
) -> Float[Array, "batch latent"]:
    """KL(N(mean, exp(logvar)) || N(0, 1)) in closed form: Kingma & Welling 2014, appendix B."""
    return -0.5 * (1 + logvar - mean**2 - jnp.exp(logvar))


def kl_to_standard_normal(
    mean: Float[Array, "batch latent"], logvar: Float[Array, "batch latent"]
) -> Float[Array, " batch"]:
    """KL(N(mean, exp(logvar)) || N(0, I)): the sum over latents."""
    return kl_of_each_latent(mean, logvar).sum(axis=-1)


def kl_beyond_free_bits(
    mean: Float[Array, "batch latent"], logvar: Float[Array, "batch latent"], free_bits: float
) -> Float[Array, ""]:
    """The batch's mean KL with each latent's part at least `free_bits` nats: Kingma et al. 2016, section C.8."""
    return jnp.maximum(kl_of_each_latent(mean, logvar).mean(axis=0), free_bits).sum()


def losses(
    config: ObjectiveConfig,
    x: Float[Array, "batch pixels"],
    decoded: Float[Array, "batch pixels"],
    mean: Float[Array, "batch latent"],
    logvar: Float[Array, "batch latent"],
    kl_share: Float[Array, ""] | float = 1.0,
) -> Losses:
    """The loss of a batch, and its parts; `kl_share` of kl_weight is used, which warm-up lets grow to 1."""
    likelihood = LIKELIHOODS[config.likelihood]
    reconstruction = likelihood.reconstruction(decoded, x).mean()
    mse = reconstruction if config.likelihood == "l2" else l2_reconstruction(likelihood.mean(decoded), x).mean()
    kl = kl_to_standard_normal(mean, logvar).mean()
    counted = kl_beyond_free_bits(mean, logvar, config.free_bits) if config.free_bits > 0 else kl
    return Losses(loss=reconstruction + kl_share * config.kl_weight * counted, mse=mse, kl=kl)
