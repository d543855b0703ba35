"""Preference trees: conversation so far → questions → answers, packed into one sequence.

    system + picture ─┬─ question 1 ─┬─ answer a      packed:  shared prefix | q1 | a | b | q2 | c | d
                      │              └─ answer b
                      └─ question 2 ─┬─ answer c      A token attends to its own ancestors only, and its position counts
                                     └─ answer d      along them: `q2` starts where the prefix ends, as `q1` does.

What all branches start with may hold no picture, one or several, and earlier turns.

Three numbers a token describe the tree: its id, its `depth` (its index in the sequence it would be in alone), and `end`
(where the part of the tree that may attend to it stops). Token `q` attends to token `k` exactly where
`k <= q < end[k]`. Every answer gets the log-probabilities and gradients that it would get alone; shared tokens are
computed once.

Shapes: S tokens of a packed tree, L tokens of an answer's sequence alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Int

from spavl.errors import DataError
from spavl.models.families import ChatTurn, Family, all_pictures
from spavl.pictures import Picture

Grouping = Literal["picture", "question", "row"]
"""Which rows share a tree: those with equal pictures, earlier turns and system turn, with the same question too, or
none. Rows without pictures and earlier turns share one only where the question is the same too."""


@dataclass(frozen=True, slots=True)
class Row:
    """A question with its answers, as the data has them: a pair (chosen, rejected), a group, or one answer."""

    id: str
    """Names the row in messages."""
    question: str
    """Text of the last user turn."""
    answers: tuple[str, ...]
    """Texts of the assistant turn, the chosen one first."""
    pictures: tuple[Picture, ...] = ()
    """Pictures of the last user turn, before its text."""
    system: str = ""
    """Text of the system turn; empty: none."""
    earlier: tuple[ChatTurn, ...] = ()
    """Turns before the last user turn."""


@dataclass(frozen=True, slots=True)
class Branch:
    """A question and its distinct answers."""

    question: str
    """Text of the user turn."""
    answers: tuple[str, ...]
    """Texts of the assistant turn, without repetitions."""


@dataclass(frozen=True, slots=True)
class Tree:
    """Rows that start with the same conversation."""

    pictures: tuple[Picture, ...]
    """Pictures of the last user turn of every branch."""
    system: str
    """System turn of every branch; empty: none."""
    branches: tuple[Branch, ...]
    """Distinct questions, in order of their first row."""
    rows: tuple[tuple[str, tuple[int, ...]], ...]
    """For each data row its id and its answers, counted over the whole tree in order of branches."""
    earlier: tuple[ChatTurn, ...] = ()
    """Turns of every branch before its last user turn."""

    @property
    def all_pictures(self) -> tuple[Picture, ...]:
        """Pictures of every branch, those of earlier turns first."""
        return all_pictures(self.earlier, self.pictures)


@dataclass(frozen=True, slots=True)
class AnswerSpan:
    """Where an answer's tokens are in the packed sequence."""

    before: int
    """Index of the last token of its question: it predicts the first token of the answer."""
    start: int
    """Index of its first token."""
    stop: int
    """Index after its last token."""
    question: tuple[int, int]
    """Start and stop of its question's own tokens."""


@dataclass(frozen=True, slots=True)
class PackedTree:
    """A tree as one sequence of tokens, each with its depth and the end of the span that attends to it."""

    ids: Int[np.ndarray, " S"]
    """Token ids, int64."""
    depth: Int[np.ndarray, " S"]
    """Index of a token in the sequence it would be in alone."""
    end: Int[np.ndarray, " S"]
    """A token is attended to by the tokens from itself up to here."""
    shared_prefix: int
    """Number of tokens that all branches start with."""
    answers: tuple[AnswerSpan, ...]
    """Spans of the answers, in order of branches."""
    pictures: tuple[Picture, ...]
    """Pictures in reading order, all in the shared prefix."""
    rows: tuple[tuple[str, tuple[int, ...]], ...]
    """For each data row its id and its answers, as indices of `answers`."""
    unstable: tuple[int, ...] = ()
    """Answers whose tokens, in the whole conversation, do not follow the prompt's: the tokenizer joins letters across
    the border, or the template rewrites the prompt. They are tokenised on their own, as generation would produce them.
    """

    def __len__(self) -> int:
        return len(self.ids)

    def path(self, answer: AnswerSpan) -> Int[np.ndarray, " L"]:
        """Indices of an answer's sequence in the packed one: shared prefix, question, answer.

        Args:
            answer: one of `answers`.
        """
        spans = ((0, self.shared_prefix), answer.question, (answer.start, answer.stop))
        return np.concatenate([np.arange(*span) for span in spans])


