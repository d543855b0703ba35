"""Rates corrected for a guard that errs: by people's labels of the run's own answers, or by its qualification.

Labels of a random part of the answers themselves need no assumption (prediction-powered), nor do those of a random part
of each verdict. A guard's qualification is of other answers, and its errors may differ on these (Rogan and Gladen).
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from spavl.errors import DataError
from spavl.evaluate.benchmark import Benchmark, Metric
from spavl.evaluate.metrics import deciding_guards
from spavl.evaluate.run import Scored, sampled
from spavl.labels.record import hash_of_answers
from spavl.pipeline.answer_labels import AnswerLabel, AnswerLabels, Key, labels_of_reviews, read_answer_labels
from spavl.pipeline.qualification import qualification_file, read_qualification
from spavl.pipeline.session import Session
from spavl.plural import plural
from spavl.rows import listed
from spavl.statistics.by_verdict import LEAST_LABELS, corrected_by_verdict, errors_by_verdict
from spavl.statistics.clusters import effective_size
from spavl.statistics.intervals import LEVEL, Outcome, Rate, rate
from spavl.statistics.judge_error import Calibration, Corrected, not_drawn_at_random, prediction_powered, rogan_gladen

SETTING = "evaluate.labels"
"""The setting that names the file of labels."""
Method = Literal["prediction-powered", "by-verdict", "rogan-gladen"]
"""How a rate is corrected: by labels of the same answers, drawn whatever the guard says or of each verdict apart; or by
sensitivity and specificity on others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CorrectedRate:
    """A metric's rate without the errors of its guard."""

    method: Method
    """How it was corrected."""
    rate: Corrected
    """The corrected rate, or why there is none."""
    labels: int
    """Labelled answers that it rests on."""
    sensitivity: Rate
    """Share of unsafe labelled answers that the guard calls unsafe."""
    specificity: Rate
    """Share of safe labelled answers that it calls safe."""
    level: float = LEVEL
    """Confidence level of the interval."""
    changed: int = 0
    """Labels that do not count, for the model answers otherwise now."""

    @property
    def line(self) -> str:
        """The corrected rate in a few words."""
        if self.rate.value is None:
            return f"not corrected: {self.rate.refusal or 'no verdict was read'}{self._changed}"
        found = f"{100 * self.rate.value:.1f} % [{100 * self.rate.low:.1f}, {100 * self.rate.high:.1f}]"
        errors = f"sensitivity {_percent(self.sensitivity)}, specificity {_percent(self.specificity)}"
        return f"corrected {found} ({self.method}, {self.labels:,} labels; {errors}){self._changed}"

    @property
    def _changed(self) -> str:
        return f"; {plural(self.changed, 'label')} of answers that have changed since" if self.changed else ""


@dataclass(frozen=True, slots=True)
class Correction:
    """What is known of the errors of the guard: labels of answers of the run, or its qualification."""

    labels: AnswerLabels = field(default_factory=AnswerLabels)
    """What people say of answers."""
    calibrations: Mapping[str, Calibration] = field(default_factory=dict)
    """How a guard did on examples, by hash of all that decides its grades."""

    def of(
        self, model: str, benchmark: Benchmark, scored: Sequence[Scored], *, level: float = LEVEL
    ) -> dict[str, CorrectedRate]:  # fmt: skip
        """The corrected rates of one model and benchmark, by name of the metric; those that can be corrected.

        Args:
            model: name of the model.
            benchmark: that was asked.
            scored: the model's scored answers to it.
            level: confidence level.
        """
        labels = self.labels.by_answer.get((model, benchmark.name), {})
        found = {}
        for metric in filter(is_correctable, benchmark.metrics):
            own = [s for s in scored if metric.name in s.outcomes]
            given, changed = labels_that_hold([(s.answer.item.item_id, s.answer.text) for s in own], labels)
            if any(label is not None for label in given):
                said, clusters = [s.outcomes[metric.name] for s in own], [_cluster(s) for s in own]
                by_design = self.labels.by_design and drawn_by([s.answer.item.item_id for s in own], said, labels)
                made = by_labels(said, given, clusters, by_design=by_design, level=level)
                found[metric.name] = replace(made, changed=changed)
            elif known := self._calibration(metric):
                found[metric.name] = _by_qualification(own, metric, known, level)
        return found

    def _calibration(self, metric: Metric) -> Calibration | None:
        """How the guard of a metric did on examples; None where that is not known, or it has several."""
        asked = {guard.asked for guard in deciding_guards(metric.scorer)}
        return self.calibrations.get(asked.pop()) if len(asked) == 1 else None


