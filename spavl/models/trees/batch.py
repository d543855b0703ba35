"""Batches of packed trees: what a model reads, and which of its outputs are scored.

Shapes: B rows of the batch, S tokens of a row with its padding, A answers, N scored tokens (those of all answers), U
predicting tokens (U ≤ N: the last token of a question predicts the first of each of its answers), I pictures in all
rows, P data rows with a pair of answers. A flat index counts tokens over all rows: row × S + place in the row.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import pad

from spavl.models.families import Family
from spavl.models.families.attention import AttentionBlock, AttentionBlocks
from spavl.models.trees.pack import PackedTree, unpack_tree
from spavl.pictures import Picture

Packing = Literal["tree", "separate"]
"""`tree`: a row is a packed tree, its shared tokens are computed once. `separate`: every answer has a row."""
GPU_WIDTH, GPU_PREFIX = 16, 64
"""On a GPU rows are as wide as a multiple of the first, and their shared prefix ends at a multiple of the second:
cuDNN plans attention anew for every shape, for a tenth of a second, and other kernels want masks to be aligned."""


@dataclass(frozen=True)
class TreeBatch:
    """B packed sequences of S tokens with A answers, and where the N scored tokens are in them.

    Answers are counted over the batch, in order of trees, then of branches; scored tokens in order of answers.
    """

    ids: Int[Tensor, "B S"]
    """Token ids; padding on the right."""
    depth: Int[Tensor, "B S"]
    """Index of a token in the sequence it would be in alone."""
    end: Int[Tensor, "B S"]
    """A token is attended to by the tokens from itself up to here; padding by itself only."""
    positions: Int[Tensor, "B S"] | Int[Tensor, "3 B S"]
    """Position ids; the three are time, height and width where the family has M-RoPE."""
    picture_index: Int[Tensor, "B S"] | None
    """Number of the picture that a token belongs to, -1 for text; None unless picture tokens attend both ways."""
    lengths: Int[Tensor, " B"]
    """Tokens of each row without its padding."""
    pixels: dict[str, Tensor]
    """The vision tower's inputs (`pixel_values` and their like), every distinct picture once."""
    occurrences: Int[Tensor, " I"]
    """Which distinct picture each one is, in reading order. Stays on the CPU."""
    picture_tokens: list[int]
    """Number of image placeholder tokens of each distinct picture."""
    scored: Int[Tensor, " N"]
    """Flat index of the token that predicts each scored token."""
    predicting: Bool[Tensor, "B S"]
    """True on the U tokens that predict a scored token."""
    predictor: Int[Tensor, " N"]
    """Which of the U predicting tokens predicts each scored token."""
    targets: Int[Tensor, " N"]
    """Ids of the scored tokens."""
    owner: Int[Tensor, " N"]
    """Answer that each scored token belongs to."""
    last: Int[Tensor, " A"]
    """Flat index of the last token of every answer."""
    questions: tuple[tuple[tuple[int, int], ...], ...]
    """For each row the start and stop of every question with its answers; before the first is the shared prefix."""
    rows: tuple[tuple[str, tuple[int, ...]], ...]
    """For each data row its id and its answers."""
    packing: Packing
    """Whether a row is a tree or a single answer's sequence."""
    encoded: bool = False
    """Whether `pixels` holds what the vision tower gave for the pictures, from `trees.tower.encode`, not its inputs."""

    def to(self, device: Any, *, non_blocking: bool = False) -> TreeBatch:
        """The same batch on a device; on a GPU with rows of a width that other batches have too.

        Args:
            device: a torch device or its name.
            non_blocking: copy from pinned memory while the device computes.
        """
        batch = self.widened(GPU_WIDTH) if torch.device(device).type == "cuda" else self

        def move(value: Any) -> Any:
            return value.to(device, non_blocking=non_blocking) if isinstance(value, Tensor) else value

        moved = {name: move(value) for name, value in vars(batch).items() if name != "occurrences"}
        return replace(batch, **{**moved, "pixels": {name: move(value) for name, value in batch.pixels.items()}})

    def widened(self, multiple: int) -> TreeBatch:
        """The same batch with more padding; flat indices are those of the new width.

        Args:
            multiple: what the width becomes a multiple of.
        """
        width = self.ids.shape[1]
        more = -width % multiple
        if not more:
            return self

        def moved(flat: Tensor) -> Tensor:
            return flat + flat.div(width, rounding_mode="floor") * more

        place = torch.arange(width, width + more, device=self.ids.device)
        return replace(
            self,
            ids=torch.cat((self.ids, self.ids[:, -1:].expand(-1, more)), 1),  # of an answer or padding: no picture's
            depth=pad(self.depth, (0, more)),
            end=torch.cat((self.end, (place + 1).expand(len(self.ids), -1)), 1),
            positions=pad(self.positions, (0, more)),
            picture_index=None if self.picture_index is None else pad(self.picture_index, (0, more), value=-1),
            predicting=pad(self.predicting, (0, more)),
            scored=moved(self.scored),
            last=moved(self.last),
        )

    @property
    def answers(self) -> int:
        """A, the number of answers."""
        return int(self.last.shape[0])

    def pairs(self) -> Int[Tensor, "P 2"]:
        """Chosen and rejected answer of every data row, each of which must hold two."""
        return torch.tensor([answers for _, answers in self.rows], device=self.ids.device)

    def attention_blocks(self, *, causal_prefix: bool, uniform: bool) -> AttentionBlocks:
        """How attention over these rows is cut into blocks: the shared prefix, then every question with its answers.

        Args:
            causal_prefix: attention inside the shared prefix is plainly causal and needs no mask.
            uniform: cut all rows alike, in two blocks; for GPUs, which many small calls leave idle.
        """
        prefixes = [spans[0][0] for spans in self.questions]
        if uniform:
            cut = min(prefixes) // GPU_PREFIX * GPU_PREFIX  # the mask knows what is shared behind the cut
            while self._inside_picture(cut):
                cut -= GPU_PREFIX
            return [[AttentionBlock(cut, not causal_prefix), AttentionBlock(self.ids.shape[1] - cut, True)]]
        return [
            [AttentionBlock(prefix, not causal_prefix), *(AttentionBlock(stop - start, True) for start, stop in spans)]
            for prefix, spans in zip(prefixes, self.questions, strict=True)
        ]

    def _inside_picture(self, cut: int) -> bool:
        """Whether a cut would keep tokens of a picture from those behind it, to which they attend."""
        if self.picture_index is None or cut <= 0:
            return False
        before, after = self.picture_index[:, cut - 1], self.picture_index[:, cut]
        return bool(((before == after) & (before >= 0)).any())

    def mask(
        self, attention: Literal["tree", "eager"], dtype: torch.dtype, window: int | None = None
    ) -> Bool[Tensor, "B 1 S S"] | Float[Tensor, "B 1 S S"]:
        """Which token attends to which.

        Args:
            attention: `tree` gives True where a token attends; `eager` 0 there, and the lowest number elsewhere.
            dtype: number format of the `eager` mask.
            window: length of the sliding window, counted along a token's own ancestors; None: no window. It also
                limits the bidirectional attention inside a picture.
        """
        place = torch.arange(self.ids.shape[1], device=self.ids.device)
        attends = (place[:, None] >= place) & (place[:, None] < self.end[:, None, :])
        if self.picture_index is not None:
            picture = self.picture_index
            attends |= (picture[:, :, None] == picture[:, None, :]) & (picture[:, None, :] >= 0)
        if window is not None:
            attends &= self.depth[:, :, None] - self.depth[:, None, :] < window
        attends = attends[:, None]
        if attention == "tree":
            return attends
        return torch.zeros((), dtype=dtype, device=attends.device).where(attends, torch.finfo(dtype).min)