def build_trees(rows: Iterable[Row], by: Grouping = "picture") -> list[Tree]:
    """Trees of rows, in the order of their first row; each holds equal questions and equal answers once.

    Args:
        rows: data rows in any order.
        by: which rows share a tree.
    """
    groups: dict[object, list[Row]] = {}
    for number, row in enumerate(rows):
        turns = tuple((turn.role, turn.text, _keys(turn.pictures)) for turn in row.earlier)
        shared = (_keys(row.pictures), row.system, turns)
        question = (*shared, row.question)
        whole = shared if row.pictures or row.earlier else question
        key = {"picture": whole, "question": question, "row": number}[by]
        groups.setdefault(key, []).append(row)
    return [build_tree(group) for group in groups.values()]


def _keys(pictures: Iterable[Picture]) -> tuple[str, ...]:
    return tuple(picture.key for picture in pictures)


def build_tree(rows: Sequence[Row]) -> Tree:
    """The tree of rows that start with the same conversation; equal questions and equal answers are in it once.

    Args:
        rows: at least one, all with equal pictures, system turn and earlier turns.
    """
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
        earlier=rows[0].earlier,
    )


def pack_tree(tree: Tree, family: Family) -> PackedTree:
    """A tree's texts as one packed sequence of tokens.

    Args:
        tree: from `build_trees`.
        family: whose chat template and tokenizer are used.

    Raises:
        DataError: the family cannot read several pictures; names the rows.
    """
    return pack_trees([tree], family)[0]


def pack_trees(trees: Sequence[Tree], family: Family) -> list[PackedTree]:
    """Each tree's texts as one packed sequence of tokens; texts of all trees are tokenised together, which is faster.

    Args:
        trees: from `build_trees`.
        family: whose chat template and tokenizer are used.

    Raises:
        DataError: as `pack_tree` does.
    """
    texts: list[str] = []
    sizes: list[list[tuple[int, int]]] = []
    for tree in trees:
        _check_pictures(tree, family)
        of_tree = list(_texts(tree, family))
        texts += of_tree
        sizes += [[picture.size() for picture in tree.all_pictures]] * len(of_tree)
    tokens = iter(family.tokenize_all(texts, sizes))
    return [_pack(tree, family, tokens) for tree in trees]


def _texts(tree: Tree, family: Family) -> Iterator[str]:
    """For each branch its prompt, then the prompt with each of its answers."""
    for branch in tree.branches:
        for answer in (None, *branch.answers):
            pictures = len(tree.pictures)
            text = family.chat(tree.system, pictures, branch.question, answer, earlier=tree.earlier)
            yield text if answer is None else text.rstrip()


def _pack(tree: Tree, family: Family, tokens: Iterator[list[int]]) -> PackedTree:
    """The tree from the tokens of its texts, as many as `_texts` gave."""
    prompts: list[list[int]] = []
    answers: list[list[list[int]]] = []
    stable: list[bool] = []
    for branch in tree.branches:
        prompt = next(tokens)
        own = [family.answer(answer, next(tokens), prompt) for answer in branch.answers]
        prompts.append(prompt)
        answers.append([ids for ids, _ in own])
        stable += [is_stable for _, is_stable in own]
    return pack_tokens(tree, prompts, answers, tuple(index for index, fine in enumerate(stable) if not fine))


def tokenize_prompt(row: Row, family: Family) -> list[int]:
    """Token ids of a row's conversation up to its answers.

    Args:
        row: gives the conversation; its answers are not used.
        family: whose chat template and tokenizer are used.
    """
    sizes = [picture.size() for picture in all_pictures(row.earlier, row.pictures)]
    return family.tokenize(family.chat(row.system, len(row.pictures), row.question, earlier=row.earlier), sizes)


