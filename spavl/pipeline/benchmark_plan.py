"""What `spavl check` says of every benchmark: items found of those published, licence, and what change it can show."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from spavl.config.benchmarks import BenchmarkSpec
from spavl.evaluate.benchmark import Benchmark, Metric
from spavl.evaluate.loaders.catalogue import source_of
from spavl.statistics.power import POWER, detectable_difference

DISCORDANCE = 0.1
"""Share of answers whose outcome is taken to change between two models."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchmarkPlan:
    """A benchmark as it would be asked."""

    name: str
    """Its name."""
    items: dict[str, int] = field(default_factory=dict)
    """Items by subset, as they would be asked."""
    published: int | None = None
    """Items as published, of all parts; None for the user's own, and where that is not known."""
    without_picture: int = 0
    """Items whose picture is missing or cannot be read, which would not be asked."""
    licence: str = ""
    """Its licence; empty for the user's own."""
    commercial: bool | None = None
    """Whether that allows commercial use; None where it is not known."""
    get: str = ""
    """Where its files can be got."""
    metric: str = ""
    """Its first metric, in words."""
    counted: int = 0
    """Items that count in that metric, those of one unit as one."""
    detectable: float = 1.0
    """Smallest change of that metric, from 0 to 1, that is found with the power, if so many answers change."""
    power: float = POWER
    """Probability of finding it."""
    discordance: float = DISCORDANCE
    """Share of items that are taken to change."""
    clustered: bool = False
    """Whether items share pictures, so that the change must be larger than that."""


def plan_of(spec: BenchmarkSpec, benchmark: Benchmark, level: float) -> BenchmarkPlan:
    """What is to be known of a benchmark before it is asked.

    Args:
        spec: the settings entry that it is of.
        benchmark: the benchmark.
        level: confidence level of the comparison of two models.
    """
    source, metric = source_of(spec), benchmark.metrics[0]
    units = _units(benchmark, metric)
    return BenchmarkPlan(
        name=benchmark.name, items=dict(Counter(item.subset for item in benchmark.items)),
        published=(sum(source.counts.values()) or None) if source else None,
        without_picture=sum(1 for item in benchmark.items if item.missing),
        licence=source.licence if source else "", commercial=source.commercial if source else None,
        get=source.get if source else "", metric=metric.label, counted=len(units),
        detectable=detectable_difference(len(units), DISCORDANCE, level=level),
        clustered=len(set(units.values())) < len(units),
    )  # fmt: skip


def plans_of(opened: Sequence[tuple[BenchmarkSpec, Benchmark]], level: float) -> list[BenchmarkPlan]:
    """`plan_of` every benchmark.

    Args:
        opened: benchmarks with their settings entries.
        level: confidence level of the comparison of two models.
    """
    return [plan_of(spec, benchmark, level) for spec, benchmark in opened]


def _units(benchmark: Benchmark, metric: Metric) -> dict[str, str]:
    """Cluster by unit of the items that count in a metric; an item is a unit unless the metric joins them."""
    found: dict[str, str] = {}
    for item in benchmark.items:
        if metric.counts(item):
            unit = (item.unit if metric.together and not metric.by_item else "") or item.item_id
            found.setdefault(unit, item.cluster or unit)
    return found
