"""POPE's report on yes/no questions: accuracy, precision, recall, F1, and the rates of yes and of neither.

A refusal is neither: it lowers recall and accuracy, and never counts as yes. The accuracy by the parser published with
POPE is reported too, for comparison with published numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from spavl.evaluate.scorer import DECLINED, FAILED, Answer
from spavl.judging.readers.yes_no import pope_official, read_yes_no
from spavl.statistics.clusters import TooFewClusters
from spavl.statistics.estimate import estimate
from spavl.statistics.intervals import LEVEL, Rate, cluster_bootstrap, clustered_rate

RESAMPLES = 1000
"""Bootstrap resamples for the interval of F1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class YesNoReport:
    """Scores of a model's answers to yes/no questions, with yes as the positive class.

    Calls without a word of an answer are unreadable in every rate.
    """

    accuracy: Rate
    """Share of right answers; an answer that is neither yes nor no is wrong."""
    precision: float | None
    """Share of right answers among those that say yes; None where no answer does."""
    recall: float | None
    """Share answered yes among the questions whose answer is yes; None where there are none."""
    f1: float | None
    """Harmonic mean of precision and recall; None where neither has a value."""
    f1_low: float
    """Lower end of F1's interval, by a bootstrap over pictures; of a weighted mean where these are few."""
    f1_high: float
    """Upper end of F1's interval."""
    yes: Rate
    """Share of answers yes; in POPE half of the questions expect yes."""
    neither: Rate
    """Share of answers that are neither yes nor no, refusals among them."""
    official: Rate
    """Accuracy by the parser published with POPE, which reads a refusal as yes."""


def yes_no_report(answers: Sequence[Answer], *, level: float = LEVEL, seed: int = 0) -> YesNoReport:
    """POPE's report on answers to yes/no questions.

    Args:
        answers: answers to items that expect `yes` or `no`.
        level: confidence level of every interval.
        seed: seed of the bootstrap.
    """
    failed = [a.status in FAILED or not (a.text.strip() or a.status in DECLINED) for a in answers]
    predicted = [
        "neither" if a.status in (*DECLINED, *FAILED) else read_yes_no(a.text, a.item.question) for a in answers
    ]
    expected = [a.item.expected.strip().lower() for a in answers]
    clusters = [a.item.cluster or a.item.item_id for a in answers]

    def share(true: Sequence[bool]) -> Rate:
        outcomes = [None if unread else one for one, unread in zip(true, failed, strict=True)]
        return clustered_rate(outcomes, clusters, level=level)

    answered_yes, is_yes = np.array(predicted) == "yes", np.array(expected) == "yes"
    precision, recall, f1 = _f1(answered_yes, is_yes)
    low, high = (0.0, 1.0)
    if f1 is not None:
        low, high = _f1_interval(answered_yes, is_yes, clusters, seed=seed, level=level)
    return YesNoReport(
        accuracy=share([p == e for p, e in zip(predicted, expected, strict=True)]),
        precision=precision,
        recall=recall,
        f1=f1,
        f1_low=low,
        f1_high=high,
        yes=share([p == "yes" for p in predicted]),
        neither=share([p == "neither" for p in predicted]),
        official=share([pope_official(a.text) == e for a, e in zip(answers, expected, strict=True)]),
    )


def _f1_interval(
    answered_yes: np.ndarray, is_yes: np.ndarray, clusters: Sequence[str], *, seed: int, level: float
) -> tuple[float, float]:
    """The bootstrap's interval; with too few pictures for it, that of F1 as a weighted mean."""

    def f1(rows: np.ndarray) -> float:
        return _nan_if_none(_f1(answered_yes[rows], is_yes[rows])[2])

    try:
        return cluster_bootstrap(f1, clusters, resamples=RESAMPLES, seed=seed, level=level)
    except TooFewClusters:
        weights = answered_yes.astype(float) + is_yes
        found = estimate([bool(right) for right in answered_yes & is_yes], clusters, weights.tolist(), level=level)
        return found.low, found.high


def _f1(answered_yes: np.ndarray, is_yes: np.ndarray) -> tuple[float | None, float | None, float | None]:
    """(precision, recall, F1) with yes as the positive; None where the divisor is 0."""
    right, predicted, expected = int((answered_yes & is_yes).sum()), int(answered_yes.sum()), int(is_yes.sum())
    precision = right / predicted if predicted else None
    recall = right / expected if expected else None
    f1 = 2 * right / (predicted + expected) if predicted + expected else None
    return precision, recall, f1


def _nan_if_none(value: float | None) -> float:
    return float("nan") if value is None else value
