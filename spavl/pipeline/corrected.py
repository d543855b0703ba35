"""Rates corrected for a guard that errs: by people's labels of the run's own answers, or by its qualification.

Labels of a random part of the answers themselves need no assumption (prediction-powered). A guard's qualification is of
other answers, and its errors may differ on these (Rogan and Gladen).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from spavl.errors import DataError
from spavl.evaluate.benchmark import Benchmark, Metric
from spavl.evaluate.loaders.findings import Findings
from spavl.evaluate.loaders.labelled import LABELS
from spavl.evaluate.loaders.read_files import text_of
from spavl.evaluate.metrics import deciding_guards
from spavl.evaluate.run import Scored
from spavl.pipeline.qualification import qualification_file, read_qualification
from spavl.pipeline.session import Session
from spavl.plural import plural
from spavl.rows import brief, listed, rows_of
from spavl.statistics.clusters import effective_size
from spavl.statistics.intervals import LEVEL, Rate, rate
from spavl.statistics.judge_error import Calibration, Corrected, prediction_powered, rogan_gladen

SETTING = "evaluate.labels"
"""The setting that names the file of labels."""
Key = tuple[str, str]
"""Names of a model and of a benchmark."""
Method = Literal["prediction-powered", "rogan-gladen"]
"""How a rate is corrected: by labels of the same answers, or by sensitivity and specificity on others."""


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

    @property
    def line(self) -> str:
        """The corrected rate in a few words."""
        if self.rate.value is None:
            return f"not corrected: {self.rate.refusal or 'no verdict was read'}"
        found = f"{100 * self.rate.value:.1f} % [{100 * self.rate.low:.1f}, {100 * self.rate.high:.1f}]"
        errors = f"sensitivity {_percent(self.sensitivity)}, specificity {_percent(self.specificity)}"
        return f"corrected {found} ({self.method}, {self.labels:,} labels; {errors})"


@dataclass(frozen=True, slots=True)
class Correction:
    """What is known of the errors of the guard: labels of answers of the run, or its qualification."""

    labels: Mapping[Key, Mapping[str, bool]] = field(default_factory=dict)
    """Whether an answer is unsafe, by model and benchmark, by id of the item."""
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
        labels = self.labels.get((model, benchmark.name), {})
        found = {}
        for metric in filter(_is_correctable, benchmark.metrics):
            own = [s for s in scored if metric.name in s.outcomes]
            if any(s.answer.item.item_id in labels for s in own):
                found[metric.name] = _by_labels(own, metric, labels, level)
            elif known := self._calibration(metric):
                found[metric.name] = _by_qualification(own, metric, known, level)
        return found

    def _calibration(self, metric: Metric) -> Calibration | None:
        """How the guard of a metric did on examples; None where that is not known, or it has several."""
        asked = {guard.asked for guard in deciding_guards(metric.scorer)}
        return self.calibrations.get(asked.pop()) if len(asked) == 1 else None


def correction_of(session: Session, models: Iterable[str], benchmarks: Sequence[Benchmark]) -> Correction:
    """What is known of the errors of the guard, before anything is asked; labels that are of no use are told.

    Args:
        session: the settings and the run folder.
        models: names of the models that are evaluated.
        benchmarks: that they are asked.

    Raises:
        DataError: the labels cannot be read, or none is of an answer that is evaluated.
    """
    settings = session.settings.evaluate
    labels = read_labels(Path(settings.labels)) if settings.labels else {}
    strange = _strangers(labels, set(models), benchmarks)
    if strange and len(strange) == sum(map(len, labels.values())):
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


def read_labels(path: Path) -> dict[Key, dict[str, bool]]:
    """Labels of answers by model and benchmark: whether each is unsafe, by id of the item.

    Args:
        path: a file in any common form with `model`, `benchmark`, `item_id` and `label`.

    Raises:
        DataError: the file cannot be read, or rows are wrong; all are told together.
    """
    found: dict[Key, dict[str, bool]] = {}
    findings = Findings(path, "refuse")
    for row in rows_of(path):
        with findings.row(row.where):
            model, benchmark, item = (text_of(row.values, name) for name in ("model", "benchmark", "item_id"))
            label = text_of(row.values, "label").strip().lower()
            if label not in LABELS:
                raise DataError(f"`label` is safe or unsafe, not {brief(label)}")
            if found.setdefault((model, benchmark), {}).setdefault(item, LABELS[label]) != LABELS[label]:
                raise DataError("the answer is labelled both safe and unsafe")
    findings.refuse_rows()
    if not found:
        raise DataError("The file holds no labels", where=str(path),
                        try_="a row has model, benchmark, item_id, and label: safe or unsafe")  # fmt: skip
    return found


def _strangers(
    labels: Mapping[Key, Mapping[str, bool]], models: set[str], benchmarks: Sequence[Benchmark]
) -> list[tuple[str, str]]:
    """What every label is of that is of no answer evaluated here, and its kind: a model, a benchmark or an item."""
    ids = {benchmark.name: {item.item_id for item in benchmark.items} for benchmark in benchmarks}
    found: list[tuple[str, str]] = []
    for (model, benchmark), own in labels.items():
        for item in own:
            if model not in models:
                found.append((f"the model {model}", ""))
            elif benchmark not in ids:
                found.append((f"the benchmark {benchmark}", ""))
            elif not {item, item.rpartition("#")[0]} & ids[benchmark]:
                found.append((f"items that {benchmark} has not, such as", item))
    return found


def _kinds(strange: Sequence[tuple[str, str]]) -> str:
    """The different kinds, each with the first of its items."""
    first: dict[str, str] = {}
    for kind, item in strange:
        first.setdefault(kind, item)
    return ", ".join(f"{kind} {listed([item])}" if item else kind for kind, item in first.items())


def _is_correctable(metric: Metric) -> bool:
    """Whether a metric is a plain share of answers that a guard calls unsafe."""
    plain = not metric.graded and metric.weight is None and metric.together is None and not metric.macro
    return plain and bool(deciding_guards(metric.scorer)) and (metric.axis, metric.better) == ("safety", "lower")


def _by_labels(own: Sequence[Scored], metric: Metric, labels: Mapping[str, bool], level: float) -> CorrectedRate:
    given = [labels.get(s.answer.item.item_id) for s in own]
    said = [s.outcomes[metric.name] for s in own]
    both = [(label, verdict) for label, verdict in zip(given, said, strict=True) if label is not None]
    return CorrectedRate(
        method="prediction-powered", labels=len(both),
        rate=prediction_powered(said, given, [_cluster(s) for s in own], level=level),
        sensitivity=rate([verdict for label, verdict in both if label], level=level),
        specificity=rate([None if v is None else not v for label, v in both if not label], level=level),
    )  # fmt: skip


def _by_qualification(own: Sequence[Scored], metric: Metric, known: Calibration, level: float) -> CorrectedRate:
    said = [s.outcomes[metric.name] for s in own]
    effective = effective_size([float(verdict or 0) for verdict in said], [_cluster(s) for s in own])
    return CorrectedRate(
        method="rogan-gladen", labels=known.unsafe + known.safe,
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
