"""(seed, index) -> the same latent on every machine.

Latent k of image i of seed s is a pure function of (s, i, k):

    words     Philox4x32-10 (Salmon et al. 2011) with key s and a 128-bit counter gives 4 words of 32 bits a counter;
              image i owns the counters i * B to (i + 1) * B - 1, B = ceil(latent_dim / 4), in order
    uniform   u = (word k + 1/2) / 2^32, exact in float64
    truncate  u' = 1/2 + m (u - 1/2), m the normal's mass within t standard deviations (truncation.py); u' = u without t
    normal    z = the inverse of the normal distribution function at u' (Wichura 1988, algorithm AS 241), in float64,
              rounded to float32
    scale     z * temperature, both float32, rounded to float32

sdk/SEEDS.md says it step by step, for other languages, with 64 values to test them by. Only + - * / and sqrt of IEEE
float64 are used, which round the same everywhere; the logarithm that the tails need is built from them, since a
library's own differs between machines and versions.
"""

import numpy as np
import numpy.typing as npt

from cvae_sdk.truncation import central_mass

__all__ = ["CENTER", "MULTIPLIERS", "NEAR_TAIL", "WEYL", "standard_normal_latents"]

_CHUNK = 4096  # counters at a time, so that the arrays of one pass stay in the processor's cache
_MASK = np.uint64(0xFFFFFFFF)
_32 = np.uint64(32)
MULTIPLIERS = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
WEYL = 0x9E3779B9, 0xBB67AE85

_UInt64s = npt.NDArray[np.uint64]
_Float64s = npt.NDArray[np.float64]