def collate(
    trees: Sequence[PackedTree],
    family: Family,
    packing: Packing = "tree",
    *,
    pixels: Mapping[str, dict[str, Tensor]] | None = None,
    encoded: bool = False,
) -> TreeBatch:
    """A batch of trees, or of all their answers in rows of their own; answers come in the same order.

    Args:
        trees: at least one packed tree.
        family: the model's family.
        packing: `tree`, or `separate` for a row an answer.
        pixels: what `family.pixels` made of single pictures, by picture key, such as `pixel_values`
            [1, 3, height, width]; pictures that are not in it are loaded and processed now. None: all are.
        encoded: `pixels` holds what `trees.tower.encode` made of every picture instead.
    """
    packed = [one for tree in trees for one in unpack_tree(tree)] if packing == "separate" else list(trees)
    width = max(map(len, packed))
    pictures, occurrences = _pictures(packed)
    image_inputs = _image_inputs(pictures, family, pixels or {})
    ids = _padded([tree.ids for tree in packed], width, family.pad_id)
    depth = _padded([tree.depth for tree in packed], width, 0)
    end = _padded([tree.end for tree in packed], width, 0)
    return TreeBatch(
        ids=torch.from_numpy(ids),
        depth=torch.from_numpy(depth),
        end=torch.from_numpy(np.where(end == 0, np.arange(width) + 1, end)),
        positions=family.positions(occurrences, ids, depth, image_inputs),
        picture_index=family.picture_index(ids),
        lengths=torch.tensor([len(tree) for tree in packed]),
        pixels=image_inputs,
        questions=tuple(_questions(tree) for tree in packed),
        picture_tokens=[family.tokens_of(picture) for picture in pictures],
        occurrences=torch.from_numpy(np.concatenate(occurrences)),
        rows=_rows(trees),
        packing=packing,
        encoded=encoded and bool(image_inputs),
        **_scored(packed, width),
    )


