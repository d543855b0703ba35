"""Answering requests on packed trees: what several requests start with, their pictures above all, is computed once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from spavl.models.base import Request
from spavl.models.families import Family, TextTurn
from spavl.models.sampling import SamplingBatch
from spavl.models.trees.batch import TreeBatch, collate
from spavl.models.trees.generate import GenerationSpec, generate, pack_prompts, prompt_ids
from spavl.models.trees.pack import PackedTree
from spavl.pictures import Picture

PictureFeatures = Callable[[Sequence[Picture]], Mapping[str, dict[str, torch.Tensor]]]
"""Gives what a frozen vision tower gives for pictures, by their keys, in the form of `trees.tower.encode`."""
MOST_OWN = 3
"""Most tokens of a tree's questions, for each token that all of them share. Every token of an answer is compared with
its siblings' questions too, which costs little; a tree of long questions with a short beginning would gain nothing."""
MOST_PADDING = 0.25
"""Most padding of a batch, as a share of its tokens, beyond `FREE_PADDING`."""
FREE_PADDING = 1024
"""Tokens of padding that cost less than a batch of their own."""


@dataclass(frozen=True, eq=False)
class Question:
    """A request as its model reads it."""

    request: Request
    """The request."""
    pictures: tuple[Picture, ...]
    """Pictures of all its turns, in order."""
    opening: tuple[object, ...]
    """Equal where everything before the last turn's text is equal: pictures, system turn, earlier turns."""
    ids: tuple[int, ...]
    """Token ids of the whole prompt."""


@dataclass(frozen=True, eq=False)
class QuestionTree:
    """Questions with one opening, packed; equal prompts are in it once."""

    members: tuple[int, ...]
    """Which of the questions they are."""
    branches: tuple[int, ...]
    """The branch of each member."""
    packed: PackedTree
    """The distinct prompts."""


def make_question(
    request: Request, pictures: Sequence[Picture], system: str, turns: Sequence[TextTurn], family: Family
) -> Question:
    """A request as tokens.

    Args:
        request: the request.
        pictures: those of all turns, in order.
        system: text of the system turn; empty: none.
        turns: all other turns, oldest first.
        family: the model's family.
    """
    *earlier, (role, _, shown) = turns
    opening = (tuple(picture.key for picture in pictures), system, *earlier, (role, shown))
    return Question(request, tuple(pictures), opening, tuple(prompt_ids(pictures, system, turns, family)))


def answer_ids(
    model: Any,
    family: Family,
    questions: Sequence[Question],
    *,
    forbidden: frozenset[int],
    ends: frozenset[int],
    features: PictureFeatures | None = None,
) -> list[tuple[int, ...]]:
    """Token ids of one answer to each question, in order, the end token among them where it came to one.

    Args:
        model: the model, in evaluation mode, wrapped or not.
        family: its family.
        questions: what is answered.
        forbidden: ids of tokens that no answer may hold.
        ends: ids of tokens that end an answer.
        features: gives what the vision tower gives for pictures; None: it runs.
    """
    answers: dict[int, tuple[int, ...]] = {}
    for trees in batch_trees(grow_trees(questions, family)):
        members = [member for tree in trees for member in tree.members]
        requests = [questions[member].request for member in members]
        spec = GenerationSpec(
            questions=torch.tensor(_branches(trees)),
            sampling=SamplingBatch.of(requests, "cpu"),
            limits=torch.tensor([request.sampling.max_tokens for request in requests]),
            forbidden=forbidden,
            ends=ends,
        )
        shared = any(len(tree.packed.answers) > 1 for tree in trees)
        packed = [tree.packed for tree in trees]
        pixels = features([picture for tree in packed for picture in tree.pictures]) if features else None
        encoded = features is not None
        batch = collate(packed, family, "tree" if shared else "separate", pixels=pixels, encoded=encoded)
        generated = generate(model, _in_dtype(batch, model.dtype), family, spec)
        answers.update((member, answer.ids) for member, answer in zip(members, generated, strict=True))
    return [answers[index] for index in range(len(questions))]


def grow_trees(questions: Sequence[Question], family: Family) -> list[QuestionTree]:
    """Trees of the questions with equal openings, each with as many of them as `MOST_OWN` allows.

    Args:
        questions: in any order; each is in one tree.
        family: the model's family.
    """
    groups: dict[tuple[object, ...], list[int]] = {}
    for index, question in enumerate(questions):
        groups.setdefault(question.opening, []).append(index)
    found = [part for group in groups.values() for part in _parts(group, questions)]
    return [_tree(part, questions, family) for part in found]


def batch_trees(trees: Iterable[QuestionTree]) -> list[list[QuestionTree]]:
    """Batches of trees of about one length.

    Args:
        trees: in any order; each is in one batch.
    """
    batches: list[list[QuestionTree]] = []
    tokens = 0
    for tree in sorted(trees, key=lambda tree: len(tree.packed)):
        length = len(tree.packed)
        padding = (len(batches[-1]) + 1) * length - (tokens + length) if batches else 0
        if batches and padding <= FREE_PADDING + MOST_PADDING * (tokens + length):
            batches[-1].append(tree)
            tokens += length
        else:
            batches.append([tree])
            tokens = length
    return batches


def _parts(group: Sequence[int], questions: Sequence[Question]) -> list[list[int]]:
    """The questions of one opening, cut into trees."""
    parts: list[list[int]] = []
    prefix: tuple[int, ...] = ()
    prompts: set[tuple[int, ...]] = set()
    for index in group:
        ids = questions[index].ids
        common = prefix[: _common_length(prefix, ids)]
        if parts and sum(len(prompt) - len(common) for prompt in {*prompts, ids}) <= MOST_OWN * len(common):
            parts[-1].append(index)
            prefix, prompts = common, {*prompts, ids}
        else:
            parts.append([index])
            prefix, prompts = ids, {ids}
    return parts


def _common_length(one: Sequence[int], other: Sequence[int]) -> int:
    pairs = enumerate(zip(one, other, strict=False))
    return next((place for place, (a, b) in pairs if a != b), min(len(one), len(other)))


def _tree(members: Sequence[int], questions: Sequence[Question], family: Family) -> QuestionTree:
    prompts = list(dict.fromkeys(questions[member].ids for member in members))
    branch = {ids: number for number, ids in enumerate(prompts)}
    return QuestionTree(
        members=tuple(members),
        branches=tuple(branch[questions[member].ids] for member in members),
        packed=pack_prompts(questions[members[0]].pictures, prompts, family),
    )


def _branches(trees: Sequence[QuestionTree]) -> list[int]:
    """The branch of every member, counted over the trees."""
    branches: list[int] = []
    before = 0
    for tree in trees:
        branches += [before + branch for branch in tree.branches]
        before += len(tree.packed.answers)
    return branches


def _in_dtype(batch: TreeBatch, dtype: torch.dtype) -> TreeBatch:
    """The batch with its pictures in the model's number format."""
    pixels = {name: value.to(dtype) if value.is_floating_point() else value for name, value in batch.pixels.items()}
    return replace(batch, pixels=pixels)