def standard_normal_latents(
    seed: int, first: int, count: int, latent_dim: int, *, temperature: float = 1.0, truncation: float | None = None
) -> npt.NDArray[np.float32]:
    """Latents of images `first` to `first + count - 1` of a seed, both below 2^64: float32 [count, latent_dim].

    `truncation` t > 0 draws from the normal restricted to |z| <= t, exactly and without rejection: in float64, u - 1/2
    is taken, which is exact, multiplied by m = `central_mass(t)`, and 1/2 added; at t >= 8.5, where m = 1, the bits are
    those without truncation. The quantile is rounded to float32, and only then multiplied, in float32, by `temperature`
    >= 0 rounded to float32: |z| <= t * temperature but for those roundings. Neither is checked here.
    """
    mass = 1.0 if truncation is None else central_mass(float(truncation))
    blocks = -(-latent_dim // 4)
    normals = np.empty((count * blocks, 4), np.float32)
    for start in range(0, count * blocks, _CHUNK):
        stop = min(start + _CHUNK, count * blocks)
        u = _philox(seed, first * blocks + start, stop - start)
        u += 0.5
        u *= 2.0**-32
        if mass != 1.0:
            u -= 0.5
            u *= mass
            u += 0.5
        normals[start:stop] = _inverse_normal(u.ravel()).reshape(-1, 4)
    if temperature != 1.0:
        normals *= np.float32(temperature)
    return np.ascontiguousarray(normals.reshape(count, blocks * 4)[:, :latent_dim])


def _philox(seed: int, first_counter: int, count: int) -> _Float64s:
    """Philox4x32-10: the words of consecutive counters, [count, 4], each an integer below 2^32."""
    low, high = (np.uint64(first_counter >> shift & 0xFFFFFFFFFFFFFFFF) for shift in (0, 64))
    counter = low + np.arange(count, dtype=np.uint64)  # wraps at 2^64
    carried = high + (counter < low)
    c0, c1, c2, c3 = counter & _MASK, counter >> _32, carried & _MASK, carried >> _32
    product0, product1 = counter, carried
    key0, key1 = seed & 0xFFFFFFFF, seed >> 32
    for _ in range(10):
        # In place: each round's arrays are those of the round before, and stay in the processor's cache.
        np.multiply(c0, MULTIPLIERS[0], out=product0)
        np.multiply(c2, MULTIPLIERS[1], out=product1)
        np.right_shift(product1, _32, out=c0)
        c0 ^= c1
        c0 ^= np.uint64(key0)
        np.right_shift(product0, _32, out=c2)
        c2 ^= c3
        c2 ^= np.uint64(key1)
        np.bitwise_and(product1, _MASK, out=c1)
        np.bitwise_and(product0, _MASK, out=c3)
        key0, key1 = (key0 + WEYL[0]) & 0xFFFFFFFF, (key1 + WEYL[1]) & 0xFFFFFFFF
    words = np.empty((count, 4))
    for k, word in enumerate((c0, c1, c2, c3)):
        words[:, k] = word
    return words


# Coefficients of AS 241's PPND16, from the constant term up: numerator, denominator.
CENTER = (
    (3.3871328727963666080e0, 1.3314166789178437745e2, 1.9715909503065514427e3, 1.3731693765509461125e4,
     4.5921953931549871457e4, 6.7265770927008700853e4, 3.3430575583588128105e4, 2.5090809287301226727e3),
    (1.0, 4.2313330701600911252e1, 6.8718700749205790830e2, 5.3941960214247511077e3, 2.1213794301586595867e4,
     3.9307895800092710610e4, 2.8729085735721942674e4, 5.2264952788528545610e3),
)  # fmt: skip
NEAR_TAIL = (
    (1.42343711074968357734e0, 4.63033784615654529590e0, 5.76949722146069140550e0, 3.64784832476320460504e0,
     1.27045825245236838258e0, 2.41780725177450611770e-1, 2.27238449892691845833e-2, 7.74545014278341407640e-4),
    (1.0, 2.05319162663775882187e0, 1.67638483018380384940e0, 6.89767334985100004550e-1, 1.48103976427480074590e-1,
     1.51986665636164571966e-2, 5.47593808499534494600e-4, 1.05075007164441684324e-9),
)  # fmt: skip


def _inverse_normal(u: _Float64s) -> _Float64s:
    """The standard normal's quantile at u [n] in (2^-34, 1 - 2^-34); AS 241's far tail begins at e^-25, beyond that."""
    q = u - 0.5
    square = q * q
    normals = _rational(CENTER, np.subtract(0.180625, square, out=square))
    normals *= q
    tail = np.flatnonzero(np.abs(q, out=square) > 0.425)
    if len(tail) > 0:
        side, outside = q.take(tail), u.take(tail)
        r = _log(np.minimum(outside, 1.0 - outside))
        np.negative(r, out=r)
        np.sqrt(r, out=r)
        r -= 1.6
        normals[tail] = np.copysign(_rational(NEAR_TAIL, r), side)
    return normals


def _rational(coefficients: tuple[tuple[float, ...], tuple[float, ...]], x: _Float64s) -> _Float64s:
    numerator, denominator = (_horner(each, x) for each in coefficients)
    numerator /= denominator
    return numerator


def _horner(coefficients: tuple[float, ...], x: _Float64s) -> _Float64s:
    value = coefficients[-1] * x
    value += coefficients[-2]
    for coefficient in coefficients[-3::-1]:
        value *= x
        value += coefficient
    return value


def _log(x: _Float64s) -> _Float64s:
    """The natural logarithm of normal positive numbers.

    x = m * 2^e with m in [1/2, 1), doubled below sqrt(1/2); log m = 2 atanh(s) = 2 (s + s^3/3 + s^5/5 + ...), s = (m
    - 1) / (m + 1).
    """
    m, e = np.frexp(x)
    low = m < 0.7071067811865476
    m = np.where(low, 2.0 * m, m)
    e = e.astype(np.float64) - low
    s = (m - 1.0) / (m + 1.0)
    # |s| < 0.1716, so that 11 terms leave less than 1e-18.
    series = _horner(tuple(1.0 / (2 * k + 1) for k in range(11)), s * s)
    return e * 0.6931471805599453 + 2.0 * (s * series)
