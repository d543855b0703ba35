"""Items that share pictures or questions: how many independent items they are worth."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri, stdtrit

RAMP = 1.0
"""Over which range of design effects above 1 the t distribution comes in: at 1 nothing was estimated that matters."""
FEW = 6
"""Up to so many clusters with an event it is there at once."""
ROUNDING = 1e-9
"""Of a design effect that is 1: which side of it the last digits fall on depends on the order of the items."""
PER_CLUSTER = 1.5
"""Most degrees of freedom for each cluster with an event."""


class TooFewClusters(ValueError):
    """A bootstrap over fewer clusters than it needs to hold its level."""


def members(clusters: Sequence[Hashable]) -> np.ndarray:
    """Number of each item's cluster, counted from 0 in the order in which they come.

    Args:
        clusters: cluster of each item.
    """
    numbers: dict[Hashable, int] = {}
    return np.array([numbers.setdefault(cluster, len(numbers)) for cluster in clusters], dtype=int)


def effective_size(values: Sequence[float], clusters: Sequence[Hashable], *, level: float | None = None) -> float:
    """Effective sample size of clustered items: n / deff, between 1 and n.

    The design effect deff is the cluster-robust variance of the mean (factor C / (C − 1) for C clusters) over the
    variance of independent items, at least 1. Where all values are equal it is unknown, and each cluster counts as one
    item. Clusters of one item each give exactly n.

    With a level, the size is also made smaller for deff being an estimate, so that a normal quantile can be used: by
    (t / z)² with the degrees of freedom of the variance, which are few where the cluster totals have heavy tails or few
    clusters hold an event. It never falls below the size if all items of a cluster were copies.

    Args:
        values: value of each item.
        clusters: cluster of each item.
        level: confidence level of the interval that it is for; None: of none.

    Source: Korn & Graubard 1998 (effective size with (t / z)²); Satterthwaite 1946 (degrees of freedom from kurtosis).
    """
    member, n = members(clusters), len(values)
    count = int(member.max()) + 1
    if count in (1, n):
        return float(count)
    residual = np.asarray(values, dtype=float) - np.mean(values)
    parts = Parts(np.bincount(member, weights=residual), np.bincount(member), float((residual**2).sum()),
                  float((residual**4).sum()), _with_events(np.asarray(values), member))  # fmt: skip
    return effective_of(parts, level)


def effective_size_of(sizes: np.ndarray, trues: np.ndarray, *, level: float | None = None) -> float:
    """`effective_size` of yes/no items by the counts of each cluster, in any order.

    Args:
        sizes: items of each cluster, at least one.
        trues: those that are True.
        level: confidence level of the interval that it is for; None: of none.
    """
    count, n, true = len(sizes), int(sizes.sum()), int(trues.sum())
    if count in (1, n):
        return float(count)
    mean = true / n
    events = min(int((trues > 0).sum()), int((trues < sizes).sum())) if 0 < true < n else 0
    square, fourth = (true * (1 - mean) ** power + (n - true) * mean**power for power in (2, 4))
    return effective_of(Parts(trues - sizes * mean, sizes, square, fourth, events), level)


@dataclass(frozen=True, slots=True)
class Parts:
    """What the design effect of clustered items is made from."""

    sums: np.ndarray
    """Of each cluster: the sum of what its items differ from the mean."""
    sizes: np.ndarray
    """Of each cluster: how many items it has."""
    square: float
    """Sum of the squares of what all items differ from the mean."""
    fourth: float
    """Sum of the fourth powers."""
    events: int
    """Clusters that hold another value than the usual one."""


def effective_of(parts: Parts, level: float | None) -> float:
    """`effective_size` from its parts.

    Args:
        parts: of more clusters than one, some of several items.
        level: confidence level of the interval that it is for; None: of none.
    """
    count, n = len(parts.sums), int(parts.sizes.sum())
    if parts.square == 0:
        return float(count)
    effect = float((parts.sums**2).sum()) * count / (count - 1) / parts.square
    if effect <= 1 + ROUNDING or level is None:
        return n / max(1.0, effect)
    own = (parts.fourth * n / parts.square**2 - 3) * count / n
    degrees = min(degrees_of_freedom(excess_kurtosis(parts.sums) - own, count), max(1.0, PER_CLUSTER * parts.events))
    wider, ramp = widening(degrees, level), RAMP if parts.events > FEW else 0.0
    cautious = effect * wider
    if effect < 1 + ramp:
        cautious = 1 + (effect - 1) * ((1 + ramp) * wider - 1) / ramp
    copies = n * n / float((parts.sizes.astype(float) ** 2).sum())
    return min(float(n), max(n / cautious, min(n / effect, copies)))


def excess_kurtosis(sums: np.ndarray) -> float:
    """Unbiased excess kurtosis of values around 0; 0 for fewer than four.

    Args:
        sums: the values.
    """
    count, square = len(sums), float((sums**2).mean())
    if count < 4 or square == 0:
        return 0.0
    raw = float((sums**4).mean()) / square**2 - 3
    return (count - 1) / ((count - 2) * (count - 3)) * ((count + 1) * raw + 6)


def widening(degrees: float, level: float) -> float:
    """(t / z)² for a variance that was estimated.

    Args:
        degrees: its degrees of freedom.
        level: confidence level, two-sided.
    """
    quantile = (1 + level) / 2
    return float(stdtrit(degrees, quantile) / ndtri(quantile)) ** 2 if quantile > 0.5 else 1.0


def _with_events(values: np.ndarray, member: np.ndarray) -> int:
    """Clusters that hold another value than the usual one: with a yes where no is usual, and the other way round."""
    clusters = [len(np.unique(member[side])) for side in (values > values.min(), values < values.max())]
    return min(clusters)


def degrees_of_freedom(kurtosis: float, count: int) -> float:
    """Degrees of freedom of a variance, from 1 to count − 1.

    Args:
        kurtosis: excess kurtosis of the values; below 0 it counts as 0.
        count: number of values.

    Source: Satterthwaite 1946, with the variance of a sample variance.
    """
    expected = 2 * count / max(1, count - 1)
    return min(max(1.0, count - 1.0), max(1.0, 2 * count / (max(0.0, kurtosis) + expected)))


def mean_square_error(sums: np.ndarray) -> float:
    """Cluster-robust standard error of the sum of independent values around 0.

    Args:
        sums: one value a cluster.
    """
    return math.sqrt(float((sums**2).sum()) * len(sums) / max(1, len(sums) - 1))
