"""The numbers of one round: from what the models saw of its answers to advantages. No model in here.

Letters in shapes: B rollouts of this device, T tokens of the longest of them, K answers to a question.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from spavl.align import losses
from spavl.align.losses import Advantages
from spavl.config.ppo import CostSettings, PPOSettings

SumOverDevices = Callable[[Tensor], Tensor]
"""Adds a tensor up over all devices."""


@dataclass(frozen=True, eq=False)
class Experience:
    """What everybody saw of a round's answers before the first step on them."""

    mask: Tensor
    """[B, T] true on the answers' own tokens."""
    old: Tensor
    """[B, T] log-probabilities of the policy that drew them."""
    reference: Tensor
    """[B, T] log-probabilities of the model as it was."""
    values: Tensor
    """[B, T] the critic's, in the reward model's own numbers."""
    scores: Tensor
    """[B] reward, in its own numbers."""
    costs: Tensor | None
    """[B] cost, in its own numbers."""
    ended: Tensor
    """[B] true where the answer came to its end token."""


@dataclass(frozen=True, slots=True)
class RewardNormalizer:
    """Rewards are read as (reward - mean) / deviation, and so are values."""

    mean: float = 0.0
    deviation: float = 1.0

    def of(self, token_rewards: Tensor) -> Tensor:
        """The same numbers, standardised."""
        return (token_rewards - self.mean) / self.deviation


def fit_reward_normalizer(scores: Tensor, total: SumOverDevices) -> RewardNormalizer:
    """Mean and deviation over all devices."""
    count = total(torch.tensor(float(len(scores)), device=scores.device))
    mean = total(scores.sum()) / count
    deviation = (total(((scores - mean) ** 2).sum()) / count).sqrt()
    return RewardNormalizer(mean.item(), max(deviation.item(), 1e-6))


def token_rewards(seen: Experience, settings: PPOSettings, standard: RewardNormalizer, multiplier: float) -> Tensor:
    """[B, T] reward of every token: -kl × k1, and on the last token the standardised score.

    An answer that was cut loses `missing_end`. With a cost the score is (score - multiplier × cost) / (1 + multiplier):
    advantages are linear in rewards, so one critic of this sum serves for both (arXiv 2310.12773 has one for each).
    """
    score = standard.of(seen.scores) - settings.missing_eos_penalty * (~seen.ended).float()
    if seen.costs is not None:
        score = losses.lagrangian_advantages(score, seen.costs, multiplier)
    priced = -settings.kl_coef * losses.kl_k1(seen.old, seen.reference) * seen.mask
    last = (seen.mask.sum(1) - 1)[:, None]
    return priced.scatter_add(1, last, score[:, None].to(priced.dtype))


def compute_advantages(
    seen: Experience, reward: Tensor, settings: PPOSettings, standard: RewardNormalizer, total: SumOverDevices
) -> Advantages:
    """Advantages and returns, [B, T] each, 0 beyond the end; advantages whitened over all devices' tokens if asked for.

    For `rloo` rows are in order of questions, the K answers to one together, and all tokens of an answer have one
    advantage: the answer's whole reward against the mean of the others.
    """
    if settings.estimator == "rloo":
        whole = reward.sum(1).view(-1, settings.answers)
        each = losses.rloo_advantages(whole).view(-1, 1) * seen.mask
        gained = Advantages(each, torch.zeros_like(each))
    else:
        values = standard.of(seen.values) * seen.mask
        gained = losses.gae(reward, values, seen.mask, gamma=settings.gamma, gae_lambda=settings.gae_lambda)
    if not settings.whiten:
        return gained
    centred = settings.estimator == "gae"
    return Advantages(losses.whiten(gained.advantages, seen.mask, shift=centred, total=total), gained.returns)


def next_multiplier(now: float, mean_cost: float, cost: CostSettings) -> float:
    """The constraint's multiplier after a round whose mean cost was `mean_cost`, eq. 12 of arXiv 2310.12773:
    ln multiplier grows by rate × multiplier × (mean cost - limit)."""
    ceiling = math.log(cost.most)
    return math.exp(min(math.log(now) + cost.rate * now * (mean_cost - cost.limit), ceiling))


def rollout_metrics(seen: Experience, total: SumOverDevices) -> dict[str, float]:
    """What is worth watching of a round, over all devices."""
    kl = (losses.kl_k1(seen.old, seen.reference) * seen.mask).sum()
    rollouts, tokens, ended = float(len(seen.scores)), seen.mask.sum().float(), seen.ended.sum().float()
    sums = torch.stack([seen.scores.sum(), kl, -(seen.old * seen.mask).sum(), tokens, ended])
    sums = total(torch.cat([sums, sums.new_tensor([rollouts])]))
    score, gap, surprise, words, ends, count = sums.tolist()
    return {
        "reward": score / count,
        "kl": gap / count,
        "kl_token": gap / words,
        "entropy": surprise / words,
        "length": words / count,
        "ended": ends / count,
    }
