"""Generating answers to packed prompts: pictures and shared tokens are computed once, all answers continue from them.

    prompts = [prompt_ids(pictures, system, question, family) for question in questions]
    trees = [pack_prompts(pictures, prompts, family)]
    answers = generate(model, collate(trees, family), trees, family, seeds=seeds, max_new_tokens=256)

The keys and values of each question's own ancestors are copied out of the tree's cache, once for every answer. Answers
are sampled at temperature 1 from the whole distribution, which is what `answer_logprobs` scores. A sampled token is a
function of its answer's seed and its position (see `spavl.models.sampling`), so batching cannot change it.

Shapes: Q questions, K answers to each, R answers not yet ended, T tokens of an answer, L tokens of the longest prompt,
V tokens of the vocabulary, F forbidden tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformers import DynamicCache

from spavl.models.families import Family
from spavl.models.sampling import gumbel_max_scores
from spavl.models.trees.batch import TreeBatch
from spavl.models.trees.pack import PackedTree, Tree, pack_tokens
from spavl.models.trees.score import forward
from spavl.pictures import Picture


@dataclass(frozen=True, slots=True)
class GeneratedAnswer:
    """An answer as token ids, with the log-probability of each when it was sampled."""

    ids: tuple[int, ...]
    """Its T tokens, the end token among them where it `ended`."""
    logprobs: Float[np.ndarray, " T"]
    """Log-probability of every token when it was sampled, float32."""
    ended: bool
    """Whether it came to its end token; if not, it was cut."""


def prompt_ids(pictures: Sequence[Picture], system: str, question: str, family: Family) -> list[int]:
    """Token ids of a conversation that is ready for an answer.

    Args:
        pictures: pictures of the user turn.
        system: text of the system turn; empty: none.
        question: text of the user turn.
        family: whose chat template and tokenizer are used.
    """
    return family.tokenize(family.chat(system, len(pictures), question), [picture.size() for picture in pictures])


def pack_prompts(pictures: tuple[Picture, ...], prompts: Sequence[Sequence[int]], family: Family) -> PackedTree:
    """A packed tree of questions about the same pictures, each with one end token in place of its answers.

    Args:
        pictures: those of every prompt.
        prompts: token ids of every prompt, from `prompt_ids`.
        family: the model's family.
    """
    placeholder = [family.processor.tokenizer.eos_token_id]
    return pack_tokens(Tree(pictures, "", (), ()), prompts, [[placeholder]] * len(prompts))


@torch.no_grad()  # type: ignore[untyped-decorator]
def generate(
    model: Any,
    batch: TreeBatch,
    trees: Sequence[PackedTree],
    family: Family,
    *,
    seeds: Int[Tensor, "Q K"],
    max_new_tokens: int,
) -> list[list[GeneratedAnswer]]:
    """K sampled answers to every question, in order of questions.

    Args:
        model: the model, in evaluation mode.
        batch: holds `trees`, packed as trees.
        trees: from `pack_prompts`.
        family: the model's family.
        seeds: one an answer, int64, from `seed_of`.
        max_new_tokens: longest answer, in tokens.
    """
    device = next(model.parameters()).device
    batch = batch.to(device)
    tree_cache = DynamicCache()
    logits = _prefill(model, batch, family, tree_cache)
    each = seeds.shape[1]
    cache, mask = _branch_cache(tree_cache, trees, each, device)
    positions = batch.positions.flatten(-2)[..., batch.scored].repeat_interleave(each, -1)
    decoding = _Decoding(seeds.to(device).flatten(), _forbidden(family, logits.shape[-1], device), family.end_ids)
    logits = logits.repeat_interleave(each, 0)
    for step in range(max_new_tokens):
        tokens = decoding.sample(logits, step)
        if not len(tokens) or step == max_new_tokens - 1:
            break
        kept = decoding.kept
        if len(kept) < len(mask):
            cache.batch_select_indices(kept)
            mask, positions = mask[kept], positions[..., kept]
        mask = torch.nn.functional.pad(mask, (0, 1), value=1)
        positions = positions + 1
        logits = model(
            input_ids=tokens[:, None],
            attention_mask=mask,
            position_ids=positions[..., None],
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
        ).logits[:, -1]
    answers = decoding.answers()
    return [answers[start : start + each] for start in range(0, len(answers), each)]


def _prefill(model: Any, batch: TreeBatch, family: Family, cache: DynamicCache) -> Tensor:
    """Fill the cache with the prompts; [Q, V] logits of every answer's first token."""
    last, which = batch.scored.unique(return_inverse=True)
    keep = torch.zeros(batch.ids.numel(), dtype=torch.bool, device=batch.ids.device)
    keep[last] = True
    return forward(model, batch, family, None, keep.view_as(batch.ids), cache=cache).logits[which]


