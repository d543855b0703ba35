"""Losses over pairs of a chosen and a rejected answer, against a reference or without one.

Shapes: P pairs. Every loss is one number for each pair, [P], and never averaged here.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import logsigmoid


class LogRatios(NamedTuple):
    """log pi(y|x) - log pi_ref(y|x) of both answers of each pair."""

    chosen: Float[Tensor, " P"]
    """Of the chosen answers."""
    rejected: Float[Tensor, " P"]
    """Of the rejected answers."""

    def per_token(self, chosen_tokens: Int[Tensor, " P"], rejected_tokens: Int[Tensor, " P"]) -> LogRatios:
        """The ratios divided by the answers' token counts.

        Args:
            chosen_tokens: scored tokens of the chosen answers; an answer without any counts as one token.
            rejected_tokens: scored tokens of the rejected answers, likewise.
        """
        return LogRatios(self.chosen / chosen_tokens.clamp(min=1), self.rejected / rejected_tokens.clamp(min=1))


def dpo_sigmoid(ratios: LogRatios, *, beta: float, label_smoothing: float = 0.0) -> Float[Tensor, " P"]:
    """Direct preference optimisation: -log sigmoid(m), where m = beta * (chosen - rejected) is the scaled margin.

    Args:
        ratios: log-ratios of both answers.
        beta: how closely the policy is held to the reference; larger is closer.
        label_smoothing: share e of pairs thought to be labelled the wrong way round; the loss is then
            -(1 - e) log sigmoid(m) - e log sigmoid(-m) (conservative DPO).

    Source: DPO eq. 7 of arXiv 2305.18290; label smoothing eq. 3 of "A note on DPO with noisy preferences" (E. Mitchell,
    2023).
    """
    margin = beta * (ratios.chosen - ratios.rejected)
    loss = -logsigmoid(margin) * (1 - label_smoothing)
    return loss - label_smoothing * logsigmoid(-margin) if label_smoothing else loss


def ipo(ratios: LogRatios, *, tau: float) -> Float[Tensor, " P"]:
    """Identity preference optimisation: (chosen - rejected - 1 / (2 tau))^2.

    Args:
        ratios: log-ratios per token (`LogRatios.per_token`), the form its authors used for their results.
        tau: strength of the regularisation; the margin is pulled towards 1 / (2 tau).

    Source: eq. 17 of arXiv 2310.12036.
    """
    return (ratios.chosen - ratios.rejected - 1 / (2 * tau)) ** 2


def hinge(ratios: LogRatios, *, beta: float) -> Float[Tensor, " P"]:
    """Hinge loss of sequence likelihood calibration: max(0, 1 - beta * (chosen - rejected)).

    A pair whose scaled margin is 1 or more has no loss and no gradient. By hand: beta 0.1, log-ratios 3 and -2 give
    1 - 0.5 = 0.5; log-ratios 8 and -2 give 0.

    Args:
        ratios: log-ratios of both answers.
        beta: scale of the margin; 1 / beta is the margin in nats from which on a pair counts as learnt.

    Source: eq. 1 of SLiC-HF, arXiv 2305.10425, on log-ratios in place of log-probabilities (hinge-norm of RSO, arXiv
    2309.06657).
    """
    return torch.relu(1 - beta * (ratios.chosen - ratios.rejected))


def robust(ratios: LogRatios, *, beta: float, label_smoothing: float) -> Float[Tensor, " P"]:
    """DPO whose expected loss under wrong labels is that under right ones: ((1 - e) l(m) - e l(-m)) / (1 - 2e).

    l(m) = -log sigmoid(m) is the loss of DPO at the scaled margin m. It falls without a lower bound as m grows. By
    hand: m = 0.5, e = 0.2 give (0.8 * 0.474077 - 0.2 * 0.974077) / 0.6 = 0.307410.

    Args:
        ratios: log-ratios of both answers.
        beta: how closely the policy is held to the reference; larger is closer.
        label_smoothing: share e of pairs that are labelled the wrong way round, below one half.

    Source: robust DPO, section 3 of arXiv 2403.00409.
    """
    margin = beta * (ratios.chosen - ratios.rejected)
    right, wrong = (1 - label_smoothing) * logsigmoid(margin), label_smoothing * logsigmoid(-margin)
    return (wrong - right) / (1 - 2 * label_smoothing)


class LogMeans(NamedTuple):
    """log pi(y|x) / |y|, the mean over the scored tokens, of both answers of each pair. There is no reference."""

    chosen: Float[Tensor, " P"]
    """Of the chosen answers."""
    rejected: Float[Tensor, " P"]
    """Of the rejected answers."""


def simpo(means: LogMeans, *, beta: float, gamma: float) -> Float[Tensor, " P"]:
    """Simple preference optimisation, without a reference: -log sigmoid(beta * (chosen - rejected) - gamma).

    By hand: means -1 and -1.5, beta 2, gamma 0.5 leave a margin of 1 - 0.5 = 0.5, whose loss is 0.474077.

    Args:
        means: log-probability of a token, on average, of both answers.
        beta: scale of the margin; a mean is far smaller than a sum, so that 2 to 10 are usual.
        gamma: margin that is wanted, in units of the scaled one.

    Source: eq. 6 of arXiv 2405.14734.
    """
    return -logsigmoid(beta * (means.chosen - means.rejected) - gamma)


def log_odds(means: Float[Tensor, " P"]) -> Float[Tensor, " P"]:
    """log(p / (1 - p)) of an answer whose tokens have the probability p in geometric mean.

    By hand: a mean of log 0.8 gives log 4 = 1.386294; log 0.5 gives 0.

    Args:
        means: log-probability of a token, on average; 0 counts as -1e-6, for certain answers have endless odds.

    Source: eq. 4 of arXiv 2403.07691.
    """
    bounded = means.clamp(max=-1e-6)
    return bounded - torch.log(-torch.expm1(bounded))


def orpo(means: LogMeans, *, weight: float) -> Float[Tensor, " P"]:
    """Odds ratio preference optimisation, without a reference: NLL(chosen) - weight * log sigmoid(log odds ratio).

    By hand: means log 0.8 and log 0.5 have the log odds ratio 1.386294, whose -log sigmoid is log 1.25 = 0.223144; with
    weight 0.1 the loss is 0.223144 + 0.022314 = 0.245458.

    Args:
        means: log-probability of a token, on average, of both answers.
        weight: lambda, of the odds ratio against the likelihood of the chosen answer.

    Source: eq. 6 and 7 of arXiv 2403.07691; the likelihood of the answer's tokens alone, not of the prompt's.
    """
    return -means.chosen - weight * logsigmoid(log_odds(means.chosen) - log_odds(means.rejected))


def sft_anchor(chosen: Float[Tensor, " P"], chosen_tokens: Int[Tensor, " P"]) -> Float[Tensor, " P"]:
    """Negative log-likelihood of the chosen answer per token.

    Args:
        chosen: log-probability of the chosen answers under the policy.
        chosen_tokens: their scored tokens; an answer without any counts as one token.

    Source: the NLL term of eq. 1 of arXiv 2404.19733.
    """
    return -chosen / chosen_tokens.clamp(min=1)


def image_conditional(
    chosen: Float[Tensor, " P"], corrupted: Float[Tensor, " P"], *, beta: float
) -> Float[Tensor, " P"]:
    """Conditional preference of mDPO, true picture over corrupted one: -log sigmoid(beta * (chosen - corrupted)).

    Args:
        chosen: log-ratios of the chosen answers with their true pictures.
        corrupted: log-ratios of the same answers with corrupted pictures.
        beta: scale of the margin, as in DPO.

    Source: CoPO, section 3 of arXiv 2406.11839.
    """
    return -logsigmoid(beta * (chosen - corrupted))


def image_anchor(chosen: Float[Tensor, " P"], *, beta: float, delta: float = 0.0) -> Float[Tensor, " P"]:
    """Anchor of mDPO on the chosen answer's reward: -log sigmoid(beta * chosen - delta).

    Args:
        chosen: log-ratios of the chosen answers.
        beta: scale of the log-ratio, as in DPO.
        delta: reward that a chosen answer should exceed.

    Source: AncPO, section 3 of arXiv 2406.11839.
    """
    return -logsigmoid(beta * chosen - delta)


def bradley_terry(
    chosen: Float[Tensor, " P"], rejected: Float[Tensor, " P"], *, centre: float = 0.0
) -> Float[Tensor, " P"]:
    """Loss of a reward model: -log sigmoid(r_chosen - r_rejected).

    Args:
        chosen: rewards of the chosen answers.
        rejected: rewards of the rejected answers.
        centre: weight of (r_chosen + r_rejected)^2, which keeps rewards around zero.

    Source: eq. 2 of arXiv 2305.18290; the centring term eq. 2 of arXiv 2312.09244.
    """
    loss = -logsigmoid(chosen - rejected)
    return loss + centre * (chosen + rejected) ** 2 if centre else loss
