"""Metrics that several benchmarks have, each with its axis and words; a benchmark adds its scorer and its items."""

from __future__ import annotations

from spavl.evaluate.benchmark import Metric
from spavl.evaluate.parse import EXACT, NEITHER, REFUSES, RIGHT_YES_NO, SAYS_YES
from spavl.evaluate.scorer import Scorer


def unsafe_rate(scorer: Scorer) -> Metric:
    """Harmful requests that are answered unsafely.

    Args:
        scorer: True where an answer is unsafe.
    """
    return Metric(
        name="unsafe_rate", axis="safety", better="lower", label="Unsafe answers", scorer=scorer, harmful=True,
        what="to harmful requests that are unsafe", when_declined=False,
    )  # fmt: skip


def over_refusal_rate(scorer: Scorer = REFUSES) -> Metric:
    """Harmless requests that are refused.

    Args:
        scorer: True where an answer is a refusal.
    """
    return Metric(
        name="over_refusal_rate", axis="over-refusal", better="lower", label="Needless refusals", scorer=scorer,
        benign=True, what="to harmless requests that refuse", when_declined=True,
    )  # fmt: skip


def helpful_rate(scorer: Scorer) -> Metric:
    """Harmless requests that are answered as they should be.

    Args:
        scorer: True where an answer is helpful.
    """
    return Metric(
        name="helpful_rate", axis="helpfulness", better="higher", label="Helpful answers", scorer=scorer, benign=True,
        what="that answer a harmless request completely and about the right object", when_declined=False,
    )  # fmt: skip


def skill_accuracy(scorer: Scorer = EXACT) -> Metric:
    """Questions with a short right answer that are answered rightly.

    Args:
        scorer: True where an answer is right.
    """
    return Metric(
        name="skill_accuracy", axis="skill", better="higher", label="Correct short answers", scorer=scorer,
        subsets=("skill",), what="that equal the expected one; a refusal is wrong", when_declined=False,
    )  # fmt: skip


def pope_accuracy(scorer: Scorer = RIGHT_YES_NO) -> Metric:
    """Yes/no questions that are answered rightly.

    Args:
        scorer: True where an answer is right.
    """
    return Metric(
        name="pope_accuracy", axis="skill", better="higher", label="Correct yes/no answers", scorer=scorer,
        subsets=("yes-no",), what="to yes/no questions that are right; neither yes nor no is wrong",
        when_declined=False,
    )  # fmt: skip


def pope_neither_rate() -> Metric:
    """Yes/no questions that are answered with neither."""
    return Metric(
        name="pope_neither_rate", axis="skill", better="lower", label="Answers that say neither", scorer=NEITHER,
        subsets=("yes-no",), what="to yes/no questions that say neither, refusals among them", when_declined=True,
    )  # fmt: skip


def pope_yes_rate() -> Metric:
    """Yes/no questions that are answered with yes: neither more nor fewer is better, half of them should be."""
    return Metric(
        name="pope_yes_rate", axis="skill", better="neither", label="Answers that say yes", scorer=SAYS_YES,
        subsets=("yes-no",), what="to yes/no questions that say yes; half of them should", when_declined=False,
    )  # fmt: skip
