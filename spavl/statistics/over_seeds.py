"""Rates and paired differences over several trainings, alike but for their seed, on the same items.

A number of one training carries chance twice: of the items that it was measured on, and of the seed. An interval from
items alone says nothing about whether training again would show the same; one from seeds alone throws away what the
items say. Here both are in it.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from scipy.optimize import brentq
from scipy.special import gammaincinv, ndtr, ndtri

from spavl.statistics.clusters import FEW, degrees_of_freedom, excess_kurtosis, mean_square_error, members, widening
from spavl.statistics.intervals import LEVEL, Outcome, clustered_rate, wilson
from spavl.statistics.paired import compare_paired

NODES = 400
"""Values of the unknown variance between seeds, over which is averaged."""
ROUNDING = 1e-24
"""Variance below which outcomes are all alike and the rest is rounding."""


@dataclass(frozen=True, slots=True)
class Pooled:
    """The rate of a way of training, over its seeds and the items."""

    value: float | None
    """Mean of the outcomes that were read; None where there is none."""
    low: float
    """Lower bound, every unread verdict taken as False."""
    high: float
    """Upper bound, every unread verdict taken as True."""
    seeds: int
    """Trainings that it rests on."""
    items: int
    """Items that all of them were asked."""
    unreadable: int
    """Outcomes without a readable verdict, of all seeds."""
    between_seeds: float | None
    """Standard deviation between seeds beyond what chance of the items makes, as a share; None for one seed, of which
    the interval then knows nothing."""


@dataclass(frozen=True, slots=True)
class PooledDifference:
    """How the rates of two ways of training differ, over the same seeds and the same items."""

    difference: float | None
    """Second minus first, over pairs of outcomes that were read; None where there are none."""
    low: float
    """Lower bound, every unread pair taken as a change downwards."""
    high: float
    """Upper bound, every unread pair taken as a change upwards."""
    p: float
    """Two-sided p of no difference, every unread pair counted against the one that there seems to be."""
    seeds: int
    """Pairs of trainings."""
    items: int
    """Items that all of them were asked."""
    unreadable: int
    """Pairs of outcomes with an unread verdict on either side, of all seeds."""
    between_seeds: float | None
    """Standard deviation of the difference between seeds beyond what chance of the items makes; None for one seed."""
    error: float
    """Standard error of the difference, over seeds and items."""


@dataclass(frozen=True, slots=True)
class Variances:
    """What makes a mean over seeds and items uncertain, each as a variance of that mean."""

    items: float
    """Of the items, averaged over seeds, widened for being estimated."""
    seeds: float
    """Of the seeds' means; what the items' chance adds to each seed apart is in it."""
    residual: float
    """That part of `seeds` which is the items' chance."""
    count: int
    """Seeds."""
    most: float
    """Most that seeds can add, however they differ."""

    def quantile(self, level: float) -> float:
        """Half the width of the interval at a level, by a mean over the variances that the seeds leave possible.

        Args:
            level: confidence level, two-sided.
        """
        spreads = np.sqrt(self.possible())
        if spreads[-1] == 0:
            return 0.0
        z = float(ndtri((1 + level) / 2))

        def beyond(half: float) -> float:
            return 2 * float(ndtr(-half / np.maximum(spreads, 1e-300)).mean()) - (1 - level)

        return float(brentq(beyond, 0, z * float(spreads.max()) * 1.001, xtol=1e-9))

    def p(self, difference: float) -> float:
        """Two-sided p of a difference.

        Args:
            difference: between two means.
        """
        spreads = np.maximum(np.sqrt(self.possible()), 1e-300)
        return min(1.0, 2 * float(ndtr(-abs(difference) / spreads).mean()))

    @property
    def error(self) -> float:
        """Standard error of the mean."""
        return float(np.sqrt(self.items + max(0.0, self.seeds - self.residual)))

    def possible(self) -> np.ndarray:
        """Variances of the mean, equally probable, given how much the seeds differed."""
        if self.count < 2:
            return np.full(1, self.items)
        own = self.seeds * (self.count - 1) / _chi_squares(self.count - 1) - self.residual
        return self.items + np.clip(own, 0.0, self.most)


@cache
def _chi_squares(degrees: int) -> np.ndarray:
    """Equally probable values of a chi-square variable, [nodes]."""
    values: np.ndarray = 2 * gammaincinv(degrees / 2, (np.arange(NODES) + 0.5) / NODES)
    return values


