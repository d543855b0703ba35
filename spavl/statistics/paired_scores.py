"""Paired comparison where outcomes are scores from 0 to 1, or items do not all count alike."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence

import numpy as np
from scipy.special import ndtr, stdtrit

from spavl.statistics.clusters import FEW, degrees_of_freedom, excess_kurtosis, mean_square_error, members
from spavl.statistics.intervals import Outcome

FLIPS = 9_999
"""Random sign patterns of the test, where there are too many to count them all."""
COUNTED = 13
"""Clusters that changed, up to which all sign patterns are counted."""
DRAWN = 2_000
"""Clusters that changed, up to which patterns are drawn; the sum of more is taken as normal, which it then is."""


def weighted_difference(
    pairs: Sequence[tuple[float, float]], weights: Sequence[tuple[float, float]], clusters: Sequence[Hashable],
    level: float,
) -> tuple[float, float, float, float]:  # fmt: skip
    """Difference of two weighted means over the same items, its interval, and the p-value that there is none.

    p is that of the sign-flip test on the clusters' linearised changes: of all sign patterns where few clusters
    changed, of random ones, or by the normal distribution where they are very many.

    Args:
        pairs: outcome before and after, item by item.
        weights: weight before and after, item by item.
        clusters: cluster of each item.
        level: confidence level.

    Returns:
        Difference, lower bound, upper bound, p.
    """
    difference, low, high, changes = _linearised(pairs, weights, clusters, level)
    return difference, low, high, _sign_flip(changes)


def weighted_interval(
    pairs: Sequence[tuple[float, float]], weights: Sequence[tuple[float, float]], clusters: Sequence[Hashable],
    level: float,
) -> tuple[float, float]:  # fmt: skip
    """Interval of the difference of two weighted means over the same items, as (low, high).

    It is that of a linearised difference of ratios with the t distribution, its degrees of freedom from the kurtosis of
    the clusters' changes. Where few clusters changed, two imagined ones, of which one rises and one falls by 1, add to
    the variance, fully where none did: few items that all stayed do not show that none would change.

    Args:
        pairs: outcome before and after, item by item.
        weights: weight before and after, item by item.
        clusters: cluster of each item.
        level: confidence level.

    Source: Woodruff 1971 (linearised variance of a ratio); Satterthwaite 1946 (degrees of freedom); Bonett & Price 2012
    (imagined changes).
    """
    return _linearised(pairs, weights, clusters, level)[1:3]


def _linearised(
    pairs: Sequence[tuple[float, float]], weights: Sequence[tuple[float, float]], clusters: Sequence[Hashable],
    level: float,
) -> tuple[float, float, float, np.ndarray]:  # fmt: skip
    """Difference, its bounds, and the changes of clusters that add up to it."""
    values, counted = np.asarray(pairs, dtype=float), np.asarray(weights, dtype=float)
    totals = counted.sum(axis=0)
    if not len(values) or (totals == 0).any():
        return 0.0, -1.0, 1.0, np.zeros(0)
    means = (counted * values).sum(axis=0) / totals
    parts = counted * (values - means) / totals
    difference = float(means[1] - means[0])
    member = members(clusters)
    count = int(member.max()) + 1
    sums = np.bincount(member, weights=parts[:, 1] - parts[:, 0])
    if count < 2:
        return difference, -1.0, 1.0, np.zeros(0)
    degrees = degrees_of_freedom(excess_kurtosis(sums), count)
    changed = len(np.unique(member[(values != values[:, :1]).any(axis=1) | (counted != counted[:, :1]).any(axis=1)]))
    error = math.hypot(mean_square_error(sums), math.sqrt(2 * max(0, FEW - changed) / FEW) / (count + 2))
    half = float(stdtrit(degrees, (1 + level) / 2)) * error
    share = np.bincount(member, weights=np.full(len(values), 1 / len(values)))
    return difference, max(-1.0, difference - half), min(1.0, difference + half), sums + difference * share


def _sign_flip(changes: np.ndarray) -> float:
    """Two-sided p of the sign-flip test, by all patterns, by random ones, or by the normal distribution."""
    moved = changes[changes != 0]
    observed = abs(moved.sum()) - 1e-12
    if len(moved) > DRAWN:
        return float(2 * ndtr(-max(0.0, observed) / math.sqrt(float((moved**2).sum()))))
    if len(moved) > COUNTED:
        signs = np.random.default_rng(0).integers(0, 2, size=(FLIPS, len(moved)), dtype=np.int8)
        return float((1 + (np.abs(2 * (signs @ moved) - moved.sum()) >= observed).sum()) / (FLIPS + 1))
    sums = np.zeros(1)
    for change in moved:
        sums = np.concatenate((sums + change, sums - change))
    return float((np.abs(sums) >= observed).mean())


def is_graded(outcomes: Mapping[str, Outcome]) -> bool:
    """Whether there is an outcome between True and False.

    Args:
        outcomes: by item id.
    """
    return any(outcome is not None and outcome not in (0, 1) for outcome in outcomes.values())
