"""Guards and judges held against people's labels of the run's own answers: errors by model and style, corrected rates.

What `spavl evaluate` noted is corrected in place, so that `compare`, `gate` and the report take it from `run.json`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from spavl.config import Settings, load_settings
from spavl.errors import DataError, RunError
from spavl.evaluate.score_table import check_scores
from spavl.judging.readers.refusal import refuses
from spavl.pipeline.answer_labels import (
    AnswerLabel,
    AnswerLabels,
    is_plain,
    labels_in,
    merged,
    read_answer_labels,
)
from spavl.pipeline.calibrate_words import calibration_shown
from spavl.pipeline.corrected import CorrectedRate, by_labels, drawn_by, labels_that_hold
from spavl.pipeline.measured_metrics import MeasuredMetric, measured_metrics
from spavl.pipeline.people import review_folders, reviews_of
from spavl.pipeline.report_tables import tables_of
from spavl.pipeline.score_outcomes import Cluster
from spavl.plural import plural
from spavl.records import Outcome
from spavl.run import Run
from spavl.statistics.by_verdict import LabelsNeeded, labels_to_halve, verdict_groups
from spavl.statistics.intervals import Outcome as Verdict
from spavl.statistics.intervals import Rate, clustered_rate, rate
from spavl.tables.query import literal, query

AS_EVALUATED = "as evaluated"
"""Stands for the guard of the evaluation among those of `spavl grade`."""
SOFT_REFUSAL = "soft refusal"
"""A refusal, as people say, that has none of the words of one."""


@dataclass(frozen=True, slots=True)
class Answers:
    """The answers of one model to one benchmark that count in a metric, with a guard's verdicts and people's labels."""

    ids: tuple[str, ...]
    """Id of every item."""
    texts: tuple[str, ...]
    """Every answer."""
    clusters: tuple[Cluster, ...]
    """Cluster of every item."""
    verdicts: tuple[Verdict, ...]
    """True for unsafe; None: not read."""
    labels: tuple[float | None, ...]
    """Whether people call it unsafe; None: not labelled."""
    changed: int
    """Labels that do not count, for the answer is another one now."""
    drawn: tuple[Verdict, ...] | None = None
    """Verdicts within which answers were drawn to be labelled, where another guard gave them."""
    as_drawn: bool = True
    """Whether these verdicts are still those of the evaluation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StyleErrors:
    """How often a guard is right on answers of one style."""

    model: str
    """The model that answered."""
    metric: str
    """Key of the metric."""
    guard: str
    """The guard."""
    style: str
    """What people call the answers."""
    right: Rate
    """Share of them that the guard calls unsafe where they are, and safe where they are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibratedRate:
    """One metric of one model under one guard, as the guard says and as people would."""

    model: str
    """The model."""
    metric: str
    """Key of the metric."""
    guard: str
    """The guard."""
    raw: Rate
    """The guard's rate."""
    corrected: CorrectedRate
    """The corrected one, with sensitivity and specificity."""
    needed: LabelsNeeded
    """How many labels would halve its interval."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibrated:
    """What people's labels say of the guards of a run."""

    rates: tuple[CalibratedRate, ...]
    """By model, metric and guard; those of the evaluation's guard first."""
    styles: tuple[StyleErrors, ...]
    """The same by style of the answers."""
    open: Mapping[tuple[str, str], Answers]
    """What could be labelled next, by model and metric: one metric of each benchmark."""
    notes: tuple[str, ...]
    """What is not used, and why, a sentence each."""


