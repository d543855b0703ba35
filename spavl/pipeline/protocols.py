"""Benchmarks that follow a protocol to the letter: what it fixes is taken from it, and what it needs is checked."""

from __future__ import annotations

from dataclasses import replace

from spavl.config import Settings
from spavl.config.benchmarks import BenchmarkSpec
from spavl.config.benchmarks.published import PublishedBenchmark
from spavl.config.protocols import ProtocolEntry, entry_of, protocol_named
from spavl.errors import SettingsError
from spavl.evaluate.benchmark import Benchmark
from spavl.pipeline.judging import guard_spec


def fixed_by_protocol(spec: BenchmarkSpec) -> ProtocolEntry | None:
    """What the protocol of a settings entry says of its benchmark; None where it names none.

    Args:
        spec: the entry.
    """
    if not isinstance(spec, PublishedBenchmark) or spec.protocol is None:
        return None
    return entry_of(spec.protocol, spec.kind)


def follow(benchmark: Benchmark, spec: BenchmarkSpec, fixed: ProtocolEntry, settings: Settings) -> Benchmark:
    """The benchmark with its protocol's name and hash beside the metrics that carry the published number.

    The first of them come first, so that the headline is the published number.

    Args:
        benchmark: as its loader made it of the entry, in which the protocol's settings stand already.
        spec: the entry.
        fixed: what the protocol says.
        settings: name the guard.

    Raises:
        SettingsError: answers are graded by another kind of guard than the protocol's, or a metric is not measured.
    """
    name = spec.protocol if isinstance(spec, PublishedBenchmark) else None
    assert name is not None
    where = f"evaluate.benchmarks: {spec.name}"
    _check_guard(fixed, settings, name, where)
    measured = {metric.name: metric for metric in benchmark.metrics}
    missing = [metric for metric in fixed.metrics if metric not in measured]
    if missing:
        raise SettingsError(
            f"The protocol `{name}` is of the metric `{missing[0]}`, which is not measured here", where=where,
            try_=f"measured are {', '.join(measured)}; parts of the benchmark may be missing",
        )  # fmt: skip
    first = [measured[metric] for metric in fixed.metrics]
    others = [metric for metric in benchmark.metrics if metric.name not in fixed.metrics]
    return replace(
        benchmark, metrics=(*first, *others), standard=f"{name}@{protocol_named(name).hash}",
        standard_metrics=fixed.metrics,
    )  # fmt: skip


def _check_guard(fixed: ProtocolEntry, settings: Settings, name: str, where: str) -> None:
    needed, named = fixed.guard, settings.evaluate.guard
    if needed is None or named is None:
        return
    guard = guard_spec(settings, named, "evaluate.guard")
    other_view = needed.show_image is not None and guard.show_image not in (None, needed.show_image)
    if guard.kind != needed.kind or other_view:
        seen = "" if needed.show_image is None else f" with `show_image: {str(needed.show_image).lower()}`"
        raise SettingsError(
            f"The protocol `{name}` is graded by a guard of kind `{needed.kind}`{seen}, and `{named}` is none",
            where=where, try_="name such a guard as `evaluate.guard`, or leave out the protocol",
        )  # fmt: skip
