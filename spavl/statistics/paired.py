"""Paired comparison of two models on the same items: fixed, broken, exact tests, interval of the difference."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from scipy.optimize import brentq
from scipy.special import bdtr, gammaln, ndtr, ndtri

from spavl.statistics.clusters import effective_size
from spavl.statistics.intervals import LEVEL, Outcome
from spavl.statistics.paired_scores import is_graded, weighted_difference, weighted_interval

Better = Literal["lower", "higher", "neither"]
"""Direction in which a metric improves; `neither` for a rate that is only looked at, such as how often yes is said."""


MOST_STEPS = 200_000_000
"""Clusters × the largest possible sum, up to which the sign-flip test is counted out."""


@dataclass(frozen=True, slots=True)
class PairedComparison:
    """Comparison of the base model and an aligned model on one metric, item by item."""

    fixed: int
    """Items bad under the base and good under the aligned model; where neither is better: that became True."""
    broken: int
    """Items good under the base and bad under the aligned model; where neither is better: that became False."""
    p: float
    """Two-sided exact McNemar p, where items share clusters the exact sign-flip test over clusters; pairs without two
    readable verdicts are counted against the larger side."""
    n: int
    """Number of items that both models were asked."""
    unreadable: int
    """Number of these with an unread verdict on either side; neither fixed nor broken."""
    difference: float | None
    """Rate of the aligned model minus rate of the base, over the pairs that were read; None where there are none."""
    low: float
    """Tango's lower bound of the difference, every unread pair taken as a change downwards."""
    high: float
    """Tango's upper bound of the difference, every unread pair taken as a change upwards."""


def mcnemar_exact(fixed: int, broken: int) -> float:
    """Two-sided p of McNemar's exact test: a change is as likely to fix as to break.

    Under that hypothesis the smaller count is binomial(fixed + broken, 1/2): p = min(1, 2 · P[X ≤ min]), and 1 where
    nothing changed.

    Args:
        fixed: number of items that became good.
        broken: number of items that became bad.

    Raises:
        ValueError: a count is negative.

    Source: McNemar 1947, in the exact form of Cochran 1950; the same as a two-sided sign test.
    """
    if fixed < 0 or broken < 0:
        raise ValueError(f"counts cannot be negative: fixed {fixed}, broken {broken}")
    changes = fixed + broken
    return min(1.0, 2.0 * float(bdtr(min(fixed, broken), changes, 0.5))) if changes else 1.0