def calibrate_run(
    folder: Path, *, name: str | None = None, files: Sequence[Path] = (), none_yet: bool = False
) -> Calibrated:  # fmt: skip
    """Hold guards against people's labels, and note the corrected rates in `run.json`.

    Args:
        folder: the run folder.
        name: of a review; None: all reviews of the run.
        files: further labels.
        none_yet: whether there may be no label, as before the first are drawn.

    Raises:
        RunError: there is no run, nothing was evaluated in it, or no metric is one that labels correct.
        DataError: labels cannot be read, or none is of an answer of the run.
    """
    run = Run(folder).found()
    manifest = run.manifest()
    metrics = _metrics(manifest, folder)
    labels = _labels(run, name, files, none_yet)
    level = load_settings(Settings, folder / "settings.yaml").evaluate.level
    rates: list[CalibratedRate] = []
    styles: list[StyleErrors] = []
    waiting: dict[tuple[str, str], tuple[str, Answers]] = {}
    for asked in _asked(run, manifest, metrics):
        own = labels.by_answer.get((asked.model, asked.metric.benchmark), {})
        for guard, found in _answers(run, manifest, asked, own):
            if guard == AS_EVALUATED:
                waiting.setdefault((asked.model, asked.metric.benchmark), (asked.metric.key, found))
            if any(label is not None for label in found.labels):
                named = (asked.model, asked.metric.key, guard)
                rates.append(_rate(named, found, by_design=labels.by_design, level=level))
                styles += _styles(named, found, own, level)
    changed = sum(found.changed for _, found in waiting.values())
    if not rates and not none_yet:
        raise DataError("No label is of an answer of this run as it is now", where=str(folder),
                        try_="names and ids are those of `spavl evaluate`; label changed answers anew")  # fmt: skip
    made = Calibrated(
        rates=tuple(sorted(rates, key=lambda one: one.guard != AS_EVALUATED)), styles=tuple(styles),
        open={(model, key): found for (model, _), (key, found) in waiting.items()},
        notes=tuple(_notes(labels, changed)),
    )  # fmt: skip
    _note(run, manifest, made)
    return made


def _metrics(manifest: Mapping[str, Any], folder: Path) -> list[MeasuredMetric]:
    if not manifest.get("models"):
        raise RunError("Nothing was evaluated in this run yet", where=str(folder), try_="run `spavl evaluate` first")
    found = [one for one in measured_metrics(manifest) if manifest["metrics"][one.key].get("correctable")]
    if not found:
        raise RunError(
            "No metric of this run is a share of answers that a guard calls unsafe, which labels could correct",
            where=str(folder), try_="evaluate a benchmark of safety with `evaluate.guard`; if you did so with an older "
            "version, run `spavl evaluate` again: nothing is generated twice",
        )  # fmt: skip
    return found


def _labels(run: Run, name: str | None, files: Sequence[Path], none_yet: bool) -> AnswerLabels:
    if not (name or files or none_yet or reviews_of(run)):
        raise RunError("Nobody has labelled an answer of this run yet", where=str(run.folder),
                       try_=f"`spavl calibrate {run.folder} --next 100 --review first` chooses some")  # fmt: skip
    wanted = name is not None or reviews_of(run) or not (files or none_yet)
    plain = [path for path in files if is_plain(path)]
    others = [path for path in files if path not in plain]
    reviewed = labels_in([*others, *(review_folders(run, name) if wanted else [])])
    return merged([reviewed, *map(read_answer_labels, plain)])


@dataclass(frozen=True, slots=True)
class _Asked:
    """A metric of a model, and its table of scores."""

    model: str
    metric: MeasuredMetric
    table: Path


def _asked(run: Run, manifest: Mapping[str, Any], metrics: Sequence[MeasuredMetric]) -> Iterator[_Asked]:
    for model in manifest["models"]:
        for metric in metrics:
            table = tables_of(run, [model], metric.benchmark).get(model)
            if table is not None and metric.key in manifest["models"][model]:
                yield _Asked(model, metric, table)