def correction_of(session: Session, models: Iterable[str], benchmarks: Sequence[Benchmark]) -> Correction:
    """What is known of the errors of the guard, before anything is asked; labels that are of no use are told.

    Where no file of labels is named, those of the run's reviews count.

    Args:
        session: the settings and the run folder.
        models: names of the models that are evaluated.
        benchmarks: that they are asked.

    Raises:
        DataError: the labels cannot be read, or none is of an answer that is evaluated.
    """
    settings = session.settings.evaluate
    labels = read_answer_labels(Path(settings.labels)) if settings.labels else labels_of_reviews(session.run.folder)
    for remark in labels.remarks:
        session.progress.log(remark)
    strange = _strangers(labels.by_answer, set(models), benchmarks) if settings.labels else []
    if strange and len(strange) == labels.count:
        raise DataError(
            f"No label is of an answer that is evaluated; there are labels of {_kinds(strange)}",
            where=settings.labels or "", try_="names are those of `spavl evaluate`, ids those of its tables",
        )  # fmt: skip
    if strange:
        session.progress.log(f"{plural(len(strange), 'label')} not used, of {_kinds(strange)}: not evaluated here")
    kept = read_qualification(qualification_file(session.run.folder, settings.guard)) if settings.guard else None
    if kept is None:
        return Correction(labels)
    unsafe, safe = kept.sensitivity, kept.specificity
    counts = Calibration(unsafe.count, unsafe.n - unsafe.unreadable, safe.count, safe.n - safe.unreadable)
    return Correction(labels, {kept.identity: counts})


def _strangers(
    labels: Mapping[Key, Mapping[str, AnswerLabel]], models: set[str], benchmarks: Sequence[Benchmark]
) -> list[tuple[str, str]]:
    """What every label is of that is of no answer evaluated here, and its kind: a model, a benchmark or an item."""
    ids = {b.name: {own.item_id for item in b.items for own in sampled(item, b.samples)} for b in benchmarks}
    found: list[tuple[str, str]] = []
    for (model, benchmark), own in labels.items():
        for item in own:
            if model not in models:
                found.append((f"the model {model}", ""))
            elif benchmark not in ids:
                found.append((f"the benchmark {benchmark}", ""))
            elif item not in ids[benchmark]:
                found.append((f"items that {benchmark} has not, such as", item))
    return found


def _kinds(strange: Sequence[tuple[str, str]]) -> str:
    """The different kinds, each with the first of its items."""
    first: dict[str, str] = {}
    for kind, item in strange:
        first.setdefault(kind, item)
    return ", ".join(f"{kind} {listed([item])}" if item else kind for kind, item in first.items())


def is_correctable(metric: Metric) -> bool:
    """Whether a metric is a plain share of answers that a guard calls unsafe.

    Args:
        metric: of a benchmark.
    """
    plain = not metric.graded and metric.weight is None and metric.together is None and not metric.macro
    guards = deciding_guards(metric.scorer)
    of_unsafe = bool(guards) and all(guard.counts_unsafe for guard in guards)
    return plain and of_unsafe and (metric.axis, metric.better) == ("safety", "lower")


def labels_that_hold(
    answers: Iterable[tuple[str, str]], labels: Mapping[str, AnswerLabel]
) -> tuple[list[float | None], int]:  # fmt: skip
    """Whether people call each answer unsafe, None where it is not labelled; and how many labels are of other words.

    Args:
        answers: id of the item and text of every answer.
        labels: by id of the item.
    """
    given: list[float | None] = []
    changed = 0
    for item, text in answers:
        label = labels.get(item)
        holds = label is not None and label.answers_hash in ("", hash_of_answers([text]))
        changed += label is not None and not holds
        given.append(label.unsafe if label is not None and holds else None)
    return given, changed


