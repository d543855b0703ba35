"""Paired comparison where outcomes are scores from 0 to 1, or items do not all count alike."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence

import numpy as np
from scipy.special import stdtrit

from spavl.statistics.intervals import Outcome

FLIPS = 9_999
"""Random sign patterns of the test, where there are too many to count them all."""


def weighted_difference(
    pairs: Sequence[tuple[float, float]], weights: Sequence[tuple[float, float]], clusters: Sequence[Hashable],
    level: float,
) -> tuple[float, float, float, float]:  # fmt: skip
    """Difference of two weighted means over the same items, its interval, and the p-value that there is none.

    The interval is that of a linearised difference of ratios with the t distribution over clusters; p is that of the
    sign-flip test on the clusters' linearised changes.

    Args:
        pairs: outcome before and after, item by item.
        weights: weight before and after, item by item.
        clusters: cluster of each item.
        level: confidence level.

    Returns:
        Difference, lower bound, upper bound, p.
    """
    values, counted = np.asarray(pairs, dtype=float), np.asarray(weights, dtype=float)
    totals = counted.sum(axis=0)
    if not len(values) or (totals == 0).any():
        return 0.0, -1.0, 1.0, 1.0
    means = (counted * values).sum(axis=0) / totals
    parts = counted * (values - means) / totals
    difference = float(means[1] - means[0])
    _, member = np.unique([str(c) for c in clusters], return_inverse=True)
    count = int(member.max()) + 1
    sums = np.bincount(member, weights=parts[:, 1] - parts[:, 0])
    if count < 2:
        return difference, -1.0, 1.0, 1.0
    error = math.sqrt(float((sums**2).sum()) * count / (count - 1))
    half = float(stdtrit(count - 1, (1 + level) / 2)) * error
    share = np.bincount(member, weights=np.full(len(values), 1 / len(values)))
    p = _sign_flip(sums + difference * share)
    return difference, max(-1.0, difference - half), min(1.0, difference + half), p


def _sign_flip(changes: np.ndarray) -> float:
    """Two-sided p of the sign-flip test by random patterns."""
    moved = changes[changes != 0]
    if not len(moved):
        return 1.0
    signs = np.random.default_rng(0).choice((-1.0, 1.0), size=(FLIPS, len(moved)))
    return float((1 + (np.abs(signs @ moved) >= abs(moved.sum()) - 1e-12).sum()) / (FLIPS + 1))


def is_graded(outcomes: Mapping[str, Outcome]) -> bool:
    """Whether there is an outcome between True and False.

    Args:
        outcomes: by item id.
    """
    return any(outcome is not None and outcome not in (0, 1) for outcome in outcomes.values())