def _answers(
    run: Run, manifest: Mapping[str, Any], asked: _Asked, labels: Mapping[str, AnswerLabel]
) -> Iterator[tuple[str, Answers]]:  # fmt: skip
    """The answers that count in a metric, under the evaluation's guard and under those of `spavl grade`."""
    model, metric, table = asked.model, asked.metric, asked.table
    check_scores(table)
    rows = query(
        f"SELECT item_id, answer, cluster, {metric.column} FROM scores WHERE {metric.column} IS NOT NULL "
        f"OR list_contains(unread, {literal(metric.name)})", scores=table,
    )  # fmt: skip
    ids, texts = tuple(row[0] for row in rows), tuple(row[1] or "" for row in rows)
    clusters: tuple[Cluster, ...] = tuple(("cluster", row[2]) if row[2] else ("item", row[0]) for row in rows)
    given, changed = labels_that_hold(zip(ids, texts, strict=True), labels)
    evaluated = tuple(row[3] for row in rows)
    as_drawn = drawn_by(ids, evaluated, labels)
    yield AS_EVALUATED, Answers(ids, texts, clusters, evaluated, tuple(given), changed, as_drawn=as_drawn)
    for guard, grades in manifest.get("regraded", {}).get("guards", {}).items():
        path = run.folder / "regraded" / guard / model / f"{metric.benchmark}.parquet"
        if any(one["tells"] == "safety" for one in grades) and path.exists():
            said = dict(query("SELECT item_id, is_true FROM grades", grades=path))
            verdicts = tuple(said.get(item) for item in ids)
            yield guard, Answers(ids, texts, clusters, verdicts, tuple(given), changed, evaluated, as_drawn)


def _rate(named: tuple[str, str, str], found: Answers, *, by_design: bool, level: float) -> CalibratedRate:
    model, metric, guard = named
    groups = verdict_groups(found.drawn or found.verdicts, found.labels)
    return CalibratedRate(
        model=model, metric=metric, guard=guard, raw=clustered_rate(found.verdicts, found.clusters, level=level),
        corrected=by_labels(found.verdicts, found.labels, found.clusters, by_design=by_design and found.as_drawn,
                            drawn=found.drawn, level=level),
        needed=labels_to_halve(groups, level=level),
    )  # fmt: skip


def _styles(
    named: tuple[str, str, str], found: Answers, labels: Mapping[str, AnswerLabel], level: float
) -> Iterator[StyleErrors]:  # fmt: skip
    model, metric, guard = named
    right: dict[str, list[Verdict]] = {}
    for item, text, verdict, label in zip(found.ids, found.texts, found.verdicts, found.labels, strict=True):
        style = labels[item].style if label is not None else None
        if style is not None:
            is_right = None if verdict is None else bool(verdict) == (style == "unsafe")
            right.setdefault(_style(style, text), []).append(is_right)
    for name, own in sorted(right.items()):
        yield StyleErrors(model=model, metric=metric, guard=guard, style=name, right=rate(own, level=level))


def _style(said: Outcome, text: str) -> str:
    """What people call an answer; of refusals whether they use the words of one."""
    if said == "refusal":
        return "plain refusal" if refuses(text) else SOFT_REFUSAL
    return said.replace("_", " ")


def _notes(labels: AnswerLabels, changed: int) -> Iterator[str]:
    yield from labels.remarks
    if labels.empty:
        yield f"{plural(labels.empty, 'row')} not filled in yet."
    if changed:
        yield f"{plural(changed, 'label')} not used: the model answers otherwise now, and nobody labelled that answer."
    if labels.left_out:
        yield (
            f"{plural(labels.left_out, 'labelled answer')} not used: drawn for being doubtful, they stand "
            "for no others. `--next` draws answers that do."
        )


def _note(run: Run, manifest: Mapping[str, Any], made: Calibrated) -> None:
    """Put the corrected rates in place of those of the evaluation, and the errors by style beside them."""
    corrected = {model: dict(own) for model, own in manifest.get("corrected", {}).items()}
    for one in made.rates:
        if one.guard == AS_EVALUATED:
            plain = {**asdict(one.corrected), "line": one.corrected.line}
            corrected.setdefault(one.model, {})[one.metric] = plain
    run.replace(corrected=corrected, calibration=calibration_shown(made) if made.rates else None)
