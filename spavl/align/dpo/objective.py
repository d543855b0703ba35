"""From a forward pass to a loss for every pair, as the settings put it together, and the numbers worth watching."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, final

import torch
from torch import Tensor

from spavl.align import losses
from spavl.align.data.batches import MicroBatch
from spavl.align.losses import LogRatios
from spavl.align.policy.policy import Policy
from spavl.align.training.trainer import LossOutput
from spavl.config.align import LossSettings
from spavl.models.trees.score import Scores, answer_logprobs, image_features

METRICS = ("margin", "accuracy", "reward_chosen", "reward_rejected", "drift", "nll_chosen")
"""What `Judged.watched` holds, in this order: beta times the difference of log-ratios; how often it is above nought;
beta times the log-ratio of either answer; mean absolute log-ratio per token, a distance from the reference on the
data; negative log-likelihood of the chosen answer per token."""


@final
class PreferenceObjective:
    """A loss over pairs, measured against the policy's own reference unless log-probabilities were recorded."""

    metrics: tuple[str, ...] = METRICS

    def __init__(
        self, policy: Policy, settings: LossSettings, precision: Callable[[], AbstractContextManager[Any]] = nullcontext
    ) -> None:
        self.policy = policy
        self.settings = settings
        self.precision = precision
        still = policy.counts["vision"].trained == policy.counts["projector"].trained == 0
        self._pictures_stand_still = still

    def __call__(self, model: Any, one: MicroBatch) -> LossOutput:
        """Loss of every pair. `model` is the policy's model, wrapped for the devices or not."""
        family = self.policy.family
        features = None
        if one.reference is None and self._pictures_stand_still:
            with torch.no_grad(), self.precision():
                features = image_features(self.policy.model, one.batch, family)
        reference = one.reference if one.reference is not None else self.reference(one, features).sums
        with self.precision():
            scores = answer_logprobs(model, one.batch, family, features=features)
        return self.judge(scores, reference, one)

    def reference(self, one: MicroBatch, features: Any = None) -> Scores:
        """Log-probabilities of the model as it was, computed now."""
        with self.policy.reference(), self.precision():
            return answer_logprobs(self.policy.model, one.batch, self.policy.family, features=features)

    def judge(self, scores: Scores, reference: Tensor, one: MicroBatch) -> LossOutput:
        """The loss itself: `scores` and `reference` are of all A answers, [A]."""
        ratio = scores.sums - reference
        pairs = LogRatios(ratio[one.chosen], ratio[one.rejected])
        tokens = scores.lengths
        even = pairs.per_token(tokens[one.chosen], tokens[one.rejected])
        nll = losses.sft_anchor(scores.sums[one.chosen], tokens[one.chosen])
        loss = self._preference(pairs, even)
        if self.settings.sft_anchor:
            loss = loss + self.settings.sft_anchor * nll
        if self.settings.image_anchor:
            loss = loss + self.settings.image_anchor * losses.image_anchor(pairs.chosen, beta=self.settings.beta)
        if one.corrupted is not None:
            seen = losses.image_conditional(pairs.chosen, ratio[one.corrupted], beta=self.settings.beta)
            loss = loss + self.settings.image_conditional * seen
        return LossOutput(loss, self._watched(pairs, even, nll))

    def _preference(self, pairs: LogRatios, even: LogRatios) -> Tensor:
        settings = self.settings
        if settings.kind == "ipo":
            return losses.ipo(even, tau=settings.beta)
        ratios = even if settings.length_normalised else pairs
        return losses.dpo_sigmoid(ratios, beta=settings.beta, label_smoothing=settings.label_smoothing)

    def _watched(self, pairs: LogRatios, even: LogRatios, nll: Tensor) -> Tensor:
        margin = self.settings.beta * (pairs.chosen - pairs.rejected)
        drift = (even.chosen.abs() + even.rejected.abs()) / 2
        rewards = (self.settings.beta * pairs.chosen, self.settings.beta * pairs.rejected)
        return torch.stack([margin, (margin > 0).float(), *rewards, drift, nll], dim=1).detach()
