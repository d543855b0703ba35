"""From numbered pairs to micro-batches: trees are tokenised once, pictures prepared once, both collated on demand."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property, lru_cache
from typing import Literal, final

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from spavl.align.data.lengths import LENGTHS, cut_lengths, measure_lengths, separate_size, tree_size, without_rejected
from spavl.align.data.micro_batch import MicroBatch, MismatchedBatch, StepTotals, spread, totals_of
from spavl.align.data.mismatched import mismatched_pairs
from spavl.align.data.packed_trees import PROCESS
from spavl.align.data.pixels import PixelCache
from spavl.align.data.schedule import PairGroup, ScheduledStep
from spavl.align.data.views import PictureView, answer_key, in_view, load_in_view
from spavl.config.loss import AnswersRead
from spavl.models.families import Family
from spavl.models.trees.batch import Packing, TreeBatch, collate
from spavl.models.trees.pack import PackedTree
from spavl.pictures import Picture
from spavl.preferences.pairs import Pair
from spavl.preferences.table import pair_weights
from spavl.progress import OnProgress

TreeView = PictureView | Literal["mismatched"]
"""A tree beside a dataset's own: its pictures shown otherwise, or with answers that belong to other prompts."""
PACKED = 64
"""Packed trees kept between calls; a training packs each when its step comes."""


