"""Modules whose annotations, the shapes of tensors among them, are checked at every call while tests run."""

from __future__ import annotations

CHECKED = (
    "spavl.align.data.batches",
    "spavl.align.data.lengths",
    "spavl.align.data.micro_batch",
    "spavl.align.data.mismatched",
    "spavl.align.dpo.objective",
    "spavl.align.losses.pairs",
    "spavl.align.losses.reinforcement",
    "spavl.align.losses.unpaired",
    "spavl.align.policy.checkpoint",
    "spavl.align.policy.freeze",
    "spavl.align.policy.lora",
    "spavl.align.policy.policy",
    "spavl.align.ppo.advantages",
    "spavl.align.ppo.models",
    "spavl.align.ppo.rollout",
    "spavl.align.ppo.update",
    "spavl.align.reward.accuracy",
    "spavl.align.reward.model",
    "spavl.align.training.trainer",
    "spavl.miniworld.train_language",
    "spavl.miniworld.train_vision",
    "spavl.models.families.attention",
    "spavl.models.families.family",
    "spavl.models.families.positions",
    "spavl.models.sampling",
    "spavl.models.trees.answer_cache",
    "spavl.models.trees.batch",
    "spavl.models.trees.generate",
    "spavl.models.trees.lm_head",
    "spavl.models.trees.pack",
    "spavl.models.trees.score",
)
"""Every module in which public functions take or return tensors, or public dataclasses hold them."""
