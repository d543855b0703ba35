"""What the rows of a GPU are measured on: the shape of LLaVA-1.5-7B, or a tiny one that rehearses them anywhere."""

from __future__ import annotations

import time
from dataclasses import dataclass

import torch

from bench.trl_comparison.run_spec import RunSpec
from bench.trl_comparison.workload import LLAVA_7B, ModelShape

TINY = ModelShape("tiny", 32, 48, 2, 2, 200, 16, 32, 2, 2, image_size=28)
"""The shape of a rehearsal."""
LARGE_MEMORY = 100 << 30
"""GPU memory from which larger forward passes are tried."""


@dataclass(frozen=True, slots=True)
class Deadline:
    """When the time that there is for measuring ends."""

    at: float
    """On the clock of `time.monotonic`."""

    def left(self) -> float:
        """Seconds until then."""
        return self.at - time.monotonic()


@dataclass(frozen=True, slots=True)
class Setup:
    """Model and sizes of all rows."""

    shape: ModelShape
    """Of the model."""
    spec: RunSpec
    """Of the runs, before a row changes it."""
    trl_sizes: tuple[int, ...]
    """Pairs of a forward pass that are tried for TRL."""
    spavl_sizes: tuple[int, ...]
    """Pairs of a forward pass that are tried for spavl."""
    rounds: int
    """Most alternating runs of a side."""
    matrix: int
    """Rows of the square matrices whose product shows what the machine can do."""

    @property
    def words(self) -> str:
        """What the table says of it."""
        return f"{self.shape.name} shape, random weights, LoRA {self.shape.lora_rank} on the language model"


def of_a_gpu() -> Setup:
    """The shape of LLaVA-1.5-7B, with forward passes that suit the memory of the GPU."""
    large = torch.cuda.get_device_properties(0).total_memory > LARGE_MEMORY
    return Setup(
        LLAVA_7B,
        RunSpec(pairs_per_step=24, forward_pairs=1, timed_steps=2, device="cuda"),
        trl_sizes=(4, 8) if large else (2, 4),
        spavl_sizes=(6, 12),
        rounds=3,
        matrix=8192,
    )


def of_a_rehearsal() -> Setup:
    """A tiny shape, on a GPU where there is one: the same code, in seconds."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    return Setup(
        TINY,
        RunSpec(pairs_per_step=6, forward_pairs=1, timed_steps=1, device=device),
        trl_sizes=(2,),
        spavl_sizes=(3,),
        rounds=1,
        matrix=64,
    )
