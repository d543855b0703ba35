"""Every loss as a pure function on tensors, with its source.

Letters in shapes: P pairs, B rollouts, T answer tokens, G prompts, K answers a prompt. A log-probability of an answer
is the sum over its scored tokens unless a docstring says otherwise. Preference losses return one number a pair, (P,),
and are never averaged here: the trainer divides their sum by the pairs of the whole step.

Left out: losses that mix pairs of a batch (AOT), and f-divergences other than the reverse KL.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid


class LogRatios(NamedTuple):
    """log pi(y|x) - log pi_ref(y|x) of both answers; each (P,)."""

    chosen: Tensor
    rejected: Tensor

    def per_token(self, chosen_tokens: Tensor, rejected_tokens: Tensor) -> LogRatios:
        """The same divided by the answers' token counts, each (P,)."""
        return LogRatios(self.chosen / chosen_tokens.clamp(min=1), self.rejected / rejected_tokens.clamp(min=1))


def dpo_sigmoid(ratios: LogRatios, *, beta: float, label_smoothing: float = 0.0) -> Tensor:
    """DPO, eq. 7 of arXiv 2305.18290: -log sigmoid(beta * (chosen - rejected)); returns (P,).

    With `label_smoothing` e the conservative form, eq. 3 of "A note on DPO with noisy preferences" (E. Mitchell, 2023):
    -(1 - e) log sigmoid(m) - e log sigmoid(-m), m the scaled margin.
    """
    margin = beta * (ratios.chosen - ratios.rejected)
    loss = -logsigmoid(margin) * (1 - label_smoothing)
    return loss - label_smoothing * logsigmoid(-margin) if label_smoothing else loss


def ipo(ratios: LogRatios, *, tau: float) -> Tensor:
    """IPO, eq. 17 of arXiv 2310.12036: (chosen - rejected - 1 / (2 tau))^2; returns (P,).

    `ratios` are per token (`LogRatios.per_token`): the form its authors used for their results.
    """
    return (ratios.chosen - ratios.rejected - 1 / (2 * tau)) ** 2


def sft_anchor(chosen: Tensor, chosen_tokens: Tensor) -> Tensor:
    """Negative log-likelihood of the chosen answer per token, eq. 1 of arXiv 2404.19733; (P,), (P,) -> (P,)."""
    return -chosen / chosen_tokens.clamp(min=1)


def image_conditional(seeing: Tensor, corrupted: Tensor, *, beta: float) -> Tensor:
    """The conditional preference of mDPO (CoPO, section 3 of arXiv 2406.11839): the true picture
    against a spoilt one, the same answer.

    `seeing`, `spoilt`: log-ratios of the chosen answer with the true and with the spoilt picture, each (P,). Returns
    -log sigmoid(beta * (seeing - spoilt)), (P,).
    """
    return -logsigmoid(beta * (seeing - corrupted))


def image_anchor(seeing: Tensor, *, beta: float, delta: float = 0.0) -> Tensor:
    """The anchor of mDPO (AncPO, section 3 of arXiv 2406.11839): -log sigmoid(beta * seeing - delta), (P,) -> (P,)."""
    return -logsigmoid(beta * seeing - delta)


def bradley_terry(chosen: Tensor, rejected: Tensor, *, centre: float = 0.0) -> Tensor:
    """Reward model, eq. 2 of arXiv 2305.18290: -log sigmoid(r_chosen - r_rejected); (P,), (P,) -> (P,).

    `centre` adds centre * (r_chosen + r_rejected)^2, eq. 2 of arXiv 2312.09244, which keeps rewards around nought.
    """
    loss = -logsigmoid(chosen - rejected)
    return loss + centre * (chosen + rejected) ** 2 if centre else loss


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Mean of `values` (B, T) where `mask` (B, T) is true; a scalar, nought where nothing is."""
    return (values * mask).sum() / mask.sum().clamp(min=1)


def whiten(
    values: Tensor, mask: Tensor, *, shift: bool = True, total: Callable[[Tensor], Tensor] = torch.sum
) -> Tensor:
    """`values` (B, T) with variance 1 over the tokens in `mask` (B, T), mean 0 unless `shift` is false; 0 elsewhere.

    `total` adds a scalar up over all devices, where the tokens of one batch are spread over them.
    """
    count = total(mask.sum()).clamp(min=1)
    mean = total((values * mask).sum()) / count
    variance = total(((values - mean) ** 2 * mask).sum()) / count
    whitened = (values - mean) * torch.rsqrt(variance + 1e-8)
    return (whitened if shift else whitened + mean) * mask


def kl_k1(logps: Tensor, reference: Tensor) -> Tensor:
    """Estimator k1 of KL(pi || pi_ref) at sampled tokens, http://joschu.net/blog/kl-approx.html; all (B, T)."""
    return logps - reference


