"""Whether a skill is kept: the loss is shown to be smaller than a margin, for pairs that may share clusters."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass

from scipy.optimize import brentq

from spavl.statistics.intervals import LEVEL, Outcome
from spavl.statistics.paired import Better, worst_change

EDGE = 1e-9
"""Least p-value that is told apart from 0."""


@dataclass(frozen=True, slots=True)
class NonInferiority:
    """Whether an aligned model is no worse than the base by a margin or more."""

    holds: bool
    """Whether the largest loss that the data allow is below the margin."""
    loss: float
    """One-sided upper bound of the loss, in the direction in which the metric gets worse; negative: a gain is shown."""
    p: float
    """One-sided p of the hypothesis that the loss is the margin or more, for Holm's correction over a suite; 1 where
    even the estimate is beyond the margin."""
    margin: float
    """Largest loss that is accepted, as a share."""


def noninferior(
    base: Mapping[str, Outcome], aligned: Mapping[str, Outcome], *, better: Better, margin: float,
    clusters: Mapping[str, Hashable] | None = None,
    weights: tuple[Mapping[str, float], Mapping[str, float]] = ({}, {}), level: float = LEVEL,
) -> NonInferiority:  # fmt: skip
    """Test that a metric got worse by less than a margin, on the items that both models were asked.

    The bound is the one that `compare_paired` gives at the one-sided level, so that it holds for clusters, graded and
    weighted outcomes, and whatever unread verdicts would have been.

    Args:
        base: outcomes of the base model by item id.
        aligned: outcomes of the aligned model by item id.
        better: direction in which the metric improves; `neither` has no loss.
        margin: largest loss that is accepted, such as 0.01 for one point.
        clusters: cluster by item id; an item left out is its own cluster.
        weights: how much every item counts under the base and under the aligned model.
        level: one-sided confidence level.

    Raises:
        ValueError: the margin is not between 0 and 1, or no direction is better.

    Source: Tango 1998 (independent pairs); CONSORT extension to non-inferiority, Piaggio et al. 2012 (bounds).
    """
    if not 0 < margin < 1 or better == "neither":
        raise ValueError(f"non-inferiority needs a margin between 0 and 1 and a direction, got {margin} and {better}")

    def loss(at: float) -> float:
        return worst_change(base, aligned, rising=better == "lower", clusters=clusters, weights=weights, level=at)

    largest = loss(level)
    if loss(1 - EDGE) <= margin:
        p = EDGE
    elif loss(0.5 + EDGE) >= margin:
        p = 1.0
    else:
        p = 1 - float(brentq(lambda at: loss(at) - margin, 0.5 + EDGE, 1 - EDGE, xtol=1e-6))
    return NonInferiority(largest < margin, largest, p, margin)
