"""From log-probabilities to the loss of every pair and its metrics: one class for each kind of what a loss reads.

Shapes: P pairs, A answers of a micro-batch, M metrics.
"""

from __future__ import annotations

from typing import Protocol, final

import torch
from jaxtyping import Float, Int
from torch import Tensor

from spavl.align import losses
from spavl.align.data.micro_batch import MicroBatch
from spavl.align.losses import LogMeans, LogRatios
from spavl.align.training.trainer import LossOutput
from spavl.config.loss import LossSettings
from spavl.models.trees.score import Scores

METRICS = ("margin", "accuracy", "reward_chosen", "reward_rejected", "drift", "nll_chosen")
"""Metrics of losses with a reference: beta times the difference of log-ratios; how often it is above zero; beta times
the log-ratio of either answer; mean absolute log-ratio per token, a distance from the reference on the data; negative
log-likelihood of the chosen answer per token."""
METRICS_WITHOUT_REFERENCE = ("margin", "accuracy", "reward_chosen", "reward_rejected", "nll_chosen")
"""The same without a reference: a reward is beta times the mean log-probability of an answer's tokens (`simpo`), or its
log odds (`orpo`); the margin is the difference of the rewards."""
METRICS_OF_KTO = (*METRICS, "kl", "label_accuracy")
"""KTO's: margin and accuracy of rows that have both answers; the baseline; share of answers on their label's side of
it."""
NAN = float("nan")
"""What is not there: it is left out of means."""


class Formula(Protocol):
    """The loss of a micro-batch, from log-probabilities of its answers."""

    @property
    def metrics(self) -> tuple[str, ...]:
        """Names of the M metrics."""
        ...

    def __call__(self, scores: Scores, reference: Float[Tensor, " A"] | None, micro_batch: MicroBatch) -> LossOutput:
        """Loss of every pair.

        Args:
            scores: of the policy, of all answers.
            reference: log-probabilities under the reference; None where the loss has none.
            micro_batch: the pairs.
        """
        ...


def formula_of(settings: LossSettings) -> Formula:
    """The formula of the settings.

    Args:
        settings: which losses, and their weights.
    """
    if settings.kind == "kto":
        return UnpairedFormula(settings)
    if settings.kind == "sft":
        return LikelihoodFormula()
    return ReferenceFormula(settings) if settings.has_reference else FreeFormula(settings)


@final
class ReferenceFormula:
    """Losses on log-ratios of policy and reference: DPO, robust DPO, IPO, hinge, and the terms of mDPO beside them.

    Args:
        settings: which losses, and their weights.
    """

    metrics: tuple[str, ...] = METRICS
    """Names of the metrics."""

    def __init__(self, settings: LossSettings) -> None:
        self.settings = settings

    def __call__(self, scores: Scores, reference: Float[Tensor, " A"] | None, micro_batch: MicroBatch) -> LossOutput:
        """Loss of every pair.

        Args:
            scores: of the policy.
            reference: log-probabilities under the reference.
            micro_batch: the pairs.
        """
        assert reference is not None, "the loss compares with it"
        ratio, tokens, settings = scores.sums - reference, scores.lengths, self.settings
        ratios = LogRatios(ratio[micro_batch.chosen], ratio[micro_batch.rejected])
        per_token = ratios.per_token(tokens[micro_batch.chosen], tokens[micro_batch.rejected])
        nll = losses.sft_anchor(scores.sums[micro_batch.chosen], tokens[micro_batch.chosen])
        loss = self._preference(ratios, per_token)
        if settings.sft_anchor:
            loss = loss + settings.sft_anchor * nll
        if settings.image_anchor:
            loss = loss + settings.image_anchor * losses.image_anchor(ratios.chosen, beta=settings.beta)
        if micro_batch.corrupted is not None:
            corrupted = ratio[micro_batch.corrupted]
            conditional = losses.image_conditional(ratios.chosen, corrupted, beta=settings.beta)
            loss = loss + settings.image_conditional * conditional
        return LossOutput(loss, self._metrics(ratios, per_token, nll))

    def _preference(self, ratios: LogRatios, per_token: LogRatios) -> Tensor:
        settings, scaled = self.settings, per_token if self.settings.length_normalised else ratios
        match settings.kind:
            case "ipo":
                return losses.ipo(per_token, tau=settings.beta)
            case "hinge":
                return losses.hinge(scaled, beta=settings.beta)
            case "robust":
                return losses.robust(scaled, beta=settings.beta, label_smoothing=settings.label_smoothing)
            case _:
                return losses.dpo_sigmoid(scaled, beta=settings.beta, label_smoothing=settings.label_smoothing)

    def _metrics(self, ratios: LogRatios, per_token: LogRatios, nll: Tensor) -> Tensor:
        margin = self.settings.beta * (ratios.chosen - ratios.rejected)
        drift = (per_token.chosen.abs() + per_token.rejected.abs()) / 2
        rewards = (self.settings.beta * ratios.chosen, self.settings.beta * ratios.rejected)
        return torch.stack([margin, (margin > 0).float(), *rewards, drift, nll], dim=1).detach()


