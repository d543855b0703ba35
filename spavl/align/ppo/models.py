"""Who plays in PPO: policy, reference, reward model, critic — on one frozen base where they can be.

    policy      the trained model                         reference   the same with everything trained switched off
    reward      frozen; one number for an answer          critic      starts as the reward; one number for every moment
    cost        frozen; where the settings have a constraint

A reward model is an adapter on a base. Where the policy trains nothing but an adapter on the same base, they share it,
and the critic is one more adapter. Where the policy's weights are trained in place, or the reward model is whole, the
others have a base of their own.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, final

import torch
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
from spavl.models.identity import identity_of
from spavl.models.trees.score import answer_logprobs, image_features


@final
@dataclass(frozen=True, eq=False)
class PPOModels:
    """Everybody, on one device."""

    policy: Policy
    reward: ScalarHead
    critic: ScalarHead | None
    cost: ScalarHead | None
    compute: torch.dtype
    same_eyes: bool
    """Nobody trains tower or projector and all share one base, so a picture is encoded once for all of them."""

    def features(self, bunch: RolloutBatch) -> Any:
        """The bunch's pictures as everybody sees them; None where they do not see alike."""
        if not self.same_eyes:
            return None
        with torch.no_grad(), autocast_to(bunch.mask.device, self.compute):
            return image_features(self.policy.model, bunch.batch, self.policy.family)

    def logprobs(self, bunch: RolloutBatch, features: Any) -> Tensor:
        """[R, T] log-probabilities of the policy, float32, differentiable; 0 beyond the end."""
        with autocast_to(bunch.mask.device, self.compute):
            scores = answer_logprobs(self.policy.model, bunch.batch, self.policy.family, features=features)
        return bunch.spread(scores.logprobs)

    def reference(self, bunch: RolloutBatch, features: Any) -> Tensor:
        """[R, T] log-probabilities of the model as it was."""
        with self.policy.reference():
            return self.logprobs(bunch, features)

    def values(self, bunch: RolloutBatch, features: Any, *, train: bool = False) -> Tensor:
        """[R, T] the critic's value of the moment before every token; without a critic nought."""
        if self.critic is None:
            return torch.zeros_like(bunch.mask, dtype=torch.float32)
        read = self.critic.read(bunch.batch, bunch.batch.scored, features=features, train=train)
        return bunch.spread(read)

    def trained(self) -> dict[str, dict[str, Tensor]]:
        """Trained weights by name, of the policy and of the critic."""
        critic = {} if self.critic is None else self.critic.weights()
        return {"policy": self.policy.trained(), "critic": critic}


def load_ppo_models(
    settings: AlignSettings, policy: Policy, reward: Path, *, compute: torch.dtype, device: torch.device
) -> PPOModels:
    """Open reward, critic and cost beside a policy, and put everybody on the device.

    Raises ModelError where a folder is no reward model, or its base has changed.
    """
    wanted = settings.ppo
    policy.model.to(device)
    homes: dict[str, Any] = {}
    if policy.whole:
        homes[identity_of(base_spec(settings.model, settings.revision))] = policy.model
    judge = _open(reward, "reward", homes, policy, compute)
    cost = _open(Path(wanted.cost.model), "cost", homes, policy, compute) if wanted.cost else None
    critic = _critic(reward, judge) if wanted.estimator == "gae" else None
    everybody = [one for one in (judge, cost, critic) if one is not None]
    same = all(one.model is policy.model for one in everybody)
    seeing = [policy.counts["vision"].trained, policy.counts["projector"].trained]
    cast = PPOModels(
        policy,
        judge,
        critic,
        cost,
        compute,
        same and not any(seeing) and not any(map(_changes_image_features, everybody)),
    )
    for one in everybody:
        one.model.to(device).eval()
        one.head.to(device)
    if settings.machine.gradient_checkpointing:
        for model in {id(one): one for one in (policy.model, *(one.model for one in everybody))}.values():
            checkpoint_activations(model)
    return cast


def _open(folder: Path, name: str, homes: dict[str, Any], policy: Policy, compute: torch.dtype) -> ScalarHead:
    """A frozen reader: an adapter on a base that is already there, or a model of its own."""
    card = read_card(folder)
    base = homes.get(card["base_identity"])
    if base is not None and (folder / ADAPTER_FOLDER).is_dir():
        base.load_adapter(folder / ADAPTER_FOLDER, name, is_trainable=False, torch_device="cpu")
        home = ADAPTER if base is policy.model else None
        return ScalarHead(base, name, load_head(folder), policy.family, compute, home)
    alone = RewardModel.load(folder, device="cpu", dtype="bfloat16" if compute == torch.bfloat16 else "float32").reader
    if alone.adapter is not None:
        homes[card["base_identity"]] = alone.model
    return replace(alone, compute=compute)


def _critic(folder: Path, reward: ScalarHead) -> ScalarHead:
    """A copy of the reward model that trains what the reward model trained."""
    head = load_head(folder).requires_grad_(True)
    if reward.adapter is not None:
        reward.model.load_adapter(folder / ADAPTER_FOLDER, "critic", is_trainable=False, torch_device="cpu")
        return replace(reward, adapter="critic", head=head)
    model = copy.deepcopy(reward.model)
    trained = set(read_card(folder)["trained"])
    for name, weight in model.named_parameters():
        weight.requires_grad_(name in trained)
        weight.data = weight.data.float() if name in trained else weight.data
    return replace(reward, model=model, head=head)


def _changes_image_features(reader: ScalarHead) -> bool:
    """Whether it has weights of its own in tower or projector."""
    names = [name.removeprefix("base_model.model.") for name in reader.weights() if name != "head"]
    return any(reader.family.part_of(name) in ("vision", "projector") for name in names)
