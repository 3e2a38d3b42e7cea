"""Curves over epochs as inline SVG, whose colors are the page's."""

import math
from collections.abc import Mapping, Sequence
from html import escape

__all__ = ["line_chart", "ticks"]

_WIDTH, _HEIGHT = 360, 230
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 10, 12, 38


def line_chart(
    name: str, epochs: Sequence[int], curves: Mapping[str, Sequence[float]], marked: int | None = None
) -> str:
    """An SVG with one line per curve, classed `curve-1`, `curve-2`, ..., and a vertical line at the epoch `marked`.

    The first tenth of the epochs may go beyond the upper edge, since the rest would be flat under their losses.
    """
    shown = [value for values in curves.values() for value in values[len(values) // 10 :]]
    upright = ticks(min(min(values) for values in curves.values()), max(shown), 5)
    across = ticks(epochs[0], epochs[-1], 6, whole=True)
    low, high, first, last = upright[0], upright[-1], epochs[0], max(epochs[-1], epochs[0] + 1)

    def x(epoch: float) -> float:
        return _LEFT + (epoch - first) / (last - first) * (_WIDTH - _LEFT - _RIGHT)

    def y(value: float) -> float:
        return _HEIGHT - _BOTTOM - (value - low) / (high - low) * (_HEIGHT - _TOP - _BOTTOM)

    clip = f"clip-{name}"
    parts = [
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(_in_words(name, epochs, curves))}">',
        f'<clipPath id="{clip}"><rect x="{_LEFT - 3}" y="{_TOP}" width="{_WIDTH - _LEFT - _RIGHT + 6}" '
        f'height="{_HEIGHT - _TOP - _BOTTOM + 3}"/></clipPath>',
    ]
    for value in upright:
        parts.append(f'<path class="grid" d="M{_LEFT} {y(value):.1f}H{_WIDTH - _RIGHT}"/>')
        parts.append(f'<text x="{_LEFT - 6}" y="{y(value) + 4:.1f}" text-anchor="end">{value:g}</text>')
    parts += [
        f'<text x="{x(epoch):.1f}" y="{_HEIGHT - _BOTTOM + 16}" text-anchor="middle">{epoch:g}</text>'
        for epoch in across
        if first <= epoch <= epochs[-1]
    ]
    parts.append(f'<text x="{(_LEFT + _WIDTH - _RIGHT) / 2}" y="{_HEIGHT - 4}" text-anchor="middle">epoch</text>')
    if marked is not None:
        parts.append(f'<path class="marked" d="M{x(marked):.1f} {_TOP}V{_HEIGHT - _BOTTOM}"/>')
    for number, values in enumerate(curves.values(), start=1):
        points = [f"{x(epoch):.1f} {y(value):.1f}" for epoch, value in zip(epochs, values, strict=True)]
        parts.append(f'<g class="curve-{number}" clip-path="url(#{clip})"><path d="M{"L".join(points)}"/>')
        if len(points) <= 3:  # a line of one point is not seen
            parts += [f'<circle cx="{cx}" cy="{cy}" r="3"/>' for cx, cy in map(str.split, points)]
        parts.append("</g>")
    return "".join((*parts, "</svg>"))


def ticks(low: float, high: float, most: int, *, whole: bool = False) -> list[float]:
    """At most about `most` round numbers, from at or below `low` to at or above `high`, at least two."""
    span = max(high - low, 1e-9 * max(1.0, abs(high)))
    rough = span / most
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * (1 - 1e-9))
    if whole:
        step = max(1.0, round(step))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(number * step, 12) for number in range(first, max(last, first + 1) + 1)]


def _in_words(name: str, epochs: Sequence[int], curves: Mapping[str, Sequence[float]]) -> str:
    told = [
        f"{curve} from {values[0]:.2f} to {values[-1]:.2f}, lowest {min(values):.2f}"
        for curve, values in curves.items()
    ]
    return f"{name} by epoch, {epochs[0]} to {epochs[-1]}: {'; '.join(told)}"