class Advantages(NamedTuple):
    """Generalised advantages and the returns that the critic is fitted to; each (B, T), 0 outside the mask."""

    advantages: Tensor
    returns: Tensor


def gae(rewards: Tensor, values: Tensor, mask: Tensor, *, gamma: float = 1.0, gae_lambda: float = 0.95) -> Advantages:
    """Generalised advantage estimation, eq. 11-16 of arXiv 1506.02438; all (B, T).

    `mask` is true on the answer's tokens, which start at 0 in every row. An answer is an episode: beyond its last
    token the value is nought. delta_t = r_t + gamma * V_{t+1} - V_t; A_t = delta_t + gamma * lam * A_{t+1}.
    """
    mask = mask.to(values.dtype)
    values, rewards = values * mask, rewards * mask
    carried = torch.zeros_like(values[:, 0])
    following = torch.zeros_like(values[:, 0])
    steps = []
    for t in range(values.shape[1] - 1, -1, -1):
        delta = rewards[:, t] + gamma * following - values[:, t]
        carried = (delta + gamma * gae_lambda * carried) * mask[:, t]
        following = values[:, t]
        steps.append(carried)
    advantages = torch.stack(steps[::-1], dim=1)
    return Advantages(advantages, (advantages + values) * mask)


class Clipped(NamedTuple):
    """A clipped loss (scalar) and the share of tokens where clipping took hold (scalar)."""

    loss: Tensor
    clipped: Tensor


def ppo_policy(logps: Tensor, old: Tensor, advantages: Tensor, mask: Tensor, *, clip_range: float = 0.2) -> Clipped:
    """Clipped surrogate, eq. 7 of arXiv 1707.06347, negated; all (B, T), averaged over the mask's tokens."""
    ratio = torch.exp(logps - old)
    plain = -advantages * ratio
    bounded = -advantages * ratio.clamp(1 - clip_range, 1 + clip_range)
    return Clipped(masked_mean(torch.maximum(plain, bounded), mask), masked_mean((bounded > plain).float(), mask))


def ppo_value(values: Tensor, old: Tensor, returns: Tensor, mask: Tensor, *, clip_range: float = 0.2) -> Clipped:
    """Half the critic's squared error, the worse of plain and clipped around `old`; all (B, T), mean over the mask."""
    plain = (values - returns) ** 2
    bounded = (torch.clamp(values, old - clip_range, old + clip_range) - returns) ** 2
    return Clipped(0.5 * masked_mean(torch.maximum(plain, bounded), mask), masked_mean((bounded > plain).float(), mask))


def rloo_advantages(rewards: Tensor) -> Tensor:
    """Leave-one-out, eq. 8 of arXiv 2402.14740: reward less the mean of the prompt's other answers; both (G, K)."""
    answers = rewards.shape[1]
    if answers < 2:
        raise ValueError("RLOO needs at least two answers a prompt")
    return (rewards - rewards.mean(dim=1, keepdim=True)) * answers / (answers - 1)


def lagrangian_advantages(reward: Tensor, cost: Tensor, multiplier: float) -> Tensor:
    """Safe RLHF, eq. 11 of arXiv 2310.12773 on advantages: (A_reward - lambda * A_cost) / (1 + lambda); (B, T) each."""
    return (reward - multiplier * cost) / (1 + multiplier)
