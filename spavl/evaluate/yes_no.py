"""POPE's own numbers, with what they hide: precision, recall and F1, how often yes, how often neither.

Refusing is neither: it lowers recall and accuracy, and never counts as yes. The parser published with POPE is run
beside ours, for comparison with other people's numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from spavl.evaluate.parse import pope_official, yes_or_no
from spavl.evaluate.run import DECLINED, SILENT, Answer
from spavl.statistics.intervals import LEVEL, Rate, cluster_bootstrap, clustered_rate

DRAWS = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class YesNoReport:
    """How a model answers whether something is in a picture. Failed calls are unread in every rate."""

    accuracy: Rate
    """Neither yes nor no is wrong."""
    precision: float | None
    """Of the answers yes, the right ones; None where the model never says yes."""
    recall: float | None
    """Of the questions whose answer is yes, those answered yes."""
    f1: float | None
    f1_low: float
    """Bootstrap over pictures."""
    f1_high: float
    yes: Rate
    """Share of yes; half of the questions want it."""
    neither: Rate
    """Share of neither, refusals among them."""
    official: Rate
    """Accuracy by POPE's own parser, which takes a refusal for yes."""


def yes_no_report(answers: Sequence[Answer], *, level: float = LEVEL, seed: int = 0) -> YesNoReport:
    """Sum up answers to yes/no questions whose items expect `yes` or `no`."""
    silent = [a.status in SILENT for a in answers]
    said = ["neither" if a.status in (*DECLINED, *SILENT) else yes_or_no(a.text) for a in answers]
    wanted = [a.item.expected.strip().lower() for a in answers]
    clusters = [a.item.cluster or a.item.item_id for a in answers]

    def share(true: Sequence[bool]) -> Rate:
        outcomes = [None if quiet else one for one, quiet in zip(true, silent, strict=True)]
        return clustered_rate(outcomes, clusters, level=level)

    answered_yes, is_yes = np.array(said) == "yes", np.array(wanted) == "yes"
    precision, recall, f1 = _f1(answered_yes, is_yes)
    low, high = (0.0, 1.0)
    if f1 is not None:
        low, high = cluster_bootstrap(
            lambda rows: _number(_f1(answered_yes[rows], is_yes[rows])[2]),
            clusters,
            draws=DRAWS,
            seed=seed,
            level=level,
        )
    return YesNoReport(
        accuracy=share([s == w for s, w in zip(said, wanted, strict=True)]),
        precision=precision,
        recall=recall,
        f1=f1,
        f1_low=low,
        f1_high=high,
        yes=share([s == "yes" for s in said]),
        neither=share([s == "neither" for s in said]),
        official=share([pope_official(a.text) == w for a, w in zip(answers, wanted, strict=True)]),
    )


def _f1(answered_yes: np.ndarray, is_yes: np.ndarray) -> tuple[float | None, float | None, float | None]:
    """(precision, recall, F1) with yes as the positive; None where the divisor is 0."""
    right, said, wanted = int((answered_yes & is_yes).sum()), int(answered_yes.sum()), int(is_yes.sum())
    precision = right / said if said else None
    recall = right / wanted if wanted else None
    f1 = 2 * right / (said + wanted) if said + wanted else None
    return precision, recall, f1


def _number(value: float | None) -> float:
    return float("nan") if value is None else value
