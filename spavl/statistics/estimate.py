"""The estimate of a metric: a share, a mean of graded scores, or a weighted mean, with its interval."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np

from spavl.statistics.clusters import degrees_of_freedom, excess_kurtosis, mean_square_error, members, widening
from spavl.statistics.intervals import LEVEL, Outcome, Rate, clustered_rate, wilson

ROUNDING = 1e-24
"""Variance below which outcomes are all alike and the rest is rounding."""


def estimate(
    outcomes: Sequence[Outcome],
    clusters: Sequence[Hashable],
    weights: Sequence[float] | None = None,
    *,
    level: float = LEVEL,
) -> Rate:
    """The weighted mean of outcomes with bounds that hold whatever the unread ones would have been.

    True and False of equal weight give exactly the bounds of `clustered_rate` on the items that count. Otherwise the
    variance is that of a ratio of two sums over clusters, by linearisation, and never less than if every item were a
    cluster, for clusters can be alike by chance; Wilson's interval is computed on the number of yes/no items that
    would have this variance, made smaller by (t / z)² for the variance being estimated, which keeps the bounds
    between 0 and 1. It is never more items than the weights make of them (Kish): the few that count for much may by
    chance be all alike, and the variance that they show is then next to none.

    Args:
        outcomes: outcome of each item, from 0 to 1.
        clusters: cluster of each item.
        weights: how much each item counts; None: all alike.
        level: confidence level.

    Raises:
        ValueError: the sequences differ in length.

    Source: Woodruff 1971 (linearised variance of a ratio); Korn & Graubard 1998 (effective sample size with t); Kish
    1965 (effective size of weights).
    """
    if weights is None and all(outcome is None or outcome in (0, 1) for outcome in outcomes):
        return clustered_rate([None if o is None else bool(o) for o in outcomes], clusters, level=level)
    if not len(outcomes) == len(clusters) == len(weights or outcomes):
        raise ValueError(f"{len(outcomes)} outcomes, {len(clusters)} clusters, {len(weights or ())} weights")
    counted = np.ones(len(outcomes)) if weights is None else np.asarray(weights, dtype=float)
    unread = np.array([outcome is None for outcome in outcomes])
    values = np.array([0.0 if outcome is None else float(outcome) for outcome in outcomes])
    read = counted * ~unread
    return Rate(
        value=float((read * values).sum() / read.sum()) if read.sum() > 0 else None,
        low=_interval(values, counted, clusters, level)[0],
        high=_interval(np.where(unread, 1.0, values), counted, clusters, level)[1],
        n=len(outcomes),
        unreadable=int(unread.sum()),
    )


def _interval(
    values: np.ndarray, weights: np.ndarray, clusters: Sequence[Hashable], level: float
) -> tuple[float, float]:
    total = weights.sum()
    if total == 0:
        return 0.0, 1.0
    counts = weights > 0
    values, weights = values[counts], weights[counts]
    groups = [cluster for cluster, counted in zip(clusters, counts, strict=True) if counted]
    if np.isin(values, (0.0, 1.0)).all() and (weights == weights[0]).all():
        found = clustered_rate(values.astype(bool).tolist(), groups, level=level)
        return found.low, found.high
    mean = min(1.0, max(0.0, float((weights * values).sum() / total)))
    parts = weights * (values - mean) / total
    sums = np.bincount(members(groups), weights=parts)
    clustered = mean_square_error(sums) ** 2 * widening(degrees_of_freedom(excess_kurtosis(sums), len(sums)), level)
    variance = max(clustered, float((parts**2).sum()))
    effective = float(len(sums)) if variance < ROUNDING else mean * (1 - mean) / variance
    if (weights != weights[0]).any():
        effective = min(effective, float(total**2 / (weights**2).sum()))
    return wilson(mean * effective, effective, level=level)
