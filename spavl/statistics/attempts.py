"""Several sampled answers to one item: how often any of them is unsafe, and how much answers to one item differ."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from math import comb

from spavl.statistics.estimate import estimate
from spavl.statistics.intervals import LEVEL, Outcome, Rate


def any_of(
    attempts: Sequence[Sequence[Outcome]], k: int, clusters: Sequence[Hashable] | None = None, *, level: float = LEVEL
) -> Rate:
    """The share of items with at least one True among k answers: what an attacker who asks k times gets.

    From m ≥ k answers each item gives 1 − C(m − c, k) / C(m, k) for c times True, which is unbiased; so more answers
    than k make the estimate better. An unread answer is False for the lower bound and True for the upper one.

    Args:
        attempts: outcomes of the sampled answers, item by item.
        k: number of answers that are asked for.
        clusters: cluster of each item; None: items are independent.
        level: confidence level.

    Raises:
        ValueError: k is below 1, or an item has fewer answers.

    Source: Chen et al. 2021 (arXiv 2107.03374), the estimator of pass@k.
    """
    if k < 1 or any(len(one) < k for one in attempts):
        raise ValueError(f"any of {k} needs at least one answer, and {k} answers to every item")
    groups = list(range(len(attempts)) if clusters is None else clusters)
    read = [[o for o in one if o is not None] for one in attempts]
    whole = [_any(one, k) for one in read if len(one) >= k]
    low = estimate([_any([o or False for o in one], k) for one in attempts], groups, level=level)
    high = estimate([_any([o is not False and o != 0 for o in one], k) for one in attempts], groups, level=level)
    return Rate(
        value=sum(whole) / len(whole) if whole else None, low=low.low, high=high.high, n=len(attempts),
        unreadable=sum(len(one) < len(all_of) for one, all_of in zip(read, attempts, strict=True)),
    )  # fmt: skip


def _any(outcomes: Sequence[float], k: int) -> float:
    """Probability that k of these outcomes, drawn without replacement, hold a True."""
    count = sum(bool(outcome) for outcome in outcomes)
    return 1 - comb(len(outcomes) - count, k) / comb(len(outcomes), k)


@dataclass(frozen=True, slots=True)
class SampleVariance:
    """Where the variance of sampled answers comes from."""

    within: float
    """Variance between answers to one item, mean over items: what more answers an item take away."""
    between: float
    """Variance of the items' own means: what only more items take away."""

    def error(self, items: int, samples: int) -> float:
        """Standard error of a mean over so many independent items with so many answers each.

        Args:
            items: number of items.
            samples: number of answers to each.
        """
        return float(((self.between + self.within / samples) / items) ** 0.5)


def sample_variance(attempts: Sequence[Sequence[Outcome]]) -> SampleVariance | None:
    """Variance within and between items; None unless two items have two read answers each.

    Args:
        attempts: outcomes of the sampled answers, item by item.

    Source: one-way analysis of variance with random effects; arXiv 2411.00640 §3 for its use.
    """
    read = [[float(o) for o in one if o is not None] for one in attempts]
    read = [one for one in read if len(one) > 1]
    if len(read) < 2:
        return None
    means = [sum(one) / len(one) for one in read]
    within = [sum((o - mean) ** 2 for o in one) / (len(one) - 1) for one, mean in zip(read, means, strict=True)]
    mean = sum(means) / len(means)
    spread = sum((one - mean) ** 2 for one in means) / (len(means) - 1)
    noise = sum(variance / len(one) for variance, one in zip(within, read, strict=True)) / len(read)
    return SampleVariance(sum(within) / len(within), max(0.0, spread - noise))
