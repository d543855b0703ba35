"""One round of PPO: generate answers, score them with every model, compute advantages, update policy and critic.

Each of several devices generates for and trains on its own pictures; gradients are summed over devices and divided by
the tokens of the whole minibatch, so the result does not depend on how many devices there are.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, final

import torch
from accelerate import Accelerator
from torch import Tensor
from torch.nn.utils import clip_grad_norm_

from spavl.align import losses
from spavl.align.data.pixels import PixelCache
from spavl.align.losses import Advantages
from spavl.align.ppo.advantages import (
    Experience,
    RewardNormalizer,
    compute_advantages,
    fit_reward_normalizer,
    next_multiplier,
    rollout_metrics,
    token_rewards,
)
from spavl.align.ppo.models import PPOModels
from spavl.align.ppo.rollout import (
    GenerationConfig,
    Rollout,
    RolloutBatch,
    RolloutPrompt,
    batch_rollouts,
    check_round_size,
    generate_rollouts,
    group_by_context,
    split_to,
)
from spavl.align.reward.model import autocast_to
from spavl.align.training.rates import highest_rate, rate_schedule, split_by_rate
from spavl.align.training.trainer import inference_mode
from spavl.config.align import AlignSettings
from spavl.errors import RunError, SettingsError
from spavl.models.trees.batch import Packing

ADAM_EPSILON = 1e-5
"""As in the code behind arXiv 2009.01325; the usual 1e-8 lets rarely moved weights jump."""
STEP_METRICS = ("loss", "clipped", "ratio_gap", "value_loss", "value_clipped")
"""Logged of every optimiser step; `ratio_gap` is the mean of |ratio - 1|."""


@dataclass
class PPOState:
    """What a training carries from round to round beside weights, optimiser and learning-rate schedule."""

    rounds: int = 0
    """Rounds done."""
    normalizer: RewardNormalizer | None = None
    """Fitted to the rewards of the first round; None before it."""
    multiplier: float = 1.0
    """Lagrange multiplier of the constraint on the cost."""


@final
class PPOTrainer:
    """A training in progress on one device of perhaps several.

    Args:
        models: policy, reward model, critic and cost model, on the device.
        settings: the training's settings.
        accelerator: sums over devices, and knows which of them this is.
        rounds: rounds of the whole training, which the learning-rate schedule spans.
        packing: how answers about one picture share its tokens.
    """

    def __init__(
        self, models: PPOModels, settings: AlignSettings, accelerator: Accelerator, *, rounds: int, packing: Packing
    ) -> None:
        self.models = models
        self.packing = packing
        self.settings = settings
        self.accelerator = accelerator
        self.state = PPOState(multiplier=settings.ppo.cost.start if settings.ppo.cost else 1.0)
        self._ppo = settings.ppo
        self._pixel_cache = PixelCache(models.policy.family, settings.machine.picture_memory << 20)
        self._groups = [list(group.values()) for group in models.trained().values() if group]
        self.optimiser = _optimiser(self._groups, models, settings)
        self.schedule = rate_schedule(
            self.optimiser, settings.optimiser, rounds * self._ppo.epochs * self._ppo.minibatches
        )

    def run_round(self, prompts: Sequence[RolloutPrompt]) -> dict[str, float]:
        """Generate, score, compute advantages, update; returns the round's metrics over all devices.

        Args:
            prompts: those of the round, over all devices.
        """
        clock = [time.perf_counter()]
        rollouts = self.generate(prompts)
        clock.append(time.perf_counter())
        minibatches = self.minibatches(rollouts)
        features = self.encode_pictures(minibatches)
        experience = self.score_rollouts(minibatches, features, rollouts)
        clock.append(time.perf_counter())
        advantages = self.estimate_advantages(experience)
        metrics = rollout_metrics(experience, self.sum_over_devices) | self._update_multiplier(experience)
        steps = [
            self.update(minibatch, experience, advantages, features)
            for _ in range(self._ppo.epochs)
            for minibatch in minibatches
        ]
        clock.append(time.perf_counter())
        self.state.rounds += 1
        gap = _generation_gap(rollouts, experience)
        metrics["commonest"] = self._commonest(rollouts)
        return {**metrics, **_mean_metrics(steps), **_seconds(clock), "drawn_gap": gap}

    def _commonest(self, rollouts: Sequence[Rollout]) -> float:
        """Share of the round's answers that are the commonest one of their device, word for word."""
        most = Counter(one.answer_tokens for one in rollouts).most_common(1)[0][1]
        own = torch.tensor([most, len(rollouts)], device=self.accelerator.device)
        same, count = self.sum_over_devices(own).tolist()
        return float(same / count)

    def generate(self, prompts: Sequence[RolloutPrompt]) -> list[Rollout]:
        """This device's share of the round's answers, which are the same however many devices there are.

        Args:
            prompts: those of the round, over all devices.

        Raises:
            SettingsError: there are fewer prompts than minibatches on all devices.
        """
        devices = self.accelerator.num_processes
        check_round_size(self._ppo, devices)
        groups = split_to(group_by_context(prompts), devices * self._ppo.minibatches)
        mine = groups[self.accelerator.process_index :: devices]
        config = GenerationConfig(
            answers_per_prompt=self._ppo.answers,
            max_new_tokens=self._ppo.max_tokens,
            seed=f"{self.settings.seed}/{self.state.rounds}",
            token_budget=self._ppo.generation_token_budget,
            packing=self.packing,
        )
        policy, own = self.models.policy, [prompt for group in mine for prompt in group]
        with inference_mode(policy.model), autocast_to(self.accelerator.device, self.models.compute):
            return generate_rollouts(policy.model, policy.family, own, config, self._pixel_cache)

    def minibatches(self, rollouts: Sequence[Rollout]) -> list[list[RolloutBatch]]:
        """The round's minibatches in random order, each cut into forward passes.

        No context is in two of them, but where there are fewer contexts than minibatches.

        Args:
            rollouts: this device's answers.
        """
        groups: dict[str, list[int]] = {}
        for index, one in enumerate(rollouts):
            groups.setdefault(one.prompt.context, []).append(index)
        order = split_to(list(groups.values()), self._ppo.minibatches)
        random.Random(f"{self.settings.seed}/{self.state.rounds}/parts").shuffle(order)
        count, device = self._ppo.minibatches, self.accelerator.device
        shares = [[index for group in order[first::count] for index in group] for first in range(count)]
        return [[rollout_batch.to(device) for rollout_batch in self._batches(rollouts, share)] for share in shares]

    def _batches(self, rollouts: Sequence[Rollout], indices: Sequence[int]) -> list[RolloutBatch]:
        family, budget = self.models.policy.family, self.settings.batching.token_budget
        return batch_rollouts(rollouts, indices, family, self._pixel_cache, token_budget=budget, packing=self.packing)

    def encode_pictures(self, minibatches: Sequence[Sequence[RolloutBatch]]) -> dict[int, Any]:
        """Image features by the `id` of each forward pass; None where the models do not share them.

        Args:
            minibatches: the forward passes of each minibatch.
        """
        passes = (rollout_batch for minibatch in minibatches for rollout_batch in minibatch)
        return {id(rollout_batch): self.models.encode_pictures(rollout_batch) for rollout_batch in passes}

    @torch.no_grad()  # type: ignore[untyped-decorator]
    def score_rollouts(
        self,
        minibatches: Sequence[Sequence[RolloutBatch]],
        image_features: dict[int, Any],
        rollouts: Sequence[Rollout],
    ) -> Experience:
        """What policy, reference, critic, reward and cost model give for the answers before the first update.

        Args:
            minibatches: the forward passes of each minibatch.
            image_features: what `encode_pictures` gave for them.
            rollouts: this device's answers.
        """
        models, device = self.models, self.accelerator.device
        experience = _empty_experience(rollouts, minibatches[0][0].mask.shape[1], device, cost=models.cost is not None)
        for one in (rollout_batch for minibatch in minibatches for rollout_batch in minibatch):
            rows, features = list(one.indices), image_features[id(one)]
            experience.mask[rows] = one.mask
            experience.old_logprobs[rows] = models.logprobs(one, features)
            experience.reference_logprobs[rows] = models.reference_logprobs(one, features)
            experience.values[rows] = models.values(one, features)
            experience.rewards[rows] = models.reward.read(one.batch, one.last, features=features)
            if models.cost is not None and experience.costs is not None:
                experience.costs[rows] = models.cost.read(one.batch, one.last, features=features)
        return experience

    def estimate_advantages(self, experience: Experience) -> Advantages:
        """Advantages and returns, [B, T] each; the first round's rewards fit the normaliser for the whole training.

        Args:
            experience: this device's answers.
        """
        if self.state.normalizer is None:
            self.state.normalizer = (
                fit_reward_normalizer(experience.rewards, self.sum_over_devices)
                if self._ppo.normalize_reward
                else RewardNormalizer()
            )
        normalizer = self.state.normalizer
        rewards = token_rewards(experience, self._ppo, normalizer, self.state.multiplier)
        return compute_advantages(experience, rewards, self._ppo, normalizer, self.sum_over_devices)

    def update(
        self,
        minibatch: Sequence[RolloutBatch],
        experience: Experience,
        advantages: Advantages,
        image_features: dict[int, Any],
    ) -> dict[str, float]:
        """One optimiser step of policy and critic on a minibatch; returns its metrics over all devices.

        Args:
            minibatch: its forward passes.
            experience: this device's answers of the round.
            advantages: theirs.
            image_features: what `encode_pictures` gave for the forward passes.
        """
        tokens = self.sum_over_devices(torch.stack([one.mask.sum() for one in minibatch]).sum())
        sums = torch.zeros(len(STEP_METRICS), device=self.accelerator.device)
        for one in minibatch:
            share, features = one.mask.sum() / tokens, image_features[id(one)]
            sums[:3] += share * self._policy_backward(one, experience, advantages, features, share)
            if self.models.critic is not None:
                sums[3:] += share * self._critic_backward(one, experience, advantages, features, share)
        self._sum_gradients()
        largest = self.settings.optimiser.max_grad_norm or float("inf")
        norms = [clip_grad_norm_(group, largest) for group in self._groups]
        metrics = dict(zip(STEP_METRICS, self.sum_over_devices(sums).tolist(), strict=True))
        if not all(torch.isfinite(norm) for norm in norms):
            raise _not_finite(self.state.rounds + 1)
        rates = self.schedule.get_last_lr()
        self.optimiser.step()
        self.schedule.step()
        self.optimiser.zero_grad()
        for who, norm, rate in zip(("policy", "critic"), norms, rates, strict=False):
            metrics |= {f"norm_{who}": float(norm), f"rate_{who}": float(rate)}
        return metrics

    def _policy_backward(
        self, one: RolloutBatch, experience: Experience, advantages: Advantages, features: Any, share: Tensor
    ) -> Tensor:
        """Backward pass of the policy's loss times `share`; loss, share of clipped tokens and ratio gap, [3]."""
        rows, clip_range = list(one.indices), self._ppo.clip_range
        logprobs, old_logprobs = self.models.logprobs(one, features), experience.old_logprobs[rows]
        loss, clipped = losses.ppo_policy(
            logprobs, old_logprobs, advantages.advantages[rows], one.mask, clip_range=clip_range
        )
        (loss * share).backward()
        with torch.no_grad():
            ratio = torch.exp(logprobs - old_logprobs)
            return torch.stack([loss, clipped, losses.masked_mean((ratio - 1).abs(), one.mask)])

    def _critic_backward(
        self, one: RolloutBatch, experience: Experience, advantages: Advantages, features: Any, share: Tensor
    ) -> Tensor:
        """Backward pass of the critic's loss times `share`; loss and share of clipped tokens, [2]."""
        rows, normalizer = list(one.indices), self.state.normalizer
        assert normalizer is not None, "advantages are estimated before the first update"
        values = normalizer.normalize(self.models.values(one, features, train=True)) * one.mask
        old_values = normalizer.normalize(experience.values[rows]) * one.mask
        loss, clipped = losses.ppo_value(
            values, old_values, advantages.returns[rows], one.mask, clip_range=self._ppo.value_clip_range
        )
        (loss * share).backward()
        return torch.stack([loss, clipped]).detach()

    def _sum_gradients(self) -> None:
        """Sum gradients over devices; every weight takes part, whether a device's own answers touched it or not."""
        if self.accelerator.num_processes == 1:
            return
        for weight in (weight for group in self._groups for weight in group):
            gradient = torch.zeros_like(weight) if weight.grad is None else weight.grad
            weight.grad = self.sum_over_devices(gradient)

    def _update_multiplier(self, experience: Experience) -> dict[str, float]:
        """Move the constraint's multiplier by the round's mean cost; returns that cost and the old multiplier."""
        if experience.costs is None or self._ppo.cost is None:
            return {}
        sums = torch.stack([experience.costs.sum(), torch.ones_like(experience.costs).sum()])
        cost, count = self.sum_over_devices(sums).tolist()
        used = self.state.multiplier
        self.state.multiplier = next_multiplier(used, cost / count, self._ppo.cost)
        return {"cost": cost / count, "multiplier": used}

    def sum_over_devices(self, tensor: Tensor) -> Tensor:
        """The tensor summed over all devices, of the same shape.

        Args:
            tensor: [...] this device's summand.
        """
        return self.accelerator.reduce(tensor, reduction="sum")


