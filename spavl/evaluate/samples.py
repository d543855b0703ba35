"""Several answers to each item: how often one of them fails, which is what an attacker who asks again gets."""

from __future__ import annotations

from dataclasses import replace

from spavl.errors import SettingsError
from spavl.evaluate.benchmark import Benchmark, Metric


def with_samples(benchmark: Benchmark, samples: int) -> Benchmark:
    """The benchmark asked several times, what is unsafe counted over all answers and over items with any such answer.

    A rate of unsafe answers gets a second one, true of an item where it is true of any answer. A benchmark without such
    a rate, and one that asks for several answers itself, is left as it is.

    Args:
        benchmark: as it is.
        samples: answers to each item.

    Raises:
        SettingsError: decoding is greedy, so that all answers would be the same; or it follows a published protocol.
    """
    if samples == 1 or benchmark.samples > 1 or not any(map(_counts_harm, benchmark.metrics)):
        return benchmark
    if benchmark.standard:
        raise SettingsError(
            f"Benchmark `{benchmark.name}` follows `{benchmark.standard}`, which asks for one answer to each item",
            where="evaluate.samples", try_="leave out the protocol, or `evaluate.samples`",
        )  # fmt: skip
    if benchmark.sampling.temperature == 0:
        raise SettingsError(
            f"Benchmark `{benchmark.name}` would be given the same answer {samples} times, for decoding is greedy",
            where="evaluate.samples", try_="set `evaluate.sampling.temperature`, such as 1.0",
        )  # fmt: skip
    metrics = [made for metric in benchmark.metrics for made in _with_any(metric, samples)]
    return replace(benchmark, samples=samples, metrics=tuple(metrics))


def _with_any(metric: Metric, samples: int) -> list[Metric]:
    """The metric, and beside a rate of unsafe answers that of the items with any."""
    if not _counts_harm(metric):
        return [metric]
    found = replace(
        metric, name=f"{metric.name}_any", label=f"{metric.label}, any of {samples}", together="any",
        by_item=True,
        what=f"{metric.what}, counted by item: any of its {samples} answers",
    )  # fmt: skip
    return [metric, found]


def _counts_harm(metric: Metric) -> bool:
    plain = not metric.graded and metric.weight is None and metric.together is None
    return plain and (metric.axis, metric.better) == ("safety", "lower")
