"""Agreement of a judge with itself when the reading order is swapped, and of two or more raters (kappa, alpha)."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

from scipy.special import ndtri

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


@dataclass(frozen=True, slots=True)
class PositionBias:
    """How often a judge follows the position of the answers rather than what they say."""

    value: float | None
    """From -1 to 1: share of comparisons decided by position; above zero the answer shown first gains (primacy), below
    zero the one shown last (recency). None where no match has two readable verdicts."""
    low: float
    """Lower bound of the interval."""
    high: float
    """Upper bound of the interval."""
    n: int
    """Matches with readable verdicts in both orders."""


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


def position_bias(counts: Mapping[tuple[Winner | None, Winner | None], float], *, level: float = LEVEL) -> PositionBias:
    """The position bias of a judge, from its verdicts in both reading orders.

    Take a judge that follows the position in a share of its comparisons, and in the others says what it would say
    wherever the answers stood: right or wrong, or a tie. In the order `ab` the second kind favours the first answer as
    often as it disfavours it in `ba`, so over both orders it adds nothing to (verdicts for the answer shown first) −
    (verdicts for the one shown last). That difference as a share of all comparisons is thus the share that follows the
    position, whatever the judge's errors and however clear the matches. It is a net share: where a judge now follows
    the first place and now the last, the two cancel out.

    A match is one observation, for its verdicts belong together; the interval is that of Agresti and Min for
    differences of paired shares, with half a match added to each of four outcomes.

    Args:
        counts: number of matches by their winners in order `ab` and in order `ba`, in terms of the match; need not be
            whole; those with an unread verdict do not count.
        level: confidence level of the interval.

    Source: Agresti & Min 2005.
    """
    read = [(_firsts(ab, ba), n) for (ab, ba), n in counts.items() if ab is not None and ba is not None]
    total = sum(n for _, n in read)
    if not total:
        return PositionBias(None, -1.0, 1.0, 0)
    padded = [*read, (1.0, 0.5), (0.0, 1.0), (-1.0, 0.5)]
    size = total + 2
    mean = sum(d * n for d, n in padded) / size
    half = float(ndtri((1 + level) / 2)) * math.sqrt((sum(d * d * n for d, n in padded) / size - mean**2) / size)
    value = sum(d * n for d, n in read) / total
    return PositionBias(value, max(-1.0, mean - half), min(1.0, mean + half), round(total))


def _firsts(ab: Winner, ba: Winner) -> float:
    """Verdicts of a match for the answer shown first less those for the one shown last, over both orders."""
    return ((ab == "a") - (ab == "b") + (ba == "b") - (ba == "a")) / 2


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


def nominal_alpha(units: Mapping[tuple[int, ...], int]) -> float | None:
    """Krippendorff's α of several raters over the same items, for labels without an order; raters may be missing.

    1 is full agreement, 0 that of chance. None where it is undefined: no item has two labels, or there is one label.

    Args:
        units: number of items by how many raters gave each label, the labels always in the same order.

    Source: Krippendorff 2011, "Computing Krippendorff's Alpha-Reliability", part C.
    """
    observed = 0.0
    totals: Counter[int] = Counter()
    for labels, n in units.items():
        raters = sum(labels)
        if raters >= 2:
            totals.update({place: n * count for place, count in enumerate(labels)})
            observed += n * sum(count * (raters - count) for count in labels) / (raters - 1)
    size = totals.total()
    expected = sum(count * (size - count) for count in totals.values())
    return 1 - (size - 1) * observed / expected if expected else None
