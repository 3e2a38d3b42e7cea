"""Lower bounds on log p(x | c) by draws from the posterior, in nats per image.

    z_i  = mean + exp(logvar / 2) * eps_i,   eps_i ~ N(0, I),   i = 1 .. k
    w_i  = p(x | z_i, c) p(z_i | c) / q(z_i | x)

    elbo                = E[log p(x | z, c)] - KL(q || p)            by the draws; for N(0, I) the KL is in closed form
    importance_weighted = log (1/k) sum_i w_i                        Burda, Grosse & Salakhutdinov 2016, equation 8

In expectation elbo = importance_weighted at k = 1, the latter grows with k, and both are at most log p(x | c).
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from cvae_training.likelihood import LIKELIHOODS
from cvae_training.objective import entropy, kl_to_standard_normal

__all__ = ["ACTIVE_VARIANCE", "Bounds", "Score", "latent_variances", "log_constant", "posterior_bounds"]

ACTIVE_VARIANCE = 0.01
"""A latent is active where its posterior's mean varies more than this over the data: Burda et al. 2016, section 4.2."""


class Score(NamedTuple):
    """How latents explain the images they were drawn for."""

    log_likelihood: Float[Array, " batch"]
    """log p(x | z, c), which may lack a constant: all that comes of it then lacks the same."""
    mse: Float[Array, " batch"]
    """Half the squared error of the mean image; no bound needs it, but one pass serves for both."""


class Bounds(NamedTuple):
    """Per image: the two bounds, what the first is made of, and the mean squared error over the draws."""

    elbo: Float[Array, " batch"]
    importance_weighted: Float[Array, " batch"]
    log_likelihood: Float[Array, " batch"]
    kl: Float[Array, " batch"]
    mse: Float[Array, " batch"]


class _Sums(NamedTuple):
    top: Float[Array, " batch"]
    total: Float[Array, " batch"]
    log_prior: Float[Array, " batch"]
    means: Score


def posterior_bounds(
    mean: Float[Array, "batch latent"],
    logvar: Float[Array, "batch latent"],
    score: Callable[[Float[Array, "batch latent"]], Score],
    key: PRNGKeyArray,
    draws: int | Int[Array, ""],
    log_prior: Callable[[Float[Array, "batch latent"]], Float[Array, " batch"]] | None = None,
) -> Bounds:
    """Both bounds by the same `draws` >= 1 latents of each image; draw i is by fold_in(key, i).

    `log_prior` is a learned prior's log p(z | c), with its constant; None for N(0, I).

    One draw at a time, so that memory does not grow with `draws`: the sum of weights is carried relative to the largest
    of them, which loses no more than logsumexp over all at once.
    """

    def add(draw: Int[Array, ""], sums: _Sums) -> _Sums:
        noise = jax.random.normal(jax.random.fold_in(key, draw), mean.shape)
        z = mean + jnp.exp(logvar / 2) * noise
        scores = score(z)
        prior = standard_normal(z) if log_prior is None else log_prior(z)
        # log q(z) differs from the entropy's negative by what the noise's square differs from its mean.
        log_weight = scores.log_likelihood + prior + entropy(logvar) + 0.5 * jnp.sum(noise**2 - 1, axis=-1)
        top = jnp.maximum(sums.top, log_weight)
        new = (prior, scores)
        log_prior_mean, means = jax.tree.map(
            lambda so_far, new: so_far + (new - so_far) / (draw + 1), (sums.log_prior, sums.means), new
        )
        total = sums.total * jnp.exp(sums.top - top) + jnp.exp(log_weight - top)
        return _Sums(top, total, log_prior_mean, means)

    zeros = jnp.zeros(mean.shape[0])
    sums = jax.lax.fori_loop(0, draws, add, _Sums(zeros - jnp.inf, zeros, zeros, Score(zeros, zeros)))
    kl = kl_to_standard_normal(mean, logvar) if log_prior is None else -entropy(logvar) - sums.log_prior
    return Bounds(
        elbo=sums.means.log_likelihood - kl,
        importance_weighted=sums.top + jnp.log(sums.total / draws),
        log_likelihood=sums.means.log_likelihood,
        kl=kl,
        mse=sums.means.mse,
    )


def standard_normal(z: Float[Array, "batch latent"]) -> Float[Array, " batch"]:
    """log N(z; 0, I)."""
    return -0.5 * jnp.sum(z**2 + math.log(2 * math.pi), axis=-1)


def log_constant(likelihood: str, pixels: int) -> float:
    """What a reconstruction leaves out of the log-likelihood: log sqrt(2 pi) per pixel for l2 and gaussian."""
    return pixels * LIKELIHOODS[likelihood].constant


def latent_variances(means: Float[np.ndarray, "n latent"]) -> Float[np.ndarray, " latent"]:
    """Variance over images of each latent's posterior mean; units above ACTIVE_VARIANCE are active."""
    return np.var(means, axis=0, dtype=np.float64)
