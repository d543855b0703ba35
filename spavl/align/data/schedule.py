"""Which pairs go through which step, on which device, in which forward pass. Numbers only; no tensors, no model.

The recipe — pairs a step, their order — is the same on every machine. How a step's trees are cut into forward passes
follows the machine and changes no result: losses are summed over all passes of all devices and divided by the pairs
of the whole step.
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
    """For every rank how many of its last passes only keep it busy; they repeat a tree and weigh nothing."""
    pairs: int
    """Pairs of the step, over all ranks."""
    epoch: float
    """Share of the data seen when it is done."""


def group_equal(keys: Sequence[object]) -> list[PairGroup]:
    """Numbers with equal keys together, in the order of their first."""
    shelves: dict[object, list[int]] = {}
    for number, key in enumerate(keys):
        shelves.setdefault(key, []).append(number)
    return [tuple(shelf) for shelf in shelves.values()]


def schedule_steps(
    trees: Sequence[PairGroup],
    size: Callable[[PairGroup], int],
    batching: BatchingSettings,
    optimiser: OptimiserSettings,
    *,
    seed: int,
    ranks: int = 1,
) -> list[ScheduledStep]:
    """All steps of a training. `size` tells the tokens of a tree, or of a part of one.

    Every step but the last of an epoch holds exactly `batching.pairs` pairs; a tree that crosses the border is cut
    there. With `max_steps` as many epochs are begun as are needed.
    """
    made: list[ScheduledStep] = []
    for drawn, epoch in _drawn(trees, batching, optimiser, seed):
        made.append(_step(drawn, size, batching, ranks, epoch))
        if len(made) == optimiser.max_steps:
            break
    return made


def _drawn(
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
        seen = 0
        for drawn in _cut(order, batching.pairs, min(left, pairs)):
            seen += sum(map(len, drawn))
            yield drawn, epoch + seen / pairs
        left -= seen
        epoch += 1


def _cut(order: Iterable[PairGroup], pairs: int, most: float) -> Iterator[list[PairGroup]]:
    """Trees in order, cut into steps of `pairs` pairs, `most` pairs in all."""
    drawn: list[PairGroup] = []
    room, left = pairs, most
    for tree in order:
        while tree and left > 0:
            part = tree[: int(min(room, left))]
            tree = tree[len(part) :]
            drawn.append(part)
            room -= len(part)
            left -= len(part)
            if room == 0:
                yield drawn
                drawn, room = [], pairs
    if drawn:
        yield drawn


def _step(
    drawn: list[PairGroup], size: Callable[[PairGroup], int], batching: BatchingSettings, ranks: int, epoch: float
) -> ScheduledStep:
    most = batching.forward_pairs or batching.pairs
    parts = [tree[at : at + most] for tree in drawn for at in range(0, len(tree), most)]
    parts.sort(key=lambda tree: (-size(tree), tree))
    shares = [cut_micro_batches(parts[rank::ranks], size, batching.token_budget, most) for rank in range(ranks)]
    longest = max(map(len, shares))
    padding_batches = tuple(longest - len(own) for own in shares)
    filled = tuple(tuple(own) + ((parts[-1],),) * missing for own, missing in zip(shares, padding_batches, strict=True))
    return ScheduledStep(filled, padding_batches, sum(map(len, drawn)), epoch)


def cut_micro_batches(
    parts: Sequence[PairGroup], size: Callable[[PairGroup], int], budget: int, most: int
) -> list[tuple[PairGroup, ...]]:
    """Trees, the longest first, cut where the padded pass would hold too many tokens or pairs."""
    made: list[list[PairGroup]] = []
    width = held = 0
    for tree in parts:
        if made and width * (len(made[-1]) + 1) <= budget and held + len(tree) <= most:
            made[-1].append(tree)
            held += len(tree)
        else:
            made.append([tree])
            width, held = size(tree), len(tree)
    return [tuple(one) for one in made]
