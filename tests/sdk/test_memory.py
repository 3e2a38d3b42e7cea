"""What memory has no room for is refused before any of it is taken."""

import tracemalloc

import numpy as np
import pytest

from cvae_sdk import TooLargeError
from cvae_sdk.memory import available_bytes, check_images_fit


def images_that_do_not_fit() -> int:
    """Half as many again as memory has room for: few enough that an allocation alone might pass."""
    return int(1.5 * (available_bytes() or 1 << 40)) // 784


@pytest.mark.parametrize(
    "call",
    [
        lambda s, n: s.sample(7, n),
        lambda s, n: s.sample(np.broadcast_to(np.int8(0), (n,))),
        lambda s, n: s.sample(7, n // 3, output="float32"),
        lambda s, n: s.stream(7, n, n),
        lambda s, n: s.interpolate(3, 8, n),
        lambda s, n: s.morph([3, 8], n),
        lambda s, n: s.neighbors(7, n),
        lambda s, n: s.grid([7], n),
        lambda s, n: s.decode(np.broadcast_to(np.float32(0), (n, 24)), np.broadcast_to(np.int8(0), (n,))),
    ],
    ids=["sample", "labels", "float32", "stream", "interpolate", "morph", "neighbors", "grid", "decode"],
)
def test_too_much_is_refused_before_a_megabyte_is_taken(sampler, call):
    n = images_that_do_not_fit()
    tracemalloc.start()
    try:
        with pytest.raises(TooLargeError, match="do not fit into memory") as raised:
            call(sampler, n)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()
    assert raised.value.found > raised.value.expected > 0


def test_the_same_measure_sees_what_is_taken(sampler):
    tracemalloc.start()
    sampler.sample(7, 3000)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak > 3000 * 784


def test_what_fits_is_not_refused():
    check_images_fit((available_bytes() or 0) // 1000, (28, 28, 1))
    check_images_fit(1, (28, 28, 1))
