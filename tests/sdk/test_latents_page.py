"""SEEDS.md is enough to write the latents again: a scalar program of its steps, with the page's own constants."""

import json
import math
import re
from pathlib import Path

import numpy as np
import pytest
from exact_latents import exact_latent, word_of
from hypothesis import given, settings
from hypothesis import strategies as st

from cvae_sdk.latents import CENTER, NEAR_TAIL, standard_normal_latents

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "sdk" / "SEEDS.md").read_text()
GOLDEN = json.loads((ROOT / "tests" / "golden" / "latents-2026-11-26.json").read_text())
COLUMNS = ("seed", "index", "latent_dim", "k", "temperature", "truncation", "word", "bits")


def rows_of(heading: str, columns: int) -> list[list[str]]:
    """The cells of the table below a heading, without its first two lines."""
    text = PAGE[PAGE.index(heading) :]
    table = re.search(r"(?m)(^\|.*\n?)+", text)
    assert table is not None
    rows = [[cell.strip().strip("`") for cell in line.strip("|").split("|")] for line in table.group().splitlines()]
    assert all(len(row) == columns for row in rows)
    return rows[2:]


VECTORS = rows_of("## Test vectors", 8)
COEFFICIENTS = [[float.fromhex(cell) for cell in row[1:]] for row in rows_of("library's, but this:", 5)]
A, B, C, D = (list(column) for column in zip(*COEFFICIENTS, strict=True))


def constant(before: str) -> float:
    """The one number in hexadecimal that the page gives after some words."""
    found = re.findall(re.escape(before) + r"\s*`?(0x1\.[0-9a-f]+p[+-]\d+)", PAGE)
    assert len(found) == 1, before
    return float.fromhex(found[0])


SQRT_2_OVER_PI = constant("`C` = sqrt(2 / pi) =")
CENTER_ENDS, CENTER_X, TAIL_X = constant("0.425 is"), constant("0.180625 is"), constant("1.6 is")
SQRT_HALF, LN_2 = constant("h from"), constant("(g")


def polynomial(a: list[float], x: float) -> float:
    v = a[-1]
    for c in reversed(a[:-1]):
        v = v * x + c
    return v


def log(y: float) -> float:
    h, g = y, 0
    while h < SQRT_HALF:
        h, g = h * 2, g - 1
    s = (h - 1) / (h + 1)
    return g * LN_2 + 2 * (s * polynomial([1 / (2 * j + 1) for j in range(11)], s * s))


def mass(t: float) -> float:
    e = r = 1.0
    for j in range(140, 0, -1):
        e = 1 + (e * (t * t / 2)) / j
    if t < 3:
        for j in range(40, 0, -1):
            r = 1 + (r * (t * t)) / (2 * j + 1)
        return (SQRT_2_OVER_PI * (t * r)) / e
    f = t
    for j in range(60, 0, -1):
        f = t + j / f
    return 1 - SQRT_2_OVER_PI / (e * f)


def latent_of_the_page(
    seed: int, i: int, latent_dim: int, k: int, temperature: float, truncation: float | None
) -> np.float32:
    u = (word_of(seed, i, latent_dim, k) + 0.5) * 2.0**-32
    if truncation is not None and truncation < 8.5:
        u = 0.5 + mass(truncation) * (u - 0.5)
    q = u - 0.5
    if abs(q) <= CENTER_ENDS:
        x = CENTER_X - q * q
        z = q * (polynomial(A, x) / polynomial(B, x))
    else:
        x = math.sqrt(-log(min(u, 1 - u))) - TAIL_X
        z = math.copysign(polynomial(C, x) / polynomial(D, x), q)
    return np.float32(z) * np.float32(temperature)


def bits(latent: np.float32) -> str:
    return f"{latent.view(np.uint32):08x}"


def test_the_page_has_the_vectors_of_the_golden_file():
    assert [dict(zip(COLUMNS, row, strict=True)) for row in VECTORS] == [
        {name: "none" if value is None else str(value) for name, value in case.items()} for case in GOLDEN["latents"]
    ]
    assert len({tuple(row[:6]) for row in VECTORS}) == 64


def test_the_page_has_the_coefficients_of_the_code():
    assert [tuple(column) for column in (A, B, C, D)] == [*CENTER, *NEAR_TAIL]


@pytest.mark.parametrize("case", GOLDEN["latents"], ids=lambda case: f"{case['seed']}-{case['index']}-{case['k']}")
def test_a_vector_is_what_the_page_the_code_and_exact_arithmetic_give(case):
    place = int(case["seed"]), int(case["index"]), case["latent_dim"], case["k"]
    scaling = {"temperature": case["temperature"], "truncation": case["truncation"]}
    row = standard_normal_latents(place[0], place[1], 1, case["latent_dim"], **scaling)[0]
    assert f"{word_of(*place):08x}" == case["word"]
    assert bits(row[case["k"]]) == case["bits"]
    assert bits(latent_of_the_page(*place, **scaling)) == case["bits"]
    assert bits(exact_latent(*place, **scaling)) == case["bits"]


def test_the_vectors_have_every_kind_of_place():
    cases = GOLDEN["latents"]
    words = [int(case["word"], 16) for case in cases]
    distances = [abs((word + 0.5) / 2**32 - 0.5) for word in words]
    assert min(words) < 500
    assert max(words) > 2**32 - 500
    assert min(distances) < 1e-9
    assert any(0.425 < distance < 0.425 + 1e-7 for distance in distances)
    assert any(0.425 - 1e-7 < distance < 0.425 for distance in distances)
    assert {0, 1, 2**32 - 1, 2**32, 2**64 - 1} <= {int(case["seed"]) for case in cases}
    assert max(int(case["index"]) for case in cases) == 2**64 - 1
    assert {case["latent_dim"] % 4 for case in cases} == {case["k"] % 4 for case in cases} == {0, 1, 2, 3}
    assert any(case["bits"] == "80000000" for case in cases)
    temperatures, truncations = ({case[name] for case in cases} for name in ("temperature", "truncation"))
    assert {0.0, 0.1, 0.5, 1.0, 1.5} <= temperatures
    assert {None, 0.001, 1.0, 2.9999999, 3.0, 8.49, 8.5, 20.0} <= truncations


@settings(deadline=None)
@given(
    st.integers(0, 2**64 - 1),
    st.integers(0, 2**64 - 1),
    st.integers(1, 12),
    st.floats(0, 4),
    st.one_of(st.none(), st.floats(1e-3, 9), st.floats(2.999, 3.001)),
)
def test_the_code_does_the_steps_of_the_page_to_the_last_bit(seed, index, latent_dim, temperature, truncation):
    row = standard_normal_latents(seed, index, 1, latent_dim, temperature=temperature, truncation=truncation)[0]
    expected = [latent_of_the_page(seed, index, latent_dim, k, temperature, truncation) for k in range(latent_dim)]
    assert list(map(bits, row)) == list(map(bits, expected))


def test_a_digit_changed_in_the_page_is_seen(monkeypatch):
    monkeypatch.setitem(globals(), "LN_2", LN_2 + 2.0**-25)  # its 6th digit
    changed = [latent_of_the_page(0, i, 64, k, 1.0, None) for i in range(40) for k in range(64)]
    assert list(map(bits, changed)) != list(map(bits, standard_normal_latents(0, 0, 40, 64).ravel()))
