"""The batch schedule: which pairs go through which step, on which device, in which forward pass. Numbers only.

The recipe — pairs of a step, their order — is the same on every machine. How a step's trees are cut into forward passes
(micro-batches) follows the machine and changes no result: losses are summed over all passes of all devices and divided
by the pairs of the whole step.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from spavl.config.align import BatchingSettings, OptimiserSettings

PairGroup = tuple[int, ...]
"""Numbers of the pairs that share a tree."""


@dataclass(frozen=True, slots=True)
class ScheduledStep:
    """One optimiser step."""

    micro_batches: tuple[tuple[tuple[PairGroup, ...], ...], ...]
    """For every rank its forward passes, for every pass its trees. All ranks have the same number of passes."""
    padding_batches: tuple[int, ...]
    """For every rank how many of its last passes only keep it in step with the others; they repeat a tree and have
    weight 0."""
    pairs: int
    """Pairs of the step, over all ranks."""
    epoch: float
    """Epochs seen after this step."""

    def numbers(self) -> Iterator[int]:
        """The pairs of the step, on all devices, each once."""
        for own, padding in zip(self.micro_batches, self.padding_batches, strict=True):
            for trees in own[: len(own) - padding]:
                yield from (number for tree in trees for number in tree)


def group_equal(keys: Sequence[object]) -> list[PairGroup]:
    """Numbers with equal keys in one group, groups in the order of their first number.

    Args:
        keys: a key for each pair.
    """
    groups: dict[object, list[int]] = {}
    for number, key in enumerate(keys):
        groups.setdefault(key, []).append(number)
    return [tuple(group) for group in groups.values()]


def schedule_steps(
    trees: Sequence[PairGroup],
    size: Callable[[PairGroup], int],
    batching: BatchingSettings,
    optimiser: OptimiserSettings,
    *,
    seed: int,
    ranks: int = 1,
) -> list[ScheduledStep]:
    """All steps of a training.

    Every step but the last of an epoch holds exactly `batching.pairs` pairs; a tree that crosses the border is cut
    there. With `optimiser.max_steps` as many epochs are begun as are needed.

    Args:
        trees: pairs that share a tree, over the whole data.
        size: tokens of a tree, or of a part of one.
        batching: pairs of a step, and limits of a forward pass.
        optimiser: epochs or steps.
        seed: of the order in each epoch.
        ranks: processes that train together.
    """
    steps: list[ScheduledStep] = []
    for of_step, epoch in _trees_of_steps(trees, batching, optimiser, seed):
        steps.append(_schedule_step(of_step, size, batching, ranks, epoch))
        if len(steps) == optimiser.max_steps:
            break
    return steps


def _trees_of_steps(
    trees: Sequence[PairGroup], batching: BatchingSettings, optimiser: OptimiserSettings, seed: int
) -> Iterator[tuple[list[PairGroup], float]]:
    """The trees of every step, and how many epochs are over after it."""
    pairs = sum(map(len, trees))
    left = float("inf") if optimiser.max_steps else round(optimiser.epochs * pairs)
    epoch = 0
    while left > 0:
        order = list(trees)
        if batching.shuffle:
            random.Random(f"{seed}/{epoch}").shuffle(order)
        done = 0
        for of_step in _cut_steps(order, batching.pairs, min(left, pairs)):
            done += sum(map(len, of_step))
            yield of_step, epoch + done / pairs
        left -= done
        epoch += 1


def _cut_steps(order: Iterable[PairGroup], pairs: int, total: float) -> Iterator[list[PairGroup]]:
    """Trees in order, cut into steps of `pairs` pairs, `total` pairs in all."""
    of_step: list[PairGroup] = []
    room, left = pairs, total
    for tree in order:
        while tree and left > 0:
            part = tree[: int(min(room, left))]
            tree = tree[len(part) :]
            of_step.append(part)
            room -= len(part)
            left -= len(part)
            if room == 0:
                yield of_step
                of_step, room = [], pairs
    if of_step:
        yield of_step


def _schedule_step(
    trees: list[PairGroup], size: Callable[[PairGroup], int], batching: BatchingSettings, ranks: int, epoch: float
) -> ScheduledStep:
    """One step: its trees, the longest first, dealt to the ranks and cut into forward passes."""
    max_pairs = batching.forward_pairs or batching.pairs
    few = [tree[at : at + max_pairs] for tree in trees for at in range(0, len(tree), max_pairs)]
    pieces = cut_large_trees(few, size, batching.token_budget)
    pieces.sort(key=lambda tree: (-size(tree), tree))
    shares = [cut_micro_batches(pieces[rank::ranks], size, batching.token_budget, max_pairs) for rank in range(ranks)]
    most = max(map(len, shares))
    padding_batches = tuple(most - len(own) for own in shares)
    filled = tuple(
        tuple(own) + ((pieces[-1],),) * missing for own, missing in zip(shares, padding_batches, strict=True)
    )
    return ScheduledStep(filled, padding_batches, sum(map(len, trees)), epoch)


def cut_large_trees(trees: Iterable[PairGroup], size: Callable[[PairGroup], int], token_budget: int) -> list[PairGroup]:
    """Trees, those beyond the token budget halved until they are within it; a pair is not cut.

    Args:
        trees: in any order.
        size: tokens of a tree, or of a part of one.
        token_budget: most tokens of a padded pass.
    """
    pieces: list[PairGroup] = []
    for tree in trees:
        if len(tree) > 1 and size(tree) > token_budget:
            halves = (tree[: len(tree) // 2], tree[len(tree) // 2 :])
            pieces += cut_large_trees(halves, size, token_budget)
        else:
            pieces.append(tree)
    return pieces


def cut_micro_batches(
    trees: Sequence[PairGroup], size: Callable[[PairGroup], int], token_budget: int, max_pairs: int
) -> list[tuple[PairGroup, ...]]:
    """Trees cut into forward passes, each within the token budget and the number of pairs.

    Args:
        trees: the longest first, after `cut_large_trees`; a pair beyond the budget gets a pass of its own.
        size: tokens of a tree.
        token_budget: most tokens of a padded pass.
        max_pairs: most pairs of a pass.
    """
    micro_batches: list[list[PairGroup]] = []
    width = pairs = 0
    for tree in trees:
        if micro_batches and width * (len(micro_batches[-1]) + 1) <= token_budget and pairs + len(tree) <= max_pairs:
            micro_batches[-1].append(tree)
            pairs += len(tree)
        else:
            micro_batches.append([tree])
            width, pairs = size(tree), len(tree)
    return [tuple(one) for one in micro_batches]
