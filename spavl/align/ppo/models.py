"""The models of PPO: policy, reference, reward model, critic and cost model, on one frozen base where they can be.

    policy      the model in training                     reference   the same with everything trained switched off
    reward      frozen; one number for an answer          critic      starts as the reward; one number for every token
    cost        frozen; where the settings have a constraint

A reward model is an adapter on a base. Where the policy trains nothing but an adapter on the same base, they share it,
and the critic is one more adapter. Where the policy's weights are trained in place, or the reward model is a whole
checkpoint, the others have a base of their own.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, final

import torch
from jaxtyping import Float
from torch import Tensor

from spavl.align.policy.policy import ADAPTER, Policy
from spavl.align.ppo.rollout import RolloutBatch
from spavl.align.reward.model import (
    ADAPTER_FOLDER,
    RewardModel,
    ScalarHead,
    autocast_to,
    base_spec,
    load_head,
    read_card,
)
from spavl.align.training.trainer import checkpoint_activations
from spavl.config.align import AlignSettings
from spavl.models.backends.local_adapter import put_adapter
from spavl.models.identity import identity_of
from spavl.models.trees.score import answer_logprobs, image_features


@final
@dataclass(frozen=True, eq=False)
class PPOModels:
    """Policy, reward model, critic and cost model on one device; the reference is the policy before training."""

    policy: Policy
    """The model in training."""
    reward: ScalarHead
    """The frozen reward model."""
    critic: ScalarHead | None
    """The critic in training; None for `rloo`."""
    cost: ScalarHead | None
    """The frozen cost model; None without a constraint."""
    compute: torch.dtype
    """Arithmetic of the policy; weights in training stay in float32."""
    shared_image_features: bool
    """All share one base whose tower and projector nobody trains, so a picture is encoded once for all of them."""

    def encode_pictures(self, rollout_batch: RolloutBatch) -> Any:
        """Image features of the batch's pictures that all models share; None where each encodes them itself.

        Args:
            rollout_batch: on the models' device.
        """
        if not self.shared_image_features:
            return None
        with torch.no_grad(), autocast_to(rollout_batch.mask.device, self.compute):
            return image_features(self.policy.model, rollout_batch.batch, self.policy.family)

    def logprobs(self, rollout_batch: RolloutBatch, features: Any) -> Float[Tensor, "R T"]:
        """Log-probabilities of the answers' tokens under the policy, float32, differentiable; 0 beyond the end.

        Args:
            rollout_batch: on the models' device.
            features: what `encode_pictures` gave for it.
        """
        with autocast_to(rollout_batch.mask.device, self.compute):
            scores = answer_logprobs(self.policy.model, rollout_batch.batch, self.policy.family, features=features)
        return rollout_batch.to_padded(scores.logprobs)

    def reference_logprobs(self, rollout_batch: RolloutBatch, features: Any) -> Float[Tensor, "R T"]:
        """Log-probabilities of the answers' tokens under the model before training; 0 beyond the end.

        Args:
            rollout_batch: on the models' device.
            features: what `encode_pictures` gave for it.
        """
        with self.policy.reference():
            return self.logprobs(rollout_batch, features)

    def values(self, rollout_batch: RolloutBatch, features: Any, *, train: bool = False) -> Float[Tensor, "R T"]:
        """The critic's value before every token, not normalised; 0 beyond the end, and without a critic everywhere.

        Args:
            rollout_batch: on the models' device.
            features: what `encode_pictures` gave for it.
            train: let gradients reach the critic.
        """
        if self.critic is None:
            return torch.zeros_like(rollout_batch.mask, dtype=torch.float32)
        batch = rollout_batch.batch
        return rollout_batch.to_padded(self.critic.read(batch, batch.scored, features=features, train=train))

    def trained(self) -> dict[str, dict[str, Tensor]]:
        """Weights in training, each [...] of its own shape: those of `policy` and of `critic`, by name."""
        critic = {} if self.critic is None else self.critic.weights()
        return {"policy": self.policy.trained(), "critic": critic}


def load_ppo_models(
    settings: AlignSettings, policy: Policy, reward: Path, *, compute: torch.dtype, device: torch.device
) -> PPOModels:
    """Load reward model, critic and cost model beside a policy, and put all of them on the device.

    Args:
        settings: the training's settings.
        policy: the model in training.
        reward: the reward model's folder.
        compute: arithmetic of all models.
        device: where they go.

    Raises:
        ModelError: a folder holds no reward model, or its base has changed.
    """
    policy.model.to(device)
    bases: dict[str, Any] = {}
    if policy.whole:
        bases[identity_of(base_spec(settings.model, settings.revision))] = policy.model
    reward_head = _load_frozen(reward, "reward", bases, policy, compute)
    constraint = settings.ppo.cost
    cost = _load_frozen(Path(constraint.model), "cost", bases, policy, compute) if constraint else None
    critic = _critic(reward, reward_head) if settings.ppo.estimator == "gae" else None
    heads = [head for head in (reward_head, cost, critic) if head is not None]
    models = PPOModels(policy, reward_head, critic, cost, compute, _share_image_features(policy, heads))
    for head in heads:
        head.model.to(device).eval()
        head.head.to(device)
    if settings.machine.gradient_checkpointing:
        for model in {id(one): one for one in (policy.model, *(head.model for head in heads))}.values():
            checkpoint_activations(model)
    return models


def _load_frozen(folder: Path, name: str, bases: dict[str, Any], policy: Policy, compute: torch.dtype) -> ScalarHead:
    """A frozen reward or cost model: an adapter on a base that is loaded already (`bases`), or a model of its own."""
    card = read_card(folder)
    base = bases.get(card["base_identity"])
    if base is not None and (folder / ADAPTER_FOLDER).is_dir():
        put_adapter(base, folder / ADAPTER_FOLDER, name)
        default_adapter = ADAPTER if base is policy.model else None
        return ScalarHead(base, name, load_head(folder), policy.family, compute, default_adapter)
    dtype = "bfloat16" if compute == torch.bfloat16 else "float32"
    alone = RewardModel.load(folder, device="cpu", dtype=dtype).scalar_head
    if alone.adapter is not None:
        bases[card["base_identity"]] = alone.model
    return replace(alone, compute=compute)


def _critic(folder: Path, reward: ScalarHead) -> ScalarHead:
    """A copy of the reward model that trains what the reward model trained."""
    head = load_head(folder).requires_grad_(True)
    if reward.adapter is not None:
        put_adapter(reward.model, folder / ADAPTER_FOLDER, "critic")
        return replace(reward, adapter="critic", head=head)
    model = copy.deepcopy(reward.model)
    trained = set(read_card(folder)["trained"])
    for name, weight in model.named_parameters():
        weight.requires_grad_(name in trained)
        weight.data = weight.data.float() if name in trained else weight.data
    return replace(reward, model=model, head=head)


def _share_image_features(policy: Policy, heads: list[ScalarHead]) -> bool:
    """Whether all are on the policy's base, and none of them trains or replaces tower or projector."""
    one_base = all(head.model is policy.model for head in heads)
    trained = policy.counts["vision"].trained or policy.counts["projector"].trained
    return one_base and not trained and not any(map(_changes_image_features, heads))


def _changes_image_features(head: ScalarHead) -> bool:
    """Whether it has weights of its own in tower or projector."""
    names = [name.removeprefix("base_model.model.") for name in head.weights() if name != "head"]
    return any(head.family.part_of(name) in ("vision", "projector") for name in names)