def pack_tokens(
    tree: Tree,
    prompts: Sequence[Sequence[int]],
    answers: Sequence[Sequence[Sequence[int]]],
    unstable: tuple[int, ...] = (),
) -> PackedTree:
    """Prompts and answers that are tokens already, such as those that a model generated, as one packed sequence.

    Args:
        tree: gives pictures and rows; its texts are not used.
        prompts: token ids of each branch, from the first token of the conversation on.
        answers: token ids of the answers to each prompt.
        unstable: see `PackedTree.unstable`.
    """
    shared_prefix = _prefix_length(prompts)
    ids, depth, end = (
        [prompts[0][:shared_prefix]],
        [np.arange(shared_prefix)],
        [np.zeros(shared_prefix, dtype=np.int64)],
    )
    spans: list[AnswerSpan] = []
    at = shared_prefix
    for prompt, own_answers in zip(prompts, answers, strict=True):
        question = (at, at + len(prompt) - shared_prefix)
        at = question[1]
        ids.append(prompt[shared_prefix:])
        depth.append(np.arange(shared_prefix, len(prompt)))
        end.append(np.full(len(prompt) - shared_prefix, at + sum(map(len, own_answers))))
        for answer in own_answers:
            before = question[1] - 1 if question[1] > question[0] else shared_prefix - 1
            spans.append(AnswerSpan(before, at, at + len(answer), question))
            ids.append(answer)
            depth.append(np.arange(len(prompt), len(prompt) + len(answer)))
            end.append(np.full(len(answer), at + len(answer)))
            at += len(answer)
    end[0][:] = at
    return PackedTree(
        ids=np.concatenate([np.asarray(part, dtype=np.int64) for part in ids]),
        depth=np.concatenate(depth),
        end=np.concatenate(end),
        shared_prefix=shared_prefix,
        answers=tuple(spans),
        pictures=tree.all_pictures,
        rows=tree.rows,
        unstable=unstable,
    )


def unpack_tree(tree: PackedTree) -> list[PackedTree]:
    """Every answer as a sequence of its own (shared prefix, question, answer), in the order of the tree's answers.

    Args:
        tree: a packed tree.
    """
    sequences = []
    for answer in tree.answers:
        path = tree.path(answer)
        start = len(path) - (answer.stop - answer.start)
        sequences.append(
            PackedTree(
                ids=tree.ids[path],
                depth=np.arange(len(path)),
                end=np.full(len(path), len(path)),
                shared_prefix=tree.shared_prefix,
                answers=(AnswerSpan(start - 1, start, len(path), (tree.shared_prefix, start)),),
                pictures=tree.pictures,
                rows=(),
            )
        )
    return sequences


def batch_by_tokens(lengths: Sequence[int], token_budget: int) -> list[list[int]]:
    """Indices in order, cut into batches whose padded size (rows × longest row) keeps within a budget.

    Args:
        lengths: tokens of each sequence.
        token_budget: most tokens of a padded batch; a sequence with more stands alone.
    """
    batches: list[list[int]] = []
    longest = 0
    for index, length in enumerate(lengths):
        grown = max(longest, length)
        if batches and grown * (len(batches[-1]) + 1) <= token_budget:
            batches[-1].append(index)
            longest = grown
        else:
            batches.append([index])
            longest = length
    return batches


def _prefix_length(sequences: Sequence[Sequence[int]]) -> int:
    """Length of the common prefix."""
    shortest = min(map(len, sequences))
    table = np.array([sequence[:shortest] for sequence in sequences])
    differs = (table != table[0]).any(axis=0)
    return int(differs.argmax()) if differs.any() else shortest


def _check_pictures(tree: Tree, family: Family) -> None:
    if len(tree.all_pictures) > 1 and not family.facts.several_pictures:
        raise DataError(
            f"{family.facts.name} does not encode several pictures in a conversation as it encodes each alone",
            where="row " + ", ".join(row for row, _ in tree.rows),
        )
