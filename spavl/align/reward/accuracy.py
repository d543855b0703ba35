"""How often a reward model prefers the chosen answer, on pairs that it was not trained on.

Measured twice: with the pairs' own pictures, and with each pair's picture replaced by another's. Where the picture
decides which answer is better, the second must be near chance, or the reward ignores the picture.
"""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, final

import torch
from jaxtyping import Float
from torch import Tensor
from transformers import TrainerCallback
from typing_extensions import override

from spavl.align.data.pairs import Pair
from spavl.align.data.table import select
from spavl.align.reward.model import TOKEN_BUDGET, ScalarHead
from spavl.pictures import Picture


@dataclass(frozen=True, slots=True)
class RewardAccuracy:
    """How often the chosen answer has the higher reward, on pairs that were not trained on."""

    pairs: int
    """Pairs measured."""
    own_picture: float
    """Share of pairs, each with its own picture."""
    other_picture: float
    """Share of pairs, each with the picture of a random other pair: near chance where the picture decides."""
    by_class: Mapping[str, tuple[int, float]]
    """Pairs and accuracy (own picture) by class, where classes are known."""


def split_by_picture(pairs: Sequence[Pair], held_out: float, seed: int) -> tuple[Sequence[Pair], Sequence[Pair]]:
    """Pairs to train on and pairs held out; no picture is on both sides, and no question of text only.

    Args:
        pairs: all pairs.
        held_out: share of the pictures that is held out; above 0 at least one, if there are several. Pictures that a
            pair shows together count as one.
        seed: seeds which pictures.
    """
    names = _names_of_sides(pairs)
    keys = sorted(set(names))
    random.Random(f"{seed}/held out").shuffle(keys)
    apart = set(keys[: max(round(held_out * len(keys)), int(held_out > 0 and len(keys) > 1))])
    learn = [number for number, name in enumerate(names) if name not in apart]
    return select(pairs, learn), select(pairs, (number for number, name in enumerate(names) if name in apart))


def _names_of_sides(pairs: Sequence[Pair]) -> list[str]:
    """For each pair a name that it shares with all pairs that must be on its side: the least key of a picture that is
    linked to its own by pairs which show several; without pictures its context and question."""
    least: dict[str, str] = {}

    def root(key: str) -> str:
        while least.setdefault(key, key) != key:
            least[key] = key = least[least[key]]
        return key

    own = []
    for pair in pairs:
        keys = [picture.key for picture in pair.all_pictures] or [f"{pair.context}/{pair.question}"]
        roots = sorted({root(key) for key in keys})
        least.update(dict.fromkeys(roots, roots[0]))
        own.append(roots[0])
    return [root(key) for key in own]


def swap_pictures(pairs: Sequence[Pair], seed: int) -> list[Pair]:
    """Every pair with pictures of random other pairs in place of its own, where there are others.

    Args:
        pairs: the pairs.
        seed: seeds which pictures.
    """
    generator = random.Random(f"{seed}/swapped")
    pictures = [picture for pair in pairs for picture in pair.all_pictures]
    every = {picture.key for picture in pictures}

    def swapped(pair: Pair) -> Pair:
        own = {picture.key for picture in pair.all_pictures}

        def other(_: Picture) -> Picture:
            found = generator.choice(pictures)
            while found.key in own and own != every:
                found = generator.choice(pictures)
            return found

        return pair.with_pictures(other)

    return [swapped(pair) for pair in pairs]


def reward_margins(
    scalar_head: ScalarHead, pairs: Sequence[Pair], *, token_budget: int = TOKEN_BUDGET
) -> Float[Tensor, " P"]:
    """Reward of the chosen less that of the rejected answer of P pairs, float32, on the CPU.

    Args:
        scalar_head: the reward model's head on its model.
        pairs: the pairs.
        token_budget: most tokens of a padded batch.
    """
    rows = [replace(pair.row(), id=str(number)) for number, pair in enumerate(pairs)]
    margins = torch.zeros(len(pairs))
    for name, rewards in scalar_head.score(rows, token_budget=token_budget).items():
        margins[int(name)] = rewards[0] - rewards[1]
    return margins


def measure_accuracy(
    scalar_head: ScalarHead, pairs: Sequence[Pair], *, seed: int, classes: Mapping[str, str]
) -> RewardAccuracy:
    """Accuracy on pairs, with their own pictures and with those of others.

    Args:
        scalar_head: the reward model's head on its model.
        pairs: pairs that were not trained on.
        seed: seeds which other picture a pair gets.
        classes: class of a pair by its id, where it is known.
    """
    right = reward_margins(scalar_head, pairs) > 0
    right_swapped = reward_margins(scalar_head, swap_pictures(pairs, seed)) > 0
    kinds: dict[str, list[bool]] = {}
    for pair, good in zip(pairs, right.tolist(), strict=True):
        if pair.pair_id in classes:
            kinds.setdefault(classes[pair.pair_id], []).append(good)
    by_class = {kind: (len(each), sum(each) / len(each)) for kind, each in sorted(kinds.items())}
    return RewardAccuracy(len(pairs), right.float().mean().item(), right_swapped.float().mean().item(), by_class)


@final
class HeldOutAccuracy(TrainerCallback):  # type: ignore[misc]
    """Measures the accuracy on held-out pairs while training, as lines of `metrics.jsonl`.

    Args:
        scalar_head: the reward model's head on the model in training.
        pairs: the held-out pairs.
        every: steps between measurements.
        path: the file that lines are appended to.
    """

    def __init__(self, scalar_head: ScalarHead, pairs: Sequence[Pair], every: int, path: Path) -> None:
        self._scalar_head = scalar_head
        self._pairs = pairs
        self._every = every
        self._path = path

    @override
    def on_step_end(self, args: Any, state: Any, control: Any, **more: Any) -> None:
        """Measure where it is due."""
        if state.global_step % self._every == 0 and state.is_world_process_zero:
            right = (reward_margins(self._scalar_head, self._pairs) > 0).float().mean().item()
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"step": state.global_step, "held_out_accuracy": right}) + "\n")
