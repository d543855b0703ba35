"""Keys and values while answers are decoded: the prompts', shared by all answers of a tree, and each answer's own.

One token of every answer goes through the model as one row of R tokens. A token attends to the tokens of its tree that
its question attends to, which lie in the tree's cache and are read there by all answers of the tree in one product, and
to its answer's own tokens. Nothing is copied per answer, and answers of any number and tree share a step.

Shapes: R answers, N trees, A answers of the tree with the most, S tokens of a tree, T tokens of an answer so far, H
attention heads, G key and value heads, D features of a head.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import final

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import pad
from transformers import DynamicCache

from spavl.models.trees.batch import TreeBatch

LEAST_ROOM = 16
"""Tokens of an answer for which room is made at first; it doubles."""


@final
class AnswerCache:
    """The keys and values that R answers attend to, and which of them each does.

    Args:
        prompts: keys and values of the batch's tokens.
        batch: the packed trees, each question with a placeholder in place of an answer.
        questions: which question each answer is to, counted over the batch.
    """

    def __init__(self, prompts: DynamicCache, batch: TreeBatch, questions: Int[Tensor, " R"]) -> None:
        width = batch.ids.shape[1]
        last = batch.scored[questions]
        self._tree, place = last // width, (last % width)[:, None]
        index = torch.arange(width, device=last.device)
        self._attends = (index <= place) & (place < batch.end[self._tree])
        self._key_depth = batch.depth[self._tree]
        self._depth = batch.depth.flatten()[last]
        self._positions = batch.positions.flatten(-2)[..., last]
        self._prompts = [(layer.keys, layer.values) for layer in prompts.layers]
        self._own = [_OwnKeys(keys, values, len(questions)) for keys, values in self._prompts]
        self._length = 0
        self._arrange()

    def step(self) -> None:
        """Make room for one more token of every answer."""
        self._length += 1
        self._depth = self._depth + 1
        self._positions = self._positions + 1

    @property
    def positions(self) -> Int[Tensor, "*3 1 R"]:
        """Position ids of the newest token of every answer."""
        return self._positions[..., None, :]

    def masks(self, windows: Mapping[str, int | None]) -> dict[str, Float[Tensor, "N 1 A K"]]:
        """What is added to the attention scores, for each type of layer; K = S + T.

        Args:
            windows: sliding window by type of layer, None where a layer has none.
        """
        return {kind: self._mask(window) for kind, window in windows.items()}

    def attend(
        self,
        layer: int,
        query: Float[Tensor, "1 H R D"],
        key: Float[Tensor, "1 G R D"],
        value: Float[Tensor, "1 G R D"],
        mask: Float[Tensor, "N 1 A K"],
    ) -> Float[Tensor, "1 R H D"]:
        """Attention of the newest token of every answer, whose keys and values are kept.

        Args:
            layer: number of the attention layer.
            query: of the newest tokens, multiplied with what scores are multiplied with.
            key: of the newest tokens.
            value: of the newest tokens.
            mask: of the layer's type, from `masks`.
        """
        own_keys, own_values = self._own[layer].extended(key[0], value[0], self._length)
        keys, values = self._prompts[layer]
        heads = key.shape[1]
        split = query[0].transpose(0, 1).unflatten(1, (heads, -1))  # [R, G, H / G, D]
        own_scores = self._by_tree(split @ own_keys.mT)
        scores = torch.cat((self._by_tree(split) @ keys.mT, own_scores), -1).float()
        each = scores.unflatten(2, (-1, self._slots.shape[1])) + mask[:, :, None]
        weights = each.softmax(-1).to(values.dtype).flatten(2, 3)
        shared, own = weights.split((keys.shape[2], self._length), -1)
        output = self._by_answer(shared @ values) + self._by_answer(own) @ own_values
        return output.flatten(1, 2)[None]

    def keep(self, kept: Int[Tensor, " R"]) -> None:
        """Drop all other answers, and trees without any once they are half of all.

        Args:
            kept: indices of the answers that go on.
        """
        self._tree, self._attends, self._key_depth = self._tree[kept], self._attends[kept], self._key_depth[kept]
        self._depth, self._positions = self._depth[kept], self._positions[..., kept]
        for own in self._own:
            own.keep(kept)
        alive, numbers = self._tree.unique(return_inverse=True)
        if 2 * len(alive) <= len(self._prompts[0][0]):
            self._tree = numbers
            self._prompts = [(keys[alive], values[alive]) for keys, values in self._prompts]
        self._arrange()

    def _arrange(self) -> None:
        """Give every answer its place among those of its tree."""
        trees = self._tree.tolist()
        places: dict[int, list[int]] = {tree: [] for tree in range(len(self._prompts[0][0]))}
        back = []
        for answer, tree in enumerate(trees):
            back.append((tree, len(places[tree])))
            places[tree].append(answer)
        most = max(map(len, places.values()))
        # A tree with fewer answers than another is filled up with any answer; what it yields is read by none.
        table = [own + [0] * (most - len(own)) for own in places.values()]
        self._slots = torch.tensor(table, device=self._tree.device)
        self._back = torch.tensor([tree * most + place for tree, place in back], device=self._tree.device)
        self._sees = self._attends[self._slots][:, None]

    def _mask(self, window: int | None) -> Tensor:
        sees = pad(self._sees, (0, self._length), value=True)
        if window is not None:
            age = self._depth[:, None] - self._key_depth
            own_age = torch.arange(self._length - 1, -1, -1, device=age.device).expand(len(age), -1)
            sees = sees & (torch.cat((age, own_age), 1) < window)[self._slots][:, None]
        return torch.zeros((), device=sees.device).where(sees, float("-inf"))

    def _by_tree(self, rows: Tensor) -> Tensor:
        """[R, G, H / G, X], a row an answer, as [N, G, H / G × A, X], those of a tree together."""
        return rows[self._slots].permute(0, 2, 3, 1, 4).flatten(2, 3)

    def _by_answer(self, trees: Tensor) -> Tensor:
        """The inverse of `_by_tree`."""
        return trees.unflatten(2, (-1, self._slots.shape[1])).permute(0, 3, 1, 2, 4).flatten(0, 1)[self._back]


class _OwnKeys:
    """One layer's keys and values of the answers' own tokens, with room to grow."""

    def __init__(self, keys: Tensor, values: Tensor, answers: int) -> None:
        self._parts = [part.new_empty(answers, part.shape[1], LEAST_ROOM, part.shape[3]) for part in (keys, values)]

    def extended(self, key: Tensor, value: Tensor, length: int) -> tuple[Tensor, Tensor]:
        """[R, G, T, D] keys and values, the last of T = length being those of the newest tokens [G, R, D]."""
        if length > self._parts[0].shape[2]:
            self._parts = [pad(part, (0, 0, 0, part.shape[2])) for part in self._parts]
        for part, newest in zip(self._parts, (key, value), strict=True):
            part[:, :, length - 1] = newest.transpose(0, 1)
        keys, values = (part[:, :, :length] for part in self._parts)
        return keys, values

    def keep(self, kept: Tensor) -> None:
        """Drop all other answers."""
        self._parts = [part[kept] for part in self._parts]
