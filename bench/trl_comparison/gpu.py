"""DPO against TRL on a GPU: each group is one alternating series, whose rows are there after its first round."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Literal

import torch

from bench.measures import Measure
from bench.trl_comparison import flops, spavl_dpo, trl_dpo
from bench.trl_comparison.comparison import Side, SizeTrial, TrainFunction, median_timing, pairs_of_step, run, try_sizes
from bench.trl_comparison.ratios import TRL, speed_up
from bench.trl_comparison.run_spec import RunSpec, Timing
from bench.trl_comparison.setups import Deadline, Setup
from bench.trl_comparison.workload import ModelShape

EPOCHS = 3
"""TRL's default."""
MEMORY_PAIRS = 3
"""Pairs of a forward pass where memory is compared."""
Timings = Mapping[tuple[str, int], Sequence[Timing]]
"""Runs by reference (or `trl`) and questions a picture."""


@dataclass(frozen=True, slots=True)
class Row:
    """A row that compares speed, before it is measured."""

    name: str
    """Without the beginning that all names share."""
    floor: float | None
    """Least speed-up; None: no limit."""
    reference: Literal["cached", "live"]
    """When spavl computes the reference's log-probabilities."""
    questions: int = 3
    """Pairs of a picture."""
    cache_uses: float = math.inf
    """Runs or epochs that share the building of the reference cache; infinite: building is not counted."""
    how: str = ""
    """What is special about the row; empty: the questions a picture."""


@dataclass(frozen=True, slots=True)
class Group:
    """Rows that are measured in one alternating series."""

    rows: tuple[Row, ...]
    """Rows that compare speed."""
    rounds: int
    """Alternating runs, where there is time."""
    trl: Mapping[str, Any] = field(default_factory=dict)
    """What TRL's runs change of the setup's."""
    spavl: Mapping[str, Any] = field(default_factory=dict)
    """What spavl's runs change of the setup's."""
    rates: str = ""
    """Name of the rows with the arithmetic achieved; empty: there are none."""

    def planned(self) -> list[Measure]:
        """The rows without values."""
        return [Measure(full_name(row.name), None, row.floor, "×", "higher", "") for row in self.rows]

    def measures(self, setup: Setup, deadline: Deadline) -> Iterator[list[Measure]]:
        """The rows after every round.

        Args:
            setup: model and sizes.
            deadline: no further round is begun that would outlast it.
        """
        sides, sizes = self.sides(setup)
        timings: dict[tuple[str, int], list[Timing]] = {name: [] for name in sides}
        for number in range(min(self.rounds, setup.rounds)):
            began = time.monotonic()
            for name, side in sides.items():
                timings[name].append(run(side, setup.shape))
            yield self.measured(setup, timings, f"{sizes}; {setup.words}, medians of {number + 1} alternating run(s)")
            if deadline.left() < 1.2 * (time.monotonic() - began):
                return

    def sides(self, setup: Setup) -> tuple[dict[tuple[str, int], Side], str]:
        """What takes turns, by reference (or `trl`) and questions a picture; the sizes of forward passes in words.

        The sizes are those that are best without checkpointing, in all groups.

        Args:
            setup: model and sizes.
        """
        trl, spavl = setup.spec.replace(**self.trl), setup.spec.replace(**self.spavl)
        cached = setup.spec.replace(reference="cached")
        trl_trial = best_size(trl_dpo.run, setup.shape, setup.spec, setup.trl_sizes)
        spavl_trial = best_size(spavl_dpo.run, setup.shape, cached, setup.spavl_sizes)
        pairs = pairs_of_step(setup.spec.pairs_per_step, trl_trial.best)
        sides = {("trl", 3): Side(trl_dpo.run, trl.replace(pairs_per_step=pairs, forward_pairs=trl_trial.best))}
        for row in self.rows:
            spec = spavl.replace(pairs_per_step=pairs, forward_pairs=spavl_trial.best, reference=row.reference)
            sides[row.reference, row.questions] = Side(spavl_dpo.run, spec, row.questions)
        return sides, f"TRL with {trl_trial}; spavl with {spavl_trial}"

    def measured(self, setup: Setup, timings: Timings, more: str) -> list[Measure]:
        """The rows from runs of all sides.

        Args:
            setup: model and sizes.
            timings: of the runs.
            more: how the runs were made.
        """
        measured = []
        for row in self.rows:
            bound = flops.ratio(
                setup.shape,
                questions=row.questions,
                live=row.reference == "live",
                checkpointing=self.spavl.get("checkpointing", False),
                trl_checkpointing=self.trl.get("checkpointing", False),
            )
            how = f"{row.how or f'{row.questions} question(s) a picture'}; {more}; {bound:.2f}× on paper"
            trl, spavl = timings["trl", 3], timings[row.reference, row.questions]
            peaks = f"; peak memory TRL {trl[-1].peak_gib:.1f} GiB, spavl {spavl[-1].peak_gib:.1f} GiB"
            name = full_name(row.name)
            measured.append(speed_up(name, trl, spavl, row.floor, how + peaks, cache_uses=row.cache_uses))
        return measured + (self._arithmetic(setup.shape, timings) if self.rates else [])

    def _arithmetic(self, shape: ModelShape, timings: Timings) -> list[Measure]:
        """Operations that arithmetic says are needed, over the seconds that they took."""
        how = "operations of bench/trl_comparison/flops.py over seconds a pair, optimiser and loading counted as time"
        trl = {"TRL": (flops.trl(shape, score_all=False).step(live=True), timings["trl", 3])}
        spavl = {
            f"spavl, {reference}": (flops.tree(shape, 3).step(live=reference == "live"), timings[reference, 3])
            for reference in ("cached", "live")
        }
        return [
            Measure(
                full_name(f"{self.rates}, arithmetic of {name}"),
                operations / median_timing(runs).seconds / 1e12,
                None,
                "TFLOP/s",
                "higher",
                how,
            )
            for name, (operations, runs) in (trl | spavl).items()
        ]


