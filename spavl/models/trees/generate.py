"""Draw answers from laid-out questions: a picture is read once, and all answers to all its questions grow from that.

    trees = [lay_questions(pictures, system, questions, family) for …]
    drawn = draw(model, collate(trees, family), trees, family, seeds=seeds, most=256)

The keys and values of each question's own ancestors are copied out of the tree's, once for every answer to be drawn.
Answers are drawn at temperature 1 from the whole distribution, which is what `answer_logprobs` scores. A drawn word is
a function of its answer's seed and its place (see `local_noise`), so batching cannot change it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import DynamicCache

from spavl.models.backends.sampling import gumbel
from spavl.models.families import Family
from spavl.models.trees.batch import TreeBatch
from spavl.models.trees.pack import PackedTree, Tree, pack_tokens
from spavl.models.trees.score import forward
from spavl.pictures import Picture


@dataclass(frozen=True, slots=True)
class GeneratedAnswer:
    """One answer."""

    ids: tuple[int, ...]
    """Its tokens, the end token among them where it `ended`."""
    logprobs: np.ndarray
    """[T] log-probability of every token when it was drawn, float32."""
    ended: bool
    """It came to its end token. If not, it was cut."""


def prompt_ids(pictures: Sequence[Picture], system: str, question: str, family: Family) -> list[int]:
    """Tokens of a conversation that waits for an answer."""
    return family.tokenize(family.chat(system, len(pictures), question), [picture.size() for picture in pictures])


def pack_prompts(pictures: tuple[Picture, ...], prompts: Sequence[Sequence[int]], family: Family) -> PackedTree:
    """A tree of questions about one picture. Each has one token for an answer, which stands for all to be drawn."""
    stub = [family.processor.tokenizer.eos_token_id]
    return pack_tokens(Tree(pictures, "", (), ()), prompts, [[stub]] * len(prompts))


@torch.no_grad()  # type: ignore[untyped-decorator]
def generate(
    model: Any, batch: TreeBatch, trees: Sequence[PackedTree], family: Family, *, seeds: Tensor, most: int
) -> list[list[GeneratedAnswer]]:
    """Answers of at most `most` tokens to every question of trees that `lay_prompts` made; `batch` holds these trees.

    `seeds`: [questions, K] int64, one an answer. Returns K answers for every question, in order. The model is in
    evaluation mode.
    """
    device = next(model.parameters()).device
    batch = batch.to(device)
    cache = DynamicCache()
    logits = _read(model, batch, family, cache)
    each = seeds.shape[1]
    held, mask = _branches(cache, trees, each, device)
    place = batch.positions.flatten(-2)[..., batch.scored].repeat_interleave(each, -1)
    growing = _Decoding(seeds.to(device).flatten(), _forbidden(family, logits.shape[-1], device), family.end_ids)
    logits = logits.repeat_interleave(each, 0)
    for step in range(most):
        words = growing.grow(logits, step)
        if not len(words) or step == most - 1:
            break
        keep = growing.kept
        if len(keep) < len(mask):
            held.batch_select_indices(keep)
            mask, place = mask[keep], place[..., keep]
        mask = torch.nn.functional.pad(mask, (0, 1), value=1)
        place = place + 1
        logits = model(
            input_ids=words[:, None],
            attention_mask=mask,
            position_ids=place[..., None],
            past_key_values=held,
            use_cache=True,
            logits_to_keep=1,
        ).logits[:, -1]
    answers = growing.answers()
    return [answers[start : start + each] for start in range(0, len(answers), each)]


def _read(model: Any, batch: TreeBatch, family: Family, cache: DynamicCache) -> Tensor:
    """Fill the cache with the questions; [questions, V] vocabulary scores of every first word."""
    last, which = batch.scored.unique(return_inverse=True)
    keep = torch.zeros(batch.ids.numel(), dtype=torch.bool, device=batch.ids.device)
    keep[last] = True
    return forward(model, batch, family, None, keep.view_as(batch.ids), cache=cache).logits[which]


def _branches(
    read: DynamicCache, trees: Sequence[PackedTree], each: int, device: torch.device
) -> tuple[DynamicCache, Tensor]:
    """For every answer the keys and values of its question's ancestors, padded on the left, and the mask."""
    paths = [(row, tree.path(answer)[:-1]) for row, tree in enumerate(trees) for answer in tree.answers]
    longest = max(len(path) for _, path in paths)
    places = np.zeros((len(paths), longest), dtype=np.int64)
    mask = np.zeros((len(paths), longest), dtype=np.int64)
    for line, (_, path) in enumerate(paths):
        places[line, longest - len(path) :] = path
        mask[line, longest - len(path) :] = 1
    rows = torch.tensor([row for row, _ in paths], device=device)[:, None]
    index = torch.from_numpy(places).to(device)
    held = DynamicCache()
    for number, layer in enumerate(read.layers):
        keys, values = (
            part[rows, :, index].transpose(1, 2).repeat_interleave(each, 0) for part in (layer.keys, layer.values)
        )
        held.update(keys, values, number)
    return held, torch.from_numpy(mask).to(device).repeat_interleave(each, 0)


def _forbidden(family: Family, words: int, device: torch.device) -> Tensor:
    """[V] true for tokens of control and of pictures, which no answer may hold; ends are allowed."""
    tokens = {*family.processor.tokenizer.all_special_ids, family.picture_id} - family.end_ids
    banned = torch.zeros(words, dtype=torch.bool, device=device)
    banned[[token for token in sorted(tokens) if token < words]] = True
    return banned


class _Decoding:
    """The answers while they grow. Ended ones leave the batch."""

    def __init__(self, seeds: Tensor, forbidden: Tensor, ends: frozenset[int]) -> None:
        self._seeds = seeds
        self._forbidden = forbidden
        self._ends = torch.tensor(sorted(ends), device=seeds.device)
        self._growing = torch.arange(len(seeds), device=seeds.device)
        self._steps: list[tuple[Tensor, Tensor, Tensor]] = []
        self.kept = self._growing
        """Which rows of the last batch are still growing."""

    def grow(self, logits: Tensor, step: int) -> Tensor:
        """Draw a word for every growing answer; returns those of the answers that go on."""
        scores = logits.float()
        noise = gumbel(self._seeds[self._growing], step, scores.shape[1])
        words = (scores.masked_fill(self._forbidden, float("-inf")) + noise).argmax(-1)
        logprobs = scores.gather(1, words[:, None]).squeeze(1) - scores.logsumexp(-1)
        self._steps.append((self._growing, words, logprobs))
        self.kept = (~torch.isin(words, self._ends)).nonzero().squeeze(1)
        self._growing = self._growing[self.kept]
        return words[self.kept]

    def answers(self) -> list[GeneratedAnswer]:
        """What has grown."""
        ids: list[list[int]] = [[] for _ in range(len(self._seeds))]
        logprobs: list[list[float]] = [[] for _ in range(len(self._seeds))]
        for rows, words, scores in self._steps:
            for row, word, score in zip(rows.tolist(), words.tolist(), scores.tolist(), strict=True):
                ids[row].append(word)
                logprobs[row].append(score)
        ends = set(self._ends.tolist())
        return [
            GeneratedAnswer(tuple(said), np.asarray(scores, dtype=np.float32), said[-1] in ends)
            for said, scores in zip(ids, logprobs, strict=True)
        ]
