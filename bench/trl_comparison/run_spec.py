"""Configuration and timing of a run, the same for both sides."""

from __future__ import annotations

import gc
import time
from dataclasses import dataclass, replace
from typing import Any, Literal, final

import torch
from transformers import TrainerCallback
from typing_extensions import override

from spavl.config.loss import LossKind

SEED = 0
WORKERS = 4
"""Processes of either side that prepare pictures ahead, where there is a GPU to be kept busy."""


@dataclass(frozen=True, slots=True)
class RunSpec:
    """Configuration of one run. The recipe is the same for both sides; each has its own `forward_pairs`."""

    pairs_per_step: int
    """Pairs of an optimiser step."""
    forward_pairs: int
    """Most pairs of a forward pass."""
    timed_steps: int = 1
    """Optimiser steps that are measured."""
    untimed_steps: int = 1
    """Optimiser steps before them."""
    device: Literal["cpu", "cuda"] = "cpu"
    """What the run trains on."""
    checkpointing: bool = False
    """Gradient checkpointing."""
    reference: Literal["live", "cached"] = "live"
    """Whether the reference's log-probabilities are computed in every step or beforehand; TRL is always `live`."""
    grouping: Literal["picture", "pair"] = "picture"
    """Whether pairs of a picture share its tokens; TRL is always `pair`."""
    learning_rate: float = 1e-4
    """Constant learning rate of AdamW."""
    beta: float = 0.1
    """β of the loss."""
    kind: LossKind = "sigmoid"
    """The loss, by spavl's name of it."""
    label_smoothing: float = 0.0
    """Share of wrong labels that the loss expects, for `robust`."""
    answers_only: bool = False
    """Make TRL's head skip what is not scored, as it does on a GPU; on a CPU it does not of its own accord."""
    weight_dtype: torch.dtype | None = None
    """Of the frozen weights; None: that of the arithmetic."""
    arithmetic: Literal["float32", "bfloat16"] | None = None
    """Of everything but the adapters; None: bfloat16 on a GPU, float32 elsewhere."""

    @property
    def steps(self) -> int:
        """Optimiser steps of the whole run."""
        return self.untimed_steps + self.timed_steps

    @property
    def pairs(self) -> int:
        """Pairs of the whole run."""
        return self.steps * self.pairs_per_step

    @property
    def precision(self) -> Literal["float32", "bfloat16"]:
        """Of the arithmetic; adapters are kept in float32 either way."""
        return self.arithmetic or ("bfloat16" if self.device == "cuda" else "float32")

    @property
    def frozen_dtype(self) -> torch.dtype:
        """Of the frozen weights."""
        return self.weight_dtype or {"float32": torch.float32, "bfloat16": torch.bfloat16}[self.precision]

    def replace(self, **changes: Any) -> RunSpec:
        """A copy with some fields changed.

        Args:
            changes: new values by field.
        """
        return replace(self, **changes)


@dataclass(frozen=True, slots=True)
class Timing:
    """Measurements of a run; seconds are for one pair."""

    step_seconds: float
    """In the timed steps: reading, preparing, collating, forward, backward, optimiser."""
    processor_seconds: float
    """The same in processor time, which other programs on the machine do not add to."""
    losses: tuple[float, ...]
    """Of every step."""
    prepare_seconds: float = 0.0
    """Before the first step: tokens and batch schedule."""
    cache_seconds: float = 0.0
    """Computing the reference's log-probabilities beforehand; zero where that is done live."""
    peak_gib: float = 0.0
    """Most GPU memory allocated."""

    @property
    def seconds(self) -> float:
        """Of one pair once the reference is cached."""
        return self.step_seconds + self.prepare_seconds


@final
class StepTimer(TrainerCallback):  # type: ignore[misc]
    """Times whole optimiser steps: from the end of one to the end of another.

    Args:
        spec: of the run.
    """

    def __init__(self, spec: RunSpec) -> None:
        self._spec = spec
        self._ends: list[tuple[float, float]] = []

    @override
    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Note when a step ended."""
        synchronize(self._spec)
        self._ends.append((time.perf_counter(), time.process_time()))

    def timing(self, log_history: list[dict[str, Any]], **more: float) -> Timing:
        """The timing of the run.

        Args:
            log_history: of the Trainer; brings the losses.
            more: other fields of the timing.
        """
        first, last = self._ends[self._spec.untimed_steps - 1], self._ends[-1]
        pairs = self._spec.timed_steps * self._spec.pairs_per_step
        return Timing(
            step_seconds=(last[0] - first[0]) / pairs,
            processor_seconds=(last[1] - first[1]) / pairs,
            losses=tuple(line["loss"] for line in log_history if "loss" in line),
            peak_gib=torch.cuda.max_memory_allocated() / 2**30 if self._spec.device == "cuda" else 0.0,
            **more,
        )


def synchronize(spec: RunSpec) -> None:
    """Wait until the GPU has finished its queue.

    Args:
        spec: of the run; on a CPU there is nothing to wait for.
    """
    if spec.device == "cuda":
        torch.cuda.synchronize()


def free_memory(spec: RunSpec) -> None:
    """Free what earlier runs left on the GPU, and measure its peak memory from here on.

    Args:
        spec: of the run; on a CPU nothing is done.
    """
    if spec.device == "cuda":
        gc.collect()
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