NO_CUDNN = Group(
    rows=(Row("no checkpointing, cached reference, without cuDNN's attention on either side", None, "cached"),),
    rounds=1,
)
"""The row of `without_cudnn`."""


@cache
def best_size(trainer: TrainFunction, shape: ModelShape, spec: RunSpec, sizes: tuple[int, ...]) -> SizeTrial:
    """The fastest size of a forward pass, searched for once.

    Args:
        trainer: the side.
        shape: of the model.
        spec: of the runs.
        sizes: pairs of a forward pass, ascending.
    """
    return try_sizes(trainer, shape, spec, sizes)


def without_cudnn(setup: Setup, deadline: Deadline) -> Iterator[list[Measure]]:
    """One run of either side without cuDNN's attention, which is planned anew for every shape of a batch.

    Args:
        setup: model and sizes.
        deadline: not looked at; it takes two runs.
    """
    sides, sizes = NO_CUDNN.sides(setup)
    was_on = torch.backends.cuda.cudnn_sdp_enabled()
    torch.backends.cuda.enable_cudnn_sdp(False)
    try:
        timings = {name: [run(side, setup.shape)] for name, side in sides.items()}
    finally:
        torch.backends.cuda.enable_cudnn_sdp(was_on)
    yield NO_CUDNN.measured(setup, timings, f"{sizes}; {setup.words}, one run of either")


def peak_memory(setup: Setup, deadline: Deadline) -> Iterator[list[Measure]]:
    """Peak memory of both sides with the same pairs in a forward pass.

    Args:
        setup: model and sizes.
        deadline: not looked at; it takes two short runs.
    """
    spec = setup.spec.replace(pairs_per_step=MEMORY_PAIRS, forward_pairs=MEMORY_PAIRS, timed_steps=1)
    trl, spavl = (run(Side(side, spec), setup.shape).peak_gib for side in (trl_dpo.run, spavl_dpo.run))
    how = f"allocated: spavl {spavl:.1f} GiB, TRL {trl:.1f} GiB; {MEMORY_PAIRS} pairs a forward pass, live reference"
    (planned,) = planned_memory()
    yield [planned.replace(value=spavl / trl if trl else None, how=how)]


def planned_memory() -> list[Measure]:
    """The row of `peak_memory` without a value."""
    return [Measure(full_name("no checkpointing, peak memory"), None, 1.0, "of TRL's", "lower", "")]


def full_name(row: str) -> str:
    """The name of a row as the table has it.

    Args:
        row: its end.
    """
    return f"DPO against {TRL} on a GPU, {row}"
