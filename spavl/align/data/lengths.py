"""Tokens of the parts of every pair, measured once: all that the schedule and the estimate need to know of the texts.

Shapes: P pairs.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence

import numpy as np

from spavl.align.data.packed_trees import PROCESS
from spavl.align.data.schedule import PairGroup
from spavl.models.families import Family
from spavl.models.trees.pack import PackedTree
from spavl.preferences.pairs import Pair
from spavl.progress import OnProgress

LENGTHS = np.dtype(
    [
        ("shared_prefix", np.int32),
        ("question", np.int32),
        ("chosen", np.int32),
        ("rejected", np.int32),
        ("pictures", np.int32),
        ("question_hash", np.uint64),
        ("unstable", np.bool_),
        ("unknown", np.bool_),
    ]
)
"""Of a pair: tokens that its whole tree starts with, of its own question, and of its answers with their end tokens;
pictures of its conversation; a hash that is equal for equal questions; whether an answer was tokenised on its own
(`PackedTree.unstable`); whether question or answers have words outside the vocabulary."""
TOGETHER = 256
"""Pairs that are tokenised at once."""


def measure_lengths(
    pairs: Sequence[Pair],
    trees: Sequence[PairGroup],
    family: Family,
    on_progress: OnProgress | None = None,
    *,
    identity: str = "",
) -> np.ndarray:
    """The lengths of pairs, an array [P] of `LENGTHS`; zero for those that are in no tree.

    Args:
        pairs: all pairs.
        trees: whole trees.
        family: tokenises them.
        on_progress: called with (trees done, trees in all).
        identity: of the model, by which a process keeps packed trees; empty: none is kept.
    """
    lengths = np.zeros(len(pairs), dtype=LENGTHS)
    done = 0
    for some in _chunks(trees):
        rows = [[pairs[number] for number in tree] for tree in some]
        packed = PROCESS.pack([[pair.row() for pair in of_tree] for of_tree in rows], family, identity)
        for numbers, own, tree in zip(some, rows, packed, strict=True):
            for number, pair, counted, doubts in zip(
                numbers, own, _row_lengths(own, tree), _doubts(tree, family), strict=True
            ):
                question_hash = int.from_bytes(hashlib.sha256(pair.question.encode()).digest()[:8])
                lengths[number] = (*counted, len(tree.pictures), question_hash, *doubts)
        done += len(some)
        if on_progress:
            on_progress(done, len(trees))
    return lengths


def _chunks(trees: Sequence[PairGroup]) -> Iterator[list[PairGroup]]:
    """Consecutive trees, as many as hold about `TOGETHER` pairs."""
    some: list[PairGroup] = []
    pairs = 0
    for tree in trees:
        some.append(tree)
        pairs += len(tree)
        if pairs >= TOGETHER:
            yield some
            some, pairs = [], 0
    if some:
        yield some


def _row_lengths(pairs: Sequence[Pair], tree: PackedTree) -> Iterator[tuple[int, int, int, int]]:
    """For each pair the tokens of shared prefix, question, chosen and rejected answer; 0 for one that is not there."""
    for pair, (_, answers) in zip(pairs, tree.rows, strict=True):
        spans = [tree.answers[index] for index in answers]
        tokens = [span.stop - span.start for span in spans]
        chosen, rejected = tokens if not pair.unpaired else (*tokens, 0) if pair.chosen else (0, *tokens)
        yield tree.shared_prefix, spans[0].question[1] - spans[0].question[0], chosen, rejected


def _doubts(tree: PackedTree, family: Family) -> Iterator[tuple[bool, bool]]:
    """For each row whether an answer was tokenised on its own, and whether a word is outside the vocabulary."""
    for _, answers in tree.rows:
        spans = [(tree.answers[index].start, tree.answers[index].stop) for index in answers]
        spans.append(tree.answers[answers[0]].question)
        unknown = any(family.unknown_id in tree.ids[start:stop] for start, stop in spans)
        yield not set(answers).isdisjoint(tree.unstable), unknown


def prompt_tokens(lengths: np.ndarray) -> np.ndarray:
    """Tokens [P] before each pair's answers.

    Args:
        lengths: from `measure_lengths`.
    """
    tokens: np.ndarray = lengths["shared_prefix"] + lengths["question"]
    return tokens


def longest_tokens(lengths: np.ndarray) -> np.ndarray:
    """Tokens [P] of each pair's longer answer with everything before it.

    Args:
        lengths: from `measure_lengths`.
    """
    tokens: np.ndarray = prompt_tokens(lengths) + np.maximum(lengths["chosen"], lengths["rejected"])
    return tokens


def cut_lengths(lengths: np.ndarray, limit: int) -> np.ndarray:
    """The lengths [P] after answers were cut, of the array's own kind.

    Args:
        lengths: from `measure_lengths`.
        limit: most tokens of an answer with everything before it.
    """
    cut = lengths.copy()
    room = np.maximum(limit - prompt_tokens(lengths), 0)
    for name in ("chosen", "rejected"):
        cut[name] = np.minimum(cut[name], room)
    return cut


def without_rejected(lengths: np.ndarray) -> np.ndarray:
    """The lengths [P] of pairs whose rejected answers are not read, of the array's own kind.

    Args:
        lengths: from `measure_lengths`.
    """
    alone = lengths.copy()
    alone["rejected"] = 0
    return alone


def tree_size(lengths: np.ndarray, *, corrupted: bool) -> int:
    """Tokens of a tree; equal answers are counted twice.

    Args:
        lengths: of its pairs.
        corrupted: count a second tree of the chosen answers, with corrupted pictures.
    """
    _, first = np.unique(lengths["question_hash"], return_index=True)
    shared = int(lengths["shared_prefix"][0]) + int(lengths["question"][first].sum())
    chosen, rejected = int(lengths["chosen"].sum()), int(lengths["rejected"].sum())
    return shared + chosen + rejected + (shared + chosen) * corrupted


def separate_size(lengths: np.ndarray, *, corrupted: bool) -> int:
    """Tokens of the same answers, each in a sequence of its own; one that is not there has none.

    Args:
        lengths: of the pairs.
        corrupted: count every chosen answer a second time, with corrupted pictures.
    """
    prompts = prompt_tokens(lengths)
    tokens = [int((prompts + lengths[name])[lengths[name] > 0].sum()) for name in ("chosen", "rejected")]
    return sum(tokens) + tokens[0] * corrupted
