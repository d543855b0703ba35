"""Are trees the same computation as separate sequences? Measured, on any model and any rows."""

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
    """How far two layouts of the same answers are apart."""

    logprobs: float
    """Largest difference of an answer's summed log-probability, relative to that sum."""
    nats: float
    """The same difference in nats."""
    gradients: float | None
    """Norm of the gradients' difference over their norm, over all trained parameters; None if not asked for."""
    worst: int
    """The answer that differs most."""


def parity(model: Any, family: Family, tree: TreeBatch, separate: TreeBatch, *, gradients: bool = False) -> Parity:
    """Compare a batch with the same answers in sequences of their own.

    Gradients are those of a sum of all answers with signs and sizes that differ, so that no two can stand in for each
    other; the model's own gradients are cleared.
    """
    sums, slopes = zip(*(_run(model, family, batch, gradients) for batch in (tree, separate)), strict=True)
    apart = (sums[0] - sums[1]).abs()
    relative = apart / sums[1].abs()
    return Parity(
        logprobs=float(relative.max()),
        nats=float(apart.max()),
        gradients=float((slopes[0] - slopes[1]).norm() / slopes[1].norm()) if gradients else None,
        worst=int(relative.argmax()),
    )


def _run(model: Any, family: Family, batch: TreeBatch, gradients: bool) -> tuple[Tensor, Tensor]:
    with torch.set_grad_enabled(gradients):
        sums = answer_logprobs(model, batch, family).sums
    if not gradients:
        return sums, sums
    model.zero_grad()
    weights = torch.linspace(1, 2, batch.answers, device=sums.device)
    weights[1::2] *= -1
    (sums * weights).sum().backward()
    trained = [weight for weight in model.parameters() if weight.requires_grad]
    slopes = [torch.zeros_like(weight) if weight.grad is None else weight.grad for weight in trained]
    found = torch.cat([slope.flatten().double() for slope in slopes])
    model.zero_grad()
    return sums.detach(), found
