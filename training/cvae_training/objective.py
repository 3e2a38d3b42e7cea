"""The loss as pure functions, in nats per image, summed over pixels and latents.

    loss = reconstruction + kl_weight * KL(q(latents | x) || p(latents | c))

`reconstruction` is a negative log-likelihood, of those that `likelihood` has. The prior is N(0, I), to which the KL is
in closed form, or learned: then the KL is estimated by the one draw of latents that is also decoded.
"""

import math
from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from cvae_training.config import ObjectiveConfig
from cvae_training.likelihood import LIKELIHOODS, l2_reconstruction

__all__ = [
    "Losses",
    "entropy",
    "kl_beyond_free_bits",
    "kl_of_each_latent",
    "kl_to_standard_normal",
    "losses",
]


class Losses(NamedTuple):
    """The loss and its parts, each a mean over the batch; mse is l2 of the mean image whatever the likelihood."""

    loss: Float[Array, ""]
    mse: Float[Array, ""]
    kl: Float[Array, ""]


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


def entropy(logvar: Float[Array, "batch latent"]) -> Float[Array, " batch"]:
    """The entropy of N(mean, exp(logvar)), in nats; with a density p, KL = -entropy - E[log p]."""
    return 0.5 * (1 + math.log(2 * math.pi) + logvar).sum(axis=-1)


def losses(
    config: ObjectiveConfig,
    x: Float[Array, "batch pixels"],
    decoded: Float[Array, "batch pixels"],
    mean: Float[Array, "batch latent"],
    logvar: Float[Array, "batch latent"],
    kl_share: Float[Array, ""] | float = 1.0,
    log_prior: Float[Array, " batch"] | None = None,
    log_scale: Float[Array, ""] | float = 0.0,
) -> Losses:
    """The loss of a batch, and its parts; `kl_share` of kl_weight is used, which warm-up lets grow to 1.

    `log_prior` is a learned prior's log-density of the latents that were decoded, None for N(0, I). Free bits are of
    each latent with N(0, I), and of all latents together with a learned prior, where the KL has no parts.
    """
    likelihood = LIKELIHOODS[config.likelihood]
    reconstruction = likelihood.reconstruction(decoded, x, log_scale).mean()
    if config.likelihood == "l2":
        mse = reconstruction
    else:
        mse = l2_reconstruction(likelihood.mean(decoded, log_scale), x).mean()
    if log_prior is not None:
        kl = (-entropy(logvar) - log_prior).mean()
        counted = jnp.maximum(kl, config.free_bits * mean.shape[-1]) if config.free_bits > 0 else kl
    else:
        kl = kl_to_standard_normal(mean, logvar).mean()
        counted = kl_beyond_free_bits(mean, logvar, config.free_bits) if config.free_bits > 0 else kl
    return Losses(loss=reconstruction + kl_share * config.kl_weight * counted, mse=mse, kl=kl)
