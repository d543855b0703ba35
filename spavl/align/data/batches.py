"""From numbered pairs to micro-batches: trees are tokenised once, pictures prepared once, both collated on demand."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Literal, final

import numpy as np
import torch
from jaxtyping import Float, Int
from PIL import Image
from torch import Tensor

from spavl.align.data.pairs import Pair
from spavl.align.data.pixels import PixelCache
from spavl.align.data.schedule import PairGroup, ScheduledStep
from spavl.models.families import Family
from spavl.models.trees.batch import Packing, TreeBatch, collate
from spavl.models.trees.pack import PackedTree, Row, build_trees, pack_tree
from spavl.pictures import Picture, grey_picture

PictureView = Literal["true", "crop", "blank"]
"""What is done to a picture before the model sees it: nothing, a random crop, or one grey."""
ReferenceLogprobs = Mapping[str, np.ndarray]
"""Reference log-probabilities [T] of each answer, by `answer_key`."""


@dataclass(frozen=True)
class MicroBatch:
    """One forward pass: P pairs whose answers are among the A answers of `batch`."""

    batch: TreeBatch
    """The packed sequences."""
    pairs: tuple[int, ...]
    """Numbers of the pairs."""
    chosen: Int[Tensor, " P"]
    """Index among the batch's answers of each pair's chosen answer."""
    rejected: Int[Tensor, " P"]
    """Index of each pair's rejected answer."""
    corrupted: Int[Tensor, " P"] | None
    """Index of each pair's chosen answer with the corrupted picture, where the loss asks for it."""
    reference: Float[Tensor, " A"] | None
    """Cached reference log-probability of every answer, where it is not computed live."""
    weight: float
    """1, or 0 for a padding batch, which only keeps a rank in step with the others."""
    of: int
    """Pairs of the whole step: what the summed loss is divided by."""

    def to(self, device: torch.device) -> MicroBatch:
        """The same micro-batch on a device.

        Args:
            device: where the model is.
        """
        moved: dict[str, Any] = {
            name: value.to(device) for name, value in vars(self).items() if isinstance(value, (Tensor, TreeBatch))
        }
        return replace(self, **moved)


@dataclass(frozen=True, slots=True)
class _Lengths:
    """Tokens of the parts of a pair, end tokens included."""

    shared_prefix: int
    question: int
    chosen: int
    rejected: int


@final
class PairDataset:
    """Preference pairs by number, packed into trees and collated into batches.

    Args:
        pairs: all pairs, valid and with pictures.
        family: tokenises and prepares pictures.
        packing: how sequences are packed, unless `batch` is told otherwise.
        blind: show every picture as one grey.
        corruption: also show each chosen answer with a picture that is corrupted like this.
        limit: longest picture + question + answer in tokens; answers are cut there.
        memory: bytes of prepared pictures kept between batches.
    """

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
        self.pixel_cache = PixelCache(family, memory, _shown)
        self._lengths: dict[int, _Lengths] = {}
        self._packed = lru_cache(maxsize=4096)(self._pack)

    def tree(self, numbers: PairGroup, view: PictureView | None = None) -> PackedTree:
        """The packed tree of some pairs with one picture.

        Args:
            numbers: the pairs.
            view: another view of the picture than the dataset's; such a tree holds only the chosen answers.
        """
        return self._packed(numbers, view)

    def measure(self, trees: Sequence[PairGroup], on_progress: Callable[[int, int], None] | None = None) -> None:
        """Pack every tree once and note the lengths of its parts, from which `size` and the like are computed.

        Args:
            trees: whole trees.
            on_progress: called with (trees done, trees in all).
        """
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
        """Tokens of a tree, corrupted pictures included; equal answers are counted twice.

        Args:
            numbers: a tree that was measured, or a part of one.
        """
        if self.packing == "separate":
            return self.size_apart(numbers)
        pairs = [self._lengths[number] for number in numbers]
        questions = {self.pairs[number].question: self._lengths[number].question for number in numbers}
        shared = pairs[0].shared_prefix + sum(questions.values())
        corrupted = (shared + sum(one.chosen for one in pairs)) * (self.corruption is not None)
        return shared + sum(one.chosen + one.rejected for one in pairs) + corrupted

    def size_apart(self, numbers: PairGroup) -> int:
        """Tokens of the same answers, each in a sequence of its own.

        Args:
            numbers: a tree that was measured, or a part of one.
        """
        pairs = [self._lengths[number] for number in numbers]
        whole = sum(2 * (one.shared_prefix + one.question) + one.chosen + one.rejected for one in pairs)
        return whole + sum(one.shared_prefix + one.question + one.chosen for one in pairs) * (
            self.corruption is not None
        )

    def prompt_tokens(self, number: int) -> int:
        """Tokens before a pair's answers.

        Args:
            number: the pair.
        """
        return self._lengths[number].shared_prefix + self._lengths[number].question

    def longest_tokens(self, number: int) -> int:
        """Tokens of a pair's longer answer with everything before it.

        Args:
            number: the pair.
        """
        return self.prompt_tokens(number) + max(self._lengths[number].chosen, self._lengths[number].rejected)

    def equal_answers(self, number: int) -> bool:
        """Whether a pair's answers are equal after they were cut.

        Args:
            number: the pair.
        """
        packed = self.tree((number,))
        chosen, rejected = (
            packed.ids[packed.answers[index].start : packed.answers[index].stop] for index in packed.rows[0][1]
        )
        return bool(np.array_equal(chosen, rejected))

    def keys(self, numbers: PairGroup) -> set[str]:
        """Keys of all answers of a tree, with all views of its picture.

        Args:
            numbers: the tree's pairs.
        """
        pairs = [self.pairs[number] for number in numbers]
        true = {answer_key(pair, text, self._view) for pair in pairs for text in (pair.chosen, pair.rejected)}
        return true | ({answer_key(pair, pair.chosen, self.corruption) for pair in pairs} if self.corruption else set())

    def batch(self, trees: Sequence[PairGroup], packing: Packing | None = None) -> tuple[TreeBatch, list[str]]:
        """A batch of trees, and the key of each of its answers; trees with corrupted pictures come last.

        Args:
            trees: pairs of each tree.
            packing: another packing than the dataset's.
        """
        packed = [self.tree(numbers, view) for view in self._views for numbers in trees]
        batch = collate(packed, self.family, packing or self.packing, pixels=self._pixels(packed))
        return batch, [key for view in self._views for numbers in trees for key in self._keys(numbers, view)]

    def collate(
        self, trees: Sequence[PairGroup], *, weight: float, of: int, reference_logprobs: ReferenceLogprobs | None
    ) -> MicroBatch:
        """The micro-batch of some trees.

        Args:
            trees: pairs of each tree.
            weight: 1, or 0 for a padding batch.
            of: pairs of the whole step.
            reference_logprobs: cached log-probabilities of the reference; None where it is computed live.
        """
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

    def _pack(self, numbers: PairGroup, view: PictureView | None) -> PackedTree:
        rows = []
        for number in numbers:
            pair = self.pairs[number]
            answers = (pair.chosen,) if view else (pair.chosen, pair.rejected)
            rows.append(Row(pair.pair_id, pair.question, answers, (_picture(pair, view or self._view),)))
        (tree,) = build_trees(rows, "picture")
        packed = pack_tree(tree, self.family)
        return packed if self.limit is None else cut_answers(packed, self.limit)

    def _pixels(self, trees: Sequence[PackedTree]) -> dict[str, dict[str, Tensor]]:
        return self.pixel_cache.pixels(picture for tree in trees for picture in tree.pictures)


