"""How decoded values explain pixels: log-likelihoods in nats per image, summed over pixels, and their mean images.

    l2          N(x; d, I) without its constant                    d rectified, as in the article
    bernoulli   x log p + (1 - x) log(1 - p)                       p = sigmoid(d); x may be any value in [0, 1]
    gaussian    N(x; p, s^2)                                       p = sigmoid(d), s learned: Rybkin et al. 2021
    logistic    F((x - d + 1/510) / s) - F((x - d - 1/510) / s)    F = sigmoid, s learned: Salimans et al. 2017

s is one number for all pixels. At its optimum s^2 of gaussian is the mean squared error, which makes the weight of the
KL right by itself. logistic is a probability of the 256 grey levels, of which 0 and 1 take all that lies beyond them.
"""

import math
from collections.abc import Callable, Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

__all__ = ["LIKELIHOODS", "SMALLEST_LOG_SCALE", "Likelihood", "l2_reconstruction"]

SMALLEST_LOG_SCALE = math.log(1 / 510)
"""The learned scale is at least half a grey level: more precisely, pixels are not known."""

_HALF_LEVEL = 1 / 510

Pixels = Float[Array, "batch pixels"]
Scale = Float[Array, ""] | float


class Likelihood(NamedTuple):
    """How decoded values explain pixels; log_scale is used where `learns_scale` says so."""

    reconstruction: Callable[[Pixels, Pixels, Scale], Float[Array, " batch"]]
    """(decoded, x, log_scale) -> nats per image: the negative log-likelihood but for `constant`."""
    mean: Callable[[Float[Array, "*axes"], Scale], Float[Array, "*axes"]]
    """(decoded, log_scale) -> the mean image, in [0, 1]."""
    constant: float = 0.0
    """What to add to the log-likelihood of each pixel."""
    learns_scale: bool = False
    rectifies: bool = False
    """Whether the decoder ends in a ReLU."""


def l2_reconstruction(decoded: Pixels, x: Pixels, _: Scale = 0.0) -> Float[Array, " batch"]:
    """Half the squared error, the article's; equal to -log N(x; decoded, I) but for a constant."""
    return optax.l2_loss(decoded, x).sum(axis=-1)


def bernoulli_reconstruction(logits: Pixels, x: Pixels, _: Scale = 0.0) -> Float[Array, " batch"]:
    """-log Bernoulli(x; sigmoid(logits)), finite at every finite logit; x in [0, 1]."""
    return optax.sigmoid_binary_cross_entropy(logits, x).sum(axis=-1)


def gaussian_reconstruction(logits: Pixels, x: Pixels, log_scale: Scale) -> Float[Array, " batch"]:
    """-log N(x; sigmoid(logits), exp(log_scale)^2) but for log sqrt(2 pi) per pixel."""
    log_scale = _bounded(log_scale)
    error = (jax.nn.sigmoid(logits) - x) * jnp.exp(-log_scale)
    return (0.5 * error**2 + log_scale).sum(axis=-1)


def logistic_reconstruction(location: Pixels, x: Pixels, log_scale: Scale) -> Float[Array, " batch"]:
    """-log of the probability of grey level x = k / 255, finite at every finite location.

    Between the ends, with a < b the bin's edges in units of the scale, log(F(b) - F(a)) = log F(b) + log F(-a) +
    log(1 - exp(a - b)), in which nothing cancels.
    """
    per_scale = jnp.exp(-_bounded(log_scale))
    a, b = ((x + side * _HALF_LEVEL - location) * per_scale for side in (-1, 1))
    inside = jnp.log(-jnp.expm1(-2 * _HALF_LEVEL * per_scale))
    below = jnp.where(x < _HALF_LEVEL, 0.0, jax.nn.log_sigmoid(-a))
    above = jnp.where(x > 1 - _HALF_LEVEL, 0.0, jax.nn.log_sigmoid(b))
    middle = (x >= _HALF_LEVEL) & (x <= 1 - _HALF_LEVEL)
    return -(below + above + jnp.where(middle, inside, 0.0)).sum(axis=-1)


def clip_to_unit(decoded: Float[Array, "*axes"], _: Scale = 0.0) -> Float[Array, "*axes"]:
    """A rectified value as a pixel: the article's decoder may pass 1."""
    return jnp.clip(decoded, 0.0, 1.0)


def sigmoid_mean(logits: Float[Array, "*axes"], _: Scale = 0.0) -> Float[Array, "*axes"]:
    """The mean of Bernoulli(sigmoid(logits)) and of N(sigmoid(logits), s^2)."""
    return jax.nn.sigmoid(logits)


def logistic_mean(location: Float[Array, "*axes"], log_scale: Scale) -> Float[Array, "*axes"]:
    """The mean grey level: the integral over [0, 1] of 1 - F((t - location) / s).

    The sum over 255 edges that is the mean is this integral by the midpoint rule, which is right to 2e-7 / s.
    """
    scale = jnp.exp(_bounded(log_scale))
    mean = scale * (jax.nn.softplus(location / scale) - jax.nn.softplus((location - 1) / scale))
    return jnp.clip(mean, 0.0, 1.0)


def _bounded(log_scale: Scale) -> Float[Array, ""]:
    return jnp.maximum(jnp.asarray(log_scale, jnp.float32), SMALLEST_LOG_SCALE)


_LOG_SQRT_2PI = 0.5 * math.log(2 * math.pi)

LIKELIHOODS: Mapping[str, Likelihood] = {
    "l2": Likelihood(l2_reconstruction, clip_to_unit, constant=-_LOG_SQRT_2PI, rectifies=True),
    "bernoulli": Likelihood(bernoulli_reconstruction, sigmoid_mean),
    "gaussian": Likelihood(gaussian_reconstruction, sigmoid_mean, constant=-_LOG_SQRT_2PI, learns_scale=True),
    "logistic": Likelihood(logistic_reconstruction, logistic_mean, learns_scale=True),
}
