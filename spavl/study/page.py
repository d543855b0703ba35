"""The page of a study: its results, findings and settings → `study.html` and `study.md`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from spavl.atomic import write_text
from spavl.config.study import (
    AnyStudy,
    LongitudinalStudy,
    MixStudy,
    QuestionsStudy,
    ScaleStudy,
    SourcesStudy,
    StudySettings,
    TransferStudy,
    load_study,
)
from spavl.report.numbers import points
from spavl.report.study import render_study, study_as_markdown
from spavl.report.study_data import ClaimShown, LawShown, MeasureShown, StudyShown, TrainingShown, TransferShown
from spavl.statistics.intervals import LEVEL
from spavl.statistics.scaling import ScalingFit
from spavl.study.arms import EVERY, MIXED
from spavl.study.claims import claims_of
from spavl.study.drifts import drifts
from spavl.study.findings import Comparison, Finding, compare, findings
from spavl.study.laws import curve_of, knee_finding, law_of, law_sentences
from spavl.study.measures import corrected, measure, measured
from spavl.study.metric_runs import before_training, metric_runs
from spavl.study.results import Result, read_results
from spavl.study.transfer import transfer

PAGE, TWIN, SETTINGS, FACTS = "study.html", "study.md", "study.yaml", "study.json"
"""Files of a study's folder: its page and twin, its settings as run, and its plan with what was made and reused."""
ASKS = {
    "scale": ("How much data is enough?", "The same training on nested subsets of the pairs."),
    "sources": ("Whose answers are worth comparing?", "Equally many pairs of the answers of different responders."),
    "questions": ("Which type of question teaches most?", "Equally many pairs of each type."),
    "freeze": ("How much of the model is worth training?", "The same pairs, other parts of the model frozen."),
    "method": ("Which way of training?", "The same pairs, other losses and methods."),
    "families": ("Does it hold for other models?", "The same pairs, several models."),
    "datasets": ("Which dataset?", "Equally many pairs of each."),
    "mix": ("How many harmless pairs?", "As many pairs in all, other shares of them about harmless pictures."),
    "grid": ("Which settings of the training?", "The same pairs, all combinations of the settings."),
    "transfer": ("Does safety reach kinds of harm that were never trained on?",
                 "The same number of pairs, each group of subcategories left out once."),
    "longitudinal": ("Do newer kinds of harm get past the models?", "Their rates by the date on which items joined."),
}  # fmt: skip
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
    asks, how = ASKS[settings.kind]
    shown = StudyShown(
        title=settings.title or asks, kind=settings.kind, question=how, lead="", facts=_facts(settings, results),
        level=level, settings=(study / SETTINGS).read_text("utf-8"), failures=_failures(study),
        trainings=tuple(_trainings(results)), axis_label="pairs" if isinstance(settings, ScaleStudy) else "",
    )  # fmt: skip
    if isinstance(settings, LongitudinalStudy):
        found = drifts(study, results, level=level)
        said = found[0].models[0].sentence if found else "No item that a metric counts says when it joined."
        return replace(shown, drifts=tuple(found), lead=said)
    return _of_trainings(shown, study, settings, results)


