"""Trees side by side: what a model reads, and which of its outputs are scored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from spavl.models.families import Family
from spavl.models.families.attention import AttentionBlock, AttentionBlocks
from spavl.models.trees.pack import PackedTree, unpack_tree
from spavl.pictures import Picture

Packing = Literal["tree", "separate"]


@dataclass(frozen=True)
class TreeBatch:
    """B rows of S tokens holding A answers with N scored tokens in all.

    Answers are counted over the batch, in order of trees, then of branches; scored tokens in order of answers.
    """

    ids: Tensor
    """[B, S] token ids; padding on the right."""
    depth: Tensor
    """[B, S] index of a token in the sequence it would be in alone."""
    end: Tensor
    """[B, S] a token is seen by the tokens from itself up to here; padding is seen by itself only."""
    positions: Tensor
    """[B, S], or [3, B, S] where positions have time, height and width."""
    blocks: Tensor | None
    """[B, S] number of the picture that a token belongs to, -1 for text; only where pictures are seen both ways."""
    lengths: Tensor
    """[B] tokens of each row without its padding."""
    pixels: dict[str, Tensor]
    """What the vision tower reads, every distinct picture once."""
    occurrences: Tensor
    """[pictures in all rows] which distinct picture stands there, in reading order. Stays on the CPU."""
    picture_tokens: list[int]
    """Tokens of each distinct picture."""
    scored: Tensor
    """[N] flat index (row × S + place) of the token that predicts."""
    predicting: Tensor
    """[B, S] true on the U tokens that predict something."""
    which: Tensor
    """[N] which of those U predicts: the last token of a question predicts the first of each of its answers."""
    targets: Tensor
    """[N] the token predicted."""
    owner: Tensor
    """[N] answer that the target belongs to."""
    last: Tensor
    """[A] flat index of the last token of every answer."""
    questions: tuple[tuple[tuple[int, int], ...], ...]
    """For each row the runs of tokens that belong to one question and its answers; before the first lies the trunk."""
    rows: tuple[tuple[str, tuple[int, ...]], ...]
    """For each data row its id and its answers."""
    packing: Packing

    def to(self, device: Any, *, non_blocking: bool = False) -> TreeBatch:
        """The same batch on a device."""

        def move(value: Any) -> Any:
            return value.to(device, non_blocking=non_blocking) if isinstance(value, Tensor) else value

        moved = {name: move(value) for name, value in vars(self).items() if name != "occurrences"}
        return replace(self, **{**moved, "pixels": {name: move(value) for name, value in self.pixels.items()}})

    @property
    def answers(self) -> int:
        """A, the number of answers."""
        return int(self.last.shape[0])

    def pairs(self) -> Tensor:
        """[P, 2] chosen and rejected answer of every data row, each of which must hold two."""
        return torch.tensor([answers for _, answers in self.rows], device=self.ids.device)

    def pieces(self, *, plain_prefix: bool, together: bool) -> AttentionBlocks:
        """How attention over these rows is cut: each by itself, trunk and questions; or all rows alike, in two.

        `plain_trunk`: each token of a trunk sees all before it. `together` is for GPUs, which small calls leave idle.
        """
        trunks = [runs[0][0] for runs in self.questions]
        if together:
            cut = min(trunks)
            return [[AttentionBlock(cut, not plain_prefix), AttentionBlock(self.ids.shape[1] - cut, True)]]
        return [
            [
                AttentionBlock(shared_prefix, not plain_prefix),
                *(AttentionBlock(stop - start, True) for start, stop in runs),
            ]
            for shared_prefix, runs in zip(trunks, self.questions, strict=True)
        ]

    def mask(self, attention: Literal["tree", "eager"], dtype: torch.dtype, window: int | None = None) -> Tensor:
        """[B, 1, S, S] who sees whom: True = sees for `tree`, 0 / lowest number for `eager`.

        The tokens of a two-way picture see each other; a sliding window counts along a token's own ancestors, and
        holds for both.
        """
        place = torch.arange(self.ids.shape[1], device=self.ids.device)
        sees = (place[:, None] >= place) & (place[:, None] < self.end[:, None, :])
        if self.blocks is not None:
            sees |= (self.blocks[:, :, None] == self.blocks[:, None, :]) & (self.blocks[:, None, :] >= 0)
        if window is not None:
            sees &= self.depth[:, :, None] - self.depth[:, None, :] < window
        sees = sees[:, None]
        if attention == "tree":
            return sees
        return torch.zeros((), dtype=dtype, device=sees.device).where(sees, torch.finfo(dtype).min)


def collate(
    trees: Sequence[PackedTree],
    family: Family,
    packing: Packing = "tree",
    *,
    pixels: Mapping[str, dict[str, Tensor]] | None = None,
) -> TreeBatch:
    """A batch of trees, or of all their answers in sequences of their own (`packing="separate"`).

    Either way answers come in the same order. `pixels` holds what `family.pixels` made of single pictures, by key; the
    others are read now.
    """
    packed = [one for tree in trees for one in unpack_tree(tree)] if packing == "separate" else list(trees)
    width = max(map(len, packed))
    pictures, places = _pictures(packed)
    seen = _seen(pictures, family, pixels or {})
    ids = _padded([tree.ids for tree in packed], width, family.pad_id)
    depth = _padded([tree.depth for tree in packed], width, 0)
    end = _padded([tree.end for tree in packed], width, 0)
    return TreeBatch(
        ids=torch.from_numpy(ids),
        depth=torch.from_numpy(depth),
        end=torch.from_numpy(np.where(end == 0, np.arange(width) + 1, end)),
        positions=family.positions(places, ids, depth, seen),
        blocks=family.blocks(ids),
        lengths=torch.tensor([len(tree) for tree in packed]),
        pixels=seen,
        questions=tuple(_questions(tree) for tree in packed),
        picture_tokens=[family.tokens_of(picture.size()) for picture in pictures],
        occurrences=torch.from_numpy(np.concatenate(places)),
        rows=_rows(trees),
        packing=packing,
        **_scored(packed, width),
    )


def _padded(rows: Sequence[np.ndarray], width: int, value: int) -> np.ndarray:
    table = np.full((len(rows), width), value, dtype=np.int64)
    for line, row in zip(table, rows, strict=True):
        line[: len(row)] = row
    return table


def _scored(trees: Sequence[PackedTree], width: int) -> dict[str, Tensor]:
    """Indices of scored tokens: the last token of the question predicts the first of the answer, and so on."""
    scored, targets, owner, last = [], [], [], []
    spans = [(row, tree, answer) for row, tree in enumerate(trees) for answer in tree.answers]
    for number, (row, tree, answer) in enumerate(spans):
        predicting = np.arange(answer.start - 1, answer.stop - 1)
        predicting[0] = answer.before
        scored.append(predicting + row * width)
        targets.append(tree.ids[answer.start : answer.stop])
        owner.append(np.full(len(predicting), number))
        last.append(row * width + answer.stop - 1)
    flat = np.concatenate(scored)
    predicting, which = np.unique(flat, return_inverse=True)
    return {
        "scored": torch.from_numpy(flat),
        "predicting": torch.from_numpy(np.isin(np.arange(len(trees) * width), predicting).reshape(-1, width)),
        "which": torch.from_numpy(which),
        "targets": torch.from_numpy(np.concatenate(targets)),
        "owner": torch.from_numpy(np.concatenate(owner)),
        "last": torch.tensor(last),
    }


def _questions(tree: PackedTree) -> tuple[tuple[int, int], ...]:
    starts = sorted({answer.question[0] for answer in tree.answers})
    return tuple(zip(starts, [*starts[1:], len(tree)], strict=True))


def _rows(trees: Sequence[PackedTree]) -> tuple[tuple[str, tuple[int, ...]], ...]:
    rows, base = [], 0
    for tree in trees:
        rows += [(name, tuple(base + answer for answer in answers)) for name, answers in tree.rows]
        base += len(tree.answers)
    return tuple(rows)


def _pictures(trees: Sequence[PackedTree]) -> tuple[list[Picture], list[np.ndarray]]:
    """Distinct pictures, and for each row which of them stand in it."""
    distinct = {picture.key: picture for tree in trees for picture in tree.pictures}
    number = {key: index for index, key in enumerate(distinct)}
    places = [np.array([number[picture.key] for picture in tree.pictures], dtype=np.int64) for tree in trees]
    return list(distinct.values()), places


def _seen(order: Sequence[Picture], family: Family, prepared: Mapping[str, dict[str, Tensor]]) -> dict[str, Tensor]:
    """What the tower reads, for these pictures together; side by side as the processor itself would lay them."""
    if not order:
        return {}
    if not any(picture.key in prepared for picture in order):
        return family.pixels([picture.load() for picture in order])
    parts = [prepared.get(picture.key) or family.pixels([picture.load()]) for picture in order]
    return {name: _side_by_side([part[name] for part in parts]) for name in parts[0]}


def _side_by_side(parts: Sequence[Tensor]) -> Tensor:
    """Joined along the first dimension; the others (tiles, rows, columns) padded with nought to the largest."""
    shape = [max(sizes) for sizes in zip(*(part.shape[1:] for part in parts), strict=True)]
    wide = []
    for part in parts:
        room = [extra for size, most in zip(part.shape[:0:-1], shape[::-1], strict=True) for extra in (0, most - size)]
        wide.append(torch.nn.functional.pad(part, room) if any(room) else part)
    return torch.cat(wide)