@final
class PairDataset:
    """Preference pairs by number, packed into trees and collated into batches.

    Args:
        pairs: all pairs, valid ones.
        family: tokenises and prepares pictures.
        packing: how sequences are packed, unless `batch` is told otherwise.
        blind: show every picture as one grey.
        corruption: also show each chosen answer with pictures that are corrupted like this.
        answers: what of the pairs the loss reads; with `unpaired` every prompt is also shown with answers to another.
        limit: longest conversation with an answer in tokens; answers are cut there.
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
        answers: AnswersRead = "pairs",
        limit: int | None = None,
        memory: int = 1 << 30,
    ) -> None:
        self.identity = ""
        """Of the model, by which the process keeps packed trees; empty: only this dataset does."""
        self.pairs = pairs
        self.family = family
        self.packing = packing
        self.limit = limit
        self.corruption = corruption
        self.answers = answers
        self._view: PictureView = "blank" if blind else "true"
        self._views: tuple[PictureView | None, ...] = (None,) if corruption is None else (None, corruption)
        self.pixel_cache = PixelCache(family, memory, load_in_view)
        self.pair_weights = pair_weights(pairs)
        """Weight of each pair's loss."""
        self.lengths = np.zeros(0, dtype=LENGTHS)
        """Tokens of each pair's parts, from `measure` or `use_lengths`."""
        self.longest = limit
        """Where an answer to another prompt is cut, in tokens with all before it; None: nowhere."""
        self._packed = lru_cache(maxsize=PACKED)(self._pack)

    @cached_property
    def mismatched(self) -> Int[np.ndarray, " P"]:
        """For each pair the number of the one whose answers stand for any answers to its prompt."""
        return mismatched_pairs(self.pairs)

    def texts(self, number: int) -> tuple[str, str]:
        """The answers of a pair that the loss reads, the chosen one and the rejected one; empty: none.

        Args:
            number: the pair.
        """
        pair = self.pairs[number]
        return pair.chosen, "" if self.answers == "chosen" else pair.rejected

    def totals(self, numbers: Iterable[int]) -> StepTotals:
        """Answers and tokens of the pairs of a step.

        Args:
            numbers: the pairs, which were measured.
        """
        lengths = self.lengths[list(numbers)]
        chosen, rejected = lengths["chosen"], lengths["rejected"]
        answers = int((chosen > 0).sum() + (rejected > 0).sum())
        return StepTotals(len(lengths), answers, int(chosen.sum()))

    def tree(self, numbers: PairGroup, view: TreeView | None = None) -> PackedTree:
        """The packed tree of some pairs with equal contexts.

        Args:
            numbers: the pairs.
            view: another view of the pictures than the dataset's, in a tree of the chosen answers alone; or answers to
                other prompts.
        """
        return self._packed(numbers, view)

    def measure(self, trees: Sequence[PairGroup], on_progress: OnProgress | None = None) -> None:
        """Tokenise every tree once and note the lengths of its parts, from which `size` and the like are computed.

        Args:
            trees: whole trees.
            on_progress: called with (trees done, trees in all).
        """
        self.use_lengths(measure_lengths(self.pairs, trees, self.family, on_progress, identity=self.identity))

    def use_lengths(self, lengths: np.ndarray) -> None:
        """Take lengths that were measured before.

        Args:
            lengths: of every pair, before answers are cut.
        """
        self.lengths = lengths if self.limit is None else cut_lengths(lengths, self.limit)
        if self.answers == "chosen":
            self.lengths = without_rejected(self.lengths)

    def size(self, numbers: PairGroup) -> int:
        """Tokens of a tree, corrupted pictures included; equal answers are counted twice.

        Args:
            numbers: a tree that was measured, or a part of one.
        """
        if self.packing == "separate":
            return self.size_apart(numbers)
        return tree_size(self.lengths[list(numbers)], corrupted=self.corruption is not None)

    def size_mismatched(self, numbers: PairGroup) -> int:
        """Tokens of the same prompts with answers to other prompts, in a tree of their own; 0 where there are none.

        Args:
            numbers: a tree that was measured, or a part of one.
        """
        if self.answers != "unpaired":
            return 0
        lengths, others = self.lengths[list(numbers)].copy(), self.lengths[self.mismatched[list(numbers)]]
        for name in ("chosen", "rejected"):
            lengths[name] = others[name]
        return (separate_size if self.packing == "separate" else tree_size)(lengths, corrupted=False)

    def pass_size(self, numbers: PairGroup) -> int:
        """Tokens that a tree adds to the largest forward pass made of it, by which trees are cut into passes.

        Args:
            numbers: a tree that was measured, or a part of one.
        """
        return max(self.size(numbers), self.size_mismatched(numbers))

    def size_apart(self, numbers: PairGroup) -> int:
        """Tokens of the same answers, each in a sequence of its own.

        Args:
            numbers: a tree that was measured, or a part of one.
        """
        return separate_size(self.lengths[list(numbers)], corrupted=self.corruption is not None)

    def equal_answers(self, number: int) -> bool:
        """Whether a pair's answers are equal after they were cut.

        Args:
            number: the pair.
        """
        packed = self.tree((number,))
        answers = [packed.ids[packed.answers[index].start : packed.answers[index].stop] for index in packed.rows[0][1]]
        return len(answers) == 2 and bool(np.array_equal(answers[0], answers[1]))

    def keys(self, number: int) -> tuple[str, ...]:
        """Keys of a pair's answers: chosen, rejected, and those of its other trees; empty where there is no answer.

        The others are the chosen answer with corrupted pictures, or both answers of another pair.

        Args:
            number: the pair.
        """
        pair = self.pairs[number]
        shown = [self._key(pair, text, None) for text in self.texts(number)]
        if self.corruption:
            shown.append(self._key(pair, pair.chosen, self.corruption))
        if self.answers == "unpaired":
            others = self.texts(int(self.mismatched[number]))
            shown += [self._key(pair, text, "mismatched") for text in others]
        return tuple(shown)

    def shown_pictures(self) -> Iterator[Picture]:
        """Every distinct picture in every view in which it is shown, one by one."""
        distinct = {picture.key: picture for pair in self.pairs for picture in pair.all_pictures}
        for view in self._views:
            yield from (in_view(picture, view or self._view) for picture in distinct.values())

    def batch(self, trees: Sequence[PairGroup], packing: Packing | None = None) -> tuple[TreeBatch, list[str]]:
        """A batch of trees, and the key of each of its answers; trees with corrupted pictures come last.

        Args:
            trees: pairs of each tree.
            packing: another packing than the dataset's.
        """
        return self._batch(trees, self._views, packing or self.packing)

    def mismatched_batch(self, trees: Sequence[PairGroup]) -> tuple[TreeBatch, list[str]]:
        """A batch of the prompts of some trees with answers to other prompts, and the key of each of its answers.

        Args:
            trees: pairs of each tree.
        """
        return self._batch(trees, ("mismatched",), self.packing)

    def _batch(
        self, trees: Sequence[PairGroup], views: Sequence[TreeView | None], packing: Packing
    ) -> tuple[TreeBatch, list[str]]:
        packed = [(self.tree(numbers, view), numbers, view) for view in views for numbers in trees]
        pixels = self.pixel_cache.pixels(picture for tree, _, _ in packed for picture in tree.pictures)
        trees_alone, encoded = [tree for tree, _, _ in packed], self.pixel_cache.features is not None
        batch = collate(trees_alone, self.family, packing, pixels=pixels, encoded=encoded)
        return batch, [key for one in packed for key in self._keys(*one)]

    def collate(
        self,
        trees: Sequence[PairGroup],
        *,
        weight: float,
        of: int,
        reference: Float[np.ndarray, "P K"] | None,
        totals: StepTotals | None = None,
    ) -> MicroBatch:
        """The micro-batch of some trees.

        Args:
            trees: pairs of each tree.
            weight: 1, or 0 for a padding batch.
            of: pairs of the whole step.
            reference: log-probabilities of all pairs' K answers under the reference, in the order of `keys`; None where
                they are computed live.
            totals: of the whole step; None: it has these pairs alone.
        """
        batch, _ = self.batch(trees)
        numbers = tuple(number for numbers in trees for number in numbers)
        places = self._places(numbers, batch)
        true, recorded = places[:, :2], None if reference is None else torch.from_numpy(reference[list(numbers)])
        corrupted = places[:, 2] if self.corruption else None
        return MicroBatch(
            batch=batch,
            pairs=numbers,
            chosen=true[:, 0],
            rejected=true[:, 1],
            corrupted=corrupted,
            reference=None if recorded is None else spread(recorded[:, : places.shape[1]], places, batch.answers),
            pair_weights=torch.from_numpy(self.pair_weights[list(numbers)]),
            weight=weight,
            of=of,
            totals=totals or totals_of(batch, true),
            mismatched=self._mismatched_of(trees, numbers, recorded) if self.answers == "unpaired" else None,
        )

    def _places(self, numbers: Sequence[int], batch: TreeBatch) -> Int[Tensor, "P K"]:
        """Index in a batch of each pair's answers: chosen, rejected, chosen with corrupted pictures; -1: none."""
        rows = [self._row_places(number, answers) for number, (_, answers) in zip(numbers, batch.rows, strict=False)]
        if self.corruption:
            rows = [[*row, more[0]] for row, (_, more) in zip(rows, batch.rows[len(numbers) :], strict=True)]
        return torch.tensor(rows)

    def _row_places(self, number: int, answers: Sequence[int]) -> list[int]:
        """The answers of a row, which has those that are there, in places of chosen and rejected."""
        left = iter(answers)
        return [next(left) if text else -1 for text in self.texts(number)]

    def _mismatched_of(
        self, trees: Sequence[PairGroup], numbers: Sequence[int], recorded: Float[Tensor, "P K"] | None
    ) -> MismatchedBatch:
        batch, _ = self.mismatched_batch(trees)
        others = self.mismatched[list(numbers)].tolist()
        rows = [self._row_places(other, answers) for other, (_, answers) in zip(others, batch.rows, strict=True)]
        places = torch.tensor(rows)
        reference = None if recorded is None else spread(recorded[:, -2:], places, batch.answers)
        return MismatchedBatch(batch, places[places >= 0], reference)

    def _key(self, pair: Pair, text: str, view: TreeView | None) -> str:
        """Key of an answer in one of a pair's trees; empty where there is no answer. An answer to another prompt may
        be cut where it would be too long, so its key names where."""
        if not text:
            return ""
        if view == "mismatched":
            return f"{answer_key(pair, text, self._view)}@{self.longest}"
        return answer_key(pair, text, view or self._view)

    def _answers_in(self, number: int, view: TreeView | None) -> list[str]:
        """The answers that a pair's row has in one of its trees."""
        if view is None:
            return [text for text in self.texts(number) if text]
        if view == "mismatched":
            return [text for text in self.texts(int(self.mismatched[number])) if text]
        return [self.pairs[number].chosen]

    def _keys(self, tree: PackedTree, numbers: PairGroup, view: TreeView | None) -> list[str]:
        """Keys of a tree's answers, in the tree's order."""
        keys: dict[int, str] = {}
        for number, (_, answers) in zip(numbers, tree.rows, strict=True):
            pair = self.pairs[number]
            for answer, text in zip(answers, self._answers_in(number, view), strict=True):
                keys[answer] = self._key(pair, text, view)
        return [keys[answer] for answer in sorted(keys)]

    def _pack(self, numbers: PairGroup, view: TreeView | None) -> PackedTree:
        shown: PictureView = self._view if view is None or view == "mismatched" else view
        rows = [self.pairs[number].row(*self._answers_in(number, view)) for number in numbers]
        (packed,) = PROCESS.pack([rows], self.family, self.identity)
        packed = replace(packed, pictures=tuple(in_view(one, shown) for one in packed.pictures))
        limit = self.longest if view == "mismatched" else self.limit
        return packed if limit is None else cut_answers(packed, limit)


@final
class StepDataset(torch.utils.data.Dataset[list[MicroBatch]]):  # type: ignore[misc]
    """The micro-batches of one rank: one item for each optimiser step.

    Args:
        dataset: the pairs.
        schedule: all steps of the training.
        rank: number of this process.
        reference: cached log-probabilities of the reference; None where it is computed live.
    """

    def __init__(
        self,
        dataset: PairDataset,
        schedule: Sequence[ScheduledStep],
        rank: int,
        reference: Float[np.ndarray, "P K"] | None,
    ) -> None:
        self.dataset = dataset
        self.schedule = schedule
        self.rank = rank
        self.reference = reference

    def __len__(self) -> int:
        return len(self.schedule)

    def __getitem__(self, number: int) -> list[MicroBatch]:
        step = self.schedule[number]
        micro_batches = step.micro_batches[self.rank]
        real = len(micro_batches) - step.padding_batches[self.rank]
        totals = self.dataset.totals(step.numbers())
        return [
            self.dataset.collate(
                trees, weight=float(index < real), of=step.pairs, reference=self.reference, totals=totals
            )
            for index, trees in enumerate(micro_batches)
        ]


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
