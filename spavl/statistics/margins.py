"""Intervals of what is read off margins of pairs: a share of their mean, and their correlation with a difference."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence

import numpy as np
from scipy.special import stdtrit

from spavl.statistics.clusters import members
from spavl.statistics.intervals import LEVEL

Values = Sequence[float] | np.ndarray
"""A number of each pair."""
Interval = tuple[float | None, float, float]
"""(value, low, high); the value is None, and the bounds infinite, where nothing can be said."""
NOTHING: Interval = (None, -math.inf, math.inf)
"""Of what cannot be measured."""
MOST = 1 - 1e-9
"""Largest correlation of which an interval is made."""


def share_of_mean(
    parts: Values, wholes: Values, clusters: Sequence[Hashable], *, level: float = LEVEL
) -> Interval:  # fmt: skip
    """The mean of parts over the mean of their wholes, such as the margin that first tokens earn over the margin.

    Nothing is said where the mean of the wholes is not shown to be above 0, for a share of nothing is no share.

    Args:
        parts: part of each pair.
        wholes: whole of each pair.
        clusters: cluster of each pair, such as its picture.
        level: confidence level.

    Source: linearised variance of a ratio of means over clusters, Cochran 1977, *Sampling Techniques*, §6.3.
    """
    part, whole = np.asarray(parts, dtype=float), np.asarray(wholes, dtype=float)
    if len(whole) < 2 or len(set(clusters)) < 2:
        return NOTHING
    half, mean = _half_width(whole - whole.mean(), clusters, level), float(whole.mean())
    if mean - half <= 0:
        return NOTHING
    share = float(part.mean()) / mean
    half = _half_width((part - share * whole) / mean, clusters, level)
    return share, share - half, share + half


def symmetric_correlation(
    first: Values, second: Values, clusters: Sequence[Hashable], *, level: float = LEVEL
) -> Interval:  # fmt: skip
    """Rank correlation of two differences that both change their signs where the two answers change places.

    Which answer comes first is a label, so that every pair counts in both orders: both means are 0. Of each difference
    the rank of its size counts, with its sign. In pairs whose rejected answer is always the shorter one, a model that
    prefers length has a correlation of 0.75 and more, where Spearman's, which takes the means off, may show none.

    Args:
        first: such as the margin of each pair.
        second: such as the difference of the lengths of its answers.
        clusters: cluster of each pair, such as its picture.
        level: confidence level.

    Source: interval on Fisher's scale, its variance from the influence function over clusters (Devlin, Gnanadesikan &
    Kettenring 1975).
    """
    one, other = _signed_ranks(first), _signed_ranks(second)
    if len(one) < 3 or len(set(clusters)) < 3 or not one.any() or not other.any():
        return NOTHING
    one, other = one / math.sqrt(float((one**2).mean())), other / math.sqrt(float((other**2).mean()))
    found = float(np.clip((one * other).mean(), -MOST, MOST))
    influence = one * other - found * (one**2 + other**2) / 2
    half = _half_width(influence / (1 - found**2), clusters, level)
    centre = math.atanh(found)
    return found, math.tanh(centre - half), math.tanh(centre + half)


def _signed_ranks(values: Values) -> np.ndarray:
    own = np.asarray(values, dtype=float)
    _, place, counts = np.unique(np.abs(own), return_inverse=True, return_counts=True)
    ranks = np.cumsum(counts) - (counts - 1) / 2
    signed: np.ndarray = np.sign(own) * ranks[place]
    return signed


def _half_width(influence: np.ndarray, clusters: Sequence[Hashable], level: float) -> float:
    """Half the width of the interval of a mean whose items have this influence on it."""
    sums = np.bincount(members(clusters), weights=influence)
    groups = len(sums)
    error = math.sqrt(groups / (groups - 1) * float((sums**2).sum())) / len(influence)
    return float(stdtrit(groups - 1, (1 + level) / 2)) * error
