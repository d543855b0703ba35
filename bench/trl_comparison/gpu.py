"""DPO against TRL on a GPU: random weights of the shape of LLaVA-1.5-7B."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch

from bench.measures import Measure
from bench.trl_comparison import flops, spavl_dpo, trl_dpo
from bench.trl_comparison.comparison import Side, alternate, pairs_of_step, run, try_sizes
from bench.trl_comparison.ratios import TRL, speed_up
from bench.trl_comparison.run_spec import RunSpec, Timing
from bench.trl_comparison.workload import LLAVA_7B

SETTING = "LLaVA-1.5-7B shape, random weights, LoRA 16 on the language model; medians of 3 alternating runs"
TRL_SIZES, SPAVL_SIZES = (1, 2, 4, 8, 12, 24), (3, 6, 12, 24)
"""Pairs of a forward pass that are tried."""
PAIRS_PER_STEP = 24
"""Fewest pairs of an optimiser step."""
EPOCHS = 3
"""TRL's default."""
MEMORY_PAIRS = 6
"""Pairs of a forward pass where memory is compared."""
GPU = RunSpec(pairs_per_step=PAIRS_PER_STEP, forward_pairs=1, timed_steps=2, device="cuda")


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

    name: str
    """As `--only` takes it."""
    trl: RunSpec
    """How TRL runs."""
    spavl: RunSpec
    """How spavl runs, but for the row's reference."""
    rows: tuple[Row, ...]
    """Rows that compare speed."""
    memory: str | None = None
    """Name of the row that compares peak memory; None: there is none."""

    def measures(self) -> list[Measure]:
        """The measured rows; without a GPU, rows that name the command to run on a machine with one."""
        if not torch.cuda.is_available():
            return self._not_measured()
        timings, sizes = self._timings()
        measured = []
        for row in self.rows:
            bound = flops.ratio(
                LLAVA_7B,
                questions=row.questions,
                live=row.reference == "live",
                checkpointing=self.spavl.checkpointing,
                trl_checkpointing=self.trl.checkpointing,
            )
            how = f"{row.how or f'{row.questions} question(s) a picture'}; {sizes}; {SETTING}; {bound:.2f}× on paper"
            trl, spavl = timings["trl", 3], timings[row.reference, row.questions]
            measured.append(speed_up(_full_name(row.name), trl, spavl, row.floor, how, cache_uses=row.cache_uses))
        return measured + ([self._peak_memory(self.memory)] if self.memory else [])

    def _timings(self) -> tuple[dict[tuple[str, int], list[Timing]], str]:
        """Timings by reference (or `trl`) and questions a picture, and the sizes of forward passes in words."""
        trl_trial = try_sizes(trl_dpo.run, LLAVA_7B, self.trl, TRL_SIZES)
        spavl_trial = try_sizes(spavl_dpo.run, LLAVA_7B, self.spavl.replace(reference="cached"), SPAVL_SIZES)
        pairs = pairs_of_step(PAIRS_PER_STEP, trl_trial.best)
        trl = self.trl.replace(pairs_per_step=pairs, forward_pairs=trl_trial.best)
        spavl = self.spavl.replace(pairs_per_step=pairs, forward_pairs=spavl_trial.best)
        sides = {("trl", 3): Side(trl_dpo.run, trl)}
        for row in self.rows:
            spec = spavl.replace(reference=row.reference)
            sides[row.reference, row.questions] = Side(spavl_dpo.run, spec, row.questions)
        return alternate(LLAVA_7B, sides), f"TRL with {trl_trial}; spavl with {spavl_trial}"

    def _peak_memory(self, name: str) -> Measure:
        sizes = {"pairs_per_step": MEMORY_PAIRS, "forward_pairs": MEMORY_PAIRS}
        trl = run(Side(trl_dpo.run, self.trl.replace(**sizes)), LLAVA_7B).peak_gib
        spavl = run(Side(spavl_dpo.run, self.spavl.replace(**sizes)), LLAVA_7B).peak_gib
        how = (
            f"allocated: spavl {spavl:.1f} GiB, TRL {trl:.1f} GiB; {MEMORY_PAIRS} pairs a forward pass, live reference"
        )
        return Measure(_full_name(name), spavl / trl, 1.0, "of TRL's", "lower", how)

    def _not_measured(self) -> list[Measure]:
        how = (
            f"needs an NVIDIA GPU with 80 GB: python -m bench.dpo --only {self.name} "
            f"--json bench/results/dpo-gpu-{self.name}.json"
        )
        rows = [Measure(_full_name(row.name), None, row.floor, "×", "higher", how) for row in self.rows]
        return rows + ([Measure(_full_name(self.memory), None, 1.0, "of TRL's", "lower", how)] if self.memory else [])


def _full_name(row: str) -> str:
    return f"DPO against {TRL} on a GPU, {row}"


PLAIN = Group(
    "plain",
    trl=GPU,
    spavl=GPU,
    rows=(
        Row("no checkpointing, cached reference", 4.2, "cached"),
        Row("no checkpointing, live reference", 2.8, "live"),
        Row("pair-only data, cached reference", 2.2, "cached", questions=1),
        Row("pair-only data, live reference", 1.5, "live", questions=1),
        Row("β sweep of 5, cache building counted", 3.8, "cached", cache_uses=5, how="five runs of either"),
    ),
    memory="no checkpointing, peak memory",
)
CHECKPOINTED = Group(
    "checkpointed",
    trl=GPU.replace(checkpointing=True),
    spavl=GPU.replace(checkpointing=True),
    rows=(
        Row("both checkpointing, cached reference", 3.6, "cached"),
        Row("both checkpointing, live reference", 2.8, "live"),
    ),
    memory="both checkpointing, peak memory",
)
DEFAULTS = Group(
    "defaults",
    trl=GPU.replace(checkpointing=True, weight_dtype=torch.float32),
    spavl=GPU,
    rows=(
        Row(
            f"each at its defaults, {EPOCHS} epochs, cache building counted",
            5.0,
            "cached",
            cache_uses=EPOCHS,
            how=f"TRL: weights float32 under bfloat16 arithmetic, checkpointing; spavl: bfloat16, none; {EPOCHS} "
            "epochs are TRL's default, and of more than one spavl keeps the reference",
        ),
        Row("each at its defaults, one epoch, live reference", None, "live", how="as the row above, one epoch"),
    ),
)