@final
class StepDataset(torch.utils.data.Dataset[list[MicroBatch]]):  # type: ignore[misc]
    """The micro-batches of one rank: one item for each optimiser step.

    Args:
        dataset: the pairs.
        schedule: all steps of the training.
        rank: number of this process.
        reference_logprobs: cached log-probabilities of the reference; None where it is computed live.
    """

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
        micro_batches = step.micro_batches[self.rank]
        real = len(micro_batches) - step.padding_batches[self.rank]
        return [
            self.dataset.collate(
                trees, weight=float(index < real), of=step.pairs, reference_logprobs=self.reference_logprobs
            )
            for index, trees in enumerate(micro_batches)
        ]


def answer_key(pair: Pair, answer: str, view: PictureView) -> str:
    """Hash of the content of a picture as shown, a question and an answer.

    Args:
        pair: gives picture and question.
        answer: the chosen or the rejected answer.
        view: how the picture is shown.
    """
    content = "\x00".join((pair.image_key, view, pair.question, answer))
    return hashlib.sha256(content.encode()).hexdigest()


def cut_answers(tree: PackedTree, limit: int) -> PackedTree:
    """The tree with answers cut; questions never are.

    Args:
        tree: a packed tree.
        limit: most tokens of an answer with everything before it.
    """
    keep = np.ones(len(tree), dtype=bool)
    for answer in tree.answers:
        keep[answer.start : answer.stop] = tree.depth[answer.start : answer.stop] < limit
    if keep.all():
        return tree
    moved = np.concatenate([[0], keep.cumsum()])
    return replace(
        tree,
        ids=tree.ids[keep],
        depth=tree.depth[keep],
        end=moved[tree.end[keep]],
        answers=tuple(
            replace(
                answer,
                before=int(moved[answer.before]),
                start=int(moved[answer.start]),
                stop=int(moved[answer.stop]),
                question=(int(moved[answer.question[0]]), int(moved[answer.question[1]])),
            )
            for answer in tree.answers
        ),
    )


def _picture(pair: Pair, view: PictureView) -> Picture:
    assert pair.image is not None, "pairs without a picture are left out before"
    return Picture(f"{pair.image_key}#{view}", pair.image)


def _shown(picture: Picture) -> Image.Image:
    """The picture as the view in its key says."""
    image, view = picture.load(), picture.key.rpartition("#")[2]
    if view == "blank":
        return grey_picture(image.size)
    return random_crop(image, picture.key) if view == "crop" else image


def random_crop(image: Image.Image, seed: str) -> Image.Image:
    """A random crop of 1 to 20 % of the area, scaled to the old size.

    Args:
        image: the picture.
        seed: the same seed gives the same crop.

    Source: the corrupted picture of mDPO, arXiv 2406.11839.
    """
    rng = random.Random(seed)
    side = rng.uniform(0.01, 0.2) ** 0.5
    width, height = max(1, round(image.width * side)), max(1, round(image.height * side))
    left, top = rng.randint(0, image.width - width), rng.randint(0, image.height - height)
    return image.crop((left, top, left + width, top + height)).resize(image.size)
