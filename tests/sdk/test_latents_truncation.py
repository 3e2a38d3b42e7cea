"""Temperature and truncation: the mass against the standard library's erf, the truncated normal against its moments."""

import itertools
import math
from decimal import Decimal

import numpy as np
import pytest
from exact_latents import exact_mass
from hypothesis import given, settings
from hypothesis import strategies as st

from cvae_sdk.latents import standard_normal_latents
from cvae_sdk.truncation import ALL, central_mass

# Every t of two places, and small ones. Its neighborhood of 3, where the formula changes, has a test of its own.
GRID = [k / 100 for k in range(1, 900)] + [10.0**-k for k in range(3, 12)]
TRUNCATIONS = st.floats(1e-3, 10)
SEEDS = st.integers(0, 2**64 - 1)


def test_the_mass_is_erf_to_1e_15():
    for t in GRID:
        assert abs(central_mass(t) - math.erf(t / math.sqrt(2))) < 1e-15


def test_the_mass_is_the_exact_one_to_a_relative_1e_15():
    for t in GRID[::20] + GRID[-9:]:
        assert abs(Decimal(central_mass(t)) / exact_mass(t) - 1) < Decimal("1e-15")


def test_the_mass_is_a_probability_that_grows_with_t():
    for before, after in itertools.pairwise(sorted(GRID)):
        assert 0 < central_mass(before) <= central_mass(after) <= 1


def test_the_mass_does_not_jump_where_its_formulas_meet():
    below, above = central_mass(math.nextafter(3, 0)), central_mass(3.0)
    assert abs(above - below) < 1e-15  # the true one moves by 4e-18; each formula rounds some times by 1e-16


def test_what_is_left_out_from_8_5_on_rounds_away():
    assert math.erfc(ALL / math.sqrt(2)) < 2**-54
    assert math.erfc((ALL - 0.2) / math.sqrt(2)) > 2**-54
    assert central_mass(ALL) == central_mass(1e300) == central_mass(math.inf) == 1.0
    assert central_mass(8.2) < 1.0


@settings(deadline=None)
@given(SEEDS, st.floats(ALL, allow_infinity=True))
def test_truncation_from_8_5_on_changes_no_bit(seed, truncation):
    free = standard_normal_latents(seed, 3, 50, 7)
    assert standard_normal_latents(seed, 3, 50, 7, truncation=truncation).tobytes() == free.tobytes()


@settings(deadline=None)
@given(SEEDS, TRUNCATIONS, st.floats(0, 5))
def test_latents_stay_within_truncation_times_temperature(seed, truncation, temperature):
    latents = standard_normal_latents(seed, 0, 100, 10, temperature=temperature, truncation=truncation)
    # Three roundings to float32, 6e-8 each, are all that may exceed it; in float64 the quantile's own 1e-15 vanishes.
    # At the very edge u is 2^-33 short of it: that is why the largest latents of large truncations are below.
    assert np.abs(latents.astype(np.float64)).max() <= truncation * temperature * (1 + 2e-7) + 1e-45


def test_the_extreme_words_reach_the_truncation_and_do_not_pass_it():
    # Image 5617470 of seed 0 has one of the lowest words of the first 2^25, 1.1e-7 from the edge.
    lowest = standard_normal_latents(0, 5617470, 1, 4, truncation=1.0)[0, 3]
    assert -1 - 2**-23 <= lowest < -1 + 1e-6


@settings(deadline=None)
@given(SEEDS, TRUNCATIONS, TRUNCATIONS)
def test_a_wider_truncation_moves_no_latent_inwards(seed, one, other):
    narrow, wide = (
        np.abs(standard_normal_latents(seed, 0, 100, 4, truncation=t).astype(np.float64)) for t in sorted((one, other))
    )
    # 1e-7 of a latent is its rounding to float32; 1e-15 the grain of u' next to 1/2, in units of z.
    assert (narrow <= wide * (1 + 2e-7) + 1e-15).all()


@settings(deadline=None)
@given(SEEDS, TRUNCATIONS)
def test_truncation_keeps_the_order_and_the_signs_of_latents(seed, truncation):
    free = standard_normal_latents(seed, 0, 100, 4).ravel()
    truncated = standard_normal_latents(seed, 0, 100, 4, truncation=truncation).ravel()
    assert (np.diff(truncated[np.argsort(free)]) >= 0).all()
    assert (np.sign(free) == np.sign(truncated)).all()


@settings(deadline=None)
@given(SEEDS, st.floats(0, 100), st.one_of(st.none(), TRUNCATIONS))
def test_temperature_multiplies_the_latents_in_float32(seed, temperature, truncation):
    plain = standard_normal_latents(seed, 0, 20, 5, truncation=truncation)
    scaled = standard_normal_latents(seed, 0, 20, 5, temperature=temperature, truncation=truncation)
    # A product of two float32 numbers is exact in float64: this rounds once, as the contract does.
    expected = (plain.astype(np.float64) * float(np.float32(temperature))).astype(np.float32)
    assert scaled.dtype == np.float32
    assert scaled.tobytes() == expected.tobytes()


@pytest.mark.parametrize("t", [0.3, 1.0, 2.0, 3.5])
def test_truncated_latents_have_the_truncated_normal_s_moments_and_distribution(t):
    latents = standard_normal_latents(1, 0, 10_000, 10, truncation=t).astype(np.float64).ravel()
    n = latents.size
    mass = math.erf(t / math.sqrt(2))
    edge = 2 * t * math.exp(-t * t / 2) / math.sqrt(2 * math.pi) / mass
    variance = 1 - edge
    fourth = 3 * variance - t * t * edge  # by parts: E z^4 = 3 E z^2 - t^3 2 p(t) / m
    # Five standard errors each.
    assert abs(latents.mean()) < 5 * math.sqrt(variance / n)
    assert abs((latents**2).mean() - variance) < 5 * math.sqrt((fourth - variance**2) / n)
    ranked = np.array([(math.erf(z / math.sqrt(2)) / mass + 1) / 2 for z in np.sort(latents)])
    distance = np.abs(ranked - (np.arange(n) + 0.5) / n).max()
    assert distance < 1.95 / math.sqrt(n)  # Kolmogorov-Smirnov at the level of 0.1 percent


def test_moments_of_the_normal_without_truncation_would_be_seen():
    free = standard_normal_latents(1, 0, 10_000, 10).astype(np.float64)
    assert (free**2).mean() > 0.9
    assert (standard_normal_latents(1, 0, 10_000, 10, truncation=2.0).astype(np.float64) ** 2).mean() < 0.8
