"""How well a score tells two kinds apart: the area under the ROC curve (AUC)."""

from __future__ import annotations

from collections.abc import Iterable


def auc_of(counts: Iterable[tuple[float, int, int]]) -> float | None:
    """Probability that a positive has a higher score than a negative, an equal one counted half; None without both.

    Args:
        counts: (score, positives, negatives); scores may come again, in any order.

    Source: Mann & Whitney 1947.
    """
    below = positives = 0
    above = 0.0
    for positive, negative in _by_score(counts):
        above += positive * (below + negative / 2)
        below += negative
        positives += positive
    return above / (positives * below) if positives and below else None


def _by_score(counts: Iterable[tuple[float, int, int]]) -> Iterable[tuple[int, int]]:
    """(positives, negatives) of every score, the lowest first."""
    found: dict[float, tuple[int, int]] = {}
    for score, positive, negative in counts:
        before = found.get(score, (0, 0))
        found[score] = (before[0] + positive, before[1] + negative)
    return (found[score] for score in sorted(found))
