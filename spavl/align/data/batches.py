"""From pairs to what a model reads: trees are tokenised once, pictures prepared once, passes put together by number."""

from __future__ import annotations

import hashlib
import random
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Literal, final

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from spavl.align.data.pairs import Pair
from spavl.align.data.schedule import PairGroup, ScheduledStep
from spavl.models.families import Family
from spavl.models.trees.batch import Packing, TreeBatch, collate
from spavl.models.trees.pack import PackedTree, Row, build_trees, pack_tree
from spavl.pictures import Picture, grey_picture

PictureView = Literal["true", "crop", "blank"]
"""How a picture is shown."""
ReferenceLogprobs = Mapping[str, np.ndarray]
"""Reference log-probabilities per token, by `answer_key`."""


@dataclass(frozen=True)
class MicroBatch:
    """One forward pass: P pairs whose answers are among the A answers of `batch`."""

    batch: TreeBatch
    pairs: tuple[int, ...]
    """Numbers of the pairs."""
    chosen: Tensor
    """[P] which answer of the batch is the chosen one."""
    rejected: Tensor
    """[P]"""
    corrupted: Tensor | None
    """[P] the chosen answer under the spoilt picture, where the loss asks for it."""
    reference: Tensor | None
    """[A] recorded reference log-probability of every answer, where it is not computed live."""
    weight: float
    """1, or 0 for a pass that only keeps a rank in step with the others."""
    of: int
    """Pairs of the whole step: what the summed loss is divided by."""

    def to(self, device: torch.device) -> MicroBatch:
        """The same on a device."""
        moved: dict[str, Any] = {
            name: value.to(device) for name, value in vars(self).items() if isinstance(value, (Tensor, TreeBatch))
        }
        return replace(self, **moved)


@dataclass(frozen=True, slots=True)
class _Lengths:
    """Tokens of the parts of a pair, its end tokens included."""

    shared_prefix: int
    question: int
    chosen: int
    rejected: int


