"""How far raters agree beyond chance, with an interval: Cohen's κ, Fleiss' κ, Krippendorff's α (nominal, ordinal).

All are 1 − observed / expected disagreement and differ in what is expected by chance. Each is a function of one table
of pairs of labels, summed over items, so that items can be weighted, and left out in turn for the interval.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from spavl.statistics.clusters import degrees_of_freedom, excess_kurtosis, members, widening
from spavl.statistics.intervals import LEVEL, wilson

Coefficient = Literal["cohen", "fleiss", "alpha"]
"""Whose chance agreement: that of two raters each with shares of their own, of all raters alike, or Krippendorff's."""
Scale = Literal["nominal", "ordinal"]
"""Whether labels have an order, so that neighbours disagree less."""
PADDED = 2.0
"""Clusters in which all agree that are added for the upper bound, in all; as Agresti and Coull add two successes."""


@dataclass(frozen=True, slots=True)
class Reliability:
    """Agreement beyond chance, beside what it is made of: κ is low where one label is rare, however few disagree."""

    value: float | None
    """From −1 to 1; 0 is chance. None where it is undefined: no item with two labels, or one label throughout."""
    low: float
    """Lower bound of the interval."""
    high: float
    """Upper bound."""
    items: int
    """Items with two labels or more."""
    agree: float | None
    """Raw agreement: share of pairs of labels of one item that are the same; of ordinal labels 1 − mean distance."""
    shares: tuple[float, ...]
    """Share of each label among those compared, in the order of the labels."""


def reliability(
    tables: np.ndarray, coefficient: Coefficient, *, scale: Scale = "nominal",
    clusters: Sequence[Hashable] | None = None, weights: Sequence[float] | None = None, level: float = LEVEL,
) -> Reliability:  # fmt: skip
    """Agreement beyond chance from a table of pairs of labels for every item.

    The interval leaves out one cluster after the other (jackknife), and takes the variance as that of a rate of
    disagreement among so many yes/no items: Wilson's interval of that rate, over the disagreement expected by chance,
    holds near 1, where a bootstrap has only ones to draw from. Each item, or cluster, is taken as drawn at random. They
    are never more items than their weights make of them (Kish 1965), for the few that count for much may by chance be
    all alike.

    Args:
        tables: `[N, K, K]`, pairs of labels of each item as `pair_table` or `rater_tables` gives them; an item without
            two labels is all zeros.
        coefficient: whose chance agreement.
        scale: whether labels have an order, which is that of the table.
        clusters: cluster of each item, such as its picture; None: items are independent.
        weights: how many items each stands for, such as one over its probability of being drawn; None: all alike.
        level: confidence level.

    Source: Cohen 1960; Fleiss 1971; Krippendorff 2011; Wilson's interval on the effective size after Korn & Graubard
    1998.
    """
    counts = np.asarray(tables, dtype=float)
    used = counts.sum(axis=(1, 2)) > 0
    if not used.any():
        return Reliability(None, -1.0, 1.0, 0, None, ())
    counts = counts[used]
    groups = range(len(counts)) if clusters is None else [c for c, kept in zip(clusters, used, strict=True) if kept]
    most_items = math.inf
    if weights is not None:
        own = np.asarray(weights, dtype=float)[used]
        most_items = float(own.sum() ** 2 / (own**2).sum())
        counts = counts * (own / own.mean())[:, None, None]
    member = members(groups)
    sums = np.zeros((int(member.max()) + 1, *counts.shape[1:]))
    np.add.at(sums, member, counts)
    return _of_sums(sums, coefficient, scale, (int(used.sum()), most_items), level)


def _of_sums(
    sums: np.ndarray, coefficient: Coefficient, scale: Scale, sizes: tuple[int, float], level: float
) -> Reliability:  # fmt: skip
    items, most = sizes
    total = sums.sum(axis=0)
    observed, expected = (float(one) for one in disagreement(total, coefficient, scale))
    size = total.sum()
    shares = tuple(((total.sum(axis=0) + total.sum(axis=1)) / (2 * size)).tolist())
    if expected <= 0:
        return Reliability(None, -1.0, 1.0, items, 1 - observed, shares)
    low, high = _bounds(sums, coefficient, scale, level, most)
    padded = np.concatenate([sums, _agreeing(sums)])
    high = max(high, _bounds(padded, coefficient, scale, level, most + PADDED)[1])
    return Reliability(max(-1.0, 1 - observed / expected), low, high, items, 1 - observed, shares)


