"""What a training will take: tokens, memory and hours, from counts and from one step timed just before."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import psutil
import torch

from spavl.align.data.schedule import PairGroup, ScheduledStep
from spavl.align.policy.policy import Policy
from spavl.config.align import AlignSettings

BYTES_PER_ACTIVATION = 34
"""Bytes that a layer keeps for backward, for each token and hidden dimension in 16 bits (arXiv 2205.05198, section 4.1,
without the attention matrix); twice that in 32 bits. With checkpointing it keeps its input."""
OPTIMISER_BYTES = 12
"""Bytes for each trained weight in addition to the weight itself: gradient and the two moments of Adam, in float32."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """Expected cost of a training."""

    steps: int
    """Optimiser steps."""
    tokens: int
    """Tokens through the language model in forward passes of the policy, over all steps."""
    separate_tokens: int
    """The same if every answer were a sequence of its own."""
    memory: int
    """Bytes on one device."""
    free: int | None
    """Bytes free there now; None where unknown."""
    hours: float
    """From a step timed on a few rows; short samples are slower a token than whole batches."""

    def render(self) -> str:
        """The estimate as one line."""
        shared = self.separate_tokens / max(self.tokens, 1)
        time = f"{self.hours:.1f} h" if self.hours >= 1 else f"{max(1, round(self.hours * 60))} min"
        return (
            f"{self.steps:,} steps · {self.tokens:,} tokens ({shared:.1f}× fewer than apart) · about {time} · "
            f"about {self.memory / 2**30:.1f} GiB of memory"
        )


def tokens_of(schedule: Sequence[ScheduledStep], size: Callable[[PairGroup], int]) -> int:
    """Tokens of all trees of a schedule, padding batches included.

    Args:
        schedule: the steps of the training.
        size: tokens of a tree.
    """
    return sum(size(tree) for step in schedule for own in step.micro_batches for trees in own for tree in trees)


def memory_of(policy: Policy, settings: AlignSettings, *, live: bool) -> int:
    """Bytes on one device for weights, optimiser, a live reference, and one forward pass at the token budget.

    Args:
        policy: the model with its trained weights marked.
        settings: token budget and gradient checkpointing.
        live: whether the reference is computed in every step, from weights kept as they were.
    """
    weights = sum(weight.numel() * weight.element_size() for weight in policy.model.parameters())
    trained = sum(weight.numel() for weight in policy.trained().values())
    kept = sum(old.numel() * old.element_size() for old in (policy.before or {}).values()) if live else 0
    text = policy.model.config.get_text_config()
    wide = 2 if policy.model.dtype == torch.float32 else 1
    layer = text.hidden_size * wide * (2 if settings.machine.gradient_checkpointing else BYTES_PER_ACTIVATION)
    activations = settings.batching.token_budget * text.num_hidden_layers * layer
    return int(weights + OPTIMISER_BYTES * trained + kept + activations)


def free_memory(device: torch.device) -> int | None:
    """Bytes free on a device now; None for a device that does not tell.

    Args:
        device: a GPU, or the CPU with the machine's main memory.
    """
    if device.type == "cuda":
        free: int = torch.cuda.mem_get_info(device)[0]
        return free
    return psutil.virtual_memory().available if device.type == "cpu" else None
