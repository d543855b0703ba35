"""One round of PPO: draw answers, look at them with everybody's eyes, weigh them, step.

Several devices each draw and train on their own pictures; gradients are added up by hand and divided by the tokens of
the whole minibatch, so the result does not depend on how many they are.
"""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, final

import torch
from accelerate import Accelerator
from torch import Tensor
from torch.nn.utils import clip_grad_norm_
from transformers import get_scheduler

from spavl.align import losses
from spavl.align.losses import Advantages
from spavl.align.ppo import advantages as ppo_round
from spavl.align.ppo.advantages import Experience, RewardNormalizer
from spavl.align.ppo.models import PPOModels
from spavl.align.ppo.rollout import (
    GenerationConfig,
    PixelCache,
    Rollout,
    RolloutBatch,
    RolloutPrompt,
    batch_rollouts,
    generate_rollouts,
    group_by_picture,
)
from spavl.align.training.trainer import inference_mode
from spavl.config.align import AlignSettings
from spavl.errors import RunError, SettingsError
from spavl.models.trees.batch import Packing

ADAM_EPSILON = 1e-5
"""As in the code behind arXiv 2009.01325; the usual 1e-8 lets rarely moved weights jump."""
STEP_METRICS = ("loss", "clipped", "ratio_gap", "value_loss", "value_clipped")
"""Watched in every optimiser step; `ratio_gap` is the mean of |ratio - 1|."""


@dataclass
class PPOState:
    """What a training carries from round to round, beside weights and optimiser."""

    rounds: int = 0
    """Rounds done."""
    standard: RewardNormalizer | None = None
    multiplier: float = 1.0


