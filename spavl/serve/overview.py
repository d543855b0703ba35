"""One run at a glance: what was made, how the models score, their trainings, and what it all took."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from spavl.config import Settings, load_settings
from spavl.evaluate.benchmark import AXES
from spavl.pipeline.audit_files import FILE as AUDIT
from spavl.pipeline.audit_files import FOLDER, PAGE
from spavl.pipeline.compare_words import run_comparison, verdict_sentence
from spavl.pipeline.curves import curves_of
from spavl.pipeline.measured_metrics import measured_metrics
from spavl.pipeline.report import funnel_of
from spavl.pipeline.weights import stale_scores
from spavl.report.data import Step
from spavl.run import Run
from spavl.serve.catalogue import RunRow, improvement
from spavl.serve.charts import Chart, chart_of
from spavl.serve.live import is_new
from spavl.statistics.intervals import Rate
from spavl.statistics.paired import PairedComparison

PAGES: Final = {"report": "report.html", "audit": f"{FOLDER}/{PAGE}", "study": "study.html"}
"""Pages of a run or study that were written before, by the name in the address: path in its folder."""
LONGEST_SETTINGS: Final = 200_000
"""Most letters of the settings that are shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelScore:
    """One metric of one model."""

    model: str
    """Name of the model."""
    rate: Rate
    """The rate."""
    paired: PairedComparison | None = None
    """Against the base, on the same items; None for the base."""
    better: bool | None = None
    """Whether the difference is an improvement beyond its interval; None where chance explains it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricScores:
    """One metric of all models."""

    label: str
    """What is counted."""
    what: str
    """Over which answers."""
    better: str
    """Which direction is better."""
    benchmark: str
    """Its benchmark."""
    graded: bool
    """Whether it is a mean of scores."""
    scores: Sequence[ModelScore]
    """By model."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingRow:
    """A training of the run."""

    name: str
    """Name of the model."""
    method: str
    """How it was trained."""
    pairs: int | None
    """On how many pairs."""
    steps: int | None
    """Steps, or rounds."""
    seconds: float | None
    """How long it took; None where it has not ended."""
    is_new: bool
    """Whether its log was written to in the last minutes."""
    why: str
    """Why its last weights, or earlier ones, were kept."""
    alarms: Sequence[str]
    """What its training gave alarm of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """What the page of a run shows."""

    row: RunRow
    """The run in the list."""
    funnel: Sequence[Step]
    """Stages of the dataset."""
    axes: Sequence[tuple[str, Sequence[MetricScores]]]
    """Metrics axis by axis; last those of which neither direction is better."""
    trainings: Sequence[TrainingRow]
    """Models that were trained."""
    charts: Sequence[Chart]
    """Their curves."""
    stages: Sequence[tuple[str, float, Mapping[str, float]]]
    """Name, seconds, and what it spent, of each stage."""
    alarms: Sequence[tuple[str, str, str]]
    """Name of each alarm that rings, what was measured, and what to do."""
    quiet: int
    """How many were looked at and do not ring."""
    failures: Sequence[str]
    """What failed in building the dataset."""
    audit: str
    """The verdict of the audit; empty: there is none."""
    pages: Sequence[str]
    """Names of the pages of `PAGES` that are there."""
    settings: str
    """The settings as run, as YAML."""
    versions: Mapping[str, str]
    """Version by name of the package."""
    seed: str
    """Seed of the run."""


def overview_of(run: Run, row: RunRow) -> Overview:
    """What the page of a run shows.

    Args:
        run: the run folder.
        row: the run in the list.

    Raises:
        RunError: `run.json` is damaged.
    """
    manifest = run.manifest()
    spent, measured = manifest.get("spent", {}), manifest.get("alarms", {}).get("measured", ())
    return Overview(
        row=row, funnel=tuple(funnel_of(manifest)), axes=tuple(_axes(manifest)),
        trainings=tuple(_trainings(run, manifest)), charts=[chart_of(curve) for curve in curves_of(run)],
        stages=[(name, float(took), spent.get(name, {})) for name, took in manifest.get("seconds", {}).items()],
        alarms=[(one["name"], one["what"], one["try_"]) for one in measured if one["rings"]],
        quiet=sum(not one["rings"] for one in measured),
        failures=[str(one) for one in manifest.get("failures", ())], audit=_audit(run.folder),
        pages=[name for name, path in PAGES.items() if (run.folder / path).is_file()],
        settings=_settings(run.folder / "settings.yaml"), versions=manifest.get("versions", {}),
        seed=str(manifest.get("seed", "")),
    )  # fmt: skip


def verdicts_of(run: Run) -> tuple[str, ...]:
    """A sentence of what became of each model, borne out by tests.

    Args:
        run: the run folder.

    Raises:
        RunError: its scores cannot be read.
        SettingsError: its settings are of another version.
    """
    manifest = run.manifest()
    if len(manifest.get("models", {})) < 2:
        return ()
    settings = load_settings(Settings, run.folder / "settings.yaml")
    found = run_comparison(run, settings.evaluate, stale_scores(run, manifest))
    return tuple(verdict_sentence(model, found) for model in found.models) if found else ()


def _axes(manifest: Mapping[str, Any]) -> Iterator[tuple[str, Sequence[MetricScores]]]:
    metrics = measured_metrics(manifest)
    for axis in AXES:
        own = [_metric(known.key, manifest) for known in metrics if known.axis == axis and known.better != "neither"]
        if own:
            yield axis, own
    looked = [_metric(known.key, manifest) for known in metrics if known.better == "neither"]
    if looked:
        yield "only looked at", looked


def _metric(key: str, manifest: Mapping[str, Any]) -> MetricScores:
    said, paired = manifest["metrics"][key], manifest.get("paired", {})
    scores = [
        _score(name, Rate(**rates[key]), paired.get(name, {}).get(key), said["better"])
        for name, rates in manifest.get("models", {}).items() if key in rates
    ]  # fmt: skip
    return MetricScores(label=said["label"], what=said["what"], better=said["better"], benchmark=said["benchmark"],
                        graded=said.get("graded", False), scores=scores)  # fmt: skip


def _score(name: str, rate: Rate, found: Mapping[str, Any] | None, better: str) -> ModelScore:
    if found is None:
        return ModelScore(model=name, rate=rate)
    paired = PairedComparison(**found)
    return ModelScore(model=name, rate=rate, paired=paired, better=improvement(paired, better))


def _trainings(run: Run, manifest: Mapping[str, Any]) -> Iterator[TrainingRow]:
    aligned = manifest.get("aligned", {})
    folders = {path.parent.name: path for path in sorted(run.align.glob("*/metrics.jsonl"))}
    for name in dict.fromkeys([*(n for n in aligned if "what" not in aligned[n]), *folders]):
        made, said = aligned.get(name, {}), _plain(run.align / name / "training.json")
        blind = ", without pictures" if made.get("blind") else ""
        yield TrainingRow(
            name=name, method=f"{str(made.get('method') or said.get('method') or '').upper()}{blind}",
            pairs=made.get("pairs", said.get("pairs")), steps=said.get("steps"), seconds=said.get("seconds"),
            is_new=is_new(run.align / name / "metrics.jsonl"), why=str(said.get("why", "")),
            alarms=_ringing(said.get("diagnostics")),
        )  # fmt: skip


def _ringing(said: Any) -> tuple[str, ...]:
    """What the diagnostics of a training give alarm of, a sentence each."""
    found = said.get("alarms") if isinstance(said, dict) else None
    return tuple(str(one.get("what", "")) for one in found or () if isinstance(one, dict) and one.get("rings"))


def _plain(path: Path) -> dict[str, Any]:
    """A mapping of a JSON file; empty where there is none, or it is another thing."""
    try:
        read = json.loads(path.read_text("utf-8"))
    except (OSError, RecursionError, ValueError):
        return {}
    return read if isinstance(read, dict) else {}


def _audit(folder: Path) -> str:
    return str(_plain(folder / FOLDER / AUDIT).get("verdict", ""))


def _settings(path: Path) -> str:
    try:
        return path.read_text("utf-8", "replace")[:LONGEST_SETTINGS]
    except OSError:
        return ""
