"""The interval of an AUC over answers that share pictures."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np

from spavl.statistics.clusters import degrees_of_freedom, excess_kurtosis, mean_square_error, widening
from spavl.statistics.estimate import ROUNDING
from spavl.statistics.intervals import Rate, wilson

FEW_PICTURES = 10
"""Below so many pictures each counts for one item at most: of a fold with one picture the influence adds up to 0."""
V = TypeVar("V", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Influence(Generic[V]):
    """An AUC, and what each answer of a value adds to its error."""

    auc: float
    """Probability that a chosen answer has a higher score than a rejected one, an equal one counted half."""
    answers: int
    """How many it is of."""
    parts: Mapping[V, tuple[float, float]]
    """By value: of a chosen answer that has it, and of a rejected one."""


def influence_of(counts: Mapping[V, tuple[float, int, int]]) -> Influence[V] | None:
    """The AUC of scored values with its influence; None without both kinds of answers.

    Args:
        counts: by value: its score, and how many chosen and rejected answers have it.

    Source: DeLong, DeLong & Clarke-Pearson 1988 (structural components).
    """
    table = np.array(list(counts.values())).reshape(-1, 3)
    score, chosen, rejected = table[:, 0], table[:, 1], table[:, 2]
    positives, negatives = int(np.sum(chosen)), int(np.sum(rejected))
    if not positives or not negatives:
        return None
    _, place = np.unique(score, return_inverse=True)
    lower, higher = (_below(place, weights) / weights.sum() for weights in (rejected, chosen))
    auc = float((chosen * lower).sum() / positives)
    up, down = (lower - auc) / positives, (1 - higher - auc) / negatives
    return Influence(
        auc, positives + negatives, dict(zip(counts, zip(up.tolist(), down.tolist(), strict=True), strict=True))
    )


def _below(place: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Of every value the weight of those with a lower score, those with an equal one counted half."""
    at = np.bincount(place, weights=weights)
    return np.asarray((np.cumsum(at) - at / 2)[place])


def interval_of(auc: float, sums: Sequence[float], pairs: int, *, level: float) -> Rate:
    """An AUC with its interval: Wilson's, for as many items as would have the variance of its influence on pictures.

    Args:
        auc: the AUC.
        sums: of every picture, the influence of its answers.
        pairs: how many pairs there are.
        level: confidence level.

    Source: Obuchowski 1997, Biometrics 53:567–578 (clustered AUC).
    """
    own = np.array(sums)
    wider = widening(degrees_of_freedom(excess_kurtosis(own), len(own)), level)
    variance = mean_square_error(own) ** 2 * wider
    size = auc * (1 - auc) / variance if variance >= ROUNDING and 0 < auc < 1 else float(len(own))
    size = min(size, float(len(own))) if len(own) < FEW_PICTURES else size
    low, high = wilson(auc * size, size, level=level)
    return Rate(value=auc, low=low, high=high, n=pairs)
