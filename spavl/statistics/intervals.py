"""Confidence intervals of a rate: Wilson's for independent items, a design effect or a bootstrap for clusters."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri

from spavl.statistics.clusters import TooFewClusters, effective_size, effective_size_of, members

Outcome = float | None
"""True, False, or a score from 0 to 1 where something is graded; None for a verdict that could not be read."""

LEVEL = 0.95
"""Default confidence level."""
LEAST_CLUSTERS = 30
"""Fewest clusters that are resampled; with fewer use `estimate`, whose t distribution knows of it."""


@dataclass(frozen=True, slots=True)
class Rate:
    """A share of items with its confidence interval."""

    value: float | None
    """Share of True among the items with a readable verdict; None where there is none."""
    low: float
    """Lower bound, every unread verdict taken as False."""
    high: float
    """Upper bound, every unread verdict taken as True."""
    n: int
    """Number of items, read and unread."""
    unreadable: int = 0
    """Number of items without a readable verdict."""

    @property
    def flagged(self) -> bool:
        """Whether `value` leaves items out, so that only the bounds are reliable."""
        return self.unreadable > 0

    @property
    def count(self) -> int:
        """Number of True among the items that were read."""
        return 0 if self.value is None else round(self.value * (self.n - self.unreadable))


def wilson(successes: float, n: float, *, level: float = LEVEL) -> tuple[float, float]:
    """Wilson's score interval of a rate as (low, high); from zero to one where there are no items.

    Unlike the normal approximation it holds near the edges: at 0 of n it ends at z²/(n + z²), not at 0.

    Args:
        successes: number of True; need not be whole.
        n: number of items, or their effective number.
        level: confidence level.

    Raises:
        ValueError: there are more successes than items, or fewer than none.

    Source: Wilson 1927; preferred for small n by Brown, Cai & DasGupta 2001 and arXiv 2503.01747.
    """
    if not 0 <= successes <= n:
        raise ValueError(f"a rate needs 0 <= successes <= n, got {successes} of {n}")
    if n == 0:
        return 0.0, 1.0
    z2 = float(ndtri((1 + level) / 2)) ** 2
    p = successes / n
    centre = (p + z2 / (2 * n)) / (1 + z2 / n)
    half = math.sqrt(z2 * (p * (1 - p) / n + z2 / (4 * n * n))) / (1 + z2 / n)
    low = 0.0 if successes == 0 else max(0.0, centre - half)
    high = 1.0 if successes == n else min(1.0, centre + half)
    return low, high


def rate(outcomes: Iterable[Outcome], *, level: float = LEVEL) -> Rate:
    """The share of True, with Wilson bounds that hold whatever the unread outcomes would have been.

    Args:
        outcomes: outcomes of independent items.
        level: confidence level.
    """
    seen = Counter(outcomes)
    return rate_of(seen[True], seen.total(), seen[None], level=level)


def rate_of(true: int, n: int, unread: int = 0, *, level: float = LEVEL) -> Rate:
    """`rate` from counts.

    Args:
        true: number of True.
        n: number of all outcomes, read and unread.
        unread: number of unread outcomes.
        level: confidence level.
    """
    read = n - unread
    low, _ = wilson(true, n, level=level)
    _, high = wilson(true + unread, n, level=level)
    return Rate(value=true / read if read else None, low=low, high=high, n=n, unreadable=unread)


def clustered_rate(outcomes: Sequence[Outcome], clusters: Sequence[Hashable], *, level: float = LEVEL) -> Rate:
    """`rate` for items that share pictures or questions, and so tend to be right or wrong together.

    The Wilson interval is computed on the effective number of items, made smaller where few clusters or rare events
    leave the design effect uncertain (see `effective_size`). Clusters of one item each give exactly `rate`.

    Args:
        outcomes: outcome of each item.
        clusters: cluster of each item.
        level: confidence level.

    Raises:
        ValueError: the two differ in length.

    Source: arXiv 2411.00640 §2.2 (clustered errors); Korn & Graubard 1998 (effective sample size in a score interval).
    """
    if len(outcomes) != len(clusters):
        raise ValueError(f"{len(outcomes)} outcomes but {len(clusters)} clusters")
    plain = rate(outcomes, level=level)
    if len(set(clusters)) == len(clusters):
        return plain
    low, high = _effective_wilson([o is True for o in outcomes], clusters, level)
    if plain.unreadable:
        _, high = _effective_wilson([o is not False for o in outcomes], clusters, level)
    return Rate(value=plain.value, low=low, high=high, n=plain.n, unreadable=plain.unreadable)


def clustered_rate_of(counts: Iterable[tuple[int, int, int, int]], *, level: float = LEVEL) -> Rate:
    """`clustered_rate` from counts: many clusters of few items have few different ones.

    Args:
        counts: (items of a cluster, True ones, unread ones, how many clusters are like this).
        level: confidence level.
    """
    table = np.array(list(counts), dtype=int).reshape(-1, 4)
    sizes, trues, unread = (np.repeat(table[:, column], table[:, 3]) for column in range(3))
    true, lost, n = int(trues.sum()), int(unread.sum()), int(sizes.sum())
    plain = rate_of(true, n, lost, level=level)
    if len(sizes) == n:
        return plain
    low, high = _wilson_of(sizes, trues, level)
    if lost:
        _, high = _wilson_of(sizes, trues + unread, level)
    return Rate(value=plain.value, low=low, high=high, n=n, unreadable=lost)


def _wilson_of(sizes: np.ndarray, trues: np.ndarray, level: float) -> tuple[float, float]:
    """Wilson's interval of the share of True on the effective number of items."""
    effective = effective_size_of(sizes, trues, level=level)
    return wilson(min(1.0, float(trues.sum() / sizes.sum())) * effective, effective, level=level)


