"""Drawn answers, as they were drawn. Every later pass is rebuilt from these records, masks from their lengths.

    asks = asks_of(pairs)
    pictures = Pictures(family, memory=1 << 30)
    rollouts = draw_rollouts(model, family, asks, Drawing(each=1, most=256, seed="42/0", budget=131_072), pictures)
    for bunch in bunches(rollouts, range(len(rollouts)), family, pictures, token_budget=8192): …

Equal answers to one question are laid once: their tokens have one log-probability, one value, one gradient.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from io import BytesIO
from typing import Any, final

import numpy as np
import torch
from torch import Tensor

from spavl.align.data.pairs import Pair
from spavl.errors import DataError
from spavl.models.backends.sampling import seed_of
from spavl.models.families import Family
from spavl.models.trees.batch import Packing, TreeBatch, collate
from spavl.models.trees.generate import generate, pack_prompts, prompt_ids
from spavl.models.trees.pack import PackedTree, Tree, batch_by_tokens, pack_tokens
from spavl.pictures import Picture, grey_picture


@dataclass(frozen=True, slots=True)
class RolloutPrompt:
    """A question about a picture, waiting for answers."""

    picture: Picture
    question: str

    @property
    def name(self) -> str:
        """By content; what is drawn depends on it."""
        return f"{self.picture.key}\x00{self.question}"


@dataclass(frozen=True, slots=True)
class Rollout:
    """One drawn answer."""

    ask: RolloutPrompt
    sample: int
    """Which of the answers to its question."""
    prompt: tuple[int, ...]
    """All tokens before the answer."""
    answer: tuple[int, ...]
    """Its tokens, with the end token where it `ended`."""
    told: np.ndarray
    """[len(answer)] log-probabilities when it was drawn, float32."""
    ended: bool
    """False: cut at the longest length allowed."""


@dataclass(frozen=True, slots=True)
class GenerationConfig:
    """How answers are drawn."""

    each: int
    """Answers to each question."""
    most: int
    """Longest answer in tokens."""
    seed: str
    budget: int
    """Most tokens in memory at once."""
    packing: Packing = "tree"
    """`separate`: every question on its own."""


@final
class PixelCache:
    """What the tower reads, made once a picture and kept up to `memory` bytes; the least used goes first."""

    def __init__(self, family: Family, memory: int) -> None:
        self._family = family
        self._kept: OrderedDict[str, dict[str, Tensor]] = OrderedDict()
        self._room = memory

    def of(self, pictures: Iterable[Picture]) -> dict[str, dict[str, Tensor]]:
        """By key."""
        found = {}
        for picture in pictures:
            if picture.key not in self._kept:
                self._kept[picture.key] = self._family.pixels([picture.load()])
                self._room -= _bytes(self._kept[picture.key])
            self._kept.move_to_end(picture.key)
            found[picture.key] = self._kept[picture.key]
        while self._room < 0:
            self._room += _bytes(self._kept.popitem(last=False)[1])
        return found


def _bytes(made: dict[str, Tensor]) -> int:
    return sum(value.numel() * value.element_size() for value in made.values())


@dataclass(frozen=True, eq=False)
class RolloutBatch:
    """R rollouts of one forward pass; their answers have at most T tokens."""

    batch: TreeBatch
    numbers: tuple[int, ...]
    """Which of the round's rollouts, R of them."""
    table: Tensor
    """[R, T] which of the batch's scored tokens a rollout's token is; 0 beyond its end."""
    last: Tensor
    """[R] flat place of a rollout's last token."""
    mask: Tensor
    """[R, T] true on the answer's own tokens."""

    def to(self, device: torch.device) -> RolloutBatch:
        """The same on a device."""
        return replace(
            self,
            batch=self.batch.to(device),
            table=self.table.to(device),
            last=self.last.to(device),
            mask=self.mask.to(device),
        )

    def spread(self, scored: Tensor) -> Tensor:
        """Numbers of the batch's scored tokens [N], laid out by rollout [R, T], 0 beyond the end."""
        return scored[self.table] * self.mask


def prompts_of(pairs: Sequence[Pair]) -> list[RolloutPrompt]:
    """The distinct questions of pairs, in order.

    Raises DataError where a pair has no picture: a reward that never saw one is no reward for this work.
    """
    found: dict[str, RolloutPrompt] = {}
    for pair in pairs:
        if pair.image is None:
            raise DataError("a pair has no picture", where=f"row {pair.pair_id}", try_="drop the row")
        ask = RolloutPrompt(Picture(pair.image_key, pair.image), pair.question)
        found.setdefault(ask.name, ask)
    return list(found.values())


def with_blank_picture(pair: Pair) -> Pair:
    """The same pair with a grey picture of the same size, for controls."""
    assert pair.image is not None, "pairs without a picture are left out before"
    file = BytesIO()
    grey_picture(Picture(pair.image_key, pair.image).size()).save(file, "PNG")
    return replace(pair, image=file.getvalue(), image_key=f"{pair.image_key}#blank")