def _branch_cache(
    tree_cache: DynamicCache, trees: Sequence[PackedTree], each: int, device: torch.device
) -> tuple[DynamicCache, Tensor]:
    """Keys and values of every answer's prompt, padded on the left to L tokens, and the mask [Q × K, L]."""
    paths = [(row, tree.path(answer)[:-1]) for row, tree in enumerate(trees) for answer in tree.answers]
    longest = max(len(path) for _, path in paths)
    places = np.zeros((len(paths), longest), dtype=np.int64)
    mask = np.zeros((len(paths), longest), dtype=np.int64)
    for line, (_, path) in enumerate(paths):
        places[line, longest - len(path) :] = path
        mask[line, longest - len(path) :] = 1
    rows = torch.tensor([row for row, _ in paths], device=device)[:, None]
    index = torch.from_numpy(places).to(device)
    cache = DynamicCache()
    for number, layer in enumerate(tree_cache.layers):
        keys, values = (
            part[rows, :, index].transpose(1, 2).repeat_interleave(each, 0) for part in (layer.keys, layer.values)
        )
        cache.update(keys, values, number)
    return cache, torch.from_numpy(mask).to(device).repeat_interleave(each, 0)


def _forbidden(family: Family, vocab_size: int, device: torch.device) -> Tensor:
    """[F] ids of the control and image placeholder tokens, which no answer may hold; end tokens are allowed."""
    tokens = {*family.processor.tokenizer.all_special_ids, family.image_token_id} - family.end_ids
    return torch.tensor([token for token in sorted(tokens) if token < vocab_size], dtype=torch.long, device=device)


class _Decoding:
    """The answers while they are sampled, token by token. Ended ones leave the batch."""

    def __init__(self, seeds: Tensor, forbidden: Tensor, ends: frozenset[int]) -> None:
        self._seeds = seeds
        self._forbidden = forbidden
        self._ends = torch.tensor(sorted(ends), device=seeds.device)
        self._active = torch.arange(len(seeds), device=seeds.device)
        self._steps: list[tuple[Tensor, Tensor, Tensor]] = []
        self.kept = self._active
        """Which rows of the last batch go on."""

    def sample(self, logits: Tensor, step: int) -> Tensor:
        """Sample a token for every active answer from its logits [R, V]; returns those of the answers that go on."""
        logits = logits.float()
        tokens = gumbel_max_scores(logits, self._seeds[self._active], step, self._forbidden).argmax(-1)
        logprobs = logits.gather(1, tokens[:, None]).squeeze(1) - logits.logsumexp(-1)
        self._steps.append((self._active, tokens, logprobs))
        self.kept = (~torch.isin(tokens, self._ends)).nonzero().squeeze(1)
        self._active = self._active[self.kept]
        return tokens[self.kept]

    def answers(self) -> list[GeneratedAnswer]:
        """All answers as far as they have been sampled."""
        ids: list[list[int]] = [[] for _ in range(len(self._seeds))]
        logprobs: list[list[float]] = [[] for _ in range(len(self._seeds))]
        for step in self._steps:
            for row, token, logprob in zip(*(part.tolist() for part in step), strict=True):
                ids[row].append(token)
                logprobs[row].append(logprob)
        ends = set(self._ends.tolist())
        return [
            GeneratedAnswer(tuple(tokens), np.asarray(values, dtype=np.float32), tokens[-1] in ends)
            for tokens, values in zip(ids, logprobs, strict=True)
        ]
