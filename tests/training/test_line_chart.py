"""Curves as SVG: what is drawn is read back by the positions of the ticks' own texts."""

import itertools
import math
import xml.etree.ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cvae_training.line_chart import line_chart, ticks

EPOCHS = list(range(1, 21))
LOSS = [300 / epoch + 7 for epoch in EPOCHS]
HELD_OUT = [280 / epoch + 12 for epoch in EPOCHS]
NUMBER = st.floats(-1e6, 1e6)


def drawn(svg: str) -> ET.Element:
    return ET.fromstring(svg)  # noqa: S314


def points(svg: str, curve: int) -> list[tuple[float, float]]:
    """A curve's points as (epoch, value), by two ticks of each axis."""
    root = drawn(svg)
    upright = [
        (float(text.get("y", "")) - 4, float(text.text or ""))
        for text in root.iter("text")
        if text.get("text-anchor") == "end"
    ]
    across = [
        (float(text.get("x", "")), float(text.text))
        for text in root.iter("text")
        if text.get("text-anchor") == "middle" and text.text and text.text != "epoch"
    ]
    (path,) = root.findall(f"g[@class='curve-{curve}']/path")
    read = []
    for point in path.get("d", "").removeprefix("M").split("L"):
        pair = []
        for place, ends in zip(map(float, point.split()), (across, upright), strict=True):
            (first, low), (last, high) = ends[0], ends[-1]
            pair.append(low + (place - first) / (last - first) * (high - low))
        read.append((pair[0], pair[1]))
    return read


def test_the_curves_are_the_values() -> None:
    svg = line_chart("loss", EPOCHS, {"training": LOSS, "held out": HELD_OUT})
    for number, values in ((1, LOSS), (2, HELD_OUT)):
        read = points(svg, number)
        assert [epoch for epoch, _ in read] == pytest.approx(EPOCHS, abs=0.01)  # a tenth of a unit of 300 for 19 epochs
        assert [value for _, value in read] == pytest.approx(values, abs=0.2)  # and of 180 for some 150 nats


def test_the_first_tenth_may_go_beyond_the_edge_and_nothing_else() -> None:
    root = drawn(line_chart("loss", EPOCHS, {"training": LOSS}))
    (path,) = root.findall("g/path")
    tops = [float(point.split()[1]) for point in path.get("d", "").removeprefix("M").split("L")]
    (clip,) = root.findall("clipPath/rect")
    assert [top < float(clip.get("y", "")) for top in tops] == [True, True, *[False] * 18]
    assert root.find("g").get("clip-path") == f"url(#{root.find('clipPath').get('id')})"  # type: ignore[union-attr]


def test_a_reader_that_sees_no_picture_is_told_the_curves() -> None:
    root = drawn(line_chart("loss", [1, 2, 3], {"training": [9.0, 4.0, 5.0], "held <out>": [8.0, 7.0, 6.5]}))
    assert root.get("role") == "img"
    assert root.get("aria-label") == (
        "loss by epoch, 1 to 3: training from 9.00 to 5.00, lowest 4.00; held <out> from 8.00 to 6.50, lowest 6.50"
    )


@pytest.mark.parametrize("values", [[3.0], [0.0], [2.0, 2.0]])
def test_one_epoch_and_equal_values_are_seen_as_dots(values: list[float]) -> None:
    root = drawn(line_chart("kl", list(range(1, len(values) + 1)), {"training": values}))
    circles = root.findall("g/circle")
    assert len(circles) == len(values)
    assert all(math.isfinite(float(circle.get(axis, ""))) for circle in circles for axis in ("cx", "cy"))


def test_the_epoch_whose_parameters_are_used_is_marked() -> None:
    (mark,) = drawn(line_chart("loss", EPOCHS, {"training": LOSS}, marked=11)).findall("path[@class='marked']")
    place = float(mark.get("d", "").removeprefix("M").split()[0])
    (path,) = drawn(line_chart("loss", EPOCHS, {"training": LOSS})).findall("g/path")
    assert place == float(path.get("d", "").removeprefix("M").split("L")[10].split()[0])
    assert not drawn(line_chart("loss", EPOCHS, {"training": LOSS})).findall("path[@class='marked']")


@settings(deadline=None)
@given(NUMBER, NUMBER, st.integers(2, 9))
def test_ticks_are_round_and_hold_the_range(low: float, high: float, most: int) -> None:
    low, high = sorted((low, high))
    got = ticks(low, high, most)
    slack = 1e-6 * max(1.0, abs(low), abs(high))
    assert got[0] <= low + slack
    assert got[-1] >= high - slack
    assert 2 <= len(got) <= most + 2
    steps = [after - before for before, after in itertools.pairwise(got)]
    assert steps == pytest.approx([steps[0]] * len(steps), rel=1e-3, abs=1e-10)
    if high - low > 1e-3:
        assert f"{steps[0]:.0e}"[0] in "125"


def test_epochs_are_whole() -> None:
    assert ticks(1, 2, 6, whole=True) == [1, 2]
    assert ticks(1, 80, 6, whole=True) == [0, 20, 40, 60, 80]
