"""The rows for a GPU: random weights of the shape of LLaVA-1.5-7B."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch

from bench.measures import Measure
from bench.trl_comparison import flops, spavl_dpo, trl_dpo
from bench.trl_comparison.comparison import Contestant, alternate, run, steps_of, try_sizes
from bench.trl_comparison.ratios import TRL, speed_up
from bench.trl_comparison.run_spec import RunSpec, Timing
from bench.trl_comparison.workload import LLAVA_7B

SHAPE = "LLaVA-1.5-7B shape, random weights, LoRA 16 on the language model; medians of 3 alternating runs"
SIZES, OUR_SIZES = (1, 2, 4, 8, 12, 24), (3, 6, 12, 24)
LEAST = 24
"""Pairs of an optimiser step, at least."""
EPOCHS = 3
"""TRL's default number."""
MEMORY_PAIRS = 6
"""Pairs of a forward pass where memory is compared."""
GPU = RunSpec(step=LEAST, batch=1, timed=2, device="cuda")
ALWAYS = float("inf")


@dataclass(frozen=True, slots=True)
class Row:
    """A row, before it is measured."""

    name: str
    floor: float | None
    reference: Literal["cached", "live"]
    questions: int = 3
    uses: float = ALWAYS
    """Runs or epochs that share the building of the cache; endless where the row does not count it."""
    how: str = ""


@dataclass(frozen=True, slots=True)
class Group:
    """Rows that are measured in one alternating series."""

    name: str
    """As `--only` knows it."""
    trl: RunSpec
    spavl: RunSpec
    rows: tuple[Row, ...]
    memory: str | None = None
    """Name of the row that compares memory."""

    def measures(self) -> list[Measure]:
        """The rows, or what to run elsewhere."""
        if not torch.cuda.is_available():
            return self._elsewhere()
        timings, sizes = self._timings()
        made = []
        for row in self.rows:
            bound = flops.ratio(
                LLAVA_7B,
                questions=row.questions,
                live=row.reference == "live",
                checkpointing=self.spavl.checkpointing,
                their_checkpointing=self.trl.checkpointing,
            )
            how = f"{row.how or f'{row.questions} question(s) a picture'}; {sizes}; {SHAPE}; {bound:.2f}× on paper"
            our = timings[row.reference, row.questions]
            made.append(speed_up(_named(row.name), timings["trl", 3], our, row.floor, how, uses=row.uses))
        return made + ([self._peaks(self.memory)] if self.memory else [])

    def _timings(self) -> tuple[dict[tuple[str, int], list[Timing]], str]:
        trial = try_sizes(trl_dpo.run, LLAVA_7B, self.trl, SIZES)
        our_trial = try_sizes(spavl_dpo.run, LLAVA_7B, self.spavl.of(reference="cached"), OUR_SIZES)
        step = steps_of(LEAST, trial.best)
        spavl = self.spavl.of(step=step, batch=our_trial.best)
        entries = {("trl", 3): Contestant(trl_dpo.run, self.trl.of(step=step, batch=trial.best))}
        for row in self.rows:
            entries[row.reference, row.questions] = Contestant(
                spavl_dpo.run, spavl.of(reference=row.reference), row.questions
            )
        return alternate(LLAVA_7B, entries), f"TRL with {trial}; spavl with {our_trial}"

    def _peaks(self, name: str) -> Measure:
        step = {"step": MEMORY_PAIRS, "batch": MEMORY_PAIRS}
        trl = run(Contestant(trl_dpo.run, self.trl.of(**step)), LLAVA_7B).peak
        our = run(Contestant(spavl_dpo.run, self.spavl.of(**step)), LLAVA_7B).peak
        how = f"allocated: spavl {our:.1f} GiB, TRL {trl:.1f} GiB; {MEMORY_PAIRS} pairs a forward pass, live reference"
        return Measure(_named(name), our / trl, 1.0, "of TRL's", "lower", how)

    def _elsewhere(self) -> list[Measure]:
        how = (
            f"needs an NVIDIA GPU with 80 GB: python -m bench.dpo --only {self.name} "
            f"--json bench/results/dpo-gpu-{self.name}.json"
        )
        rows = [Measure(_named(row.name), None, row.floor, "×", "higher", how) for row in self.rows]
        return rows + ([Measure(_named(self.memory), None, 1.0, "of TRL's", "lower", how)] if self.memory else [])


def _named(row: str) -> str:
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
        Row("β sweep of 5, cache building counted", 3.8, "cached", uses=5, how="five runs of either"),
    ),
    memory="no checkpointing, peak memory",
)
CHECKPOINTED = Group(
    "checkpointed",
    trl=GPU.of(checkpointing=True),
    spavl=GPU.of(checkpointing=True),
    rows=(
        Row("both checkpointing, cached reference", 3.6, "cached"),
        Row("both checkpointing, live reference", 2.8, "live"),
    ),
    memory="both checkpointing, peak memory",
)
DEFAULTS = Group(
    "defaults",
    trl=GPU.of(checkpointing=True, weights=torch.float32),
    spavl=GPU,
    rows=(
        Row(
            f"each at its defaults, {EPOCHS} epochs, cache building counted",
            5.0,
            "cached",
            uses=EPOCHS,
            how=f"TRL: weights float32 under bfloat16 arithmetic, checkpointing; spavl: bfloat16, none; {EPOCHS} "
            "epochs are TRL's default, and of more than one spavl keeps the reference",
        ),
        Row("each at its defaults, one epoch, live reference", None, "live", how="as the row above, one epoch"),
    ),
)
