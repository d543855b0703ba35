"""Preference trees: picture → questions → answers, laid into one sequence.

    system + picture ─┬─ question 1 ─┬─ answer a          one row:  trunk | q1 | a | b | q2 | c | d
                      │              └─ answer b
                      └─ question 2 ─┬─ answer c          A token sees its own ancestors only, and counts its place
                                     └─ answer d          along them: `q2` starts where the trunk ends, as `q1` does.

Three numbers a token say all of it: its id, its `depth` (its index in the sequence it would be in alone), and `end`
(where the part of the tree that may see it stops). Token `q` sees token `k` exactly where `k <= q < end[k]`. Every
answer gets the log-probabilities and gradients that it would get alone; shared tokens are computed once.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from spavl.errors import DataError
from spavl.models.families import Family
from spavl.pictures import Picture

Grouping = Literal["picture", "question", "row"]


@dataclass(frozen=True, slots=True)
class Row:
    """A question with its answers, as the data has them: a pair (chosen, rejected), a group, or one answer."""

    id: str
    question: str
    answers: tuple[str, ...]
    pictures: tuple[Picture, ...] = ()
    system: str = ""


@dataclass(frozen=True, slots=True)
class Branch:
    """A question and its distinct answers."""

    question: str
    answers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Tree:
    """Everything that shares one start of the conversation."""

    pictures: tuple[Picture, ...]
    system: str
    branches: tuple[Branch, ...]
    rows: tuple[tuple[str, tuple[int, ...]], ...]
    """For each data row its id and its answers, counted over the whole tree in order of branches."""


@dataclass(frozen=True, slots=True)
class AnswerSpan:
    """Where an answer lies in its tree's row."""

    before: int
    """Index of the last token of its question: it predicts the first token of the answer."""
    start: int
    stop: int
    question: tuple[int, int]
    """Start and stop of its question's own tokens."""


@dataclass(frozen=True, slots=True)
class PackedTree:
    """A tree as numbers. All arrays are [S] int64."""

    ids: np.ndarray
    depth: np.ndarray
    end: np.ndarray
    shared_prefix: int
    """Tokens shared by all branches."""
    answers: tuple[AnswerSpan, ...]
    pictures: tuple[Picture, ...]
    rows: tuple[tuple[str, tuple[int, ...]], ...]
    unstable: tuple[int, ...] = ()
    """Answers whose tokens, in the whole conversation, do not follow the prompt's: the tokenizer joins letters across
    the border, or the template rewrites the prompt. They are tokenised on their own, as generation would produce them.
    """

    def __len__(self) -> int:
        return len(self.ids)

    def path(self, answer: AnswerSpan) -> np.ndarray:
        """Indices of the tokens that the answer would have alone, in order."""
        spans = ((0, self.shared_prefix), answer.question, (answer.start, answer.stop))
        return np.concatenate([np.arange(*span) for span in spans])


def build_trees(rows: Iterable[Row], by: Grouping = "picture") -> list[Tree]:
    """Trees of rows that share pictures and system (`picture`), also the question (`question`), or nothing (`row`).

    Trees come in the order of their first row; equal questions and equal answers inside a tree are laid once.
    """
    shelves: dict[object, list[Row]] = {}
    for number, row in enumerate(rows):
        shared = (tuple(p.key for p in row.pictures), row.system)
        key = {"picture": shared, "question": (*shared, row.question), "row": number}[by]
        shelves.setdefault(key, []).append(row)
    return [_tree(shelf) for shelf in shelves.values()]


def _tree(rows: Sequence[Row]) -> Tree:
    answers: dict[str, dict[str, None]] = {}
    for row in rows:
        answers.setdefault(row.question, {}).update(dict.fromkeys(row.answers))
    order = [(question, answer) for question, texts in answers.items() for answer in texts]
    place = {pair: index for index, pair in enumerate(order)}
    return Tree(
        pictures=rows[0].pictures,
        system=rows[0].system,
        branches=tuple(Branch(question, tuple(texts)) for question, texts in answers.items()),
        rows=tuple((row.id, tuple(place[row.question, answer] for answer in row.answers)) for row in rows),
    )


