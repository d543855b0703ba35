"""How uncertain the rates at several sizes are, and how they go up and down together."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from spavl.statistics.clusters import members
from spavl.statistics.intervals import Outcome

ALONE = 0.1
"""Share by which correlations between sizes are taken nearer to none: it keeps the matrix away from singular."""
MOST_ALIKE = 0.95
"""Largest correlation of a seed's rates at two sizes."""


@dataclass(frozen=True, slots=True)
class SizeRates:
    """Rates at several sizes of a training set, over seeds and the same items, with their errors."""

    sizes: np.ndarray
    """Numbers of pairs, rising, [sizes]; 0: the model before training."""
    rates: np.ndarray
    """Mean of the outcomes that were read at each, [sizes]."""
    items: int
    """Items that all trainings were asked."""
    seeds: np.ndarray
    """Trainings at each size, [sizes]."""
    design: np.ndarray
    """Variance of each rate by the items, as a multiple of p(1 − p) / items, [sizes]."""
    correlation: np.ndarray
    """Of the items' part between sizes: an item that is hard at one is hard at the next, [sizes, sizes]."""
    excess: float
    """Variance between seeds beyond the items' chance, summed over all sizes but 0."""
    together: float
    """Correlation of a seed's rates at two sizes, whose sets are nested."""
    clusters: int
    """Clusters of items."""
    unreadable: float
    """Largest share of unread verdicts at any size."""

    def covariance(self, rates: np.ndarray) -> np.ndarray:
        """Covariance of the measured rates, if those given are the true ones, [sizes, sizes].

        Args:
            rates: true rates, [sizes].
        """
        both: np.ndarray = self._by_items(rates) + self._by_seeds(rates)
        return both

    def degrees(self, rates: np.ndarray) -> float:
        """Degrees of freedom of the covariance: few where seeds differ, and only at one or two sizes.

        Args:
            rates: true rates, [sizes].

        Source: Satterthwaite 1946, with the trace in place of a variance.
        """
        items, seeds = self._by_items(rates), self._by_seeds(rates)
        each = max(1.0, float(np.median(self.seeds[self.sizes > 0])) - 1) if (self.sizes > 0).any() else 1.0
        parts = float(np.trace(items)) ** 2 / max(1.0, self.clusters - 1.0) + float((seeds**2).sum()) / each
        return max(1.0, float(np.trace(items + seeds)) ** 2 / parts)

    def _by_items(self, rates: np.ndarray) -> np.ndarray:
        error = np.sqrt(self.design * self._spread(rates) / self.items)
        covariance: np.ndarray = np.outer(error, error) * self.correlation
        return covariance

    def _by_seeds(self, rates: np.ndarray) -> np.ndarray:
        error = np.sqrt(self._between(rates))
        covariance: np.ndarray = np.outer(error, error) * self.together
        np.fill_diagonal(covariance, error**2)
        return covariance

    def _between(self, rates: np.ndarray) -> np.ndarray:
        """Variance of each rate by the seeds.

        It is shared out over sizes by p(1 − p), as if seeds changed the share of items that fail whatever they are, and
        by its square, as if they changed how hard all items are; the larger of the two holds for either.
        """
        spread = self._spread(rates) * (self.sizes > 0)
        shares = np.maximum(spread / max(spread.sum(), 1e-300), spread**2 / max((spread**2).sum(), 1e-300))
        variances: np.ndarray = self.excess * shares / self.seeds
        return variances

    def _spread(self, rates: np.ndarray) -> np.ndarray:
        """Variance of one outcome at each size: never 0, for that none failed does not show that none can."""
        edge = 0.5 / self.items
        inside = np.clip(rates, edge, 1 - edge)
        spread: np.ndarray = inside * (1 - inside)
        return spread


def size_rates(outcomes: Mapping[int, Sequence[Mapping[str, Outcome]]], clusters: Mapping[str, Hashable]) -> SizeRates:
    """The rates at several sizes with their errors, from the outcomes of items.

    Unread verdicts count as their training's mean here; their share stands in `unreadable`.

    Args:
        outcomes: by number of pairs, and by seed, the outcomes of items by id.
        clusters: cluster by item id; an item left out is its own cluster.

    Raises:
        ValueError: there is no size, or no item that all trainings were asked.
    """
    sizes = sorted(outcomes)
    runs = [run for size in sizes for run in outcomes[size]]
    items = [item for item in runs[0] if all(item in run for run in runs)] if runs else []
    if not items or not all(len(outcomes[size]) for size in sizes):
        raise ValueError("a scaling law needs items that every training was asked")
    member = members([clusters.get(item, item) for item in items])
    return rates_of_tables(sizes, [_table(outcomes[size], items) for size in sizes], member)