def _agreeing(sums: np.ndarray) -> np.ndarray:
    """A few items on which all agree, spread over the labels: where one is rare, the sample may by chance hold few."""
    kinds = sums.shape[-1]
    each = sums.sum() / len(sums) * PADDED / kinds
    return np.asarray(each * np.eye(kinds)[:, :, None] * np.eye(kinds)[:, None, :])


def _bounds(
    sums: np.ndarray, coefficient: Coefficient, scale: Scale, level: float, most_items: float
) -> tuple[float, float]:  # fmt: skip
    total = sums.sum(axis=0)
    observed, expected = (float(one) for one in disagreement(total, coefficient, scale))
    count = len(sums)
    if count < 2:
        return -1.0, 1.0
    without = disagreement(total - sums, coefficient, scale)
    left = np.divide(without[0], without[1], out=np.ones(count), where=without[1] > 0)
    parts = (count - 1) / count * (left - left.mean())
    variance = float((parts**2).sum()) * count / (count - 1)
    variance *= widening(degrees_of_freedom(excess_kurtosis(parts), count), level) * expected**2
    effective = observed * (1 - observed) / variance if variance > 0 and 0 < observed < 1 else float(count)
    effective = min(effective, most_items)
    least, most = wilson(observed * effective, effective, level=level)
    return max(-1.0, 1 - most / expected), min(1.0, 1 - least / expected)


def disagreement(
    tables: np.ndarray, coefficient: Coefficient, scale: Scale = "nominal"
) -> tuple[np.ndarray, np.ndarray]:
    """Observed disagreement of tables of pairs, and that expected by chance, both from 0 to 1.

    Args:
        tables: `[…, K, K]`, pairs of labels.
        coefficient: whose chance agreement.
        scale: whether labels have an order.
    """
    size = tables.sum(axis=(-1, -2))
    safe = np.maximum(size, 1e-300)
    rows, columns = tables.sum(axis=-1), tables.sum(axis=-2)
    if coefficient != "cohen":
        rows = columns = (rows + columns) / 2
    distance = _distances((rows + columns) / 2, scale)
    observed = (distance * tables).sum(axis=(-1, -2)) / safe
    together = rows[..., :, None] * columns[..., None, :]
    chance = safe * np.maximum(size - 1, 1e-300) if coefficient == "alpha" else safe**2
    return observed, (distance * together).sum(axis=(-1, -2)) / chance


def _distances(shares: np.ndarray, scale: Scale) -> np.ndarray:
    """How far two labels are apart, from 0 to 1: of ordered ones the square of the share of labels between them."""
    kinds = shares.shape[-1]
    if scale == "nominal":
        return np.broadcast_to(1.0 - np.eye(kinds), (*shares.shape[:-1], kinds, kinds))
    middle = np.cumsum(shares, axis=-1) - shares / 2
    apart = (middle[..., :, None] - middle[..., None, :]) ** 2
    most = apart.max(axis=(-1, -2), keepdims=True)
    return apart / np.where(most > 0, most, 1.0)


def rater_tables(labels: Sequence[Sequence[int]], kinds: int, coefficient: Literal["fleiss", "alpha"]) -> np.ndarray:
    """The tables of pairs of items with several labels each: `[N, K, K]`.

    In Fleiss' κ every item counts alike, in Krippendorff's α as much as it has labels.

    Args:
        labels: labels of each item, of whichever raters labelled it.
        kinds: how many labels there are; they are numbered from 0.
        coefficient: what the tables are for.
    """
    counts = np.zeros((len(labels), kinds))
    sizes = [len(own) for own in labels]
    rows = np.repeat(np.arange(len(labels)), sizes)
    np.add.at(counts, (rows, np.array([one for own in labels for one in own], dtype=int)), 1)
    raters = counts.sum(axis=1)
    pairs = counts[:, :, None] * counts[:, None, :] - counts[:, :, None] * np.eye(kinds)
    ordered = raters * (raters - 1) if coefficient == "fleiss" else raters - 1
    usable = raters >= 2
    return np.where(usable[:, None, None], pairs / np.where(usable, ordered, 1.0)[:, None, None], 0.0)


def pair_table(first: Sequence[int], second: Sequence[int], kinds: int) -> np.ndarray:
    """The tables of pairs of items with one label of each of two raters: `[N, K, K]`.

    Args:
        first: label of one rater, item by item; below 0: not given.
        second: label of the other.
        kinds: how many labels there are; they are numbered from 0.

    Raises:
        ValueError: the two differ in length.
    """
    if len(first) != len(second):
        raise ValueError(f"two raters, {len(first)} and {len(second)} items")
    made = np.zeros((len(first), kinds, kinds))
    for place, (one, other) in enumerate(zip(first, second, strict=True)):
        if one >= 0 and other >= 0:
            made[place, one, other] = 1
    return made