def _of_trainings(shown: StudyShown, study: Path, settings: StudySettings, results: Sequence[Result]) -> StudyShown:
    """The page of a study that trains: all metrics, one after the other, and what they say together."""
    level, against = shown.level, reference_arm(settings, results)
    made: list[MeasureShown] = []
    compared: list[Comparison] = []
    transfers: list[TransferShown] = []
    claims, laws = claims_of(settings, _places(study, results)), list[tuple[str, str, ScalingFit]]()
    for arms in measured(study, results):
        runs, one = metric_runs(arms), measure(arms, against=against, level=level)
        compared += compare(claims, runs, level=level)
        if isinstance(settings, ScaleStudy) and one.better != "neither":
            law = law_of(runs, _places(study, results), before_training(arms), level=level)
            laws += [(one.label, one.axis, law)] if law else []
            one = replace(one, law=_law(one.label, law)) if law else one
        if isinstance(settings, TransferStudy) and one.axis == "safety":
            transfers += filter(None, [transfer(study, arms, _left_out(study), EVERY, level=level)])
        made.append(one)
    knees = []
    if isinstance(settings, ScaleStudy):
        label, law = next(((label, law) for label, axis, law in laws if axis == "safety"), ("", None))
        knees = [knee_finding(law, label)]
    found = findings(claims, compared, knees, level=level)
    if knees and law is not None and found[-1].verdict != knees[0].verdict:
        law = replace(law, identifiable=False, why="correction")
        made = [replace(one, law=_law(label, law)) if one.label == label else one for one in made]
    measures = corrected(made, level)
    heads = [one.sentences[0] for one in transfers] or ([_headline(found[0])] if found else [lead(measures)])
    return replace(shown, measures=tuple(measures), claims=tuple(map(_claim, found)), transfers=tuple(transfers),
                   lead=heads[0])  # fmt: skip


def _headline(found: Finding) -> str:
    """A finding as a headline."""
    if found.verdict == "not shown" or found.difference is None:
        return f"{found.claim}: not shown."
    bounds = f"{points(found.low)} to {points(found.high)}"
    return f"{found.claim}: {found.verdict}, {points(found.difference)} points ({bounds})."


def _claim(found: Finding) -> ClaimShown:
    return ClaimShown(claim=found.claim, verdict=found.verdict, sentence=found.sentence, difference=found.difference,
                      low=found.low, high=found.high)  # fmt: skip


def _law(label: str, law: ScalingFit) -> LawShown:
    return LawShown(curve=tuple(curve_of(law)), knee=law.knee if law.identifiable else None,
                    sentences=tuple(law_sentences(label, law)))  # fmt: skip


def _places(study: Path, results: Sequence[Result]) -> dict[str, float | None]:
    """Place on the axis of every arm that was planned, those of which nothing was made among them."""
    planned = {arm["name"]: arm.get("value") for arm in facts_in(study).get("arms", ())}
    return planned or {one.arm: one.value for one in results if not one.is_base}


def facts_in(study: Path) -> dict[str, Any]:
    """What `study.json` says; nothing where it is missing or damaged.

    Args:
        study: the study's folder.
    """
    try:
        found = json.loads((study / FACTS).read_text("utf-8"))
    except (OSError, RecursionError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _left_out(study: Path) -> dict[str, list[str]]:
    """Subcategories that an arm was not trained on, by its name."""
    return {arm["name"]: arm["without"] for arm in facts_in(study).get("arms", ()) if arm.get("without")}


def _failures(study: Path) -> tuple[tuple[str, str], ...]:
    said = facts_in(study)
    failed = [one for one in said.get("trainings", ()) if one["status"] == "failed"]
    bases = [(one["label"], one["why"]) for one in said.get("bases", ()) if one.get("status") == "failed"]
    return (*bases, *((", ".join(f"{arm}, seed {seed}" for arm, seed in one["for"]), one["why"]) for one in failed))


def lead(measures: Sequence[MeasureShown]) -> str:
    """What a study without claims found, in a sentence: the largest change of its headline that is shown.

    Args:
        measures: all of them, the headline first.
    """
    if not measures:
        return "Nothing was measured."
    headline = measures[0]
    changed = [(arm, arm.change) for arm in headline.arms if arm.change and arm.change.tone != "same"]
    if not headline.against:
        return f"{headline.label}: there was nothing to compare."
    if not changed:
        return f"No arm is shown to differ from {headline.against} in {headline.label.lower()}."
    arm, most = max(changed, key=lambda one: abs(one[1].difference))
    bounds = f"{points(most.low)} to {points(most.high)}"
    return (f"{headline.label}: {arm.label} is {most.tone} than {headline.against} by "
            f"{points(abs(most.difference)).lstrip('+')} points ({bounds}).")  # fmt: skip


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
