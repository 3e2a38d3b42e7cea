"""The seed contract, against Random123's known answers, a scalar Philox, and the normal quantile to 40 digits."""

import functools
import json
import math
from decimal import Decimal
from pathlib import Path
from statistics import NormalDist

import numpy as np
import pytest
from exact_latents import exact_quantile, scalar_philox, split
from hypothesis import given, settings
from hypothesis import strategies as st

from cvae_sdk.latents import _inverse_normal, _philox, standard_normal_latents

GOLDEN = Path(__file__).parents[1] / "golden" / "latents-2026-11-22.json"
SEEDS = st.integers(0, 2**64 - 1)


@functools.cache
def reference_latents(seed: int, index: int, latent_dim: int) -> tuple[np.float32, ...]:
    blocks = math.ceil(latent_dim / 4)
    words = [
        word
        for counter in range(index * blocks, (index + 1) * blocks)
        for word in scalar_philox(split(seed, 2), split(counter, 4))
    ]
    return tuple(np.float32(float(exact_quantile(Decimal((word + 0.5) / 2**32)))) for word in words[:latent_dim])


def bits(latents) -> list[str]:
    return [f"{word:08x}" for word in np.asarray(latents, np.float32).view(np.uint32).ravel()]


KNOWN_ANSWERS = [
    ("00000000 00000000", "00000000 00000000 00000000 00000000", "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
    ("ffffffff ffffffff", "ffffffff ffffffff ffffffff ffffffff", "408f276d 41c83b0e a20bc7c6 6d5451fd"),
    ("a4093822 299f31d0", "243f6a88 85a308d3 13198a2e 03707344", "d16cfe09 94fdcceb 5001e420 24126ea1"),
]


def words_of(text: str) -> tuple[int, ...]:
    return tuple(int(word, 16) for word in text.split())


def number_of(text: str) -> int:
    return sum(word << 32 * i for i, word in enumerate(words_of(text)))


@pytest.mark.parametrize(("key", "counter", "answer"), KNOWN_ANSWERS)
def test_philox_gives_the_known_answers_of_random123(key, counter, answer):
    assert tuple(_philox(number_of(key), number_of(counter), 1)[0]) == words_of(answer)


@pytest.mark.parametrize(("key", "counter", "answer"), KNOWN_ANSWERS)
def test_the_scalar_philox_of_these_tests_gives_the_known_answers_too(key, counter, answer):
    assert scalar_philox(words_of(key), words_of(counter)) == words_of(answer)


def test_philox_hears_every_word_of_its_key_and_its_counter():
    assert (_philox(0, 0, 1) != _philox(1, 0, 1)).all()
    assert (_philox(0, 0, 1) != _philox(1 << 32, 0, 1)).all()
    for shift in (0, 32, 64, 96):
        assert (_philox(0, 0, 1) != _philox(0, 1 << shift, 1)).all()


@settings(deadline=None)
@given(
    SEEDS,
    st.one_of(
        st.integers(0, 2**128 - 16),
        st.integers(2**32 - 8, 2**32 + 8),
        st.integers(2**64 - 8, 2**64 + 8),
        st.integers(2**96 - 8, 2**96 + 8),
    ),
    st.integers(1, 8),
)
def test_philox_equals_a_scalar_philox_over_every_carry(seed, first, count):
    expected = [scalar_philox(split(seed, 2), split(counter, 4)) for counter in range(first, first + count)]
    assert _philox(seed, first, count).tolist() == [list(words) for words in expected]


@settings(deadline=None)
@given(st.one_of(st.integers(0, 2**32 - 1), st.integers(0, 100), st.integers(2**32 - 100, 2**32 - 1)))
def test_the_normal_is_the_quantile_of_its_uniform(word):
    u = (word + 0.5) / 2**32
    # Both are AS 241 in float64: 1e-16 of the maths, a few roundings of 1e-16 each.
    assert _inverse_normal(np.array([u]))[0] == pytest.approx(NormalDist().inv_cdf(u), rel=4e-15)


@pytest.mark.parametrize("u", [0.075, 0.925])
def test_the_quantile_is_continuous_where_its_formulas_meet(u):
    around = np.array([np.nextafter(u, 0), u, np.nextafter(u, 1)])
    expected = [NormalDist().inv_cdf(float(x)) for x in around]
    assert _inverse_normal(around) == pytest.approx(expected, rel=4e-15)  # as above


def test_the_extreme_words_give_the_extreme_latents():
    lowest, highest = _inverse_normal(np.array([2.0**-33, 1 - 2.0**-33]))
    assert lowest == pytest.approx(NormalDist().inv_cdf(2.0**-33), rel=4e-15)  # as above
    assert highest == -lowest


@settings(deadline=None)
@given(st.integers(0, 2**31 - 1))
def test_the_quantile_is_odd_around_one_half(word):
    u = (word + 0.5) / 2**32
    low, high = _inverse_normal(np.array([u, 1 - u]))
    assert low == -high


@pytest.mark.parametrize("latent_dim", [1, 3, 4, 5, 10, 32])
@pytest.mark.parametrize("seed", [0, 1, 7, 2**32 - 1, 2**32, 0x0123456789ABCDEF, 2**64 - 1])
def test_latents_equal_a_scalar_reference_to_the_last_bit(seed, latent_dim):
    # A seed and an index are not drawn at random here: where float64's error straddles a rounding to float32, one
    # value in 10^8, the two would differ by right.
    for first in (0, 1000, 2**40):
        expected = [reference_latents(seed, index, latent_dim) for index in range(first, first + 6)]
        assert bits(standard_normal_latents(seed, first, 6, latent_dim)) == bits(expected)


def test_latents_carry_over_2_to_the_32_and_2_to_the_64():
    for boundary in (2**32, 2**64):
        index = (boundary - 1) // 3  # with 3 counters an image, its first is the last before the boundary
        assert 3 * index == boundary - 1
        assert bits(standard_normal_latents(5, index, 1, 10)) == bits(reference_latents(5, index, 10))


def test_latents_are_what_they_were_on_2026_11_22():
    golden = json.loads(GOLDEN.read_text())
    for case in golden["latents"]:
        seed, index = int(case["seed"], 16), int(case["index"], 16)
        assert bits(standard_normal_latents(seed, index, 1, case["latent_dim"])) == case["bits"]
        assert bits(reference_latents(seed, index, case["latent_dim"])) == case["bits"]
    assert len(golden["latents"]) == 11


def test_a_bit_changed_in_the_golden_file_is_seen():
    case = json.loads(GOLDEN.read_text())["latents"][0]
    latents = standard_normal_latents(int(case["seed"], 16), int(case["index"], 16), 1, case["latent_dim"])
    assert bits(np.nextafter(latents, np.float32(9))) != case["bits"]


@settings(deadline=None)
@given(SEEDS, st.integers(0, 2**64), st.integers(1, 40), st.integers(1, 50), st.data())
def test_an_image_s_latents_do_not_depend_on_what_else_was_asked_for(seed, first, count, latent_dim, data):
    latents = standard_normal_latents(seed, first, count, latent_dim)
    i = data.draw(st.integers(0, count - 1))
    alone = standard_normal_latents(seed, first + i, 1, latent_dim)
    assert bits(alone) == bits(latents[i])


@settings(deadline=None, max_examples=30)
@given(SEEDS, st.sampled_from([1, 3, 10, 32]), st.integers(-3, 3))
def test_latents_do_not_depend_on_where_a_chunk_of_counters_ends(seed, latent_dim, offset):
    per_chunk = 4096 // -(-latent_dim // 4)
    first = per_chunk + offset
    latents = standard_normal_latents(seed, 0, first + 2, latent_dim)
    assert bits(latents[first:]) == bits(standard_normal_latents(seed, first, 2, latent_dim))


@pytest.mark.parametrize(("count", "latent_dim"), [(0, 10), (1, 1), (3, 4), (5, 10), (5000, 3)])
def test_latents_are_float32_of_the_shape_asked_for(count, latent_dim):
    latents = standard_normal_latents(0, 0, count, latent_dim)
    assert latents.dtype == np.float32
    assert latents.shape == (count, latent_dim)
    assert latents.flags.c_contiguous


def test_latents_are_standard_normal():
    latents = standard_normal_latents(0, 0, 10_000, 10).astype(np.float64)
    n = latents.size
    # Five standard errors each: sqrt(1/n) of the mean, sqrt(2/n) of the variance, sqrt(96/n) of the 4th moment.
    assert abs(latents.mean()) < 5 * math.sqrt(1 / n)
    assert abs((latents**2).mean() - 1) < 5 * math.sqrt(2 / n)
    assert abs((latents**4).mean() - 3) < 5 * math.sqrt(96 / n)
    ranked = np.array([NormalDist().cdf(z) for z in np.sort(latents.ravel())])
    distance = np.abs(ranked - (np.arange(n) + 0.5) / n).max()
    assert distance < 1.95 / math.sqrt(n)  # Kolmogorov-Smirnov at the level of 0.1 percent


def test_latents_of_other_places_images_and_seeds_are_uncorrelated():
    a, b = (standard_normal_latents(seed, 0, 4000, 10).astype(np.float64) for seed in (0, 1))
    # A product of two independent standard normals has variance 1: five standard errors of the mean.
    assert abs((a * b).mean()) < 5 / math.sqrt(a.size)
    assert abs((a[1:] * a[:-1]).mean()) < 5 / math.sqrt(a.size - 10)
    assert np.abs(np.corrcoef(a, rowvar=False) - np.eye(10)).max() < 5 / math.sqrt(len(a))
