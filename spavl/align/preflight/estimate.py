"""What a training will take: tokens, memory and hours, from counts and from one pass measured just before."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import psutil
import torch

from spavl.align.data.schedule import PairGroup, ScheduledStep
from spavl.align.preflight.memory import Memory
from spavl.plural import plural


@dataclass(frozen=True, slots=True)
class Estimate:
    """Expected cost of a training."""

    steps: int
    """Optimiser steps."""
    tokens: int
    """Tokens through the language model in forward passes of the policy, over all steps."""
    separate_tokens: int
    """The same if every answer were a sequence of its own."""
    memory: Memory
    """Bytes on one device, at most."""
    free: int | None
    """Bytes that the training can have there, its weights included; None where unknown."""
    hours: float
    """From a step timed on a few rows; short samples are slower a token than whole batches."""

    def render(self) -> str:
        """The estimate as one line."""
        shared = self.separate_tokens / max(self.tokens, 1)
        time = f"{self.hours:.1f} h" if self.hours >= 1 else f"{max(1, round(self.hours * 60))} min"
        return (
            f"{plural(self.steps, 'step')} · {self.tokens:,} tokens ({shared:.1f}× fewer than apart) · about {time} · "
            f"{self.memory.render()}"
        )


def tokens_of(schedule: Sequence[ScheduledStep], size: Callable[[PairGroup], int]) -> int:
    """Tokens of all trees of a schedule, padding batches included.

    Args:
        schedule: the steps of the training.
        size: tokens of a tree.
    """
    return sum(size(tree) for step in schedule for own in step.micro_batches for trees in own for tree in trees)


def largest_pass(schedule: Sequence[ScheduledStep], size: Callable[[PairGroup], int], rank: int) -> tuple[int, bool]:
    """Tokens of a device's largest forward pass, padding counted, and whether any of its steps has several passes.

    Args:
        schedule: the steps of the training.
        size: tokens of a tree.
        rank: number of the process.
    """
    own = [step.micro_batches[rank] for step in schedule]
    tokens = max(len(trees) * max(map(size, trees)) for of_step in own for trees in of_step)
    return tokens, any(len(of_step) > 1 for of_step in own)


def free_memory(device: torch.device) -> int | None:
    """Bytes free on a device now; None for a device that does not tell.

    Args:
        device: a GPU, or the CPU with the machine's main memory.
    """
    if device.type == "cuda":
        free: int = torch.cuda.mem_get_info(device)[0]
        return free
    return psutil.virtual_memory().available if device.type == "cpu" else None
