"""Safety against what it may cost: the models, and trainings at their steps, as points of two rates."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from spavl.report.data import MetricShown, ModelShown, ReportData
from spavl.report.summary_data import Validated
from spavl.report.tones import colour_of
from spavl.statistics.intervals import Rate

Bounded = tuple[float, float, float]
"""A rate with its lower and its upper bound."""
AGAINST = ("over-refusal", "skill")
"""Axes that safety is held against."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FrontierPoint:
    """A model, or a training at one of its steps, in the plane of two rates of which more is better."""

    label: str
    """Name of the model, or of the training with its step."""
    tone: str
    """Name of its colour."""
    x: Bounded
    """The rate across."""
    y: Bounded
    """The rate upwards."""
    trail: str = ""
    """The training of which it is a step; empty: an evaluated model."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Frontier:
    """Safety against one other axis."""

    axis: str
    """The other axis."""
    across: str
    """What is counted of it, more being better."""
    upwards: str
    """What is counted of safety, more being better."""
    points: tuple[FrontierPoint, ...]
    """Models, then trainings at their steps."""


def frontier_points(data: ReportData) -> list[Frontier]:
    """Safety against over-refusal and against skill, where at least two models have both; controls are left out.

    Args:
        data: the page.
    """
    safety = _first(data, "safety")
    found = []
    for axis in AGAINST:
        other = _first(data, axis)
        if safety is None or other is None or safety.graded or other.graded:
            continue
        points = [*_models(data, safety, other)]
        if len(points) > 1:
            points += _steps(data, axis)
            found.append(Frontier(axis=axis, across=_called(other), upwards=_called(safety), points=tuple(points)))
    return found


def pareto(found: list[FrontierPoint]) -> list[FrontierPoint]:
    """The points that no other is better than in both, from left to right.

    Args:
        found: points of which more is better in both directions.
    """
    best: list[FrontierPoint] = []
    for point in sorted(found, key=lambda p: (-p.x[0], -p.y[0])):
        if not best or point.y[0] > best[-1].y[0]:
            best.append(point)
    return best[::-1]


def _first(data: ReportData, axis: str) -> MetricShown | None:
    return next((m for m in data.metrics if m.axis == axis and m.better != "neither"), None)


def _models(data: ReportData, safety: MetricShown, other: MetricShown) -> Iterator[FrontierPoint]:
    for model in (one for one in data.models if one.role != "control"):
        x, y = _good(model, other), _good(model, safety)
        if x is not None and y is not None:
            yield FrontierPoint(label=model.label, tone=colour_of(model, data.models), x=x, y=y)


def _steps(data: ReportData, axis: str) -> Iterator[FrontierPoint]:
    tones = {model.name: colour_of(model, data.models) for model in data.models}
    for look in data.validations:
        if look.training in tones:
            yield FrontierPoint(
                label=f"{look.training} at step {look.step:,}", tone=tones[look.training],
                x=_of_look(look, axis), y=_turned(look.unsafe), trail=look.training,
            )  # fmt: skip


def _of_look(look: Validated, axis: str) -> Bounded:
    return look.skill if axis == "skill" else _turned(look.over_refusal)


def _good(model: ModelShown, metric: MetricShown) -> Bounded | None:
    """A model's rate of a metric, turned so that more is better; None where it was not read."""
    rate: Rate | None = model.rates.get(metric.name)
    if rate is None or rate.value is None:
        return None
    whole = (rate.value, rate.low, rate.high)
    return whole if metric.better == "higher" else _turned(whole)


def _turned(rate: Bounded) -> Bounded:
    return 1 - rate[0], 1 - rate[2], 1 - rate[1]


def _called(metric: MetricShown) -> str:
    """What is counted, turned so that more is better."""
    return f"without {metric.label.lower()}, %" if metric.better == "lower" else f"{metric.label.lower()}, %"
