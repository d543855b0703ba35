"""The page of a study: its results, findings and settings → `study.html` and `study.md`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from spavl.atomic import write_text
from spavl.config.study import (
    AnyStudy,
    MixStudy,
    QuestionsStudy,
    ScaleStudy,
    SourcesStudy,
    TransferStudy,
    load_study,
)
from spavl.report.study import render_study, study_as_markdown
from spavl.report.study_data import StudyShown, TrainingShown
from spavl.statistics.intervals import LEVEL
from spavl.study.arms import EVERY, MIXED
from spavl.study.measures import corrected, measure, measured
from spavl.study.results import Result, read_results

PAGE, TWIN, SETTINGS = "study.html", "study.md", "study.yaml"
"""Files of a study's folder."""
QUESTIONS = {
    "scale": "How much data is enough? The same training on nested subsets of the pairs.",
    "sources": "Whose answers are worth comparing? Equally many pairs of the answers of different responders.",
    "questions": "Which type of question teaches most? Equally many pairs of each.",
    "freeze": "How much of the model is worth training? The same pairs, other parts of the model frozen.",
    "method": "Which way of training? The same pairs, other losses and methods.",
    "families": "Does it hold for other models? The same pairs, several models.",
    "datasets": "Which dataset? Equally many pairs of each.",
    "mix": "How many harmless pairs? The same number of pairs, other shares of harmless pictures.",
    "grid": "Which settings of the training? All combinations.",
    "longitudinal": "Does harm of newer kinds get past the models? Their rates by the date on which items joined.",
    "transfer": "Does safety reach kinds of harm that were never trained on? Each group of subcategories left out once.",
}
"""What a study of each kind asks, and how it finds out."""


def write_page(study: Path, *, level: float = LEVEL) -> Path:
    """Write the page of a study and its twin in Markdown. Returns the page.

    Args:
        study: the study's folder.
        level: confidence level of every interval.

    Raises:
        RunError: there are no results, or the tables of scores behind them are gone.
        MissingExtra: Matplotlib is not installed.
    """
    shown = study_shown(study, level)
    write_text(study / TWIN, study_as_markdown(shown))
    write_text(study / PAGE, render_study(shown))
    return study / PAGE


def study_shown(study: Path, level: float = LEVEL) -> StudyShown:
    """What the page of a study shows.

    Args:
        study: the study's folder.
        level: confidence level of every interval.

    Raises:
        RunError: there are no results, or the tables of scores behind them are gone.
    """
    results = read_results(study)
    settings = load_study(study / SETTINGS)
    against = reference_arm(settings, results)
    found = [measure(arms, against=against, level=level) for arms in measured(study, results)]
    return StudyShown(
        title=settings.title or results[0].study, kind=settings.kind, question=QUESTIONS[settings.kind],
        lead="", axis_label="pairs" if isinstance(settings, ScaleStudy) else "",
        logarithmic=isinstance(settings, ScaleStudy), measures=tuple(corrected(found, level)),
        trainings=tuple(_trainings(results)), facts=_facts(settings, results), level=level,
        settings=(study / SETTINGS).read_text("utf-8"),
    )  # fmt: skip


def reference_arm(settings: AnyStudy, results: Sequence[Result]) -> str:
    """Name of the arm that the others are compared with.

    The most pairs, the fewest harmless ones, or what is not restricted; else the first.

    Args:
        settings: of the study.
        results: its results, arms in order.
    """
    arms = list(dict.fromkeys(one.arm for one in results if not one.is_base))
    values = {one.arm: one.value for one in results if not one.is_base and one.value is not None}
    match settings:
        case ScaleStudy():
            return max(values, key=lambda arm: values[arm])
        case MixStudy():
            return min(values, key=lambda arm: values[arm])
        case SourcesStudy() | TransferStudy() if EVERY in arms:
            return EVERY
        case QuestionsStudy() if MIXED in arms:
            return MIXED
        case _:
            return arms[0]


def _trainings(results: Sequence[Result]) -> list[TrainingShown]:
    found = {(one.arm, one.seed): one for one in results if not one.is_base}
    return [
        TrainingShown(label=one.label, seed=one.seed or 0, pairs=one.pairs, seconds=one.seconds, reused=one.reused,
                      id=one.training[:8])
        for one in found.values()
    ]  # fmt: skip


def _facts(settings: AnyStudy, results: Sequence[Result]) -> dict[str, str]:
    seeds = sorted({one.seed for one in results if one.seed is not None})
    benchmarks = dict.fromkeys(one.benchmark for one in results)
    return {
        "Run": settings.run or settings.settings or "", "Pairs": settings.pairs or "of the run",
        "Seeds": ", ".join(map(str, seeds)), "Benchmarks": ", ".join(benchmarks),
    }  # fmt: skip