def sign_flip_exact(nets: Iterable[int]) -> float:
    """Two-sided p of the exact sign-flip test over clusters: each net change is as likely to have the other sign.

    p is the share of all sign patterns whose sum is at least as far from 0 as the observed one, computed by convolution
    and so exact. Clusters of one item each give exactly `mcnemar_exact`. Where clusters of several sizes are so many
    that this would take long, the sum is taken as normal, which it then is.

    Args:
        nets: for each cluster the number of items fixed minus those broken.
    """
    moved = [net for net in nets if net]
    sizes, observed = Counter(abs(net) for net in moved), abs(sum(moved))
    if len(sizes) == 1:
        ((size, count),) = sizes.items()
        fixed = (count + observed // size) // 2
        return mcnemar_exact(fixed, count - fixed)
    reach = sum(size * count for size, count in sizes.items())
    if reach * sizes.total() > MOST_STEPS:
        squares = sum(size * size * count for size, count in sizes.items())
        return float(2 * ndtr(-(observed - 0.5) / math.sqrt(squares))) if observed else 1.0
    weights = np.ones(1)
    for size, count in sizes.items():
        steps = np.zeros(2 * size * count + 1)
        ups = np.arange(count + 1)
        steps[:: 2 * size] = np.exp(
            gammaln(count + 1) - gammaln(ups + 1) - gammaln(count - ups + 1) - count * math.log(2)
        )
        weights = np.convolve(weights, steps)
    return min(1.0, float(weights[np.abs(np.arange(-reach, reach + 1)) >= observed].sum()))


def tango(up: float, down: float, n: float, *, level: float = LEVEL) -> tuple[float, float]:
    """Tango's score interval of the difference of two paired rates, (up − down) / n, as (low, high).

    It keeps its level for few items and for no change at all, where Wald's interval has no width. Without items it is
    from −1 to 1. Effective numbers need not be whole.

    Args:
        up: number of items that changed from False to True.
        down: number of items that changed from True to False.
        n: number of all items.
        level: confidence level.

    Raises:
        ValueError: a count is negative, or the changes exceed the items.

    Source: Tango 1998, Statistics in Medicine 17:891–908.
    """
    _check_counts(up, down, n)
    if n == 0:
        return -1.0, 1.0
    z = float(ndtri((1 + level) / 2))
    observed, edge = (up - down) / n, 1 - 1e-12
    low = brentq(lambda d: _tango_z(up, down, n, d) - z, -edge, observed) if down < n else -1.0
    high = brentq(lambda d: _tango_z(up, down, n, d) + z, observed, edge) if up < n else 1.0
    return float(low), float(high)


def noninferiority(up: int, down: int, n: int, *, margin: float) -> float:
    """One-sided p of Tango's non-inferiority test of the hypothesis that the rate fell by `margin` or more.

    A capability is kept when this is small. ("No significant difference" shows nothing: with few items nothing is
    significant.) Without items it is 1.

    Args:
        up: number of items that changed from False to True.
        down: number of items that changed from True to False.
        n: number of all items.
        margin: largest acceptable loss, a share between 0 and 1, such as 0.02 for two points.

    Raises:
        ValueError: the margin is not between 0 and 1, a count is negative, or the changes exceed the items.

    Source: Tango 1998, equation 3 (the score test that `tango` inverts), with the null value at −margin.
    """
    _check_counts(up, down, n)
    if not 0 < margin < 1:
        raise ValueError(f"a margin lies between 0 and 1, got {margin}")
    return float(ndtr(-_tango_z(up, down, n, -margin))) if n else 1.0


def _tango_z(up: float, down: float, n: float, difference: float) -> float:
    """Tango's score statistic at a hypothetical difference of the rates; falls as the difference grows."""
    a = 2 * n
    b = (a - up + down) * difference - up - down
    c = -down * difference * (1 - difference)
    q = (math.sqrt(max(0.0, b * b - 4 * a * c)) - b) / (2 * a)
    variance = n * (2 * q + difference * (1 - difference))
    gap = up - down - n * difference
    if variance <= 0:
        return 0.0 if gap == 0 else math.copysign(math.inf, gap)
    return gap / math.sqrt(variance)


def _check_counts(up: float, down: float, n: float) -> None:
    if min(up, down) < 0 or up + down > n * (1 + 1e-12):
        raise ValueError(f"{up} changes up and {down} down do not fit into {n} items")


def compare_paired(
    base: Mapping[str, Outcome],
    aligned: Mapping[str, Outcome],
    *,
    better: Better,
    clusters: Mapping[str, Hashable] | None = None,
    weights: tuple[Mapping[str, float], Mapping[str, float]] = ({}, {}),
    level: float = LEVEL,
) -> PairedComparison:
    """Compare two models on the items that both were asked.

    An unread verdict on either side leaves the pair undecided; bounds and p hold whatever it would have been.

    Args:
        base: outcomes of the base model by item id.
        aligned: outcomes of the aligned model by item id.
        better: direction in which the metric improves; "fixed" is an improvement either way.
        clusters: cluster by item id, where items share a picture or a question; an item left out is its own cluster.
        weights: how much every item counts under the base and under the aligned model, where not all count alike.
        level: confidence level.
    """
    items = [item for item in base if item in aligned]
    cluster_of = [clusters.get(item, item) if clusters else item for item in items]
    if any(weights) or is_graded(base) or is_graded(aligned):
        both = [(weights[0].get(item, 1.0), weights[1].get(item, 1.0)) for item in items]
        named = dict(zip(items, cluster_of, strict=True))
        return _compare_scores(base, aligned, better, named, both, level=level)
    changes = [_change(base[item], aligned[item]) for item in items]
    up, down, unread = changes.count(1), changes.count(-1), changes.count(None)
    fixed, broken = (down, up) if better == "lower" else (up, down)
    read = len(items) - unread
    return PairedComparison(
        fixed=fixed,
        broken=broken,
        p=_worst_p(changes, cluster_of),
        n=len(items),
        unreadable=unread,
        difference=(up - down) / read if read else None,
        low=_bounds([-1 if c is None else c for c in changes], cluster_of, level)[0],
        high=_bounds([1 if c is None else c for c in changes], cluster_of, level)[1],
    )


def worst_change(
    base: Mapping[str, Outcome], aligned: Mapping[str, Outcome], *, rising: bool,
    clusters: Mapping[str, Hashable] | None = None,
    weights: tuple[Mapping[str, float], Mapping[str, float]] = ({}, {}), level: float = LEVEL,
) -> float:  # fmt: skip
    """One-sided bound of a change for the worse: `compare_paired`'s upper bound, or its lower one with the sign off.

    Args:
        base: outcomes of the base model by item id.
        aligned: outcomes of the aligned model by item id.
        rising: whether a rise is for the worse.
        clusters: cluster by item id; an item left out is its own cluster.
        weights: how much every item counts under the base and under the aligned model.
        level: one-sided confidence level, above 0.5.
    """
    items = [item for item in base if item in aligned]
    groups = [clusters.get(item, item) if clusters else item for item in items]
    if any(weights) or is_graded(base) or is_graded(aligned):
        worst = (0.0, 1.0) if rising else (1.0, 0.0)
        pairs = [_both(base[item], aligned[item], worst) for item in items]
        both = [(weights[0].get(item, 1.0), weights[1].get(item, 1.0)) for item in items]
        low, high = weighted_interval(pairs, both, groups, 2 * level - 1)
    else:
        found = [_change(base[item], aligned[item]) for item in items]
        unread = 1 if rising else -1
        low, high = _bounds([unread if c is None else c for c in found], groups, 2 * level - 1)
    return high if rising else -low


def _compare_scores(
    base: Mapping[str, Outcome], aligned: Mapping[str, Outcome], better: Better, clusters: Mapping[str, Hashable],
    weights: Sequence[tuple[float, float]], *, level: float,
) -> PairedComparison:  # fmt: skip
    """The comparison of graded or weighted outcomes: fixed and broken are the items that got better and worse."""
    fall, rise, read = ([_both(base[i], aligned[i], unread) for i in clusters] for unread in ((1, 0), (0, 1), None))
    kept = [place for place, pair in enumerate(read) if pair is not None]
    pairs = [read[place] for place in kept]
    groups = list(clusters.values())
    own_weights, own_groups = [weights[place] for place in kept], [groups[place] for place in kept]
    difference, *_, p = weighted_difference(pairs, own_weights, own_groups, level)
    counts = [any(own) for own in own_weights]
    changes = [after - before for (before, after), own in zip(pairs, counts, strict=True) if own and after != before]
    improved = sum((change < 0) == (better == "lower") for change in changes)
    return PairedComparison(
        fixed=improved, broken=len(changes) - improved, p=p if len(pairs) == len(clusters) else 1.0, n=len(clusters),
        unreadable=len(clusters) - len(pairs), difference=difference if pairs else None,
        low=weighted_interval(fall, weights, groups, level)[0],
        high=weighted_interval(rise, weights, groups, level)[1],
    )  # fmt: skip


def _both(before: Outcome, after: Outcome, unread: tuple[float, float] | None) -> Any:
    """Both outcomes; those of a pair that was not read are given."""
    return unread if before is None or after is None else (float(before), float(after))


def _change(before: Outcome, after: Outcome) -> int | None:
    """+1 from False to True, −1 from True to False, 0 for no change, None where a verdict was not read."""
    return None if before is None or after is None else int(after) - int(before)


def _bounds(changes: Sequence[int], cluster_of: Sequence[Hashable], level: float) -> tuple[float, float]:
    """Tango's interval of the mean change on the effective number of items."""
    if not changes:
        return -1.0, 1.0
    factor = effective_size(changes, cluster_of, level=level) / len(changes)
    return tango(changes.count(1) * factor, changes.count(-1) * factor, len(changes) * factor, level=level)


def _worst_p(changes: Sequence[int | None], cluster_of: Sequence[Hashable]) -> float:
    """The p-value if every unread pair had gone against the larger side; 1 where these could cancel the change."""
    net, unread = sum(c for c in changes if c), changes.count(None)
    if abs(net) <= unread:
        return 1.0
    against = -1 if net > 0 else 1
    nets: Counter[Hashable] = Counter()
    for change, cluster in zip(changes, cluster_of, strict=True):
        nets[cluster] += against if change is None else change
    return sign_flip_exact(nets.values())