def pack_tree(tree: Tree, family: Family) -> PackedTree:
    """Lay a tree into one row of tokens.

    Raises DataError with the ids of its rows where a text holds a picture's or a control token, or an answer is empty.
    """
    _refuse(tree, family)
    sizes = [picture.size() for picture in tree.pictures]
    prompts: list[list[int]] = []
    answers: list[list[list[int]]] = []
    stable: list[bool] = []
    for branch in tree.branches:
        prompt = family.tokenize(family.chat(tree.system, len(sizes), branch.question), sizes)
        tails = []
        for words in branch.answers:
            text = family.chat(tree.system, len(sizes), branch.question, words)
            tail, is_stable = family.answer(words, text, prompt, sizes)
            tails.append(tail)
            stable.append(is_stable)
        prompts.append(prompt)
        answers.append(tails)
    return pack_tokens(tree, prompts, answers, tuple(index for index, fine in enumerate(stable) if not fine))


def pack_tokens(
    tree: Tree,
    prompts: Sequence[Sequence[int]],
    answers: Sequence[Sequence[Sequence[int]]],
    unstable: tuple[int, ...] = (),
) -> PackedTree:
    """Lay tokens into one row: `prompts` from the first token of the conversation on, `answers` of every prompt.

    Of the tree only pictures and rows are read, so tokens that a model drew are laid as they are, not as text.
    """
    shared_prefix = _common(prompts)
    ids, depth, end = (
        [prompts[0][:shared_prefix]],
        [np.arange(shared_prefix)],
        [np.zeros(shared_prefix, dtype=np.int64)],
    )
    places: list[AnswerSpan] = []
    at = shared_prefix
    for prompt, tails in zip(prompts, answers, strict=True):
        question = (at, at + len(prompt) - shared_prefix)
        at = question[1]
        ids.append(prompt[shared_prefix:])
        depth.append(np.arange(shared_prefix, len(prompt)))
        end.append(np.full(len(prompt) - shared_prefix, at + sum(map(len, tails))))
        for tail in tails:
            before = question[1] - 1 if question[1] > question[0] else shared_prefix - 1
            places.append(AnswerSpan(before, at, at + len(tail), question))
            ids.append(tail)
            depth.append(np.arange(len(prompt), len(prompt) + len(tail)))
            end.append(np.full(len(tail), at + len(tail)))
            at += len(tail)
    end[0][:] = at
    return PackedTree(
        ids=np.concatenate([np.asarray(part, dtype=np.int64) for part in ids]),
        depth=np.concatenate(depth),
        end=np.concatenate(end),
        shared_prefix=shared_prefix,
        answers=tuple(places),
        pictures=tree.pictures,
        rows=tree.rows,
        unstable=unstable,
    )


def unpack_tree(tree: PackedTree) -> list[PackedTree]:
    """The plain way: every answer in a sequence of its own, in the order of the tree's answers."""
    rows = []
    for answer in tree.answers:
        path = tree.path(answer)
        start = len(path) - (answer.stop - answer.start)
        place = AnswerSpan(start - 1, start, len(path), (tree.shared_prefix, start))
        rows.append(
            PackedTree(
                ids=tree.ids[path],
                depth=np.arange(len(path)),
                end=np.full(len(path), len(path)),
                shared_prefix=tree.shared_prefix,
                answers=(place,),
                pictures=tree.pictures,
                rows=(),
            )
        )
    return rows


def batch_by_tokens(lengths: Sequence[int], token_budget: int) -> list[list[int]]:
    """Indices in order, cut where the padded batch (rows × longest row) would pass the budget.

    A row that is longer than the budget stands alone.
    """
    cuts: list[list[int]] = []
    longest = 0
    for index, length in enumerate(lengths):
        grown = max(longest, length)
        if cuts and grown * (len(cuts[-1]) + 1) <= token_budget:
            cuts[-1].append(index)
            longest = grown
        else:
            cuts.append([index])
            longest = length
    return cuts


def _common(sequences: Sequence[Sequence[int]]) -> int:
    """Length of the common prefix."""
    shortest = min(map(len, sequences))
    table = np.array([sequence[:shortest] for sequence in sequences])
    differs = (table != table[0]).any(axis=0)
    return int(differs.argmax()) if differs.any() else shortest


def _refuse(tree: Tree, family: Family) -> None:
    where = "row " + ", ".join(row for row, _ in tree.rows)
    if len(tree.pictures) > 1 and not family.facts.several_pictures:
        raise DataError(f"{family.facts.name} reads several pictures otherwise than one", where=where)
    for branch in tree.branches:
        for text in (tree.system, branch.question, *branch.answers):
            found = [word for word in family.control_words if word in text]
            if found:
                raise DataError(
                    f"a text contains {found[0]!r}, which the model reads as a picture or a control token",
                    where=where,
                    try_="remove it from the text; pictures are given beside the text",
                )
        if not all(answer.strip() for answer in branch.answers):
            raise DataError("an answer is empty", where=where, try_="drop the row")
