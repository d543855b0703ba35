"""Comparing packed trees with separate sequences: log-probabilities and gradients, on any model and any rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from spavl.models.families import Family
from spavl.models.trees.batch import TreeBatch
from spavl.models.trees.score import answer_logprobs


@dataclass(frozen=True, slots=True)
class Parity:
    """How much two packings of the same answers differ."""

    logprobs: float
    """Largest difference of an answer's summed log-probability, relative to that sum."""
    nats: float
    """The largest difference itself, in nats."""
    gradients: float | None
    """Norm of the gradients' difference over their norm, over all trained parameters; None if not asked for."""
    worst: int
    """The answer whose relative difference is largest."""


def parity(model: Any, family: Family, tree: TreeBatch, separate: TreeBatch, *, gradients: bool = False) -> Parity:
    """The differences between a packed batch and the same answers in separate sequences.

    Gradients are those of a sum of all answers with signs and sizes that differ, so that no two can stand in for each
    other; the model's own gradients are cleared.

    Args:
        model: the model, wrapped or not.
        family: its family.
        tree: the answers packed as trees.
        separate: the same answers, in the same order, in rows of their own.
        gradients: compare gradients too.
    """
    sums, grads = zip(*(_run(model, family, batch, gradients) for batch in (tree, separate)), strict=True)
    difference = (sums[0] - sums[1]).abs()
    relative = difference / sums[1].abs()
    return Parity(
        logprobs=float(relative.max()),
        nats=float(difference.max()),
        gradients=float((grads[0] - grads[1]).norm() / grads[1].norm()) if gradients else None,
        worst=int(relative.argmax()),
    )


def _run(model: Any, family: Family, batch: TreeBatch, gradients: bool) -> tuple[Tensor, Tensor]:
    """Summed log-probabilities [A], and the gradient of all trained parameters as one vector, if asked for."""
    with torch.set_grad_enabled(gradients):
        sums = answer_logprobs(model, batch, family).sums
    if not gradients:
        return sums, sums
    model.zero_grad()
    weights = torch.linspace(1, 2, batch.answers, device=sums.device)
    weights[1::2] *= -1
    (sums * weights).sum().backward()
    trained = [weight for weight in model.parameters() if weight.requires_grad]
    grads = [torch.zeros_like(weight) if weight.grad is None else weight.grad for weight in trained]
    vector = torch.cat([grad.flatten().double() for grad in grads])
    model.zero_grad()
    return sums.detach(), vector
