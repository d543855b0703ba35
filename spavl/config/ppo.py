"""Settings of the reward model and of PPO."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt, model_validator

from spavl.config.base import Section

Share = Annotated[float, Field(ge=0, le=1)]


class RewardSettings(Section):
    """The reward model: one number for an answer to a question about a picture."""

    folder: str | None = None
    """A reward model that is already trained, for `method: ppo`. None: one is trained first."""
    pairs: str | None = None
    """Pairs that the reward model of `method: ppo` is trained on, as `--pairs` takes them: PPO itself reads only the
    prompts of its own. None: the same pairs."""
    centre: NonNegativeFloat = 0.0
    """Weight of (r_chosen + r_rejected)², which keeps rewards around zero (arXiv 2312.09244)."""

    @model_validator(mode="after")
    def _trains_on_something(self) -> RewardSettings:
        if self.folder and self.pairs:
            raise ValueError("`folder` names a reward model that is already trained: leave `pairs` out")
        return self


class CostSettings(Section):
    """A second reward model whose mean must stay below a limit (Safe RLHF, arXiv 2310.12773)."""

    model: str
    """Folder of a reward model trained with the worse answer as the chosen one: a high number is harm."""
    limit: float = 0.0
    """Largest mean cost of a round, in the cost model's own numbers."""
    start: PositiveFloat = 1.0
    """The multiplier of the first round: the advantage is (reward - multiplier × cost) / (1 + multiplier)."""
    most: PositiveFloat = 20.0
    """Largest multiplier."""
    rate: PositiveFloat = 0.1
    """How fast the logarithm of the multiplier follows the excess over the limit."""


class PPOSettings(Section):
    """Reinforcement learning from a reward model: rounds of generating answers, scoring them, and training on them.

    Answers are sampled at temperature 1 from the whole distribution, as they are scored: anything else would make the
    ratios wrong.
    """

    estimator: Literal["gae", "rloo"] = "gae"
    """`gae`: PPO with a critic that starts as the reward model. `rloo`: no critic, an answer is compared to
    the others to its own question (arXiv 2402.14740)."""
    prompts: PositiveInt = 64
    """Questions in one round, over all devices."""
    answers: PositiveInt = 1
    """Answers sampled to each question; `rloo` needs two or more."""
    max_tokens: PositiveInt = 256
    """Longest answer, in tokens."""
    epochs: PositiveInt = 1
    """Times a round's answers are trained on."""
    minibatches: PositiveInt = 1
    """Optimiser steps in each of these times."""
    critic_learning_rate: PositiveFloat = 2e-5
    """Highest rate of the critic; the policy's is `optimiser.learning_rate`."""
    kl_coef: NonNegativeFloat = 0.1
    """Penalty for each nat of log-probability gained over the reference (estimator k1), token by token; larger holds
    the policy closer to it."""
    gamma: Share = 1.0
    """Discount of later rewards; 1 discounts nothing."""
    gae_lambda: Share = 0.95
    """Lambda of GAE: 1 trusts the sampled answers alone, 0 the critic alone."""
    clip_range: PositiveFloat = 0.2
    """Probability ratios beyond 1 ± this give no further gain; larger allows larger steps of the policy."""
    value_clip_range: PositiveFloat = 0.2
    """How far a value of the critic may move from the old one within a round."""
    whiten: bool = True
    """Advantages of a round get mean 0 and variance 1 over its tokens."""
    normalize_reward: bool = True
    """Rewards are shifted and scaled once, so that the reference's own answers in the first round have mean 0 and
    variance 1."""
    missing_eos_penalty: NonNegativeFloat = 1.0
    """Taken from the reward of an answer that was cut before its end token."""
    generation_token_budget: PositiveInt = 131_072
    """Most tokens, questions counted, held in memory while answers are generated on one device; larger is faster."""
    cost: CostSettings | None = None
    """A constraint on top of the reward. None: no constraint."""

    @model_validator(mode="after")
    def _compares_something(self) -> PPOSettings:
        if self.estimator == "rloo" and self.answers < 2:
            raise ValueError("`rloo` compares answers to one question: `answers` must be at least 2")
        return self