@final
class PPOTrainer:
    """A training in progress on one device of perhaps several."""

    def __init__(
        self, cast: PPOModels, settings: AlignSettings, accelerator: Accelerator, *, rounds: int, packing: Packing
    ) -> None:
        self.cast = cast
        self.packing = packing
        self.settings = settings
        self.accelerator = accelerator
        self.done = PPOState(multiplier=settings.ppo.cost.start if settings.ppo.cost else 1.0)
        self._wanted = settings.ppo
        self._pictures = PixelCache(cast.policy.family, settings.machine.picture_memory << 20)
        trained = cast.trained()
        self._groups = [list(group.values()) for group in trained.values() if group]
        self.optimiser = _optimiser(self._groups, settings)
        self.schedule = _schedule(self.optimiser, settings, rounds * self._wanted.epochs * self._wanted.minibatches)

    def round(self, asks: Sequence[RolloutPrompt]) -> dict[str, float]:
        """Draw, look, weigh, step. Returns what is worth watching, over all devices."""
        clock = [time.perf_counter()]
        rollouts = self.draw(asks)
        clock.append(time.perf_counter())
        parts = self.parts(rollouts)
        features = {id(bunch): self.cast.features(bunch) for part in parts for bunch in part}
        seen = self.look(parts, features, rollouts)
        clock.append(time.perf_counter())
        gained = self.weigh(seen)
        told = ppo_round.rollout_metrics(seen, self.total) | self._constrain(seen)
        moved = [self.step(part, seen, gained, features) for _ in range(self._wanted.epochs) for part in parts]
        clock.append(time.perf_counter())
        self.done.rounds += 1
        return {**told, **_mean_metrics(moved), **_seconds(clock), "drawn_gap": _generation_gap(rollouts, seen)}

    def draw(self, asks: Sequence[RolloutPrompt]) -> list[Rollout]:
        """This device's share of the round's answers. The same answers are drawn however many devices there are."""
        shelves = group_by_picture(asks)
        mine = shelves[self.accelerator.process_index :: self.accelerator.num_processes]
        if len(shelves) < self.accelerator.num_processes * self._wanted.minibatches:
            raise SettingsError(
                f"A round of {len(asks)} questions has {len(shelves)} pictures, too few for "
                f"{self._wanted.minibatches} minibatches on {self.accelerator.num_processes} devices.",
                where="align.ppo.prompts",
                try_="Use more prompts a round, or fewer minibatches.",
            )
        drawing = GenerationConfig(
            each=self._wanted.answers,
            most=self._wanted.max_tokens,
            seed=f"{self.settings.seed}/{self.done.rounds}",
            budget=self._wanted.generation_token_budget,
            packing=self.packing,
        )
        policy, asked = self.cast.policy, [ask for own in mine for ask in own]
        with inference_mode(policy.model):
            return generate_rollouts(policy.model, policy.family, asked, drawing, self._pictures)

    def parts(self, rollouts: Sequence[Rollout]) -> list[list[RolloutBatch]]:
        """The round's minibatches, each cut into forward passes. Whole pictures, shuffled."""
        shelves: dict[str, list[int]] = {}
        for number, one in enumerate(rollouts):
            shelves.setdefault(one.ask.picture.key, []).append(number)
        order = list(shelves.values())
        random.Random(f"{self.settings.seed}/{self.done.rounds}/parts").shuffle(order)
        count, device = self._wanted.minibatches, self.accelerator.device
        parts = [[number for shelf in order[part::count] for number in shelf] for part in range(count)]
        return [[bunch.to(device) for bunch in self._bunches(rollouts, part)] for part in parts]

    def _bunches(self, rollouts: Sequence[Rollout], numbers: Sequence[int]) -> list[RolloutBatch]:
        budget = self.settings.batching.token_budget
        family = self.cast.policy.family
        return batch_rollouts(rollouts, numbers, family, self._pictures, token_budget=budget, packing=self.packing)

    @torch.no_grad()  # type: ignore[untyped-decorator]
    def look(
        self, parts: Sequence[Sequence[RolloutBatch]], features: dict[int, Any], rollouts: Sequence[Rollout]
    ) -> Experience:
        """What everybody sees of the answers before the first step."""
        shape = (len(rollouts), parts[0][0].mask.shape[1])
        table = torch.zeros(shape, device=self.accelerator.device)
        line = torch.zeros(len(rollouts), device=self.accelerator.device)
        cast, cost = self.cast, self.cast.cost
        seen = Experience(
            mask=table.bool(), old=table, reference=table.clone(), values=table.clone(), scores=line,
            costs=None if cost is None else line.clone(),
            ended=torch.tensor([one.ended for one in rollouts], device=line.device),
        )  # fmt: skip
        for bunch in (bunch for part in parts for bunch in part):
            rows, eyes = list(bunch.numbers), features[id(bunch)]
            seen.mask[rows] = bunch.mask
            seen.old[rows] = cast.logprobs(bunch, eyes)
            seen.reference[rows] = cast.reference(bunch, eyes)
            seen.values[rows] = cast.values(bunch, eyes)
            seen.scores[rows] = cast.reward.read(bunch.batch, bunch.last, features=eyes)
            if cost is not None and seen.costs is not None:
                seen.costs[rows] = cost.read(bunch.batch, bunch.last, features=eyes)
        return seen

    def weigh(self, seen: Experience) -> Advantages:
        """Advantages and returns, [B, T]. The first round's rewards set the standard for all."""
        if self.done.standard is None:
            wanted = self._wanted.normalize_reward
            self.done.standard = (
                ppo_round.fit_reward_normalizer(seen.scores, self.total) if wanted else RewardNormalizer()
            )
        reward = ppo_round.token_rewards(seen, self._wanted, self.done.standard, self.done.multiplier)
        return ppo_round.compute_advantages(seen, reward, self._wanted, self.done.standard, self.total)

    def step(
        self, part: Sequence[RolloutBatch], seen: Experience, gained: Advantages, features: dict[int, Any]
    ) -> dict[str, float]:
        """One optimiser step on a minibatch."""
        tokens = self.total(torch.stack([bunch.mask.sum() for bunch in part]).sum())
        sums = torch.zeros(len(STEP_METRICS), device=self.accelerator.device)
        for bunch in part:
            share = bunch.mask.sum() / tokens
            sums[:3] += share * self._policy_part(bunch, seen, gained, features[id(bunch)], share)
            if self.cast.critic is not None:
                sums[3:] += share * self._critic_part(bunch, seen, gained, features[id(bunch)], share)
        self._add_up_gradients()
        norms = [
            clip_grad_norm_(group, self.settings.optimiser.max_grad_norm or float("inf")) for group in self._groups
        ]
        told = dict(zip(STEP_METRICS, self.total(sums).tolist(), strict=True))
        if not all(torch.isfinite(norm) for norm in norms):
            raise _not_finite(self.done.rounds + 1)
        rates = self.schedule.get_last_lr()
        self.optimiser.step()
        self.schedule.step()
        self.optimiser.zero_grad()
        named = zip(("policy", "critic"), norms, rates, strict=False)
        return told | {
            f"{key}_{who}": float(n) for who, norm, rate in named for key, n in (("norm", norm), ("rate", rate))
        }

    def _policy_part(
        self, bunch: RolloutBatch, seen: Experience, gained: Advantages, eyes: Any, share: Tensor
    ) -> Tensor:
        rows = list(bunch.numbers)
        logprobs = self.cast.logprobs(bunch, eyes)
        loss, clipped = losses.ppo_policy(
            logprobs, seen.old[rows], gained.advantages[rows], bunch.mask, clip_range=self._wanted.clip_range
        )
        (loss * share).backward()
        with torch.no_grad():
            ratio = torch.exp(logprobs - seen.old[rows])
            return torch.stack([loss, clipped, losses.masked_mean((ratio - 1).abs(), bunch.mask)])

    def _critic_part(
        self, bunch: RolloutBatch, seen: Experience, gained: Advantages, eyes: Any, share: Tensor
    ) -> Tensor:
        rows, standard = list(bunch.numbers), self.done.standard
        assert standard is not None, "rewards are weighed before the first step"
        values = standard.of(self.cast.values(bunch, eyes, train=True)) * bunch.mask
        old = standard.of(seen.values[rows]) * bunch.mask
        loss, clipped = losses.ppo_value(
            values, old, gained.returns[rows], bunch.mask, clip_range=self._wanted.value_clip_range
        )
        (loss * share).backward()
        return torch.stack([loss, clipped]).detach()

    def _add_up_gradients(self) -> None:
        """Over all devices. Every trained weight takes part, whether a device's own answers touched it or not."""
        if self.accelerator.num_processes == 1:
            return
        for weight in (weight for group in self._groups for weight in group):
            weight.grad = self.total(torch.zeros_like(weight) if weight.grad is None else weight.grad)

    def _constrain(self, seen: Experience) -> dict[str, float]:
        """Move the constraint's multiplier by the round's mean cost."""
        if seen.costs is None or self._wanted.cost is None:
            return {}
        cost, count = self.total(torch.stack([seen.costs.sum(), torch.ones_like(seen.costs).sum()])).tolist()
        used = self.done.multiplier
        self.done.multiplier = ppo_round.next_multiplier(used, cost / count, self._wanted.cost)
        return {"cost": cost / count, "multiplier": used}

    def total(self, numbers: Tensor) -> Tensor:
        """Added up over all devices."""
        return self.accelerator.reduce(numbers, reduction="sum")