@final
class FreeFormula:
    """Losses on the policy's own log-probabilities per token: SimPO, ORPO.

    Args:
        settings: which of them, and its weights.
    """

    metrics: tuple[str, ...] = METRICS_WITHOUT_REFERENCE
    """Names of the metrics."""

    def __init__(self, settings: LossSettings) -> None:
        self.settings = settings

    def __call__(self, scores: Scores, reference: Float[Tensor, " A"] | None, micro_batch: MicroBatch) -> LossOutput:
        """Loss of every pair.

        Args:
            scores: of the policy.
            reference: not read.
            micro_batch: the pairs.
        """
        settings, mean = self.settings, scores.sums / scores.lengths.clamp(min=1)
        means = LogMeans(mean[micro_batch.chosen], mean[micro_batch.rejected])
        if settings.kind == "simpo":
            loss = losses.simpo(means, beta=settings.beta, gamma=settings.gamma) - settings.sft_anchor * means.chosen
            rewards = settings.beta * torch.stack(means)
        else:
            loss = losses.orpo(means, weight=settings.beta)
            rewards = losses.log_odds(mean)[torch.stack([micro_batch.chosen, micro_batch.rejected])]
        chosen, rejected = rewards
        margin = chosen - rejected
        columns = [margin, (margin > 0).float(), chosen, rejected, -means.chosen]
        return LossOutput(loss, torch.stack(columns, dim=1).detach())


@final
class LikelihoodFormula:
    """Supervised fine-tuning: negative log-likelihood of the chosen answers, a mean over all their tokens of a step.

    A pair's share of that mean is its own sum by the step's tokens, times the step's pairs, by which the trainer
    divides.
    """

    metrics: tuple[str, ...] = ("nll_chosen",)
    """Negative log-likelihood of the chosen answer per token."""

    def __call__(self, scores: Scores, reference: Float[Tensor, " A"] | None, micro_batch: MicroBatch) -> LossOutput:
        """Loss of every pair.

        Args:
            scores: of the policy.
            reference: not read.
            micro_batch: the pairs.
        """
        chosen, totals = scores.sums[micro_batch.chosen], micro_batch.totals
        nll = losses.sft_anchor(chosen, scores.lengths[micro_batch.chosen])
        return LossOutput(-chosen * (totals.pairs / max(totals.chosen_tokens, 1)), nll[:, None].detach())


@final
class UnpairedFormula:
    """KTO: every answer on its own, a mean over all answers of a step; a pair is two of them.

    Args:
        settings: its weights.
    """

    metrics: tuple[str, ...] = METRICS_OF_KTO
    """Names of the metrics."""

    def __init__(self, settings: LossSettings) -> None:
        self.settings = settings
        self.baseline = torch.zeros(())
        """What log-ratios are compared with in this step."""

    def __call__(self, scores: Scores, reference: Float[Tensor, " A"] | None, micro_batch: MicroBatch) -> LossOutput:
        """Loss of every pair.

        Args:
            scores: of the policy.
            reference: log-probabilities under the reference.
            micro_batch: the pairs.
        """
        assert reference is not None, "the loss compares with it"
        settings, ratio = self.settings, scores.sums - reference
        places = torch.stack([micro_batch.chosen, micro_batch.rejected], dim=1)
        there, desirable = places >= 0, torch.zeros_like(places, dtype=torch.bool)
        desirable[:, 0] = True
        ratios = torch.where(there, ratio[places], 0.0)
        each = losses.kto(
            ratios.flatten(), desirable.flatten(), self.baseline, beta=settings.beta,
            desirable_weight=settings.desirable_weight, undesirable_weight=settings.undesirable_weight,
        ).view_as(ratios)  # fmt: skip
        loss = (each * there).sum(1) * (micro_batch.totals.pairs / micro_batch.totals.answers)
        tokens = scores.lengths.clamp(min=1)[places]
        nll = -torch.where(there, scores.sums[places], 0.0)[:, 0] / tokens[:, 0]
        if settings.sft_anchor:
            loss = loss + settings.sft_anchor * nll
        return LossOutput(loss, self._metrics(ratios, there, tokens, nll).detach())

    def _metrics(self, ratios: Tensor, there: Tensor, tokens: Int[Tensor, "P 2"], nll: Tensor) -> Tensor:
        present = torch.where(there, ratios, NAN)
        rewards = self.settings.beta * present
        margin = rewards[:, 0] - rewards[:, 1]
        accuracy = torch.where(there.all(1), (margin > 0).float(), NAN)
        side = torch.stack([ratios[:, 0] > self.baseline, ratios[:, 1] < self.baseline], dim=1).float()
        return torch.stack(
            [
                margin,
                accuracy,
                *rewards.unbind(1),
                (present.abs() / tokens).nanmean(1),
                torch.where(there[:, 0], nll, NAN),
                self.baseline.expand_as(margin),
                torch.where(there, side, NAN).nanmean(1),
            ],
            dim=1,
        )