def _empty_experience(rollouts: Sequence[Rollout], width: int, device: torch.device, *, cost: bool) -> Experience:
    """Zeros to be filled batch by batch."""
    by_token = torch.zeros((len(rollouts), width), device=device)
    by_answer = torch.zeros(len(rollouts), device=device)
    return Experience(
        mask=by_token.bool(),
        old_logprobs=by_token,
        reference_logprobs=by_token.clone(),
        values=by_token.clone(),
        rewards=by_answer,
        costs=by_answer.clone() if cost else None,
        ended=torch.tensor([one.ended for one in rollouts], device=device),
    )


def _optimiser(groups: Sequence[Sequence[Tensor]], models: PPOModels, settings: AlignSettings) -> torch.optim.Optimizer:
    """AdamW on policy and critic; every part of the policy has its own learning rate."""
    if settings.optimiser.name != "adamw":
        raise SettingsError("PPO trains with adamw only.", where="align.optimiser.name", try_="adamw")
    highest = (settings.optimiser.learning_rate, settings.ppo.critic_learning_rate)
    rates = {id(weight): rate for group, rate in zip(groups, highest, strict=False) for weight in group}
    for name, weight in models.policy.trained().items():
        rates[id(weight)] = highest_rate(models.policy.part_of(name), settings.optimiser)
    whole = [{"params": list(group), "lr": rate} for group, rate in zip(groups, highest, strict=False)]
    decay = settings.optimiser.weight_decay
    return torch.optim.AdamW(split_by_rate(whole, rates), eps=ADAM_EPSILON, weight_decay=decay, fused=True)


