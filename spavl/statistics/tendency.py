"""A rater's tendency: the mean of values between −1 and 1 that is 0 without it, with its interval and p-value."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr, ndtri

from spavl.statistics.clusters import degrees_of_freedom, excess_kurtosis, mean_square_error, members, widening
from spavl.statistics.intervals import LEVEL

ADDED = 2.0
"""Observations that the interval adds, half of one at each end and one at 0."""
ALIKE = 1e-12
"""Variance below which all values are the same."""


@dataclass(frozen=True, slots=True)
class Tendency:
    """How far a rater leans to one side."""

    value: float | None
    """Mean of the values; None where there is none."""
    low: float
    """Lower bound of the interval."""
    high: float
    """Upper bound."""
    p: float
    """Two-sided p-value of no tendency."""
    n: int
    """Values that it rests on."""


@dataclass(frozen=True, slots=True)
class _Mean:
    """A mean, and that mean and its variance with a few observations added."""

    value: float
    shrunk: float
    variance: float
    n: int


def tendency(
    values: Sequence[float], clusters: Sequence[Hashable] | None = None, weights: Sequence[float] | None = None, *,
    level: float = LEVEL,
) -> Tendency:  # fmt: skip
    """The mean of values that would be 0 without a tendency, such as +1 for the longer answer and −1 for the shorter.

    Args:
        values: from −1 to 1.
        clusters: cluster of each value, such as its picture; None: values are independent.
        weights: how much each counts; None: all alike.
        level: confidence level.

    Source: interval of Agresti & Min 2005 for differences of paired shares, on the effective number of clusters.
    """
    found = _mean(values, clusters, weights, level)
    if found is None:
        return Tendency(None, -1.0, 1.0, 1.0, 0)
    return _tendency(found, 1.0, level)


def difference_of_tendencies(
    first: tuple[Sequence[float], Sequence[Hashable], Sequence[float] | None],
    second: tuple[Sequence[float], Sequence[Hashable], Sequence[float] | None], *, level: float = LEVEL,
) -> Tendency:  # fmt: skip
    """How much higher the mean of one group of values is than that of another that shares no cluster with it.

    Args:
        first: values of one group from −1 to 1, their clusters, and their weights or None.
        second: those of the other.
        level: confidence level.
    """
    one, other = _mean(*first, level), _mean(*second, level)
    if one is None or other is None:
        return Tendency(None, -2.0, 2.0, 1.0, 0)
    apart = _Mean(one.value - other.value, one.shrunk - other.shrunk, one.variance + other.variance, one.n)
    return _tendency(apart, 2.0, level)


def _mean(
    values: Sequence[float], clusters: Sequence[Hashable] | None, weights: Sequence[float] | None, level: float
) -> _Mean | None:
    if not values:
        return None
    own = np.asarray(values, dtype=float)
    share = np.full(len(own), 1 / len(own)) if weights is None else np.asarray(weights, dtype=float) / sum(weights)
    mean, square = float((share * own).sum()), float((share * own**2).sum())
    parts = share * (own - mean)
    sums = np.bincount(members(range(len(own)) if clusters is None else clusters), weights=parts)
    wider = widening(degrees_of_freedom(excess_kurtosis(sums), len(sums)), level)
    variance = max(mean_square_error(sums) ** 2 * wider, float((parts**2).sum()))
    spread = square - mean**2
    effective = min(float(len(own)), spread / variance) if spread > ALIKE and variance > 0 else float(len(sums))
    size = effective + ADDED
    shrunk = mean * effective / size
    return _Mean(mean, shrunk, ((square * effective + ADDED / 2) / size - shrunk**2) / size, len(own))


def _tendency(found: _Mean, most: float, level: float) -> Tendency:
    """The tendency by a mean that lies between −most and most."""
    error = math.sqrt(found.variance)
    half = float(ndtri((1 + level) / 2)) * error
    p = min(1.0, 2 * float(ndtr(-abs(found.shrunk) / error)))
    return Tendency(found.value, max(-most, found.shrunk - half), min(most, found.shrunk + half), p, found.n)
