"""The evaluated models of one run or of several, each with its rates and its tables of scores."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from spavl.errors import RunError
from spavl.pipeline.measured_metrics import MeasuredMetric, measured_metrics
from spavl.pipeline.report_tables import tables_of
from spavl.pipeline.score_outcomes import MetricOutcomes, outcomes_of, refused_items, units_of
from spavl.pipeline.weights import stale_scores
from spavl.run import Run
from spavl.statistics.intervals import Rate


@dataclass(frozen=True, slots=True, eq=False)
class ScoredModel:
    """An evaluated model of a run."""

    run: Run
    """The run."""
    manifest: Mapping[str, Any]
    """What the run's `run.json` holds."""
    name: str
    """Its name in the run."""
    label: str
    """Its name among several runs."""
    _refused: dict[str, Mapping[str, str]] = field(default_factory=dict)

    @property
    def rates(self) -> Mapping[str, Mapping[str, Any]]:
        """Rates by key of the metric, as plain data."""
        found: Mapping[str, Mapping[str, Any]] = self.manifest["models"][self.name]
        return found

    def is_same_as(self, other: ScoredModel) -> bool:
        """Whether both have the same weights, or are the same entry of one run.

        Args:
            other: another model.
        """
        if self is other:
            return True
        own, theirs = (one.manifest.get("weights", {}).get(one.name, {}).get("identity") for one in (self, other))
        return own is not None and bool(own == theirs)

    def metric(self, key: str) -> MeasuredMetric:
        """The metric of its run with a key.

        Args:
            key: of the metric.
        """
        return next(known for known in measured_metrics(self.manifest) if known.key == key)

    def protocol(self, key: str) -> str:
        """The protocol of a metric of its run.

        Args:
            key: of the metric.
        """
        return str(self.manifest["metrics"][key]["protocol"])

    def key_of(self, known: MeasuredMetric) -> str | None:
        """The key that a metric of another run has in its own; None where it was not measured.

        Args:
            known: the metric, told by its benchmark and its name there.
        """
        for key, said in self.manifest["metrics"].items():
            if (said["benchmark"], said["name"]) == (known.benchmark, known.name) and key in self.rates:
                return str(key)
        return None

    def protocol_of(self, known: MeasuredMetric) -> str | None:
        """The protocol under which it was asked a metric; None where it was not asked.

        Args:
            known: the metric, perhaps of another run.
        """
        key = self.key_of(known)
        return None if key is None else self.protocol(key)

    def was_asked(self, benchmark: str) -> bool:
        """Whether any metric of a benchmark was measured.

        Args:
            benchmark: its name.
        """
        return any(key in self.rates for key, m in self.manifest["metrics"].items() if m["benchmark"] == benchmark)

    def has(self, known: MeasuredMetric, protocol: str) -> bool:
        """Whether it was asked a metric under a protocol.

        Args:
            known: the metric, perhaps of another run.
            protocol: its hash.
        """
        return self.protocol_of(known) == protocol

    def rate_of(self, known: MeasuredMetric) -> Rate | None:
        """Its rate as it was measured; None where it was not asked.

        Args:
            known: the metric, perhaps of another run.
        """
        key = self.key_of(known)
        return None if key is None else Rate(**self.rates[key])

    def outcomes(self, known: MeasuredMetric) -> MetricOutcomes:
        """Its outcomes, item by item.

        Args:
            known: the metric, perhaps of another run.

        Raises:
            RunError: the table of scores is missing or damaged.
        """
        return outcomes_of(self.table(known), known)

    def refused(self, known: MeasuredMetric, counted: Collection[str]) -> frozenset[str]:
        """Ids of the items of a metric that it refused to answer, or of whose unit it refused an item.

        Items of a unit that do not count by themselves, such as rotations of options, stand with the one that does.

        Args:
            known: the metric.
            counted: ids of the items that count in it.

        Raises:
            RunError: the table of scores is missing or damaged.
        """
        if known.benchmark not in self._refused:
            self._refused[known.benchmark] = refused_items(self.table(known))
        units = units_of(self.table(known))
        first = {units[item]: item for item in counted if item in units}
        found = self._refused[known.benchmark].items()
        return frozenset(item if item in counted else first.get(unit, item) for item, unit in found)

    def has_tables(self) -> bool:
        """Whether all its tables of scores are there."""
        return not self.missing_tables()

    def missing_tables(self) -> list[str]:
        """The benchmarks whose table of scores is not there."""
        known = measured_metrics(self.manifest)
        benchmarks = dict.fromkeys(metric.benchmark for metric in known if metric.key in self.rates)
        return [benchmark for benchmark in benchmarks if not tables_of(self.run, [self.name], benchmark)]

    def table(self, known: MeasuredMetric) -> Path:
        """Its table of scores of a metric's benchmark.

        Args:
            known: the metric.

        Raises:
            RunError: it is not there.
        """
        found = tables_of(self.run, [self.name], known.benchmark)
        if not found:
            raise RunError(
                f"The scores of `{self.name}` on `{known.benchmark}` are gone", where=str(self.run.evaluate),
                try_="run `spavl evaluate` again; stored answers are not asked again",
            )  # fmt: skip
        return found[self.name]


