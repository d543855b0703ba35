"""Losses over single answers, each of which is wanted or not.

Shapes: A answers. Every loss is one number for each answer, [A], and never averaged here.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor


def kto_baseline(ratios: Float[Tensor, ""], answers: Float[Tensor, ""]) -> Float[Tensor, ""]:
    """The baseline that KTO compares log-ratios with: their mean over mismatched answers, and at least 0.

    It estimates KL(pi || pi_ref), for an answer that belongs to another prompt stands for any answer. No gradient flows
    through it. By hand: log-ratios 0.4, -0.1 and 0.6 of three answers: 0.9 / 3 = 0.3.

    Args:
        ratios: sum of log pi(y'|x) - log pi_ref(y'|x) over prompts x with answers y' of other prompts.
        answers: how many these are.

    Source: section 4.1 of arXiv 2402.01306.
    """
    return (ratios / answers.clamp(min=1)).clamp(min=0).detach()


def kto(
    ratios: Float[Tensor, " A"],
    desirable: Bool[Tensor, " A"],
    baseline: Float[Tensor, ""],
    *,
    beta: float,
    desirable_weight: float = 1.0,
    undesirable_weight: float = 1.0,
) -> Float[Tensor, " A"]:
    """Kahneman-Tversky optimisation: weight * (1 - sigmoid(±beta * (ratio - baseline))), + for desirable answers.

    By hand: beta 0.1, baseline 1. A desirable answer with log-ratio 6: 1 - sigmoid(0.5) = 0.377541. An undesirable one
    with the same: 1 - sigmoid(-0.5) = 0.622459.

    Args:
        ratios: log pi(y|x) - log pi_ref(y|x) of the answers.
        desirable: whether an answer is wanted.
        baseline: the reference point z, from `kto_baseline`.
        beta: how soon an answer is as good (or bad) as it may get; larger is sooner.
        desirable_weight: lambda_D, weight of desirable answers.
        undesirable_weight: lambda_U, weight of undesirable answers.

    Source: eq. 7 and 8 of arXiv 2402.01306, without the constant lambda_y.
    """
    one = torch.ones_like(ratios)
    side = torch.where(desirable, one, -one)
    weight = torch.where(desirable, desirable_weight * one, undesirable_weight * one)
    return weight * (1 - torch.sigmoid(beta * side * (ratios - baseline)))