def _mean_metrics(steps: Sequence[dict[str, float]]) -> dict[str, float]:
    """Means over a round's steps, and how far the first step's ratios were from 1 (they should not be)."""
    means = {name: sum(one[name] for one in steps) / len(steps) for name in steps[0]}
    return {**means, "ratio_gap_first": steps[0]["ratio_gap"]}


def _generation_gap(rollouts: Sequence[Rollout], experience: Experience) -> float:
    """Largest difference between a log-probability when sampled and when scored: should be rounding, no more."""
    sampled = torch.zeros_like(experience.old_logprobs)
    for row, one in enumerate(rollouts):
        sampled[row, : len(one.logprobs)] = torch.from_numpy(one.logprobs)
    return float(((sampled - experience.old_logprobs) * experience.mask).abs().max())


def _seconds(clock: Sequence[float]) -> dict[str, float]:
    """Seconds spent on generating, scoring and updating."""
    names = ("draw", "look", "step")
    return {f"seconds_{name}": b - a for name, a, b in zip(names, clock, clock[1:], strict=False)}


def _not_finite(number: int) -> RunError:
    return RunError(
        f"The gradient is not a finite number in round {number}.",
        where="align.ppo",
        try_="A lower align.optimiser.learning_rate or critic_learning_rate, or dtype float32.",
    )
