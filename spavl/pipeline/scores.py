"""The scores of an evaluation: rates and comparisons of all models, and what `run.json` keeps of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from spavl.evaluate.benchmark import Benchmark
from spavl.evaluate.controls import ControlResult
from spavl.evaluate.guard_scorer import rubric_of
from spavl.evaluate.run import Scored
from spavl.pipeline.alarms import RunAlarms
from spavl.pipeline.corrected import CorrectedRate, as_plain_data, is_correctable
from spavl.pipeline.lost_calls import LostCalls
from spavl.pipeline.session import Session
from spavl.pipeline.verdict_status import AllVerdicts
from spavl.statistics.intervals import Rate
from spavl.statistics.paired import PairedComparison


@dataclass(slots=True)
class Scores:
    """Rates of every model, and the comparison of every later model with the first.

    A metric is called by its name, after its benchmark's where several benchmarks have it.
    """

    metrics: dict[str, dict[str, Any]] = field(default_factory=dict)
    """What every metric is: name, benchmark, axis, better, label, what, scorer, protocol."""
    rates: dict[str, dict[str, Rate]] = field(default_factory=dict)
    """Rate by metric, by name of the model."""
    paired: dict[str, dict[str, PairedComparison]] = field(default_factory=dict)
    """Paired comparison with the first model by metric, by name of the model; the first is not among them."""
    benchmarks: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Source, protocol, sampling and number of items of every benchmark that was asked."""
    names: list[dict[str, str]] = field(default_factory=list)
    """Name here of every metric by its name in its benchmark, by index of the benchmark."""
    first: dict[int, list[Scored]] = field(default_factory=dict)
    """The first model's scored answers without their words, by index of the benchmark."""
    weights: dict[str, dict[str, Any]] = field(default_factory=dict)
    """What names the weights that every score is of, by name of the model."""
    controls: dict[str, list[ControlResult]] = field(default_factory=dict)
    """What every control changed, by name of the model; metrics are called as here."""
    lost: LostCalls = field(default_factory=LostCalls)
    """Calls without an answer, of all models and guards."""
    compared: dict[int, dict[str, str]] = field(default_factory=dict)
    """The first model's answers by id of the item, by index of the benchmarks in which answers are compared with it."""
    verdicts: AllVerdicts = field(default_factory=AllVerdicts)
    """What became of the verdicts of guards and judges."""
    corrected: dict[str, dict[str, CorrectedRate]] = field(default_factory=dict)
    """Rates without the guard's errors, by name of the model, by metric, as far as these errors are known."""
    too_unread: list[str] = field(default_factory=list)
    """A sentence for every metric of which more verdicts are unread than the settings allow."""
    alarms: RunAlarms = field(default_factory=RunAlarms)
    """The alarms of the run, once all models are evaluated."""

    @classmethod
    def of(cls, benchmarks: Sequence[Benchmark]) -> Scores:
        """Scores without a model yet.

        Args:
            benchmarks: what the models will be asked.
        """
        return cls(metrics=_described(benchmarks), names=_names(benchmarks))

    @property
    def failed(self) -> int:
        """Calls that failed; they have no outcome, and are made again next time."""
        return self.lost.failed

    def renamed(self, result: ControlResult, benchmarks: Sequence[Benchmark]) -> ControlResult:
        """The result of a control with the metrics called as here.

        Args:
            result: of one of the benchmarks.
            benchmarks: those of the scores.
        """
        own = next(name for b, name in zip(benchmarks, self.names, strict=True) if b.name == result.benchmark)
        return replace(result, metrics={own[metric]: found for metric, found in result.metrics.items()})

    def note(self, session: Session) -> None:
        """Put the scores into `run.json` in place of earlier ones, so that two evaluations are never mixed.

        Args:
            session: the run folder.
        """
        session.run.replace(
            models={name: {m: asdict(r) for m, r in rates.items()} for name, rates in self.rates.items()},
            paired={name: {m: asdict(p) for m, p in by_metric.items()} for name, by_metric in self.paired.items()},
            metrics=self.metrics,
            benchmarks=self.benchmarks,
            weights=self.weights,
            corrected=as_plain_data(self.corrected),
            **self.verdicts.as_plain_data(session.settings.evaluate.level),
            controls={name: [asdict(result) for result in found] for name, found in self.controls.items()},
        )


def _names(benchmarks: Sequence[Benchmark]) -> list[dict[str, str]]:
    """Every benchmark's metrics by name, with the benchmark's name before it where several benchmarks have it."""
    sharing = Counter(metric.name for benchmark in benchmarks for metric in benchmark.metrics)
    return [{m.name: m.name if sharing[m.name] == 1 else f"{b.name}/{m.name}" for m in b.metrics} for b in benchmarks]


def _described(benchmarks: Sequence[Benchmark]) -> dict[str, dict[str, Any]]:
    """What every metric is, as plain data; labels that several metrics share get their benchmark's name."""
    found = {}
    labels = Counter(metric.label for benchmark in benchmarks for metric in benchmark.metrics)
    for benchmark, names in zip(benchmarks, _names(benchmarks), strict=True):
        protocol = benchmark.protocol()
        for m in benchmark.metrics:
            label = m.label if labels[m.label] == 1 else f"{m.label} ({benchmark.name})"
            found[names[m.name]] = {
                "name": m.name, "benchmark": benchmark.name, "axis": m.axis, "better": m.better, "label": label,
                "what": m.what, "scorer": m.scorer.id, "protocol": protocol, "graded": m.graded,
                "standard": benchmark.standard if m.name in benchmark.standard_metrics else "",
                **rubric_of(m.scorer), **({"correctable": True} if is_correctable(m) else {}),
            }  # fmt: skip
    return found


def asked(benchmark: Benchmark) -> dict[str, Any]:
    """What is noted of a benchmark, as plain data.

    Args:
        benchmark: that the models are asked.
    """
    return {
        "source": benchmark.source, "protocol": benchmark.protocol(), "standard": benchmark.standard,
        "items": len(benchmark.items), "samples": benchmark.samples,
        "prompt": benchmark.prompt, "sampling": asdict(benchmark.sampling),
    }  # fmt: skip
