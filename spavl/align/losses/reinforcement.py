"""Losses and advantages of PPO and RLOO.

Shapes: B rollouts, T answer tokens, G prompts, K answers to a prompt.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor


def masked_mean(values: Float[Tensor, "B T"], mask: Bool[Tensor, "B T"]) -> Float[Tensor, ""]:
    """Mean over the tokens in a mask; zero where the mask is empty.

    Args:
        values: one number for each token.
        mask: true on the tokens that count.
    """
    return (values * mask).sum() / mask.sum().clamp(min=1)


def whiten(
    values: Float[Tensor, "B T"],
    mask: Bool[Tensor, "B T"],
    *,
    shift: bool = True,
    total: Callable[[Tensor], Tensor] = torch.sum,
) -> Float[Tensor, "B T"]:
    """Values scaled to variance 1 and shifted to mean 0 over the tokens in a mask; 0 elsewhere.

    Args:
        values: one number for each token.
        mask: true on the tokens that count.
        shift: false keeps the mean.
        total: adds a scalar [] up over all devices, where the tokens of one batch are spread over them.
    """
    count = total(mask.sum()).clamp(min=1)
    mean = total((values * mask).sum()) / count
    variance = total(((values - mean) ** 2 * mask).sum()) / count
    whitened = (values - mean) * torch.rsqrt(variance + 1e-8)
    return (whitened if shift else whitened + mean) * mask


def kl_k1(logprobs: Float[Tensor, "B T"], reference: Float[Tensor, "B T"]) -> Float[Tensor, "B T"]:
    """Estimator k1 of KL(pi || pi_ref) at sampled tokens: log pi - log pi_ref.

    Args:
        logprobs: log-probabilities of the sampled tokens under the policy that sampled them.
        reference: log-probabilities of the same tokens under the reference.

    Source: http://joschu.net/blog/kl-approx.html
    """
    return logprobs - reference


class Advantages(NamedTuple):
    """Advantages of the policy and the returns that the critic is fitted to; both 0 outside the mask."""

    advantages: Float[Tensor, "B T"]
    """How much better each token did than the critic expected."""
    returns: Float[Tensor, "B T"]
    """Advantage plus value: the critic's target."""


def gae(
    rewards: Float[Tensor, "B T"],
    values: Float[Tensor, "B T"],
    mask: Bool[Tensor, "B T"],
    *,
    gamma: float = 1.0,
    gae_lambda: float = 0.95,
) -> Advantages:
    """Generalised advantage estimation over the tokens of each answer.

    An answer is an episode: beyond its last token the value is zero. With delta_t = r_t + gamma * V_{t+1} - V_t the
    advantage is A_t = delta_t + gamma * gae_lambda * A_{t+1}.

    Args:
        rewards: reward r of each token.
        values: the critic's value V before each token.
        mask: true on the answer's tokens, which start at 0 in every row.
        gamma: discount of later rewards.
        gae_lambda: 1 takes the whole sampled return (high variance), 0 the critic one token ahead (high bias).

    Source: eq. 11-16 of arXiv 1506.02438.
    """
    inside = mask.to(values.dtype)
    values, rewards = values * inside, rewards * inside
    advantage = torch.zeros_like(values[:, 0])
    next_value = torch.zeros_like(values[:, 0])
    backwards = []
    for t in range(values.shape[1] - 1, -1, -1):
        delta = rewards[:, t] + gamma * next_value - values[:, t]
        advantage = (delta + gamma * gae_lambda * advantage) * inside[:, t]
        next_value = values[:, t]
        backwards.append(advantage)
    advantages = torch.stack(backwards[::-1], dim=1)
    return Advantages(advantages, (advantages + values) * inside)


class Clipped(NamedTuple):
    """A clipped loss of PPO and how often its clipping took hold."""

    loss: Float[Tensor, ""]
    """Mean over the mask's tokens."""
    clipped: Float[Tensor, ""]
    """Share of the mask's tokens where clipping took hold."""


def ppo_policy(
    logprobs: Float[Tensor, "B T"],
    old_logprobs: Float[Tensor, "B T"],
    advantages: Float[Tensor, "B T"],
    mask: Bool[Tensor, "B T"],
    *,
    clip_range: float = 0.2,
) -> Clipped:
    """Clipped surrogate loss of the policy: max(-A * ratio, -A * clamp(ratio, 1 - clip_range, 1 + clip_range)).

    Args:
        logprobs: log-probabilities of the sampled tokens under the policy being trained.
        old_logprobs: log-probabilities of the same tokens when they were sampled.
        advantages: advantage A of each token.
        mask: true on the answers' tokens.
        clip_range: ratios beyond 1 ± clip_range give no further gain.

    Source: eq. 7 of arXiv 1707.06347, negated.
    """
    ratio = torch.exp(logprobs - old_logprobs)
    plain = -advantages * ratio
    bounded = -advantages * ratio.clamp(1 - clip_range, 1 + clip_range)
    return Clipped(masked_mean(torch.maximum(plain, bounded), mask), masked_mean((bounded > plain).float(), mask))


def ppo_value(
    values: Float[Tensor, "B T"],
    old_values: Float[Tensor, "B T"],
    returns: Float[Tensor, "B T"],
    mask: Bool[Tensor, "B T"],
    *,
    clip_range: float = 0.2,
) -> Clipped:
    """Half the critic's squared error, the larger of the plain one and the one of the clipped value.

    Args:
        values: values of the critic being trained.
        old_values: its values before the round.
        returns: the targets.
        mask: true on the answers' tokens.
        clip_range: how far a value may move from the old one.

    Source: OpenAI Baselines, https://github.com/openai/baselines/blob/master/baselines/ppo2/model.py
    """
    plain = (values - returns) ** 2
    bounded = (torch.clamp(values, old_values - clip_range, old_values + clip_range) - returns) ** 2
    return Clipped(0.5 * masked_mean(torch.maximum(plain, bounded), mask), masked_mean((bounded > plain).float(), mask))


def rloo_advantages(rewards: Float[Tensor, "G K"]) -> Float[Tensor, "G K"]:
    """Leave-one-out advantages: each answer's reward less the mean of the prompt's other answers.

    Args:
        rewards: reward of each of the K answers to each of the G prompts.

    Raises:
        ValueError: there is only one answer to a prompt.

    Source: eq. 8 of arXiv 2402.14740.
    """
    answers = rewards.shape[1]
    if answers < 2:
        raise ValueError("RLOO needs at least two answers a prompt")
    return (rewards - rewards.mean(dim=1, keepdim=True)) * answers / (answers - 1)


def lagrangian_advantages(
    reward: Float[Tensor, " B"], cost: Float[Tensor, " B"], multiplier: float
) -> Float[Tensor, " B"]:
    """Reward and cost mixed by the multiplier of a constraint: (reward - multiplier * cost) / (1 + multiplier).

    Args:
        reward: reward (or advantage, in which the mix is linear) of each answer.
        cost: cost of each answer, likewise.
        multiplier: the Lagrange multiplier; larger weighs the cost more.

    Source: Safe RLHF, eq. 11 of arXiv 2310.12773.
    """
    return (reward - multiplier * cost) / (1 + multiplier)