@final
class PairDataset:
    """Pairs as numbered, ready-made input. Pictures are kept in memory up to `memory` bytes."""

    def __init__(
        self,
        pairs: Sequence[Pair],
        family: Family,
        *,
        packing: Packing,
        blind: bool = False,
        corruption: PictureView | None = None,
        limit: int | None = None,
        memory: int = 1 << 30,
    ) -> None:
        self.pairs = pairs
        self.family = family
        self.packing = packing
        self.limit = limit
        self.corruption = corruption
        self._view: PictureView = "blank" if blind else "true"
        self._views: tuple[PictureView | None, ...] = (None,) if corruption is None else (None, corruption)
        self._prepared: OrderedDict[str, dict[str, Tensor]] = OrderedDict()
        self._room = memory
        self._lengths: dict[int, _Lengths] = {}
        self._encoded = lru_cache(maxsize=4096)(self._encode)

    def tree(self, numbers: PairGroup, view: PictureView | None = None) -> PackedTree:
        """The tree of some pairs with one picture; under a spoilt view it holds only their chosen answers."""
        return self._encoded(numbers, view)

    def measure(self, trees: Sequence[PairGroup], on_progress: Callable[[int, int], None] | None = None) -> None:
        """Learn the lengths of whole trees, so that `size` can tell those of their parts."""
        for done, numbers in enumerate(trees, start=1):
            if on_progress and (done % 50 == 0 or done == len(trees)):
                on_progress(done, len(trees))
            packed = self.tree(numbers)
            for number, (_, (chosen, rejected)) in zip(numbers, packed.rows, strict=True):
                first, second = packed.answers[chosen], packed.answers[rejected]
                question = first.question[1] - first.question[0]
                spans = (first.stop - first.start, second.stop - second.start)
                self._lengths[number] = _Lengths(packed.shared_prefix, question, *spans)

    def size(self, numbers: PairGroup) -> int:
        """Tokens of a tree, or of a part of one that was measured (answers that are equal are counted twice)."""
        if self.packing == "separate":
            return self.size_apart(numbers)
        pairs = [self._lengths[number] for number in numbers]
        questions = {self.pairs[number].question: self._lengths[number].question for number in numbers}
        shared = pairs[0].shared_prefix + sum(questions.values())
        corrupted = (shared + sum(one.chosen for one in pairs)) * (self.corruption is not None)
        return shared + sum(one.chosen + one.rejected for one in pairs) + corrupted

    def size_apart(self, numbers: PairGroup) -> int:
        """Tokens of the same answers, each in a sequence of its own."""
        pairs = [self._lengths[number] for number in numbers]
        whole = sum(2 * (one.shared_prefix + one.question) + one.chosen + one.rejected for one in pairs)
        return whole + sum(one.shared_prefix + one.question + one.chosen for one in pairs) * (
            self.corruption is not None
        )

    def prompt(self, number: int) -> int:
        """Tokens before a pair's answers."""
        return self._lengths[number].shared_prefix + self._lengths[number].question

    def longest(self, number: int) -> int:
        """Tokens of a pair's longer answer with everything before it."""
        return self.prompt(number) + max(self._lengths[number].chosen, self._lengths[number].rejected)

    def alike(self, number: int) -> bool:
        """Nothing is left, after cutting, by which a pair's answers differ."""
        packed = self.tree((number,))
        chosen, rejected = (
            packed.ids[packed.answers[place].start : packed.answers[place].stop] for place in packed.rows[0][1]
        )
        return bool(np.array_equal(chosen, rejected))

    def keys(self, numbers: PairGroup) -> set[str]:
        """Keys of all answers of a tree, under all views."""
        pairs = [self.pairs[number] for number in numbers]
        true = {answer_key(pair, text, self._view) for pair in pairs for text in (pair.chosen, pair.rejected)}
        return true | ({answer_key(pair, pair.chosen, self.corruption) for pair in pairs} if self.corruption else set())

    def batch(self, trees: Sequence[PairGroup], packing: Packing | None = None) -> tuple[TreeBatch, list[str]]:
        """A batch of trees (true ones first, then spoilt ones if asked for), and the key of each of its answers."""
        packed = [self.tree(numbers, view) for view in self._views for numbers in trees]
        batch = collate(packed, self.family, packing or self.packing, pixels=self._pictures(packed))
        return batch, [key for view in self._views for numbers in trees for key in self._keys(numbers, view)]

    def collate(
        self, trees: Sequence[PairGroup], *, weight: float, of: int, reference_logprobs: ReferenceLogprobs | None
    ) -> MicroBatch:
        """One forward pass over some trees."""
        batch, keys = self.batch(trees)
        numbers = tuple(number for numbers in trees for number in numbers)
        true = torch.tensor([answers for _, answers in batch.rows[: len(numbers)]])
        corrupted = [answers[0] for _, answers in batch.rows[len(numbers) :]]
        return MicroBatch(
            batch=batch,
            pairs=numbers,
            chosen=true[:, 0],
            rejected=true[:, 1],
            corrupted=torch.tensor(corrupted) if self.corruption else None,
            reference=None
            if reference_logprobs is None
            else torch.tensor([float(reference_logprobs[key].sum()) for key in keys]),
            weight=weight,
            of=of,
        )

    def _keys(self, numbers: PairGroup, view: PictureView | None) -> list[str]:
        """Keys of a tree's answers, in the tree's order."""
        rows = self.tree(numbers, view).rows
        keys: dict[int, str] = {}
        for number, (_, answers) in zip(numbers, rows, strict=True):
            pair = self.pairs[number]
            for answer, text in zip(answers, (pair.chosen, pair.rejected), strict=False):
                keys[answer] = answer_key(pair, text, view or self._view)
        return [keys[answer] for answer in sorted(keys)]

    def _encode(self, numbers: PairGroup, view: PictureView | None) -> PackedTree:
        rows = []
        for number in numbers:
            pair = self.pairs[number]
            answers = (pair.chosen,) if view else (pair.chosen, pair.rejected)
            rows.append(Row(pair.pair_id, pair.question, answers, (_picture(pair, view or self._view),)))
        (tree,) = build_trees(rows, "picture")
        packed = pack_tree(tree, self.family)
        return packed if self.limit is None else shortened(packed, self.limit)

    def _pictures(self, trees: Sequence[PackedTree]) -> dict[str, dict[str, Tensor]]:
        """Prepared pictures by key: from memory, or prepared now and kept if there is room."""
        wanted = {picture.key: picture for tree in trees for picture in tree.pictures}
        found = {key: self._prepared[key] for key in wanted if key in self._prepared}
        for key in found:
            self._prepared.move_to_end(key)
        fresh = [picture for key, picture in wanted.items() if key not in found]
        return found | {key: self._keep(key, made) for key, made in _prepared(fresh, self.family).items()}

    def _keep(self, key: str, made: dict[str, Tensor]) -> dict[str, Tensor]:
        self._prepared[key] = made
        self._room -= _bytes(made)
        while self._room < 0:
            self._room += _bytes(self._prepared.popitem(last=False)[1])
        return made


