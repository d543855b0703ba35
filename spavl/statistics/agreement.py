"""Agreement of a judge with itself when the reading order is swapped, and of two raters (Cohen's kappa)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from spavl.records import Winner
from spavl.statistics.intervals import LEVEL, Rate, rate


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
    agree = [None if None in pair else pair[0] == pair[1] for pair in verdicts]
    flipped = [None if None in pair else set(pair) == {"a", "b"} for pair in verdicts]
    first = [pair[0] == "a" for pair in verdicts if pair[0] in ("a", "b")]
    first += [pair[1] == "b" for pair in verdicts if pair[1] in ("a", "b")]
    return Agreement(agree=rate(agree, level=level), first=rate(first, level=level), flipped=rate(flipped, level=level))


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