def pooled(
    outcomes: Sequence[Mapping[str, Outcome]], clusters: Mapping[str, Hashable], *, level: float = LEVEL
) -> Pooled:
    """The rate over seeds and items, with bounds that carry both, whatever unread verdicts would have been.

    Seeds and clusters of items are crossed random effects. The variance between seeds has few degrees of freedom, and
    is not plugged in: the interval averages over the values that it may have by the chi-square distribution of the
    seeds' mean square, and none of them is larger than shares can differ. Wilson's interval is then computed on the
    number of items that would be as uncertain, so that no failures at all still give an upper bound above 0. One seed
    gives exactly `clustered_rate`.

    Args:
        outcomes: by seed, the outcomes of items by id; items that not all seeds have are left out.
        clusters: cluster by item id, such as its picture; an item left out is its own cluster.
        level: confidence level.

    Raises:
        ValueError: there is no seed.

    Source: Satterthwaite 1946 and Burdick & Graybill 1992 (crossed variance components); Weerahandi 1993 (generalised
    intervals); Korn & Graubard 1998 (effective size in Wilson's interval).
    """
    items, member = _shared(outcomes, clusters)
    return pooled_table(_table(outcomes, items), member, level=level)


def pooled_table(table: np.ndarray, member: np.ndarray, *, level: float = LEVEL) -> Pooled:
    """`pooled` from a table of outcomes.

    Args:
        table: outcomes, [seeds, items]; NaN: unread.
        member: number of each item's cluster, [items].
        level: confidence level.
    """
    unread = int(np.isnan(table).sum())
    bounds = [_bounds(_filled(table, fill), member, level) for fill in ((0.0, 1.0) if unread else (0.0,))]
    value = float(np.nanmean(table)) if unread < table.size else None
    low, high = min(low for low, _, _ in bounds), max(high for _, high, _ in bounds)
    return Pooled(value, low, high, len(table), table.shape[1], unread, bounds[0][2])


def pooled_difference(
    first: Sequence[Mapping[str, Outcome]], second: Sequence[Mapping[str, Outcome]],
    clusters: Mapping[str, Hashable], *, level: float = LEVEL,
) -> PooledDifference:  # fmt: skip
    """How much higher the second rate is than the first, paired by seed and item, with bounds that carry both.

    The same variances as in `pooled`, of the differences. Where few clusters changed, two imagined ones, of which one
    rises and one falls, add to the variance: few items that all stayed do not show that none would change. One pair of
    trainings gives exactly `compare_paired`.

    Args:
        first: by seed, the outcomes of items by id.
        second: the same of the other, in the same order of seeds.
        clusters: cluster by item id; an item left out is its own cluster.
        level: confidence level.

    Raises:
        ValueError: there is no seed, or the two have not the same number of them.

    Source: as `pooled`; Bonett & Price 2012 (imagined changes).
    """
    if len(first) != len(second):
        raise ValueError(f"{len(first)} seeds of one and {len(second)} of the other are no pairs")
    items, member = _shared([*first, *second], clusters)
    if len(first) == 1:
        return _one_pair({item: first[0][item] for item in items}, second[0], clusters, level)
    return difference_table(_table(second, items) - _table(first, items), member, level=level)


def difference_table(changes: np.ndarray, member: np.ndarray, *, level: float = LEVEL) -> PooledDifference:
    """`pooled_difference` from a table of changes of outcomes.

    Args:
        changes: from -1 to 1, [seeds, items], of two seeds or more; NaN: not known.
        member: number of each item's cluster, [items].
        level: confidence level.
    """
    unread, (seeds, items) = int(np.isnan(changes).sum()), changes.shape
    if unread == changes.size:
        return PooledDifference(None, -1.0, 1.0, 1.0, seeds, items, unread, None, 1.0)
    falls, rises = (_filled(changes, fill) for fill in (-1.0, 1.0))
    down = _cautious(falls, member, level)
    up = _cautious(rises, member, level) if unread else down
    least, most = float(falls.mean()), float(rises.mean())
    p = max(down.p(least), up.p(most)) if least * most > 0 else 1.0
    half = max(part.quantile(level) for part in ((down, up) if unread else (down,)))
    return PooledDifference(
        float(np.nanmean(changes)), max(-1.0, least - half), min(1.0, most + half), p, seeds, items, unread,
        _between(down), max(down.error, up.error),
    )  # fmt: skip


def _one_pair(
    first: Mapping[str, Outcome], second: Mapping[str, Outcome], clusters: Mapping[str, Hashable], level: float
) -> PooledDifference:
    found = compare_paired(first, second, better="neither", clusters=clusters, level=level)
    error = (found.high - found.low) / (2 * float(ndtri((1 + level) / 2)))
    return PooledDifference(
        found.difference, found.low, found.high, found.p, 1, found.n, found.unreadable, None, error
    )  # fmt: skip