@final
class StepDataset(torch.utils.data.Dataset[list[MicroBatch]]):  # type: ignore[misc]
    """The passes of one rank, step by step."""

    def __init__(
        self,
        dataset: PairDataset,
        schedule: Sequence[ScheduledStep],
        rank: int,
        reference_logprobs: ReferenceLogprobs | None,
    ) -> None:
        self.dataset = dataset
        self.schedule = schedule
        self.rank = rank
        self.reference_logprobs = reference_logprobs

    def __len__(self) -> int:
        return len(self.schedule)

    def __getitem__(self, number: int) -> list[MicroBatch]:
        step = self.schedule[number]
        passes = step.micro_batches[self.rank]
        real = len(passes) - step.padding_batches[self.rank]
        return [
            self.dataset.collate(
                trees, weight=float(index < real), of=step.pairs, reference_logprobs=self.reference_logprobs
            )
            for index, trees in enumerate(passes)
        ]


def answer_key(pair: Pair, answer: str, view: PictureView) -> str:
    """Names an answer to a question about a picture, by content."""
    words = "\x00".join((pair.image_key, view, pair.question, answer))
    return hashlib.sha256(words.encode()).hexdigest()


def shortened(tree: PackedTree, limit: int) -> PackedTree:
    """The tree with every answer cut where it would alone be longer than `limit` tokens. Questions are never cut."""
    keep = np.ones(len(tree), dtype=bool)
    for answer in tree.answers:
        keep[answer.start : answer.stop] = tree.depth[answer.start : answer.stop] < limit
    if keep.all():
        return tree
    now = np.concatenate([[0], keep.cumsum()])
    return replace(
        tree,
        ids=tree.ids[keep],
        depth=tree.depth[keep],
        end=now[tree.end[keep]],
        answers=tuple(
            replace(
                answer,
                before=int(now[answer.before]),
                start=int(now[answer.start]),
                stop=int(now[answer.stop]),
                question=(int(now[answer.question[0]]), int(now[answer.question[1]])),
            )
            for answer in tree.answers
        ),
    )


def _picture(pair: Pair, view: PictureView) -> Picture:
    assert pair.image is not None, "pairs without a picture are left out before"
    return Picture(f"{pair.image_key}#{view}", pair.image)


def _prepared(pictures: Sequence[Picture], family: Family) -> dict[str, dict[str, Tensor]]:
    """What the tower reads of each picture. All in one call where the processor lays them one behind the other."""
    shown = [_shown(picture) for picture in pictures]
    together = family.pixels(shown) if len(shown) > 1 and family.facts.picture_tokens == "fixed" else {}
    if together and all(len(value) == len(shown) for value in together.values()):
        parts = [{name: value[n : n + 1].clone() for name, value in together.items()} for n in range(len(shown))]
    else:
        parts = [family.pixels([image]) for image in shown]
    return {picture.key: part for picture, part in zip(pictures, parts, strict=True)}


def _shown(picture: Picture) -> Image.Image:
    """The picture as the view in its key says."""
    image, view = picture.load(), picture.key.rpartition("#")[2]
    if view == "blank":
        return grey_picture(image.size)
    return corrupted(image, picture.key) if view == "crop" else image


def corrupted(image: Image.Image, seed: str) -> Image.Image:
    """A random crop of 1 to 20 % of the area, as in mDPO (arXiv 2406.11839), at the old size; the same for one seed."""
    drawn = random.Random(seed)
    side = drawn.uniform(0.01, 0.2) ** 0.5
    width, height = max(1, round(image.width * side)), max(1, round(image.height * side))
    left, top = drawn.randint(0, image.width - width), drawn.randint(0, image.height - height)
    return image.crop((left, top, left + width, top + height)).resize(image.size)


def _bytes(made: dict[str, Any]) -> int:
    return sum(value.numel() * value.element_size() for value in made.values())