def _optimiser(groups: Sequence[Sequence[Tensor]], settings: AlignSettings) -> torch.optim.Optimizer:
    if settings.optimiser.name != "adamw":
        raise SettingsError("Reinforcement steps with adamw only.", where="align.optimiser.name", try_="adamw")
    rates = (settings.optimiser.learning_rate, settings.ppo.critic_learning_rate)
    return torch.optim.AdamW(
        [{"params": list(group), "lr": rate} for group, rate in zip(groups, rates, strict=False)],
        eps=ADAM_EPSILON,
        weight_decay=settings.optimiser.weight_decay,
        fused=True,
    )


def _schedule(optimiser: torch.optim.Optimizer, settings: AlignSettings, steps: int) -> Any:
    wanted = settings.optimiser
    name = "constant_with_warmup" if wanted.schedule == "constant" else wanted.schedule
    warmup = int(wanted.warmup if wanted.warmup >= 1 else wanted.warmup * steps)
    return get_scheduler(name, optimiser, num_warmup_steps=warmup, num_training_steps=steps)


def _mean_metrics(moved: Sequence[dict[str, float]]) -> dict[str, float]:
    """Means over a round's steps, and how far the first step's ratios were from 1 (they should not be)."""
    means = {name: sum(one[name] for one in moved) / len(moved) for name in moved[0]}
    return {**means, "ratio_gap_first": moved[0]["ratio_gap"]}


def _generation_gap(rollouts: Sequence[Rollout], seen: Experience) -> float:
    """Largest difference between a log-probability while drawing and when scored: should be rounding, no more."""
    told = torch.zeros_like(seen.old)
    for row, one in enumerate(rollouts):
        told[row, : len(one.told)] = torch.from_numpy(one.told)
    return float(((told - seen.old) * seen.mask).abs().max())


def _seconds(clock: Sequence[float]) -> dict[str, float]:
    names = ("draw", "look", "step")
    return {f"seconds_{name}": b - a for name, a, b in zip(names, clock, clock[1:], strict=False)}


def _not_finite(number: int) -> RunError:
    return RunError(
        f"The gradient is not a finite number in round {number}.",
        where="align.ppo",
        try_="A lower align.optimiser.learning_rate or critic_learning_rate, or dtype float32.",
    )
