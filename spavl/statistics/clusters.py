"""Items that share pictures or questions: how many independent items they are worth."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence

import numpy as np
from scipy.special import ndtri, stdtrit

RAMP = 1.0
"""Over which range of design effects above 1 the t distribution comes in: at 1 nothing was estimated that matters."""
FEW = 6
"""Up to so many clusters with an event it is there at once."""
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
    independent = float((residual**2).sum())
    if independent == 0:
        return float(count)
    sums = np.bincount(member, weights=residual)
    effect = float((sums**2).sum()) * count / (count - 1) / independent
    if effect <= 1 or level is None:
        return n / max(1.0, effect)
    own = (float((residual**4).sum()) * n / independent**2 - 3) * count / n
    events = _with_events(np.asarray(values), member)
    degrees = min(degrees_of_freedom(excess_kurtosis(sums) - own, count), max(1.0, PER_CLUSTER * events))
    wider, ramp = widening(degrees, level), RAMP if events > FEW else 0.0
    cautious = effect * wider
    if effect < 1 + ramp:
        cautious = 1 + (effect - 1) * ((1 + ramp) * wider - 1) / ramp
    copies = n * n / float((np.bincount(member).astype(float) ** 2).sum())
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
