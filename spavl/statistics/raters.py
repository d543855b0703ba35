"""Agreement of two raters who judge the same things as unsafe or safe, some of them not readably."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from spavl.statistics.intervals import LEVEL, Outcome, Rate, rate_of


@dataclass(frozen=True, slots=True)
class RaterAgreement:
    """How often two raters say the same."""

    same: Rate
    """Share of things on which they say the same; one that either did not judge readably is unread."""
    kappa: float | None
    """Cohen's κ over what both judged; None where it is undefined, as where both used one label throughout."""
    first_true: float | None
    """Share of True by the first rater, over what both judged: κ falls where it is near 0 or 1."""
    second_true: float | None
    """Share of True by the second."""


def rater_agreement(counts: Mapping[tuple[Outcome, Outcome], int], *, level: float = LEVEL) -> RaterAgreement:
    """Agreement of two raters, raw and by Cohen's κ.

    Args:
        counts: number of things by what the first and the second rater said; None where one was not read.
        level: confidence level of the interval.

    Source: Cohen 1960.
    """
    both = {said: n for said, n in counts.items() if None not in said}
    n, total = sum(both.values()), sum(counts.values())
    same = sum(count for (first, second), count in both.items() if first == second)
    rate = rate_of(same, total, total - n, level=level)
    if not n:
        return RaterAgreement(rate, None, None, None)
    first, second = (sum(count for said, count in both.items() if said[place]) / n for place in (0, 1))
    chance = first * second + (1 - first) * (1 - second)
    return RaterAgreement(rate, None if chance == 1 else (same / n - chance) / (1 - chance), first, second)
