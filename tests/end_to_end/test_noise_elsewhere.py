"""The seed contract's bits, drawn by a program that is not ours."""

import numpy as np
import pytest
import tensorflow as tf

from cvae_sdk.latents import _philox

PHILOX = 1  # TensorFlow's number for the algorithm


@pytest.mark.parametrize("seed", [0, 1, 2**32, 2**64 - 1])
@pytest.mark.parametrize("first", [0, 5, 2**32 - 1, 2**64 - 3])
def test_tensorflows_philox_gives_the_same_words(seed: int, first: int) -> None:
    counters = 7
    words = tf.raw_ops.StatelessRandomUniformFullIntV2(
        shape=[counters * 4],
        key=tf.constant([seed], tf.uint64),
        counter=tf.constant([first, 0], tf.uint64),
        alg=PHILOX,
        dtype=tf.uint32,
    )
    np.testing.assert_array_equal(_philox(seed, first, counters).ravel(), words.numpy())
