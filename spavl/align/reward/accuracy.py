"""How often a reward model prefers the chosen answer, on pairs that it was not trained on.

Measured twice: with the pairs' own pictures, and with each pair's picture replaced by another's. Where the picture
decides which answer is better, the second must be near chance, or the reward ignores the picture.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from accelerate import PartialState
from accelerate.utils import reduce
from jaxtyping import Float
from torch import Tensor

from spavl.align.data.views import swap_pictures
from spavl.align.reward.model import TOKEN_BUDGET, ScalarHead
from spavl.preferences.pairs import Pair


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


def _margins_of_all_devices(scalar_head: ScalarHead, pairs: Sequence[Pair]) -> Float[Tensor, " P"]:
    """`reward_margins`, of which each device computes its share."""
    world = PartialState()
    own = range(world.process_index, len(pairs), world.num_processes)
    margins = torch.zeros(len(pairs), device=scalar_head.head.weight.device)
    if own:
        margins[own] = reward_margins(scalar_head, [pairs[number] for number in own]).to(margins.device)
    shared: Tensor = reduce(margins, "sum")
    return shared.cpu()


def measure_accuracy(
    scalar_head: ScalarHead, pairs: Sequence[Pair], *, seed: int, classes: Mapping[str, str]
) -> RewardAccuracy:
    """Accuracy on pairs, with their own pictures and with those of others; all devices measure together.

    Args:
        scalar_head: the reward model's head on its model.
        pairs: pairs that were not trained on.
        seed: seeds which other picture a pair gets.
        classes: class of a pair by its id, where it is known.
    """
    right = _margins_of_all_devices(scalar_head, pairs) > 0
    right_swapped = _margins_of_all_devices(scalar_head, swap_pictures(pairs, seed)) > 0
    kinds: dict[str, list[bool]] = {}
    for pair, good in zip(pairs, right.tolist(), strict=True):
        if pair.pair_id in classes:
            kinds.setdefault(classes[pair.pair_id], []).append(good)
    by_class = {kind: (len(each), sum(each) / len(each)) for kind, each in sorted(kinds.items())}
    return RewardAccuracy(len(pairs), right.float().mean().item(), right_swapped.float().mean().item(), by_class)
