"""From the scores of a round's answers to rewards per token and advantages; no model in here.

Letters in shapes: B rollouts of this device, T tokens of the longest of them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from spavl.align import losses
from spavl.align.losses import Advantages
from spavl.config.ppo import CostSettings, PPOSettings

SumOverDevices = Callable[[Tensor], Tensor]
"""Adds a tensor of any shape up over all devices."""


@dataclass(frozen=True, eq=False)
class Experience:
    """What policy, reference, critic and reward model gave for a round's answers before the first update on them."""

    mask: Bool[Tensor, "B T"]
    """True on the answers' own tokens."""
    old_logprobs: Float[Tensor, "B T"]
    """Log-probabilities under the policy that generated them; like all others here 0 beyond the end."""
    reference_logprobs: Float[Tensor, "B T"]
    """Log-probabilities under the model before training."""
    values: Float[Tensor, "B T"]
    """The critic's value before each token, not normalised."""
    rewards: Float[Tensor, " B"]
    """Reward of each answer, not normalised."""
    costs: Float[Tensor, " B"] | None
    """Cost of each answer, not normalised; None without a constraint."""
    ended: Bool[Tensor, " B"]
    """True where the answer came to its end token."""


@dataclass(frozen=True, slots=True)
class RewardNormalizer:
    """Rewards and values shifted and scaled: (reward - mean) / deviation."""

    mean: float = 0.0
    """What is subtracted."""
    deviation: float = 1.0
    """Standard deviation, by which is divided."""

    def normalize(self, rewards: Float[Tensor, " *shape"]) -> Float[Tensor, " *shape"]:
        """Normalised rewards or values.

        Args:
            rewards: rewards [B] or values [B, T].
        """
        return (rewards - self.mean) / self.deviation


def fit_reward_normalizer(rewards: Float[Tensor, " B"], sum_over_devices: SumOverDevices) -> RewardNormalizer:
    """The normaliser that gives rewards mean 0 and variance 1 over all devices.

    Args:
        rewards: this device's rewards.
        sum_over_devices: adds up over all devices.
    """
    count = sum_over_devices(torch.tensor(float(len(rewards)), device=rewards.device))
    mean = sum_over_devices(rewards.sum()) / count
    deviation = (sum_over_devices(((rewards - mean) ** 2).sum()) / count).sqrt()
    return RewardNormalizer(mean.item(), max(deviation.item(), 1e-6))


def token_rewards(
    experience: Experience, settings: PPOSettings, normalizer: RewardNormalizer, multiplier: float
) -> Float[Tensor, "B T"]:
    """Reward of every token: the KL penalty -kl_coef * k1, and on the last token the answer's normalised reward.

    An answer that was cut loses `missing_eos_penalty`. With a cost the answer's reward becomes
    (reward - multiplier * cost) / (1 + multiplier): advantages are linear in rewards, so one critic of this sum serves
    for both, where Safe RLHF (arXiv 2310.12773) has one for each.

    Args:
        experience: the round's answers.
        settings: `kl_coef` and `missing_eos_penalty`.
        normalizer: of the rewards; costs are taken as they are.
        multiplier: the Lagrange multiplier of the constraint on the cost.
    """
    rewards = normalizer.normalize(experience.rewards)
    rewards = rewards - settings.missing_eos_penalty * (~experience.ended).float()
    if experience.costs is not None:
        rewards = losses.lagrangian_advantages(rewards, experience.costs, multiplier)
    k1 = losses.kl_k1(experience.old_logprobs, experience.reference_logprobs)
    penalties = -settings.kl_coef * k1 * experience.mask
    last = (experience.mask.sum(1) - 1)[:, None]
    return penalties.scatter_add(1, last, rewards[:, None].to(penalties.dtype))


def compute_advantages(
    experience: Experience,
    rewards: Float[Tensor, "B T"],
    settings: PPOSettings,
    normalizer: RewardNormalizer,
    sum_over_devices: SumOverDevices,
) -> Advantages:
    """Advantages and returns, [B, T] each, 0 beyond the end; whitened over all devices' tokens if `settings.whiten`.

    For `rloo` all tokens of an answer have one advantage: the answer's whole reward less the mean of the others to its
    prompt.

    Args:
        experience: the round's answers; for `rloo` in order of prompts, the answers to one prompt one behind the other.
        rewards: reward of every token (`token_rewards`).
        settings: the estimator and its numbers.
        normalizer: of the values.
        sum_over_devices: adds up over all devices.
    """
    mask = experience.mask
    if settings.estimator == "rloo":
        of_answers = losses.rloo_advantages(rewards.sum(1).view(-1, settings.answers))
        of_tokens = of_answers.view(-1, 1) * mask
        estimated = Advantages(of_tokens, torch.zeros_like(of_tokens))
    else:
        values = normalizer.normalize(experience.values) * mask
        estimated = losses.gae(rewards, values, mask, gamma=settings.gamma, gae_lambda=settings.gae_lambda)
    if not settings.whiten:
        return estimated
    shift = settings.estimator == "gae"
    whitened = losses.whiten(estimated.advantages, mask, shift=shift, total=sum_over_devices)
    return Advantages(whitened, estimated.returns)


def next_multiplier(multiplier: float, mean_cost: float, cost: CostSettings) -> float:
    """The constraint's multiplier after a round: its logarithm grows by rate * multiplier * (mean cost - limit).

    Args:
        multiplier: of the round.
        mean_cost: the round's, over all devices.
        cost: the limit, the rate and the largest multiplier.

    Source: eq. 12 of arXiv 2310.12773.
    """
    ceiling = math.log(cost.most)
    return math.exp(min(math.log(multiplier) + cost.rate * multiplier * (mean_cost - cost.limit), ceiling))


def rollout_metrics(experience: Experience, sum_over_devices: SumOverDevices) -> dict[str, float]:
    """Metrics of a round's answers over all devices: reward, KL to the reference, entropy, length, share that ended.

    Args:
        experience: this device's answers.
        sum_over_devices: adds up over all devices.
    """
    mask, logprobs, rewards = experience.mask, experience.old_logprobs, experience.rewards
    total_kl = (losses.kl_k1(logprobs, experience.reference_logprobs) * mask).sum()
    sums = [rewards.sum(), total_kl, -(logprobs * mask).sum(), mask.sum().float(), experience.ended.sum().float()]
    stacked = torch.cat([torch.stack(sums), rewards.new_tensor([float(len(rewards))])])
    reward, kl_sum, surprise, tokens, ended, count = sum_over_devices(stacked).tolist()
    return {
        "reward": reward / count,
        "kl": kl_sum / count,
        "kl_token": kl_sum / tokens,
        "entropy": surprise / tokens,
        "length": tokens / count,
        "ended": ended / count,
    }