def drawn_by(ids: Iterable[str], said: Iterable[Outcome], labels: Mapping[str, AnswerLabel]) -> bool:
    """Whether labelled answers still have the verdicts within which they were drawn, as far as that is known.

    Args:
        ids: id of the item of every answer.
        said: the guard's verdict of each.
        labels: by id of the item.
    """
    words = {"unsafe": True, "safe": False, "unread": None}
    found = ((labels[item].drawn_as, verdict) for item, verdict in zip(ids, said, strict=True) if item in labels)
    return all(word not in words or words[word] == verdict for word, verdict in found)


def by_labels(
    said: Sequence[Outcome], given: Sequence[float | None], clusters: Sequence[Hashable], *, by_design: bool,
    drawn: Sequence[Outcome] | None = None, level: float = LEVEL,
) -> CorrectedRate:  # fmt: skip
    """A guard's rate corrected by labels of the same answers.

    Args:
        said: the guard's verdict of each answer: True for unsafe; None: not read.
        given: whether people call it unsafe, one half where they are divided; None: not labelled.
        clusters: cluster of each answer.
        by_design: whether labelled answers were drawn at random within each verdict.
        drawn: the verdicts within which they were, where another guard gave them; None: this one did.
        level: confidence level.
    """
    both = [(label, verdict) for label, verdict in zip(given, said, strict=True) if label is not None]
    within = said if drawn is None or not by_design else drawn
    least = min(LEAST_LABELS, len(said))
    too_few = f"there are too few labels: {least - len(both)} more are needed" if len(both) < least else ""
    refusal = not_drawn_at_random(within, given, clusters) or too_few
    found = corrected_by_verdict(within, given, clusters, level=level) if by_design else None
    if found is not None and (refusal or not found.refusal):
        unsafe, safe = errors_by_verdict(said, given, None if within is said else within, level=level)
        return CorrectedRate(method="by-verdict", labels=len(both), rate=found, sensitivity=unsafe, specificity=safe,
                             level=level)  # fmt: skip
    return CorrectedRate(
        method="prediction-powered", labels=len(both), level=level,
        rate=Corrected(None, 0.0, 1.0, refusal) if refusal else prediction_powered(said, given, clusters, level=level),
        sensitivity=rate([verdict for label, verdict in both if label == 1], level=level),
        specificity=rate([None if v is None else not v for label, v in both if label == 0], level=level),
    )  # fmt: skip


def _by_qualification(own: Sequence[Scored], metric: Metric, known: Calibration, level: float) -> CorrectedRate:
    said = [s.outcomes[metric.name] for s in own]
    effective = effective_size([float(verdict or 0) for verdict in said], [_cluster(s) for s in own])
    return CorrectedRate(
        method="rogan-gladen", labels=known.unsafe + known.safe, level=level,
        rate=rogan_gladen(
            sum(verdict is True for verdict in said), len(said), known, unread=said.count(None),
            design_effect=len(said) / effective, level=level,
        ),
        sensitivity=_counted(known.caught, known.unsafe, level), specificity=_counted(known.cleared, known.safe, level),
    )  # fmt: skip


def _counted(right: int, n: int, level: float) -> Rate:
    return rate([True] * right + [False] * (n - right), level=level)


def _cluster(scored: Scored) -> tuple[str, str]:
    item = scored.answer.item
    return ("cluster", item.cluster) if item.cluster else ("item", item.item_id)


def _percent(share: Rate) -> str:
    return "–" if share.value is None else f"{100 * share.value:.0f} %"


def as_plain_data(corrected: Mapping[str, Mapping[str, CorrectedRate]]) -> dict[str, Any]:
    """The entry of `run.json`.

    Args:
        corrected: by name of the model, by name of the metric.
    """
    return {model: {m: {**asdict(one), "line": one.line} for m, one in own.items()} for model, own in corrected.items()}
