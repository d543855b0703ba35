"""Where the time of a training step goes on a GPU: kernels of spavl's cached run, by the time that they take."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from torch.profiler import ProfilerActivity, profile

from bench.measures import Measure
from bench.trl_comparison import spavl_dpo
from bench.trl_comparison.comparison import Side, run
from bench.trl_comparison.setups import Deadline, Setup

KERNELS = 40
"""Lines of the printed table."""


def measures(setup: Setup, deadline: Deadline) -> Iterator[list[Measure]]:
    """The time in kernels of a pair; prints the kernels, the longest first.

    Args:
        setup: model and sizes.
        deadline: not looked at; it takes a short run.
    """
    pairs = setup.spavl_sizes[0]
    spec = setup.spec.replace(
        pairs_per_step=2 * pairs, forward_pairs=pairs, untimed_steps=1, timed_steps=1, reference="cached"
    )
    on_gpu = spec.device == "cuda"
    with profile(activities=[ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if on_gpu else [])]) as found:
        run(Side(spavl_dpo.run, spec), setup.shape)
    kernels = found.key_averages()
    print(kernels.table(sort_by=f"self_{spec.device}_time_total", row_limit=KERNELS), file=sys.stderr)
    busy = sum(one.self_device_time_total if on_gpu else one.self_cpu_time_total for one in kernels)
    (planned,) = planned_measures()
    how = f"{spec.pairs} pairs, {pairs} a forward pass, reference cached: cache, training and building of the model"
    yield [planned.replace(value=busy / 1e6 / spec.pairs, how=how)]


def planned_measures() -> list[Measure]:
    """The row without a value."""
    return [Measure("time in kernels of a short run of spavl", None, None, "s a pair", "lower", "")]
