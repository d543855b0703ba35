"""PPO trainings that are small enough for tests, and what is compared of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from safetensors.torch import load_file
from torch import Tensor

from spavl.align.policy.policy import load_policy
from spavl.align.ppo.advantages import Experience
from spavl.align.ppo.models import load_ppo_models
from spavl.align.ppo.rollout import Rollout, RolloutBatch, RolloutPrompt
from spavl.align.ppo.update import PPOTrainer
from spavl.config.align import AlignSettings
from spavl.models.identity import Checkpoint

SMALL = {"prompts": 12, "max_tokens": 14, "critic_learning_rate": 3e-3, "answers": 2}

Scored = tuple[list[Rollout], list[list[RolloutBatch]], dict[int, Any], Experience]
"""A round's rollouts, minibatches, image features and scores."""


def ppo_settings(settings_for: Callable[..., AlignSettings], **sections: Any) -> AlignSettings:
    """Settings of a small PPO training; sections are given as mappings."""
    return settings_for(method="ppo", ppo=SMALL | sections.pop("ppo", {}), **sections)


def new_trainer(settings: AlignSettings, reward: Path, checkpoint: Path) -> PPOTrainer:
    """A training before its first round."""
    policy = load_policy(settings, Checkpoint(checkpoint), dtype="float32", device="cpu")
    models = load_ppo_models(settings, policy, reward, compute=torch.float32, device=torch.device("cpu"))
    return PPOTrainer(models, settings, Accelerator(cpu=True), rounds=4, packing="tree")


def score_round(trainer: PPOTrainer, prompts: Sequence[RolloutPrompt]) -> Scored:
    """A round's answers, generated and scored without an update."""
    rollouts = trainer.generate(prompts)
    minibatches = trainer.minibatches(rollouts)
    features = trainer.encode_pictures(minibatches)
    return rollouts, minibatches, features, trainer.score_rollouts(minibatches, features, rollouts)


def weights(folder: Path) -> dict[str, Tensor]:
    """Weights of the checkpoint that a training wrote."""
    return load_file(folder / "checkpoint" / "model.safetensors")


def assert_same(one: Mapping[str, Tensor], other: Mapping[str, Tensor], **tolerance: float) -> None:
    """Weights are equal, to the bit unless there is a tolerance."""
    assert one.keys() == other.keys()
    for name in one:
        good = torch.allclose(one[name], other[name], **tolerance) if tolerance else torch.equal(one[name], other[name])
        assert good, name


def metrics(folder: Path) -> list[dict[str, float]]:
    """The lines of `metrics.jsonl`, without the seconds."""
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{name: value for name, value in row.items() if "seconds" not in name} for row in rows]
