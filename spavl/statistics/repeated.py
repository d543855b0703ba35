"""Intervals that hold together over any number of looks at the same items under models that change."""

from __future__ import annotations

from scipy.special import betaincinv

from spavl.statistics.intervals import LEVEL


def interval_at_look(share: float, n: float, look: int, *, level: float = LEVEL) -> tuple[float, float]:
    """Exact interval of a rate at one of many looks, as (low, high); those of all looks hold together at the level.

    For a training that is validated again and again: the same items, another model at every look. No sequence over
    items holds there (`confidence_sequence` is for new items of one model), so the error is spent over looks:
    (1 − level) / (k · (k + 1)) at the k-th, which adds up to 1 − level however many there are. Bonferroni's bound needs
    nothing of how looks depend on each other, so it also holds for the look that is chosen because of what it shows.

    Args:
        share: share of True at this look.
        n: number of items, or their effective number; need not be whole.
        look: number of the look, from 1.
        level: confidence level of all looks together.

    Raises:
        ValueError: there are no items, the share is not between 0 and 1, or looks are not counted from 1.

    Source: Clopper & Pearson 1934; Bonferroni, with an alpha-spending sequence as in Lan & DeMets 1983.
    """
    if n <= 0 or not 0 <= share <= 1 or look < 1:
        raise ValueError(f"a share of {share} of {n} items at look {look} is not possible")
    tail = (1 - level) / (look * (look + 1)) / 2
    true = share * n
    low = 0.0 if true == 0 else float(betaincinv(true, n - true + 1, tail))
    high = 1.0 if true >= n else float(betaincinv(true + 1, n - true, 1 - tail))
    return low, high