def group_by_picture(asks: Sequence[RolloutPrompt]) -> list[list[RolloutPrompt]]:
    """Questions about one picture together, in the order of their first."""
    shelves: dict[str, list[RolloutPrompt]] = {}
    for ask in asks:
        shelves.setdefault(ask.picture.key, []).append(ask)
    return list(shelves.values())


def generate_rollouts(
    model: Any, family: Family, asks: Sequence[RolloutPrompt], drawing: GenerationConfig, pictures: PixelCache
) -> list[Rollout]:
    """`drawing.each` answers to every question, those to one question together, in the order of samples.

    An answer depends on the model, its question, `drawing.seed` and its number alone, whatever else is drawn with it.
    """
    shelves = group_by_picture(asks) if drawing.packing == "tree" else [[ask] for ask in asks]
    prompts = [[prompt_ids((ask.picture,), "", ask.question, family) for ask in shelf] for shelf in shelves]
    trees = [pack_prompts((shelf[0].picture,), own, family) for shelf, own in zip(shelves, prompts, strict=True)]
    sizes = [
        len(tree) + drawing.each * sum(len(prompt) + drawing.most for prompt in own)
        for tree, own in zip(trees, prompts, strict=True)
    ]
    rollouts = []
    for indices in batch_by_tokens(sizes, drawing.budget):
        asked = [(ask, prompt) for i in indices for ask, prompt in zip(shelves[i], prompts[i], strict=True)]
        rollouts += _generated(model, family, [trees[i] for i in indices], asked, drawing=drawing, pictures=pictures)
    return rollouts


def _generated(
    model: Any,
    family: Family,
    trees: Sequence[PackedTree],
    asked: Sequence[tuple[RolloutPrompt, list[int]]],
    *,
    drawing: GenerationConfig,
    pictures: PixelCache,
) -> list[Rollout]:
    seeds = torch.tensor(
        [[seed_of(f"{drawing.seed}\x00{ask.name}\x00{k}") for k in range(drawing.each)] for ask, _ in asked]
    )
    batch = collate(trees, family, pixels=pictures.of(tree.pictures[0] for tree in trees))
    answers = generate(model, batch, trees, family, seeds=seeds, most=drawing.most)
    return [
        Rollout(ask, sample, tuple(prompt), one.ids, one.logprobs, one.ended)
        for (ask, prompt), drawn in zip(asked, answers, strict=True)
        for sample, one in enumerate(drawn)
    ]


def batch_rollouts(
    rollouts: Sequence[Rollout],
    numbers: Sequence[int],
    family: Family,
    pictures: PixelCache,
    *,
    token_budget: int,
    packing: Packing = "tree",
) -> list[RolloutBatch]:
    """Forward passes over some of the rollouts, trees by picture, cut by the token budget; T is that of all of them."""
    width = max(len(one.answer) for one in rollouts)
    shelves: dict[str, list[int]] = {}
    for number in numbers:
        shelves.setdefault(rollouts[number].ask.picture.key, []).append(number)
    ordered = list(shelves.values())
    trees = [_tree([rollouts[number] for number in shelf]) for shelf in ordered]
    made = []
    for indices in batch_by_tokens([len(tree) for tree in trees], token_budget):
        own = [number for i in indices for number in ordered[i]]
        packed = [trees[i] for i in indices]
        batch = collate(packed, family, packing, pixels=pictures.of(tree.pictures[0] for tree in packed))
        made.append(_rollout_batch(batch, own, [len(rollouts[number].answer) for number in own], width))
    return made


def _tree(rollouts: Sequence[Rollout]) -> PackedTree:
    """All answers to all questions about one picture, in one row."""
    prompts: dict[tuple[int, ...], dict[tuple[int, ...], None]] = {}
    for one in rollouts:
        prompts.setdefault(one.prompt, {})[one.answer] = None
    order = {pair: n for n, pair in enumerate((p, a) for p, answers in prompts.items() for a in answers)}
    rows = tuple((one.ask.name, (order[one.prompt, one.answer],)) for one in rollouts)
    picture = rollouts[0].ask.picture
    return pack_tokens(Tree((picture,), "", (), rows), list(prompts), [list(answers) for answers in prompts.values()])


def _rollout_batch(batch: TreeBatch, numbers: Sequence[int], lengths: Sequence[int], width: int) -> RolloutBatch:
    answer_of = torch.tensor([answers[0] for _, answers in batch.rows])
    first = torch.cat(
        [torch.zeros(1, dtype=torch.long), torch.bincount(batch.owner, minlength=batch.answers).cumsum(0)]
    )
    place = torch.arange(width)
    mask = place < torch.tensor(lengths)[:, None]
    table = (first[answer_of][:, None] + place) * mask
    return RolloutBatch(batch, tuple(numbers), table, batch.last[answer_of], mask)
