"""An alarm: a sign of a known failure, held against its limit by an interval, and which of many alarms ring."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from scipy.special import ndtr, ndtri

from spavl.statistics.intervals import LEVEL
from spavl.statistics.multiple import holm

Unit = Literal["share", "points", "number", "nats", "times"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarm:
    """A sign of a failure as it was measured; whether it rings, only `rung` says."""

    name: str
    """Its term, such as `blindness`: by it the settings name its limit, and the guide explains it."""
    subject: str
    """What it was measured of, such as a model or a judge."""
    what: str
    """A sentence that says what was measured, with its numbers."""
    try_: str
    """What to do where it rings."""
    value: float | None
    """What was measured; None where nothing could be."""
    low: float
    """Lower bound of its interval."""
    high: float
    """Upper bound."""
    limit: float
    """From where on it is a failure."""
    below: bool = False
    """Whether it is a failure below its limit, and not above it."""
    level: float = LEVEL
    """Confidence level of the interval."""
    unit: Unit = "share"
    """Of value and limit: shares are told in percent, changes in points, other numbers as they are."""
    either: bool = False
    """Whether it is a failure beyond its limit on either side of 0; value and bounds are then turned to be above 0."""
    p: float | None = None
    """P-value of its limit, corrected for all alarms that were looked at together; None: not looked at yet."""
    rings: bool = False
    """Whether it lies beyond its limit by more than chance explains."""


def rung(alarms: Sequence[Alarm], *, level: float = LEVEL) -> list[Alarm]:
    """The same alarms, each with its corrected p-value and whether it rings.

    The p-values of all of them are corrected together (Holm), so that where all is within its limits any alarm rings in
    at most 5 % of reports (a level of 0.95), however many models, metrics and judges are looked at.

    Args:
        alarms: all of a report, or of a training.
        level: confidence level of all of them together.
    """
    corrected = holm([p_beyond(alarm) for alarm in alarms])
    return [replace(alarm, p=p, rings=p < 1 - level) for alarm, p in zip(alarms, corrected, strict=True)]


def p_beyond(alarm: Alarm) -> float:
    """Two-sided p-value of the limit of an alarm, from its interval; 1 where its value is not beyond the limit.

    The distance of value and bound counts as so many standard errors as the level of the interval says, so that the
    p-value is below one minus that level where the bound is beyond the limit, and nowhere else. An interval without
    width decides alone.

    Args:
        alarm: with value, bounds and limit.
    """
    if alarm.value is None:
        return 1.0
    value, bound, limit = alarm.value, alarm.low, alarm.limit
    if alarm.below:
        value, bound, limit = -value, -alarm.high, -limit
    if value <= limit or math.isnan(value):
        return 1.0
    if bound >= value:
        return 0.0
    errors = float(ndtri((1 + alarm.level) / 2)) * (value - limit) / (value - bound)
    return float(2 * ndtr(-errors))


def difference_of(
    first: tuple[float, float, float], second: tuple[float, float, float]
) -> tuple[float, float, float]:  # fmt: skip
    """The difference of two independent estimates with its interval, each (value, low, high).

    Args:
        first: the estimate that is subtracted from.
        second: the one that is subtracted.

    Source: method of variance estimates recovery, Zou & Donner 2008, Statistics in Medicine 27:1693–1702; for two rates
    with Wilson's intervals it is Newcombe's.
    """
    (value, low, high), (other, least, most) = first, second
    below = math.hypot(value - low, most - other)
    above = math.hypot(high - value, other - least)
    return value - other, value - other - below, value - other + above
