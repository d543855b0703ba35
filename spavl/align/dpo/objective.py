"""The loss of direct preference optimisation on a micro-batch, as the settings put it together, and its metrics."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, final

import torch
from jaxtyping import Float
from torch import Tensor

from spavl.align import losses
from spavl.align.data.micro_batch import MicroBatch
from spavl.align.losses import LogRatios
from spavl.align.policy.policy import Policy
from spavl.align.training.trainer import LossOutput
from spavl.config.align import LossSettings
from spavl.models.trees.score import Scores, answer_logprobs, image_features

METRICS = ("margin", "accuracy", "reward_chosen", "reward_rejected", "drift", "nll_chosen")
"""Columns of `LossOutput.metrics`: beta times the difference of log-ratios; how often it is above zero; beta times the
log-ratio of either answer; mean absolute log-ratio per token, a distance from the reference on the data; negative
log-likelihood of the chosen answer per token."""


@final
class PreferenceObjective:
    """DPO or IPO over pairs, against recorded reference log-probabilities or the policy's own reference.

    Args:
        policy: the model in training.
        settings: which losses, and their weights.
        precision: makes a context of the arithmetic that the model computes in.
    """

    metrics: tuple[str, ...] = METRICS
    """Names of the metrics."""

    def __init__(
        self, policy: Policy, settings: LossSettings, precision: Callable[[], AbstractContextManager[Any]] = nullcontext
    ) -> None:
        self.policy = policy
        self.settings = settings
        self.precision = precision
        trained_vision = policy.counts["vision"].trained + policy.counts["projector"].trained
        self._shares_image_features = trained_vision == 0

    def __call__(self, model: Any, micro_batch: MicroBatch) -> LossOutput:
        """Loss of every pair, with a forward pass of the policy and, unless it is recorded, one of the reference.

        Args:
            model: the policy's model, wrapped for the devices (DDP, FSDP) or not.
            micro_batch: the pairs, on the model's device.
        """
        family, features = self.policy.family, None
        if micro_batch.reference is None and self._shares_image_features:
            with torch.no_grad(), self.precision():
                features = image_features(self.policy.model, micro_batch.batch, family)
        reference = micro_batch.reference
        if reference is None:
            reference = self.reference(micro_batch, features).sums
        with self.precision():
            scores = answer_logprobs(model, micro_batch.batch, family, features=features)
        return self.loss(scores, reference, micro_batch)

    def reference(self, micro_batch: MicroBatch, features: Any = None) -> Scores:
        """Log-probabilities of the model before training, computed now.

        Args:
            micro_batch: the pairs, on the model's device.
            features: image features (`image_features`) that policy and reference share; None: encode the pictures.
        """
        with self.policy.reference(), self.precision():
            return answer_logprobs(self.policy.model, micro_batch.batch, self.policy.family, features=features)

    def loss(self, scores: Scores, reference: Float[Tensor, " A"], micro_batch: MicroBatch) -> LossOutput:
        """Loss of every pair from the log-probabilities of all A answers.

        Args:
            scores: the policy's log-probabilities.
            reference: the reference's, summed over each answer.
            micro_batch: which of the answers are chosen, rejected, or chosen under a corrupted picture.
        """
        ratio = scores.sums - reference
        ratios = LogRatios(ratio[micro_batch.chosen], ratio[micro_batch.rejected])
        tokens = scores.lengths
        per_token = ratios.per_token(tokens[micro_batch.chosen], tokens[micro_batch.rejected])
        nll = losses.sft_anchor(scores.sums[micro_batch.chosen], tokens[micro_batch.chosen])
        loss = self._preference(ratios, per_token)
        if self.settings.sft_anchor:
            loss = loss + self.settings.sft_anchor * nll
        if self.settings.image_anchor:
            loss = loss + self.settings.image_anchor * losses.image_anchor(ratios.chosen, beta=self.settings.beta)
        if micro_batch.corrupted is not None:
            corrupted = ratio[micro_batch.corrupted]
            conditional = losses.image_conditional(ratios.chosen, corrupted, beta=self.settings.beta)
            loss = loss + self.settings.image_conditional * conditional
        return LossOutput(loss, self._metrics(ratios, per_token, nll))

    def _preference(self, ratios: LogRatios, per_token: LogRatios) -> Tensor:
        settings = self.settings
        if settings.kind == "ipo":
            return losses.ipo(per_token, tau=settings.beta)
        scaled = per_token if settings.length_normalised else ratios
        return losses.dpo_sigmoid(scaled, beta=settings.beta, label_smoothing=settings.label_smoothing)

    def _metrics(self, ratios: LogRatios, per_token: LogRatios, nll: Tensor) -> Tensor:
        margin = self.settings.beta * (ratios.chosen - ratios.rejected)
        drift = (per_token.chosen.abs() + per_token.rejected.abs()) / 2
        rewards = (self.settings.beta * ratios.chosen, self.settings.beta * ratios.rejected)
        return torch.stack([margin, (margin > 0).float(), *rewards, drift, nll], dim=1).detach()