def _effective_wilson(values: Sequence[bool], clusters: Sequence[Hashable], level: float) -> tuple[float, float]:
    """Wilson's interval of the share of True on the effective number of items."""
    effective = effective_size([float(v) for v in values], clusters, level=level)
    return wilson(sum(values) / len(values) * effective, effective, level=level)


def rule_of_three(n: int, *, level: float = LEVEL) -> float:
    """One-sided upper bound of a rate of which none was seen among n: about 3 / n, which says "at most x %".

    Args:
        n: number of items.
        level: one-sided confidence level.

    Raises:
        ValueError: there are fewer than no items.

    Source: Hanley & Lippman-Hand 1983, JAMA 249:1743–1745, in its exact form 1 − (1 − level)^(1 / n).
    """
    if n < 0:
        raise ValueError(f"there cannot be {n} items")
    return -math.expm1(math.log1p(-level) / n) if n else 1.0


def cluster_bootstrap(
    statistic: Callable[[np.ndarray], float],
    clusters: Sequence[Hashable],
    *,
    resamples: int = 2000,
    seed: int = 0,
    level: float = LEVEL,
) -> tuple[float, float]:
    """Percentile bootstrap interval of any statistic (F1, win rate, ratio), resampling whole clusters.

    Args:
        statistic: from an integer array of item indices, repeated as they were sampled, to a number; NaN leaves the
            resample out.
        clusters: cluster of each item.
        resamples: number of bootstrap resamples.
        seed: seed of the resampling.
        level: confidence level.

    Raises:
        TooFewClusters: there are fewer than `LEAST_CLUSTERS`, with which it covers far less than its level.
        ValueError: the statistic is NaN for every resample.
    """
    member = members(clusters)
    count = int(member.max()) + 1 if len(member) else 0
    if count < LEAST_CLUSTERS:
        raise TooFewClusters(f"a bootstrap over {count} clusters does not hold its level; it needs {LEAST_CLUSTERS}")
    groups = np.split(np.argsort(member, kind="stable"), np.cumsum(np.bincount(member))[:-1])
    random = np.random.default_rng(seed)
    values = []
    for _ in range(resamples):
        chosen = random.integers(len(groups), size=len(groups))
        values.append(statistic(np.concatenate([groups[g] for g in chosen])))
    kept = [v for v in values if not math.isnan(v)]
    if not kept:
        raise ValueError("no resample of the bootstrap has a value")
    low, high = np.quantile(kept, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
