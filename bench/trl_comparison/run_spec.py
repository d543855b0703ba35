"""What is asked of both sides, and what each brings back."""

from __future__ import annotations

import gc
import time
from dataclasses import dataclass, replace
from typing import Any, Literal, final

import torch
from transformers import TrainerCallback

SEED = 0
WORKERS = 4
"""Processes of either side that prepare pictures ahead, where there is a GPU to be kept busy."""


@dataclass(frozen=True, slots=True)
class RunSpec:
    """One run. The recipe is the same for both sides; `batch` is each side's own way of cutting a step."""

    step: int
    """Pairs of an optimiser step."""
    batch: int
    """Pairs of a forward pass, at most."""
    timed: int = 1
    """Steps that are measured."""
    warm: int = 1
    """Steps before them."""
    device: Literal["cpu", "cuda"] = "cpu"
    checkpointing: bool = False
    reference: Literal["live", "cached"] = "live"
    """TRL knows only the first."""
    grouping: Literal["picture", "pair"] = "picture"
    """TRL knows only the second."""
    rate: float = 1e-4
    beta: float = 0.1
    answers_only: bool = False
    """TRL's head skips what is not scored, as it does on a GPU; on a CPU it does not of its own accord."""
    weights: torch.dtype | None = None
    """Of the frozen weights; None: what the arithmetic is done in."""

    @property
    def steps(self) -> int:
        """Steps of the whole run."""
        return self.warm + self.timed

    @property
    def pairs(self) -> int:
        """Pairs of the whole run."""
        return self.steps * self.step

    @property
    def arithmetic(self) -> Literal["float32", "bfloat16"]:
        """What is computed in; adapters are kept in float32 either way."""
        return "bfloat16" if self.device == "cuda" else "float32"

    @property
    def dtype(self) -> torch.dtype:
        """Of the frozen weights."""
        return self.weights or {"float32": torch.float32, "bfloat16": torch.bfloat16}[self.arithmetic]

    def of(self, **changed: Any) -> RunSpec:
        """The same with something changed."""
        return replace(self, **changed)


@dataclass(frozen=True, slots=True)
class Timing:
    """What a run brought. Seconds are for one pair."""

    step: float
    """In the timed steps: reading, preparing, collating, forward, backward, optimiser."""
    worked: float
    """The same in seconds of processor time: what it would be without other programs on the machine."""
    losses: tuple[float, ...]
    """Of every step."""
    before: float = 0.0
    """Before the first step: tokens, schedule."""
    cache: float = 0.0
    """Computing the reference beforehand; zero where that is done live."""
    peak: float = 0.0
    """Most GPU memory allocated, GiB."""

    @property
    def seconds(self) -> float:
        """Of one pair, the cache being there."""
        return self.step + self.before


@final
class StepTimer(TrainerCallback):  # type: ignore[misc]
    """Times whole steps: from the end of one to the end of another."""

    def __init__(self, spec: RunSpec) -> None:
        self._spec = spec
        self._ends: list[tuple[float, float]] = []

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Called by Trainer."""
        synchronize(self._spec)
        self._ends.append((time.perf_counter(), time.process_time()))

    def timing(self, losses: list[dict[str, Any]], **more: float) -> Timing:
        """What was seen; `losses` is Trainer's log."""
        first, last = self._ends[self._spec.warm - 1], self._ends[-1]
        pairs = self._spec.timed * self._spec.step
        return Timing(
            step=(last[0] - first[0]) / pairs,
            worked=(last[1] - first[1]) / pairs,
            losses=tuple(line["loss"] for line in losses if "loss" in line),
            peak=torch.cuda.max_memory_allocated() / 2**30 if self._spec.device == "cuda" else 0.0,
            **more,
        )


def synchronize(spec: RunSpec) -> None:
    """Wait until the device has done what it was asked."""
    if spec.device == "cuda":
        torch.cuda.synchronize()


def free_memory(spec: RunSpec) -> None:
    """Free what earlier runs left on the GPU, and measure its memory from here on."""
    if spec.device == "cuda":
        gc.collect()
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
