"""The loss over pairs on a micro-batch, as the settings put it together: forward passes, reference, baseline."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, final

import torch
from jaxtyping import Float
from torch import Tensor

from spavl.align import losses
from spavl.align.data.micro_batch import MicroBatch, MismatchedBatch
from spavl.align.dpo.formulas import UnpairedFormula, formula_of
from spavl.align.policy.policy import Policy
from spavl.align.training.trainer import LossOutput
from spavl.config.loss import LossSettings
from spavl.models.trees.batch import TreeBatch
from spavl.models.trees.score import Scores, answer_logprobs, image_features


@final
class PreferenceObjective:
    """A loss over pairs, against recorded reference log-probabilities, the policy's own reference, or none.

    Args:
        policy: the model in training.
        settings: which losses, and their weights.
        precision: makes a context of the arithmetic that the model computes in.
    """

    def __init__(
        self, policy: Policy, settings: LossSettings, precision: Callable[[], AbstractContextManager[Any]] = nullcontext
    ) -> None:
        self.policy = policy
        self.settings = settings
        self.precision = precision
        self._formula = formula_of(settings)
        trained_vision = policy.counts["vision"].trained + policy.counts["projector"].trained
        self._shares_image_features = trained_vision == 0

    @property
    def metrics(self) -> tuple[str, ...]:
        """Names of the metrics."""
        return self._formula.metrics

    def begin_step(self, model: Any, micro_batches: Iterable[MicroBatch], add_up: Callable[[Tensor], Tensor]) -> None:
        """Find KTO's baseline of a step: the mean log-ratio of its prompts' answers to other prompts. Else nothing.

        The same however the step is cut into forward passes and shared by devices, which all take part.

        Args:
            model: the policy's model, wrapped for the devices or not.
            micro_batches: this device's passes of the step.
            add_up: adds a tensor [N] up over all devices.
        """
        if not isinstance(self._formula, UnpairedFormula):
            return
        found = torch.zeros(2, device=self.policy.model.device)
        for micro_batch in micro_batches:
            assert micro_batch.mismatched is not None, "the dataset makes them for this loss"
            ratios = self._mismatched_ratios(model, micro_batch.mismatched.to(found.device))
            found += micro_batch.weight * torch.stack([ratios.sum(), ratios.new_tensor(len(ratios))]).float()
        self._formula.baseline = losses.kto_baseline(*add_up(found))

    def __call__(self, model: Any, micro_batch: MicroBatch) -> LossOutput:
        """Loss of every pair, by a forward pass of the policy, and one of the reference where the loss has a live one.

        Args:
            model: the policy's model, wrapped for the devices (DDP, FSDP) or not.
            micro_batch: the pairs, on the model's device.
        """
        reference, features = self._reference_of(micro_batch.batch, micro_batch.reference)
        with self.precision():
            scores = answer_logprobs(model, micro_batch.batch, self.policy.family, features=features)
        return self.loss(scores, reference, micro_batch)

    def reference(self, micro_batch: MicroBatch, features: Any = None) -> Scores:
        """Log-probabilities of the model before training, computed now.

        Args:
            micro_batch: the pairs, on the model's device.
            features: image features (`image_features`) that policy and reference share; None: encode the pictures.
        """
        return self._reference(micro_batch.batch, features)

    def loss(self, scores: Scores, reference: Float[Tensor, " A"] | None, micro_batch: MicroBatch) -> LossOutput:
        """Loss of every pair, from log-probabilities of all answers.

        Args:
            scores: of the policy.
            reference: of the reference; None where the loss has none.
            micro_batch: the pairs.
        """
        return self._formula(scores, reference, micro_batch)

    def _reference(self, batch: TreeBatch, features: Any) -> Scores:
        with self.policy.reference(), self.precision():
            return answer_logprobs(self.policy.model, batch, self.policy.family, features=features)

    def _reference_of(
        self, batch: TreeBatch, recorded: Float[Tensor, " A"] | None
    ) -> tuple[Float[Tensor, " A"] | None, Any]:
        """Log-probabilities under the reference, where the loss has one, and image features that the policy shares."""
        if recorded is not None or not self.settings.has_reference:
            return recorded, None
        features = None
        if self._shares_image_features:
            with torch.no_grad(), self.precision():
                features = image_features(self.policy.model, batch, self.policy.family)
        return self._reference(batch, features).sums, features

    def _mismatched_ratios(self, model: Any, mismatched: MismatchedBatch) -> Float[Tensor, " M"]:
        """Log-ratios of answers to other prompts, without gradients."""
        reference, features = self._reference_of(mismatched.batch, mismatched.reference)
        assert reference is not None, "the loss has one"
        with torch.no_grad(), self.precision():
            sums = answer_logprobs(model, mismatched.batch, self.policy.family, features=features).sums
        return (sums - reference)[mismatched.answers]
