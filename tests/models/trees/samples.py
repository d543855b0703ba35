"""Packed trees that the tests of this room share: rows with pictures, and trees of numbers in random shapes."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from hypothesis import strategies as st

from spavl.models.families import FACTS, Family
from spavl.models.trees.pack import PackedTree, Row, Tree, build_trees, pack_tokens, pack_tree
from tests.families import rows

ROWS = rows()
PICTURE = ROWS[0].pictures[0]

Shape = list[list[int]]
"""Lengths: of the shared prefix, then of each question followed by its answers."""


def packed_rows(family: Family, given_rows: list[Row] = ROWS, **how: Any) -> list[PackedTree]:
    """Rows as packed trees."""
    return [pack_tree(tree, family) for tree in build_trees(given_rows, **how)]


@st.composite
def shapes(draw: st.DrawFn) -> Shape:
    """Trees of one to three questions with one to three answers each."""
    size = st.integers(1, 4)
    questions = draw(st.lists(st.lists(size, min_size=2, max_size=4), min_size=1, max_size=3))
    return [[draw(size)], *questions]


def packed_shape(shape: Shape) -> PackedTree:
    """A tree whose tokens are all different."""
    tokens = iter(range(1, 1000))
    shared_prefix = [next(tokens) for _ in range(shape[0][0])]
    prompts = [shared_prefix + [next(tokens) for _ in range(question[0])] for question in shape[1:]]
    answers = [[[next(tokens) for _ in range(length)] for length in question[1:]] for question in shape[1:]]
    return pack_tokens(Tree((), "", (), ()), prompts, answers)


def tokens_only() -> Family:
    """A family of which nothing but the padding token is needed: no pictures, positions by depth."""
    processor = SimpleNamespace(tokenizer=SimpleNamespace(pad_token_id=0))
    return Family(FACTS["llava"], processor, "tree", {"": None}, image_token_id=-1, end_ids=frozenset())