def scored_models(folders: Sequence[Path]) -> tuple[list[ScoredModel], list[str]]:
    """The evaluated models of some runs, in their order, and a sentence about every one that is left out.

    Blind controls are left out, whose answers are to blank pictures, and scores of weights that are gone.

    Args:
        folders: the run folders.

    Raises:
        RunError: there is no run in a folder, nothing was evaluated in it, or all its scores are of other weights.
    """
    runs = [Run(folder).found() for folder in folders]
    names = Counter(name for run in runs for name in run.manifest().get("models", {}))
    found, notes = [], []
    for run in runs:
        manifest = run.manifest()
        if not manifest.get("models"):
            raise RunError("Nothing was evaluated in this run yet", where=str(run.folder),
                           try_="run `spavl evaluate` first")  # fmt: skip
        left_out = dict(_left_out(run, manifest))
        kept = [name for name in manifest["models"] if name not in left_out]
        if not kept:
            raise RunError("All scores of this run are of weights that are gone or have changed",
                           where=str(run.folder), try_="run `spavl evaluate` again")  # fmt: skip
        at = f"{run.folder.resolve().name}/"
        found += [ScoredModel(run, manifest, name, at + name if names[name] > 1 else name) for name in kept]
        notes += [f"{name} is left out: {why}." for name, why in left_out.items()]
    return found, notes


def first_model(models: Sequence[ScoredModel], try_: str) -> ScoredModel:
    """The first model of the first run, which is the base unless another one is named.

    Args:
        models: those of `scored_models`.
        try_: how another base is named.

    Raises:
        RunError: it is left out, so that the next one would silently be the base.
    """
    first = next(iter(models[0].manifest["models"]))
    if models[0].name != first:
        raise RunError(f"`{first}`, the base, is left out: its scores are not of weights that are there",
                       where=str(models[0].run.folder), try_=f"run `spavl evaluate` again, or {try_}")  # fmt: skip
    return models[0]


def without_weights(models: Sequence[ScoredModel]) -> list[str]:
    """Names of the models of the first run that are left out, but for blind controls.

    Args:
        models: those of `scored_models`.
    """
    manifest, kept = models[0].manifest, {model.name for model in models}
    aligned = manifest.get("aligned", {})
    return [name for name in manifest["models"] if name not in kept and not aligned.get(name, {}).get("blind")]


def _left_out(run: Run, manifest: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    yield from stale_scores(run, manifest).items()
    for name in manifest["models"]:
        if manifest.get("aligned", {}).get(name, {}).get("blind"):
            yield name, "it is a blind control, which the report shows"
