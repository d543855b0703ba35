"""From numbered pairs to micro-batches: trees are tokenised once, pictures prepared once, both collated on demand."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, final

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from spavl.align.data.lengths import LENGTHS, cut_lengths, measure_lengths, separate_size, tree_size
from spavl.align.data.packed_trees import PROCESS
from spavl.align.data.pixels import PixelCache
from spavl.align.data.schedule import PairGroup, ScheduledStep
from spavl.align.data.views import PictureView, answer_key, in_view, load_in_view
from spavl.models.families import Family
from spavl.models.trees.batch import Packing, TreeBatch, collate
from spavl.models.trees.pack import PackedTree
from spavl.pictures import Picture
from spavl.preferences.pairs import Pair
from spavl.preferences.table import pair_weights
from spavl.progress import OnProgress

PACKED = 64
"""Packed trees kept between calls; a training packs each when its step comes."""


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
    pair_weights: Float[Tensor, " P"]
    """Weight of each pair's loss."""
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


@final
class PairDataset:
    """Preference pairs by number, packed into trees and collated into batches.

    Args:
        pairs: all pairs, valid ones.
        family: tokenises and prepares pictures.
        packing: how sequences are packed, unless `batch` is told otherwise.
        blind: show every picture as one grey.
        corruption: also show each chosen answer with pictures that are corrupted like this.
        limit: longest conversation with an answer in tokens; answers are cut there.
        memory: bytes of prepared pictures kept between batches.
        identity: of the model, by which the process keeps packed trees; empty: only this dataset does.
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
        identity: str = "",
    ) -> None:
        self.identity = identity
        self.pairs = pairs
        self.family = family
        self.packing = packing
        self.limit = limit
        self.corruption = corruption
        self._view: PictureView = "blank" if blind else "true"
        self._views: tuple[PictureView | None, ...] = (None,) if corruption is None else (None, corruption)
        self.pixel_cache = PixelCache(family, memory, load_in_view)
        self.pair_weights = pair_weights(pairs)
        """Weight of each pair's loss."""
        self.lengths = np.zeros(0, dtype=LENGTHS)
        """Tokens of each pair's parts, from `measure` or `use_lengths`."""
        self._packed = lru_cache(maxsize=PACKED)(self._pack)

    def tree(self, numbers: PairGroup, view: PictureView | None = None) -> PackedTree:
        """The packed tree of some pairs with equal contexts.

        Args:
            numbers: the pairs.
            view: another view of the pictures than the dataset's; such a tree holds only the chosen answers.
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

    def size(self, numbers: PairGroup) -> int:
        """Tokens of a tree, corrupted pictures included; equal answers are counted twice.

        Args:
            numbers: a tree that was measured, or a part of one.
        """
        if self.packing == "separate":
            return self.size_apart(numbers)
        return tree_size(self.lengths[list(numbers)], corrupted=self.corruption is not None)

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
        chosen, rejected = (
            packed.ids[packed.answers[index].start : packed.answers[index].stop] for index in packed.rows[0][1]
        )
        return bool(np.array_equal(chosen, rejected))

    def keys(self, number: int) -> tuple[str, ...]:
        """Keys of a pair's answers: chosen, rejected, and chosen with corrupted pictures where there are such.

        Args:
            number: the pair.
        """
        pair = self.pairs[number]
        shown = [answer_key(pair, text, self._view) for text in (pair.chosen, pair.rejected)]
        return (*shown, answer_key(pair, pair.chosen, self.corruption)) if self.corruption else tuple(shown)

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
        packed = [(self.tree(numbers, view), numbers, view) for view in self._views for numbers in trees]
        pixels = self.pixel_cache.pixels(picture for tree, _, _ in packed for picture in tree.pictures)
        encoded = self.pixel_cache.features is not None
        trees_alone = [tree for tree, _, _ in packed]
        batch = collate(trees_alone, self.family, packing or self.packing, pixels=pixels, encoded=encoded)
        return batch, [key for one in packed for key in self._keys(*one)]

    def collate(
        self,
        trees: Sequence[PairGroup],
        *,
        weight: float,
        of: int,
        reference: Float[np.ndarray, "P K"] | None,
    ) -> MicroBatch:
        """The micro-batch of some trees.

        Args:
            trees: pairs of each tree.
            weight: 1, or 0 for a padding batch.
            of: pairs of the whole step.
            reference: log-probabilities of all pairs' K answers under the reference, in the order of `keys`; None where
                they are computed live.
        """
        batch, _ = self.batch(trees)
        numbers = tuple(number for numbers in trees for number in numbers)
        true = torch.tensor([answers for _, answers in batch.rows[: len(numbers)]])
        corrupted = [answers[0] for _, answers in batch.rows[len(numbers) :]]
        sums = None
        if reference is not None:
            sums = torch.zeros(batch.answers)
            places = torch.cat([true, torch.tensor(corrupted)[:, None]], 1) if self.corruption else true
            sums[places] = torch.from_numpy(reference[list(numbers)])
        return MicroBatch(
            batch=batch,
            pairs=numbers,
            chosen=true[:, 0],
            rejected=true[:, 1],
            corrupted=torch.tensor(corrupted) if self.corruption else None,
            reference=sums,
            pair_weights=torch.from_numpy(self.pair_weights[list(numbers)]),
            weight=weight,
            of=of,
        )

    def _keys(self, tree: PackedTree, numbers: PairGroup, view: PictureView | None) -> list[str]:
        """Keys of a tree's answers, in the tree's order."""
        keys: dict[int, str] = {}
        for number, (_, answers) in zip(numbers, tree.rows, strict=True):
            pair = self.pairs[number]
            for answer, text in zip(answers, (pair.chosen, pair.rejected), strict=False):
                keys[answer] = answer_key(pair, text, view or self._view)
        return [keys[answer] for answer in sorted(keys)]

    def _pack(self, numbers: PairGroup, view: PictureView | None) -> PackedTree:
        pairs = [self.pairs[number] for number in numbers]
        rows = [pair.row(pair.chosen) if view else pair.row() for pair in pairs]
        (packed,) = PROCESS.pack([rows], self.family, self.identity)
        packed = replace(packed, pictures=tuple(in_view(one, view or self._view) for one in packed.pictures))
        return packed if self.limit is None else cut_answers(packed, self.limit)


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
        return [
            self.dataset.collate(trees, weight=float(index < real), of=step.pairs, reference=self.reference)
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
