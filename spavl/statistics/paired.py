"""The same items under two models: what was fixed, what was broken, and whether that could be chance."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.optimize import brentq
from scipy.special import bdtr, ndtr, ndtri

from spavl.statistics.intervals import LEVEL, Outcome, effective_size

Better = Literal["lower", "higher"]


@dataclass(frozen=True, slots=True)
class Paired:
    """Base against aligned, item by item, for one metric."""

    fixed: int
    """Items bad under the base and good under the aligned model."""
    broken: int
    """Items good under the base and bad under the aligned model."""
    p: float
    """Two-sided exact McNemar p, pairs without two readable verdicts counted against the larger side. Where items share
    clusters it is the exact test in which a cluster's changes all keep or all change their sign."""
    n: int
    """Items that both models were asked about."""
    unreadable: int
    """Of these, pairs in which a verdict could not be read; neither fixed nor broken."""
    difference: float | None
    """Rate of the aligned model minus rate of the base, over the pairs that were read; None where there is none."""
    low: float
    """Tango's lower bound of the difference, every unread pair taken as a change downwards."""
    high: float
    """Tango's upper bound of the difference, every unread pair taken as a change upwards."""


def mcnemar_exact(fixed: int, broken: int) -> float:
    """Two-sided exact p of the hypothesis that a change is as likely to fix as to break.

    Under it the smaller count is binomial(fixed + broken, 1/2): p = min(1, 2 · P[X ≤ min]). No change at all: 1.
    Source: McNemar 1947, in the exact form of Cochran 1950; the same as a two-sided sign test.
    """
    if fixed < 0 or broken < 0:
        raise ValueError(f"counts cannot be negative: fixed {fixed}, broken {broken}")
    changes = fixed + broken
    return min(1.0, 2.0 * float(bdtr(min(fixed, broken), changes, 0.5))) if changes else 1.0


def sign_flip_exact(nets: Iterable[int]) -> float:
    """Two-sided exact p of the hypothesis that each cluster's net change could as well have gone the other way.

    nets: for each cluster the items fixed minus the items broken. The p-value is the share of all sign patterns whose
    sum is at least as far from 0 as the one seen; it is computed by convolution, so no pattern is drawn. Clusters of
    one item each give exactly `mcnemar_exact`.
    """
    sizes = [net for net in nets if net]
    reach, seen = sum(abs(net) for net in sizes), abs(sum(sizes))
    weights = np.zeros(2 * reach + 1)
    weights[reach] = 1.0
    for net in sizes:
        weights = (np.roll(weights, net) + np.roll(weights, -net)) / 2
    sums = np.abs(np.arange(-reach, reach + 1))
    return min(1.0, float(weights[sums >= seen].sum()))


def tango(up: float, down: float, n: float, *, level: float = LEVEL) -> tuple[float, float]:
    """Score interval of the difference of two paired rates, (up − down) / n: (low, high) within [−1, 1].

    up, down: items that changed from False to True and from True to False, of n; effective numbers need not be whole.
    Keeps its level for few items and for no change at all, where the usual interval has no width. No items: (−1, 1).
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
    """One-sided p of the hypothesis "the rate fell by `margin` or more"; small means: no worse than that.

    A capability is kept when this is small. "No significant difference" proves nothing: few items never differ
    significantly. margin: a share in (0, 1), such as 0.02 for two points. No items: 1.
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
    level: float = LEVEL,
) -> Paired:
    """Compare two models on the items that both were asked about.

    base, aligned: outcome by item id. better: the direction in which the metric improves, so that "fixed" always means
    an improvement. clusters: by item id, where several items share a picture or a question; items left out are on their
    own. An unread verdict on either side leaves the pair undecided; bounds and p hold whatever it would have said.
    """
    items = [item for item in base if item in aligned]
    changes = [_change(base[item], aligned[item]) for item in items]
    owners = [clusters.get(item, item) if clusters else item for item in items]
    up, down, unread = changes.count(1), changes.count(-1), changes.count(None)
    fixed, broken = (up, down) if better == "higher" else (down, up)
    read = len(items) - unread
    return Paired(
        fixed=fixed,
        broken=broken,
        p=_worst_p(changes, owners),
        n=len(items),
        unreadable=unread,
        difference=(up - down) / read if read else None,
        low=_bounds([-1 if c is None else c for c in changes], owners, level)[0],
        high=_bounds([1 if c is None else c for c in changes], owners, level)[1],
    )


def _change(before: Outcome, after: Outcome) -> int | None:
    """+1 from False to True, −1 from True to False, 0 for no change, None where a verdict was not read."""
    return None if before is None or after is None else int(after) - int(before)


def _bounds(changes: Sequence[int], owners: Sequence[Hashable], level: float) -> tuple[float, float]:
    """Tango's interval of the mean change, on as many items as the clusters are worth."""
    if not changes:
        return -1.0, 1.0
    worth = effective_size(changes, owners) / len(changes)
    return tango(changes.count(1) * worth, changes.count(-1) * worth, len(changes) * worth, level=level)


def _worst_p(changes: Sequence[int | None], owners: Sequence[Hashable]) -> float:
    """The p that remains when every unread pair went against the larger side; 1 where they could undo it."""
    net, unread = sum(c for c in changes if c), changes.count(None)
    if abs(net) <= unread:
        return 1.0
    against = -1 if net > 0 else 1
    nets: Counter[Hashable] = Counter()
    for change, owner in zip(changes, owners, strict=True):
        nets[owner] += against if change is None else change
    return sign_flip_exact(nets.values())
