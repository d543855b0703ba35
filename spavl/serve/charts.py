"""Charts as the numbers of an SVG, which the page draws in the colours of the reader's own scheme."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from spavl.report.data import Curve
from spavl.statistics.intervals import Rate

WIDTH: Final = 440
"""Units of a chart's width, its numbers at the axes included."""
HEIGHT: Final = 210
"""Units of its height."""
LEFT: Final = 46
"""Units to the left of the lines, for the numbers there."""
BELOW: Final = 24
"""Units below the lines."""
MOST_POINTS: Final = 400
"""Most points of a line: of more, every so-many-th is drawn, the last always."""
TICKS: Final = 4
"""About how many lines cross a chart."""
COLOURS: Final = 5
"""Colours of lines; further lines have the first ones again, dashed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A line of a chart."""

    name: str
    """Whose it is."""
    path: str
    """Its `d`."""
    band: str
    """The `d` of its interval; empty: none."""
    colour: int
    """Number of its colour, from 1."""
    dashed: bool
    """Whether it is dashed."""
    last: str
    """Its last value, in words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """A chart of lines over steps."""

    title: str
    """What is shown."""
    what: str
    """What that means."""
    lines: Sequence[Line]
    """By training."""
    levels: Sequence[tuple[float, str]]
    """Height and number of each line that crosses it."""
    steps: Sequence[tuple[float, str]]
    """Place and number of each step that is named."""


def chart_of(curve: Curve) -> Chart:
    """A chart of a training curve.

    Args:
        curve: points by training.
    """
    points = [point for series in curve.series.values() for point in series]
    first, last = min(x for x, _ in points), max(x for x, _ in points)
    bounds = [y for _, y in points] + [y for band in curve.bands.values() for _, *both in band for y in both]
    low, high = (0.0, 1.0) if curve.percent else (min(bounds), max(bounds))
    levels = _ticks(low, high)
    low, high = min(low, levels[0]), max(high, levels[-1])
    scale = _Scale(first, last, low, high)
    names = list(curve.series)
    return Chart(
        title=curve.title, what=curve.what,
        lines=[_line(name, curve, scale, names.index(name)) for name in names],
        levels=[(scale.y(level), _number(level, curve.percent)) for level in levels],
        steps=[(scale.x(step), f"{step:,.0f}") for step in dict.fromkeys((first, last))],
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Scale:
    first: float
    last: float
    low: float
    high: float

    def x(self, step: float) -> float:
        share = (step - self.first) / ((self.last - self.first) or 1)
        return round(LEFT + share * (WIDTH - LEFT - 8), 1)

    def y(self, value: float) -> float:
        share = (value - self.low) / ((self.high - self.low) or 1)
        return round(8 + (1 - share) * (HEIGHT - BELOW - 8), 1)


def _line(name: str, curve: Curve, scale: _Scale, place: int) -> Line:
    shown = _thinned(curve.series[name])
    band = curve.bands.get(name, ())
    upper = [(at, high) for at, _, high in band]
    lower = [(at, low) for at, low, _ in reversed(band)]
    return Line(
        name=name, path=_path(shown, scale), band=f"{_path([*upper, *lower], scale)}Z" if band else "",
        colour=place % COLOURS + 1, dashed=place >= COLOURS, last=_number(shown[-1][1], curve.percent),
    )  # fmt: skip


def _thinned(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    every = math.ceil(len(points) / MOST_POINTS)
    return [*points[:-1:every], points[-1]]


def _path(points: Sequence[tuple[float, float]], scale: _Scale) -> str:
    return "M" + "L".join(f"{scale.x(at)},{scale.y(value)}" for at, value in points)


def _ticks(low: float, high: float) -> list[float]:
    """Round numbers that span an interval."""
    width = (high - low) or abs(high) or 1.0
    rough = width / TICKS
    unit = 10.0 ** math.floor(math.log10(rough))
    step = next(unit * by for by in (1, 2, 5, 10) if unit * by >= rough * 0.999)
    begin, end = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(step * place, 10) for place in range(begin, max(end, begin + 1) + 1)]


def _number(value: float, percent: bool) -> str:
    return f"{100 * value:.0f} %" if percent else f"{value:.3g}"


def interval_of(rate: Rate) -> Mapping[str, float]:
    """Places of a rate and its interval on a line of 200 units: low, high, and the value where there is one.

    Args:
        rate: a share, or a mean score.
    """
    found = {"low": round(200 * rate.low, 1), "high": round(200 * rate.high, 1)}
    return found if rate.value is None else {**found, "value": round(200 * rate.value, 1)}
