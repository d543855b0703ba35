"""Several answers to each item: how often one of them fails, which is what an attacker who asks again gets."""

from __future__ import annotations

from dataclasses import replace

from spavl.errors import SettingsError
from spavl.evaluate.benchmark import Benchmark, Metric


def with_samples(benchmark: Benchmark, samples: int) -> Benchmark:
    """The benchmark asked several times, its errors counted over all answers and over items with any.

    A metric of which lower is better gets a second one, true of an item where it is true of any answer. Metrics that
    join the items of a unit already are left as they are, and so is a benchmark that asks for several answers itself.

    Args:
        benchmark: as it is.
        samples: answers to each item.

    Raises:
        SettingsError: decoding is greedy, so that all answers would be the same.
    """
    if samples == 1 or benchmark.samples > 1:
        return benchmark
    if benchmark.sampling.temperature == 0:
        raise SettingsError(
            f"Benchmark `{benchmark.name}` would be given the same answer {samples} times, for decoding is greedy",
            where="evaluate.samples", try_="set `evaluate.sampling.temperature`, such as 1.0",
        )  # fmt: skip
    metrics = [made for metric in benchmark.metrics for made in _with_any(metric, samples)]
    return replace(benchmark, samples=samples, metrics=tuple(metrics))


def _with_any(metric: Metric, samples: int) -> list[Metric]:
    """The metric, and beside an error that one of how many items have it in any answer."""
    if metric.better != "lower" or metric.together is not None or metric.graded or metric.weight is not None:
        return [metric]
    what = f"of {samples} to an item: share of items with one {metric.what}"
    anywhere = replace(
        metric, name=f"{metric.name}_any", label=f"{metric.label}, any of {samples}", what=what, together="any"
    )
    return [metric, anywhere]
