"""Agreement of a judge with itself when the reading order is swapped, and of two raters (Cohen's kappa)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

from spavl.records import Winner
from spavl.statistics.intervals import LEVEL, Outcome, Rate, rate_of


@dataclass(frozen=True, slots=True)
class Agreement:
    """Consistency of a pairwise judge when the two answers swap places."""

    agree: Rate
    """Share of matches with the same winner in both orders; a match with an unread verdict is unreadable."""
    first: Rate
    """Share of single verdicts, ties apart, for the answer shown first; 0.5 is no position bias."""
    flipped: Rate
    """Share of matches in which the two orders named different answers as the winner."""


def swap_agreement(verdicts: Sequence[tuple[Winner | None, Winner | None]], *, level: float = LEVEL) -> Agreement:
    """Agreement of a judge with itself over both reading orders.

    Args:
        verdicts: for each match the winner in order `ab` and in order `ba`, both in terms of the match; None where the
            verdict could not be read.
        level: confidence level of the intervals.
    """
    return swap_agreement_of(Counter(verdicts), level=level)


def swap_agreement_of(counts: Mapping[tuple[Winner | None, Winner | None], int], *, level: float = LEVEL) -> Agreement:
    """`swap_agreement` from counts.

    Args:
        counts: number of matches by their winners in order `ab` and in order `ba`.
        level: confidence level of the intervals.
    """
    agree, flipped, first = Counter[Outcome](), Counter[Outcome](), Counter[Outcome]()
    for (ab, ba), n in counts.items():
        unread = ab is None or ba is None
        agree[None if unread else ab == ba] += n
        flipped[None if unread else {ab, ba} == {"a", "b"}] += n
        if ab in ("a", "b"):
            first[ab == "a"] += n
        if ba in ("a", "b"):
            first[ba == "b"] += n
    rates = (rate_of(c[True], c.total(), c[None], level=level) for c in (agree, first, flipped))
    return Agreement(*rates)


def cohen_kappa(first: Sequence[Hashable], second: Sequence[Hashable]) -> float | None:
    """Cohen's κ of two raters over the same items: agreement beyond that expected from their label frequencies.

    1 is full agreement, 0 that of chance. None where κ is undefined: no items, or both raters used one and the same
    label throughout.

    Args:
        first: labels of one rater, item by item.
        second: labels of the other.

    Raises:
        ValueError: the two differ in length.

    Source: Cohen 1960.
    """
    if len(first) != len(second):
        raise ValueError(f"two raters, {len(first)} and {len(second)} items")
    n = len(first)
    if n == 0:
        return None
    observed = sum(a == b for a, b in zip(first, second, strict=True)) / n
    left, right = Counter(first), Counter(second)
    chance = sum(left[label] * right[label] for label in left) / n**2
    return None if chance == 1 else (observed - chance) / (1 - chance)
