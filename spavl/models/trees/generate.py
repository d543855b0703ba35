"""Generating answers to packed prompts: pictures and shared tokens are computed once, all answers continue from them.

    prompts = [prompt_ids(pictures, system, [("user", question, len(pictures))], family) for question in questions]
    trees = [pack_prompts(pictures, prompts, family)]
    spec = GenerationSpec(questions=torch.arange(len(prompts)), sampling=SamplingBatch.of(requests, "cpu"), …)
    answers = generate(model, collate(trees, family), family, spec)

All answers of a tree read its keys and values where they are (see `answer_cache`). A token is a function of its
answer's prompt, sampling and seed, and of its position (see `spavl.models.sampling`), so batching cannot change it.

Shapes: Q questions, R answers not yet ended, T tokens of an answer, V tokens of the vocabulary, F forbidden tokens.
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

from spavl.errors import ModelError
from spavl.models.families import Family, TextTurn
from spavl.models.sampling import SamplingBatch
from spavl.models.trees.answer_cache import AnswerCache
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
    """Log-probability of every token when it was sampled, at temperature 1 over all tokens, float32."""
    ended: bool
    """Whether it came to its end token; if not, it was cut."""


@dataclass(frozen=True, eq=False)
class GenerationSpec:
    """Which answers are generated to a batch of questions, and how."""

    questions: Int[Tensor, " R"]
    """The question that each answer is to, counted over the batch in order of trees; each as often as wanted."""
    sampling: SamplingBatch
    """How each is sampled."""
    limits: Int[Tensor, " R"]
    """Most tokens of each, at least 1."""
    forbidden: frozenset[int]
    """Ids of tokens that no answer may hold."""
    ends: frozenset[int]
    """Ids of tokens that end an answer."""


def prompt_ids(pictures: Sequence[Picture], system: str, turns: Sequence[TextTurn], family: Family) -> list[int]:
    """Token ids of a conversation that is ready for an answer.

    Args:
        pictures: pictures of all turns, in order.
        system: text of the system turn; empty: none.
        turns: all other turns, oldest first.
        family: whose chat template and tokenizer are used.
    """
    spoken = [("system", system, 0)] if system else []
    return family.tokenize(family.write([*spoken, *turns], ready=True), [picture.size() for picture in pictures])


def pack_prompts(pictures: tuple[Picture, ...], prompts: Sequence[Sequence[int]], family: Family) -> PackedTree:
    """A packed tree of questions about the same pictures, each with one end token in place of its answers.

    Args:
        pictures: those of every prompt.
        prompts: token ids of every prompt, from `prompt_ids`.
        family: the model's family.
    """
    placeholder = [family.end_id]
    return pack_tokens(Tree(pictures, "", (), ()), prompts, [[placeholder]] * len(prompts))


def sampled_answers(seeds: Int[Tensor, "Q K"], max_new_tokens: int, family: Family) -> GenerationSpec:
    """K answers to each of Q questions, sampled from the whole distribution.

    No answer may hold a control or image placeholder token but the end tokens of the family.

    Args:
        seeds: one an answer, int64, from `seed_of`.
        max_new_tokens: longest answer, in tokens.
        family: the model's family.
    """
    questions = torch.arange(len(seeds)).repeat_interleave(seeds.shape[1])
    return GenerationSpec(
        questions=questions,
        sampling=SamplingBatch.from_whole_distribution(seeds.flatten()),
        limits=torch.full_like(questions, max_new_tokens),
        forbidden=(family.control_ids | {family.image_token_id}) - family.end_ids,
        ends=family.end_ids,
    )


@torch.no_grad()  # type: ignore[untyped-decorator]
def generate(model: Any, batch: TreeBatch, family: Family, spec: GenerationSpec) -> list[GeneratedAnswer]:
    """The answers that are asked for, in that order.

    Args:
        model: the model, in evaluation mode.
        batch: from `collate`, of trees from `pack_prompts`.
        family: the model's family.
        spec: which answers, and how.

    Raises:
        ModelError: the language model attends by `eager`.
    """
    if family.attention != "tree":
        raise ModelError(
            "answers are generated on trees by an attention of ours, and this model was opened with 'eager'",
            try_="open it with attn_implementation='sdpa'",
        )
    batch = batch.to(next(model.parameters()).device)
    questions = spec.questions.to(batch.ids.device)
    prompts = DynamicCache()
    logits = _prefill(model, batch, family, prompts)[questions]
    cache = AnswerCache(prompts, batch, questions)
    decoding = _Decoding(spec, logits)
    while len(tokens := decoding.sample(logits)):
        if len(decoding.kept) < len(logits):
            cache.keep(decoding.kept)
        cache.step()
        masks = cache.masks(family.masks)
        logits = model(
            input_ids=tokens[None],
            attention_mask=masks.get("", masks),
            position_ids=cache.positions,
            use_cache=False,
            decode=cache.attend,
        ).logits[0]
    return decoding.answers()


def _prefill(model: Any, batch: TreeBatch, family: Family, cache: DynamicCache) -> Tensor:
    """Fill the cache with the prompts; [Q, V] logits of the first token of an answer to each question."""
    last, which = batch.scored.unique(return_inverse=True)
    keep = torch.zeros(batch.ids.numel(), dtype=torch.bool, device=batch.ids.device)
    keep[last] = True
    return forward(model, batch, family, None, keep.view_as(batch.ids), cache=cache).logits[which]


class _Decoding:
    """The answers while they are sampled, token by token. Those that end, or come to their limit, leave the batch."""

    def __init__(self, spec: GenerationSpec, logits: Tensor) -> None:
        device, vocabulary = logits.device, logits.shape[1]
        self._sampling = spec.sampling.to(device)
        self._limits = spec.limits.to(device)
        self._forbidden = torch.tensor(
            [i for i in sorted(spec.forbidden) if i < vocabulary], dtype=torch.long, device=device
        )
        self._ends = torch.tensor(sorted(spec.ends), device=device)
        self._active = torch.arange(len(logits), device=device)
        self._steps: list[tuple[Tensor, Tensor, Tensor]] = []
        self.kept = self._active
        """Which rows of the last batch go on."""

    def sample(self, logits: Tensor) -> Tensor:
        """Sample a token for every active answer from its logits [R, V]; returns those of the answers that go on."""
        position = len(self._steps)
        tokens = self._sampling.scores(logits, position, self._forbidden).argmax(-1)
        logits = logits.float()
        logprobs = logits.gather(1, tokens[:, None]).squeeze(1) - logits.logsumexp(-1)
        self._steps.append((self._active, tokens, logprobs))
        goes_on = ~torch.isin(tokens, self._ends) & (self._limits > position + 1)
        self.kept = goes_on.nonzero().squeeze(1)
        if len(self.kept) < len(tokens):
            self._active, self._limits = self._active[self.kept], self._limits[self.kept]
            self._sampling = self._sampling.of_rows(self.kept)
        return tokens[self.kept]

    def answers(self) -> list[GeneratedAnswer]:
        """All answers as far as they have been sampled."""
        answers = len(self._steps[0][0])
        ids: list[list[int]] = [[] for _ in range(answers)]
        logprobs: list[list[float]] = [[] for _ in range(answers)]
        for step in self._steps:
            for row, token, logprob in zip(*(part.tolist() for part in step), strict=True):
                ids[row].append(token)
                logprobs[row].append(logprob)
        ends = set(self._ends.tolist())
        return [
            GeneratedAnswer(tuple(tokens), np.asarray(values, dtype=np.float32), tokens[-1] in ends)
            for tokens, values in zip(ids, logprobs, strict=True)
        ]
