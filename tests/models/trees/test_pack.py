"""Packing: rows become trees, texts become tokens, trees become sequences and batches."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spavl.errors import DataError
from spavl.models.families import ChatTurn, Family, family_of
from spavl.models.trees.batch import collate
from spavl.models.trees.pack import Row, batch_by_tokens, build_trees, unpack_tree
from spavl.models.trees.parity import parity
from tests.families import CASES, build
from tests.models.trees.samples import PICTURE, ROWS, packed_rows


def test_rows_with_one_picture_and_system_become_one_tree() -> None:
    trees = build_trees([*ROWS, replace(ROWS[0], id="other", system="be brief")])
    assert [len(tree.branches) for tree in trees] == [3, 3, 1]
    assert trees[0].rows == (("p0/what is shown here", (0, 1)), ("p0/tell me more", (2, 3)), (ROWS[2].id, (4, 5)))


def test_grouping_by_question_and_by_row() -> None:
    twice = [ROWS[0], ROWS[1], replace(ROWS[0], id="again", answers=("a red cup", "a blue one"))]
    assert [len(tree.rows) for tree in build_trees(twice, "question")] == [2, 1]
    assert [len(tree.rows) for tree in build_trees(twice, "row")] == [1, 1, 1]


def test_equal_answers_to_a_question_are_packed_once() -> None:
    texts = [("x", "q", ("good", "bad")), ("y", "q", ("good", "worse")), ("z", "r", ("good",))]
    (tree,) = build_trees([Row(*one, (PICTURE,)) for one in texts])
    assert [branch.answers for branch in tree.branches] == [("good", "bad", "worse"), ("good",)]
    assert tree.rows == (("x", (0, 1)), ("y", (0, 2)), ("z", (3,)))


@given(st.lists(st.integers(1, 50), max_size=40), st.integers(1, 120))
def test_batches_keep_the_order_and_the_budget(lengths: list[int], budget: int) -> None:
    batches = batch_by_tokens(lengths, budget)
    assert [index for indices in batches for index in indices] == list(range(len(lengths)))
    for indices in batches:
        assert len(indices) == 1 or len(indices) * max(lengths[index] for index in indices) <= budget


def test_separate_sequences_are_the_paths_of_the_tree(llava: tuple[Any, Family]) -> None:
    (tree, _) = packed_rows(llava[1])
    for one, answer in zip(unpack_tree(tree), tree.answers, strict=True):
        assert one.ids.tolist() == tree.ids[tree.path(answer)].tolist()
        assert one.answers[0].stop == len(one)


def test_scored_tokens_read_as_the_answer_and_its_end(llava: tuple[Any, Family]) -> None:
    _, family = llava
    batch = collate(packed_rows(family), family)
    for row, (_, answers) in zip(ROWS, batch.rows, strict=True):
        for text, number in zip(row.answers, answers, strict=True):
            tokens = batch.targets[batch.owner == number]
            assert family.processor.tokenizer.decode(tokens) == f" {text}</s>"


def test_a_question_that_begins_another_is_an_empty_branch(llava: tuple[Any, Family]) -> None:
    model, family = llava
    family.processor.chat_template = (
        "{% for m in messages %}{% for c in m['content'] %}{{ c['text'] }}{% endfor %}{% endfor %}"
    )
    trees = packed_rows(family, [Row("a", "abc", ("x", "yy")), Row("b", "abcdef", ("zz", "z"))])
    assert trees[0].answers[0].before == trees[0].shared_prefix - 1
    assert parity(model, family, collate(trees, family), collate(trees, family, "separate")).logprobs < 1e-5


def test_a_tokenizer_that_joins_letters_across_the_border_is_reported(llava: tuple[Any, Family]) -> None:
    _, family = llava
    family.processor.chat_template = family.processor.chat_template.replace("ASSISTANT:", "ASSISTANT:t").replace(
        "ASSISTANT:t ", "ASSISTANT:t"
    )
    (tree,) = packed_rows(family, [Row("a", "q", ("hello", "bye"), (PICTURE,))])
    assert tree.unstable == (0,)
    answer = tree.ids[tree.answers[0].start : tree.answers[0].stop]
    assert family.processor.tokenizer.decode(answer) == "hello</s>"


@pytest.mark.parametrize("word", ["<image>", "</s>"])
def test_control_tokens_in_a_text_are_read_as_letters(llava: tuple[Any, Family], word: str) -> None:
    (tree,) = packed_rows(llava[1], [Row("r", f"what {word}", (f"a {word} b", "c"), (PICTURE,))])
    answer = tree.answers[0]
    scored = tree.ids[answer.start : answer.stop]
    assert llava[1].processor.tokenizer.decode(scored) == f" a < {word[1:]} b</s>"
    (token,) = llava[1].processor.tokenizer.convert_tokens_to_ids([word])
    plain = packed_rows(llava[1], [Row("r", "what", ("a b", "c"), (PICTURE,))])[0]
    assert (tree.ids == token).sum() == (plain.ids == token).sum()


def test_an_empty_answer_is_its_end_token(llava: tuple[Any, Family]) -> None:
    (tree,) = packed_rows(llava[1], [Row("r", "what", ("fine", ""), (PICTURE,))])
    answer = tree.answers[1]
    assert tree.ids[answer.start : answer.stop].tolist() == [llava[1].end_id]


def test_several_pictures_are_refused_where_they_are_not_encoded_as_alone() -> None:
    family = family_of(*build(CASES["llava_onevision+qwen2"]))
    with pytest.raises(DataError, match="row r"):
        packed_rows(family, [Row("r", "q", ("a", "b"), (PICTURE, ROWS[3].pictures[0]))])


def test_rows_of_text_share_a_tree_only_where_their_question_is_equal() -> None:
    talk = (ChatTurn("user", "q"), ChatTurn("assistant", "a"))
    text = [Row(f"{n}", f"q{n % 3}", ("x",), system=system) for system in ("", "be kind") for n in range(4)]
    assert [len(tree.rows) for tree in build_trees(text)] == [2, 1, 1] * 2
    assert [len(tree.rows) for tree in build_trees([replace(row, earlier=talk) for row in text])] == [4, 4]
