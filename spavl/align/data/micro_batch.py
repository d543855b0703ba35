"""One forward pass of a training: packed sequences, and where the answers of each pair are in them.

Shapes: P pairs, A answers of the packed sequences, K answers of a pair, M answers to other prompts.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from spavl.models.trees.batch import TreeBatch


@dataclass(frozen=True, slots=True)
class StepTotals:
    """What the summed losses of a step are divided by, over all devices and forward passes."""

    pairs: int
    """Pairs."""
    answers: int
    """Answers that the loss reads."""
    chosen_tokens: int
    """Scored tokens of the chosen answers."""


@dataclass(frozen=True)
class MismatchedBatch:
    """The prompts of a micro-batch with answers to other prompts (`spavl.align.data.mismatched`)."""

    batch: TreeBatch
    """The packed sequences."""
    answers: Int[Tensor, " M"]
    """Index among the batch's answers of each mismatched answer, of every pair in turn."""
    reference: Float[Tensor, " A"] | None
    """Cached reference log-probability of every answer, where it is not computed live."""

    def to(self, device: torch.device) -> MismatchedBatch:
        """The same batch on a device.

        Args:
            device: where the model is.
        """
        reference = None if self.reference is None else self.reference.to(device)
        return MismatchedBatch(self.batch.to(device), self.answers.to(device), reference)


@dataclass(frozen=True)
class MicroBatch:
    """One forward pass: P pairs whose answers are among the A answers of `batch`."""

    batch: TreeBatch
    """The packed sequences."""
    pairs: tuple[int, ...]
    """Numbers of the pairs."""
    chosen: Int[Tensor, " P"]
    """Index among the batch's answers of each pair's chosen answer; -1 where there is none."""
    rejected: Int[Tensor, " P"]
    """Index of each pair's rejected answer; -1 where there is none, or the loss reads none."""
    corrupted: Int[Tensor, " P"] | None
    """Index of each pair's chosen answer with the corrupted picture, where the loss asks for it."""
    reference: Float[Tensor, " A"] | None
    """Cached reference log-probability of every answer, where it is not computed live."""
    pair_weights: Float[Tensor, " P"]
    """Weight of each pair's loss."""
    weight: float
    """1, or 0 for a padding batch, which only keeps a rank in step with the others."""
    of: int
    """Pairs of the whole step: what the summed loss is divided by."""
    totals: StepTotals
    """The same, counted otherwise, for losses that are averaged over answers or tokens."""
    mismatched: MismatchedBatch | None = None
    """The same prompts with other answers, where the loss asks for them."""

    def to(self, device: torch.device) -> MicroBatch:
        """The same micro-batch on a device.

        Args:
            device: where the model is.
        """
        moved: dict[str, Any] = {
            name: value.to(device) for name, value in vars(self).items() if isinstance(value, (Tensor, TreeBatch))
        }
        return replace(self, **moved)


def spread(recorded: Float[Tensor, "P K"], places: Int[Tensor, "P K"], answers: int) -> Float[Tensor, " A"]:
    """Numbers of answers by their index in a batch; 0 for an answer without one.

    Args:
        recorded: the number of each pair's K answers.
        places: their indices; -1 where there is no such answer.
        answers: how many the batch has.
    """
    sums = torch.zeros(answers)
    there = places >= 0
    sums[places[there]] = recorded[there]
    return sums


def totals_of(batch: TreeBatch, places: Int[Tensor, "P 2"]) -> StepTotals:
    """Totals of a step that has the pairs of one batch alone.

    Args:
        batch: the packed sequences.
        places: index of each pair's chosen and rejected answer; -1 where there is none.
    """
    chosen = places[:, 0][places[:, 0] >= 0]
    tokens = torch.bincount(batch.owner, minlength=batch.answers)
    return StepTotals(len(places), int((places >= 0).sum()), int(tokens[chosen].sum()))
