"""The SDK's latents, drawn by operations of TensorFlow: the same bits as `cvae_sdk.latents`, which has the maths.

Words of 32 bits are held in int64, the one integer type for which every build has each operation; a product of two is
put together from products with halves of 16 bits, so that nothing overflows.
"""

from collections.abc import Sequence

import tensorflow as tf

from cvae_sdk.latents import CENTER, MULTIPLIERS, NEAR_TAIL, WEYL

__all__ = ["first_latents"]

_MASK = 0xFFFFFFFF
_HALF = 0xFFFF
_MANTISSA, _ONE_HALF, _EXPONENT_OF_ONE_HALF = 0x000FFFFFFFFFFFFF, 0x3FE0000000000000, 1022


def first_latents(seed: tf.Tensor, latent_dim: int) -> tf.Tensor:
    """Latents of image 0 of each seed, int64 [batch], whose bits are the seed: float32 [batch, latent_dim]."""
    blocks = -(-latent_dim // 4)
    words = _philox(seed, blocks)
    normals = tf.cast(_inverse_normal((tf.cast(words, tf.float64) + 0.5) * 2.0**-32), tf.float32)
    return tf.reshape(normals, (-1, blocks * 4))[:, :latent_dim]


def _philox(seed: tf.Tensor, blocks: int) -> tf.Tensor:
    """Philox4x32-10: the words of counters 0 to blocks - 1, int64 [batch, blocks, 4]."""
    key0, key1 = seed[:, None] & _MASK, tf.bitwise.right_shift(seed, 32)[:, None] & _MASK
    c0 = tf.range(blocks, dtype=tf.int64)[None] + tf.zeros_like(key0)
    c1 = c2 = c3 = tf.zeros_like(c0)
    for _ in range(10):
        high0, low0 = _product(int(MULTIPLIERS[0]), c0)
        high1, low1 = _product(int(MULTIPLIERS[1]), c2)
        c0, c1 = _xor(high1, c1, key0), low1
        c2, c3 = _xor(high0, c3, key1), low0
        key0, key1 = (key0 + WEYL[0]) & _MASK, (key1 + WEYL[1]) & _MASK
    return tf.stack((c0, c1, c2, c3), axis=-1)


def _xor(a: tf.Tensor, b: tf.Tensor, c: tf.Tensor) -> tf.Tensor:
    return tf.bitwise.bitwise_xor(tf.bitwise.bitwise_xor(a, b), c)


def _product(a: int, x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """The upper and the lower word of a * x."""
    low = x * (a & _HALF)
    middle = x * (a >> 16) + tf.bitwise.right_shift(low, 16)
    return tf.bitwise.right_shift(middle, 16), tf.bitwise.left_shift(middle & _HALF, 16) | (low & _HALF)


def _inverse_normal(u: tf.Tensor) -> tf.Tensor:
    q = u - 0.5
    r = tf.sqrt(-_log(tf.minimum(u, 1.0 - u))) - 1.6
    tail = tf.sign(q) * _rational(NEAR_TAIL, r)
    return tf.where(tf.abs(q) > 0.425, tail, q * _rational(CENTER, 0.180625 - q * q))


def _rational(coefficients: tuple[Sequence[float], Sequence[float]], x: tf.Tensor) -> tf.Tensor:
    numerator, denominator = coefficients
    return _horner(numerator, x) / _horner(denominator, x)


def _horner(coefficients: Sequence[float], x: tf.Tensor) -> tf.Tensor:
    value = tf.fill(tf.shape(x), tf.constant(coefficients[-1], tf.float64))
    for coefficient in coefficients[-2::-1]:
        value = value * x + coefficient
    return value


def _log(x: tf.Tensor) -> tf.Tensor:
    bits = tf.bitcast(x, tf.int64)
    m = tf.bitcast((bits & _MANTISSA) | _ONE_HALF, tf.float64)
    low = m < 0.7071067811865476
    m = tf.where(low, 2.0 * m, m)
    e = tf.cast(tf.bitwise.right_shift(bits, 52) - _EXPONENT_OF_ONE_HALF, tf.float64) - tf.cast(low, tf.float64)
    s = (m - 1.0) / (m + 1.0)
    series = _horner(tuple(1.0 / (2 * k + 1) for k in range(11)), s * s)
    return e * 0.6931471805599453 + 2.0 * (s * series)
