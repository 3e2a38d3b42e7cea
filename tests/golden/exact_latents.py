"""The latents of the seed contract from its maths alone: integers and 60-digit decimals, nothing of cvae_sdk.

z = float32(Q(1/2 + m (u - 1/2))) * float32(temperature), Q the standard normal's quantile, m = P(|Z| <= truncation), u
from a scalar Philox. What cvae_sdk computes in float64 is this but where it lies within some 1e-16 of the middle
between two float32 numbers.
"""

import functools
import math
from decimal import Decimal, localcontext
from fractions import Fraction
from statistics import NormalDist

import numpy as np

__all__ = ["exact_latent", "exact_mass", "exact_quantile", "scalar_philox", "split", "word_of"]

_PI = Decimal("3.14159265358979323846264338327950288419716939937510582097494459230781640628620899")
_DIGITS = 60


def scalar_philox(key: tuple[int, ...], counter: tuple[int, ...]) -> tuple[int, int, int, int]:
    """Philox4x32-10 in plain integers: Salmon et al. 2011, section 3.3."""
    (k0, k1), (x0, x1, x2, x3) = key, counter
    for _ in range(10):
        p, q = 0xD2511F53 * x0, 0xCD9E8D57 * x2
        x0, x1, x2, x3 = q // 2**32 ^ x1 ^ k0, q % 2**32, p // 2**32 ^ x3 ^ k1, p % 2**32
        k0, k1 = (k0 + 0x9E3779B9) % 2**32, (k1 + 0xBB67AE85) % 2**32
    return x0, x1, x2, x3


def split(number: int, words: int) -> tuple[int, ...]:
    """A number's words of 32 bits, the lowest first."""
    return tuple(number >> 32 * i & 0xFFFFFFFF for i in range(words))


def word_of(seed: int, index: int, latent_dim: int, k: int) -> int:
    """The word that latent k of image `index` is made of."""
    counter = index * math.ceil(latent_dim / 4) + k // 4
    return scalar_philox(split(seed, 2), split(counter, 4))[k % 4]


def _half_mass(z: Decimal) -> Decimal:
    """P(0 < Z < z) = p(z) (z + z^3/3 + z^5/(3 5) + ...), p the density: Abramowitz & Stegun 26.2.11."""
    term, total, k = z, Decimal(0), 1
    while abs(term) > Decimal(10) ** -_DIGITS * (abs(total) + abs(z)):
        total, k = total + term, k + 2
        term *= z * z / k
    return _density(z) * total


def _density(z: Decimal) -> Decimal:
    return (-z * z / 2).exp() / (2 * _PI).sqrt()


@functools.cache
def exact_mass(truncation: float) -> Decimal:
    """P(|Z| <= truncation)."""
    with localcontext() as context:
        context.prec = _DIGITS
        return 2 * _half_mass(Decimal(truncation))


def exact_quantile(u: Decimal) -> Decimal:
    """The z with P(Z < z) = u to 30 digits: one Newton step doubles the 15 of the standard library."""
    with localcontext() as context:
        context.prec = _DIGITS
        z = Decimal(NormalDist().inv_cdf(float(u)))
        return z - (_half_mass(z) - (u - Decimal("0.5"))) / _density(z)


@functools.cache
def exact_latent(
    seed: int, index: int, latent_dim: int, k: int, temperature: float = 1.0, truncation: float | None = None
) -> np.float32:
    """Latent k of image `index`."""
    with localcontext() as context:
        context.prec = _DIGITS
        u = (Decimal(word_of(seed, index, latent_dim, k)) + Decimal("0.5")) / 2**32
        if truncation is not None:
            u = Decimal("0.5") + exact_mass(truncation) * (u - Decimal("0.5"))
    z = _nearest_float32(Fraction(exact_quantile(u)))
    return _nearest_float32(Fraction(float(z)) * Fraction(float(np.float32(temperature))), negative=z < 0)


def _nearest_float32(value: Fraction, negative: bool = False) -> np.float32:
    """The float32 nearest to a number, ties to the one with an even last bit; a zero has the sign asked for."""
    if value == 0:
        return np.float32(-0.0 if negative else 0.0)
    exponent = math.frexp(float(abs(value)))[1]
    unit = Fraction(2) ** max(exponent - 24, -149)
    return np.float32(float(round(value / unit) * unit))