def rates_of_tables(sizes: Sequence[int], tables: Sequence[np.ndarray], member: np.ndarray) -> SizeRates:
    """`size_rates` from tables of outcomes.

    Args:
        sizes: numbers of pairs, rising.
        tables: of each size the outcomes, [seeds, items]; NaN: unread.
        member: number of each item's cluster, [items].
    """
    items = len(member)
    unread = max(float(np.isnan(table).mean()) for table in tables)
    filled = [_filled(table) for table in tables]
    rates = np.array([table.mean() for table in filled])
    seeds = np.array([len(table) for table in filled])
    sums = np.stack([_sums(table.mean(axis=0) - rate, member) for table, rate in zip(filled, rates, strict=True)])
    design, correlation = _item_errors(sums / items, rates, items)
    repeated = [table for table, size in zip(filled, sizes, strict=True) if size > 0 and len(table) > 1]
    excess = max(0.0, sum(_beyond_chance(table, member) for table in repeated))
    return SizeRates(
        np.array(sizes, dtype=float), rates, items, seeds, design, correlation, excess, _together(repeated, excess),
        sums.shape[1], unread,
    )  # fmt: skip


def _table(runs: Sequence[Mapping[str, Outcome]], items: Sequence[str]) -> np.ndarray:
    values = [[np.nan if run[item] is None else float(run[item] or 0) for item in items] for run in runs]
    return np.array(values, dtype=float)


def _filled(table: np.ndarray) -> np.ndarray:
    means = [row[~np.isnan(row)].mean() if (~np.isnan(row)).any() else 0.5 for row in table]
    return np.where(np.isnan(table), np.array(means)[:, None], table)


def _sums(residual: np.ndarray, member: np.ndarray) -> np.ndarray:
    return np.bincount(member, weights=residual)


def _item_errors(sums: np.ndarray, rates: np.ndarray, items: int) -> tuple[np.ndarray, np.ndarray]:
    """Design of each size and correlation of sizes, from the clusters' parts of the means, [sizes, clusters].

    A size at which next to nothing happened says little of its design, and leans on that of all sizes. How the items of
    one cluster alone go together cannot be seen: they count as one item, which need not do the same at two sizes.
    """
    count = sums.shape[1]
    if count == 1:
        return np.full(len(rates), float(items)), np.eye(len(rates))
    found = sums @ sums.T * count / max(1, count - 1)
    base = rates * (1 - rates) / items
    usual = float(np.trace(found) / base.sum()) if base.sum() > 0 else 1.0
    typical = float(base.mean()) or 1.0
    design = (np.diag(found) + usual * typical / 4) / (base + typical / 4)
    error = np.sqrt(np.diag(found))
    scale = np.where(error > 0, error, np.inf)
    correlation = (1 - ALONE) * found / np.outer(scale, scale)
    np.fill_diagonal(correlation, 1.0)
    return design, correlation


def _beyond_chance(table: np.ndarray, member: np.ndarray) -> float:
    """Variance of seeds' means less what the items' chance makes of it; it may be negative."""
    seeds, items = len(table), len(member)
    rows = table - table.mean(axis=1, keepdims=True)
    own = np.stack([_sums(row, member) for row in rows - rows.mean(axis=0)]) / items
    count = int(own.shape[1])
    residual = float((own**2).sum()) * count / max(1, count - 1) / (seeds - 1)
    return float(table.mean(axis=1).var(ddof=1)) - residual


def _together(tables: Sequence[np.ndarray], excess: float) -> float:
    """Correlation of a seed's means at two sizes, by how the means of all sizes move together; 0 to `MOST_ALIKE`."""
    if excess <= 0 or len(tables) < 2 or len({len(table) for table in tables}) > 1:
        return 0.0
    means = np.stack([table.mean(axis=1) for table in tables])
    covariance = np.cov(means)
    spread = np.sqrt([max(mean * (1 - mean), 1e-12) for mean in means.mean(axis=1)])
    share = (float(covariance.sum()) - float(np.trace(covariance))) / (spread.sum() ** 2 - (spread**2).sum())
    return float(np.clip(share * (spread**2).sum() / excess, 0.0, MOST_ALIKE))