def _padded(rows: Sequence[np.ndarray], width: int, value: int) -> np.ndarray:
    table = np.full((len(rows), width), value, dtype=np.int64)
    for line, row in zip(table, rows, strict=True):
        line[: len(row)] = row
    return table


def _scored(trees: Sequence[PackedTree], width: int) -> dict[str, Tensor]:
    """The fields about scored tokens: the last token of the question predicts the first of the answer, and so on."""
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
    predicting, predictor = np.unique(flat, return_inverse=True)
    return {
        "scored": torch.from_numpy(flat),
        "predicting": torch.from_numpy(np.isin(np.arange(len(trees) * width), predicting).reshape(-1, width)),
        "predictor": torch.from_numpy(predictor),
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
    """Distinct pictures, and for each row which of them it shows."""
    distinct = {picture.key: picture for tree in trees for picture in tree.pictures}
    number = {key: index for index, key in enumerate(distinct)}
    occurrences = [np.array([number[picture.key] for picture in tree.pictures], dtype=np.int64) for tree in trees]
    return list(distinct.values()), occurrences


def _image_inputs(
    pictures: Sequence[Picture], family: Family, prepared: Mapping[str, dict[str, Tensor]]
) -> dict[str, Tensor]:
    """The vision tower's inputs for these pictures, joined as the processor itself would join them."""
    if not pictures:
        return {}
    if not any(picture.key in prepared for picture in pictures):
        return family.pixels([picture.load() for picture in pictures])
    parts = [prepared.get(picture.key) or family.pixels([picture.load()]) for picture in pictures]
    return {name: _joined([part[name] for part in parts]) for name in parts[0]}


def _joined(parts: Sequence[Tensor]) -> Tensor:
    """Joined along the first dimension; the others (tiles, rows, columns) padded with zeros to the largest."""
    shape = [max(sizes) for sizes in zip(*(part.shape[1:] for part in parts), strict=True)]
    padded = []
    for part in parts:
        room = [extra for size, most in zip(part.shape[:0:-1], shape[::-1], strict=True) for extra in (0, most - size)]
        padded.append(pad(part, room) if any(room) else part)
    return torch.cat(padded)