def variances_of(
    outcomes: Sequence[Mapping[str, Outcome]], fill: float, clusters: Mapping[str, Hashable], *, level: float = LEVEL
) -> tuple[np.ndarray, Variances]:
    """The outcomes of items that all seeds have as numbers, [seeds, items], and the variances of their mean.

    Where few clusters hold another outcome than the usual one, imagined ones add to the variance, as in
    `pooled_difference`.

    Args:
        outcomes: by seed, the outcomes of items by id.
        fill: what an unread verdict is taken as.
        clusters: cluster by item id; an item left out is its own cluster.
        level: confidence level of the interval that they are for.

    Raises:
        ValueError: there is no seed, or no item that all seeds have.
    """
    items, member = _shared(outcomes, clusters)
    if not items:
        raise ValueError("the seeds have no item in common")
    values = _filled(_table(outcomes, items), fill)
    usual = 1.0 if values.mean() > 0.5 else 0.0
    return values, _cautious(values, member, level, usual)


def crossed(values: np.ndarray, member: np.ndarray, level: float) -> Variances:
    """The variances of a mean over seeds and items.

    Args:
        values: outcome of each seed and item, or difference of two outcomes, [seeds, items].
        member: number of each item's cluster, [items].
        level: confidence level of the interval that they are for.
    """
    seeds, n = values.shape
    count = int(member.max()) + 1
    parts = (values - values.mean()) / n
    own = np.stack([np.bincount(member, weights=row, minlength=count) for row in parts])
    sums = own.mean(axis=0)
    degrees = degrees_of_freedom(excess_kurtosis(sums), count)
    items = max(mean_square_error(sums) ** 2 * widening(degrees, level), float((parts.mean(axis=0) ** 2).sum()))
    spread = float(((values - values.mean()) ** 2).mean())
    if count == 1:  # how items of one cluster go together cannot be seen: they count as one item, of any outcome
        items = 1.0
    if seeds < 2:
        return Variances(items, 0.0, 0.0, seeds, 0.0)
    totals = own.sum(axis=1)
    rest = own - sums - (totals / count)[:, None]
    scale = 1 / (seeds * (seeds - 1))
    residual = float((rest**2).sum()) * scale * count / max(1, count - 1)
    return Variances(items, float((totals**2).sum()) * scale, residual, seeds, spread / seeds)


def _bounds(values: np.ndarray, member: np.ndarray, level: float) -> tuple[float, float, float | None]:
    """The interval of a rate, and the standard deviation between seeds."""
    seeds, n = values.shape
    if n == 0:
        return 0.0, 1.0, None
    if seeds == 1 and np.isin(values, (0.0, 1.0)).all():
        found = clustered_rate([bool(value) for value in values[0]], member.tolist(), level=level)
        return found.low, found.high, None
    mean, parts = min(1.0, max(0.0, float(values.mean()))), crossed(values, member, level)
    copies = n * n / float((np.bincount(member).astype(float) ** 2).sum())
    if mean * (1 - mean) < ROUNDING:
        effective = copies
    else:
        capped = replace(parts, items=min(parts.items, mean * (1 - mean) / copies))
        half = capped.quantile(level) / float(ndtri((1 + level) / 2))
        effective = min(float(n * seeds), mean * (1 - mean) / max(half**2, ROUNDING))
    return *wilson(mean * effective, effective, level=level), _between(parts)


def _cautious(values: np.ndarray, member: np.ndarray, level: float, usual: float = 0.0) -> Variances:
    """The variances of a mean with imagined outcomes, where few clusters hold another one than the usual."""
    parts = crossed(values, member, level)
    other = len(np.unique(member[(values != usual).any(axis=0)]))
    imagined = 2 * max(0, FEW - other) / FEW / (int(member.max()) + 3) ** 2
    return replace(parts, items=parts.items + imagined)


def _between(parts: Variances) -> float | None:
    return float(np.sqrt(max(0.0, parts.seeds - parts.residual) * parts.count)) if parts.count > 1 else None


def _shared(
    outcomes: Sequence[Mapping[str, Outcome]], clusters: Mapping[str, Hashable]
) -> tuple[list[str], np.ndarray]:
    """The items that all seeds were asked, and the numbers of their clusters."""
    if not outcomes:
        raise ValueError("there is no seed to pool")
    items = [item for item in outcomes[0] if all(item in one for one in outcomes[1:])]
    return items, members([clusters.get(item, item) for item in items])


def _table(outcomes: Sequence[Mapping[str, Outcome]], items: Sequence[str]) -> np.ndarray:
    """The outcomes of items, [seeds, items]; NaN: unread."""
    rows = [[np.nan if (value := one[item]) is None else float(value) for item in items] for one in outcomes]
    return np.array(rows, dtype=float).reshape(len(outcomes), len(items))


def _filled(table: np.ndarray, fill: float) -> np.ndarray:
    """The table with those that were not read as the given number."""
    return np.where(np.isnan(table), fill, table)
