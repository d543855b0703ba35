"""Every family: rows of 0, 1 and 2 pictures and of two turns, mixed in one batch, score as each would alone."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from spavl.models.families import Family, family_of
from spavl.models.trees.batch import collate
from spavl.models.trees.pack import build_trees, pack_trees
from spavl.models.trees.parity import parity
from spavl.models.trees.score import answer_logprobs, image_features
from tests.families import CASES, build
from tests.mixed_rows import mixed_batch, mixed_rows, plain_sums

LOGPROBS, GRADIENTS = 1e-4, 1e-5
"""Largest relative errors that hold."""
Opened = tuple[Any, Any, Family]


@pytest.fixture(scope="module", params=list(CASES.values()), ids=list(CASES))
def opened(request: pytest.FixtureRequest) -> Opened:
    torch.set_num_threads(1)
    model, processor = build(request.param)
    return model, processor, family_of(model, processor)


@pytest.mark.parametrize("packing", ["tree", "separate"])
def test_mixed_rows_score_as_by_a_plain_forward_of_transformers(opened: Opened, packing: Any) -> None:
    model, processor, family = opened
    rows, batch = mixed_batch(family, packing)
    with torch.no_grad():
        here = answer_logprobs(model, batch, family).sums
    plain = plain_sums(model, processor, rows, batch)
    assert ((here - plain) / plain).abs().max() <= LOGPROBS
    turns, pictures = {len(row.earlier) for row in rows}, {len(row.pictures) for row in rows}
    assert turns == {0, 2} and pictures >= ({0, 1, 2} if family.facts.several_pictures else {0, 1})


def test_trees_of_mixed_rows_have_the_gradients_of_separate_sequences(opened: Opened) -> None:
    model, _, family = opened
    (_, tree), (_, separate) = mixed_batch(family), mixed_batch(family, "separate")
    found = parity(model, family, tree, separate, gradients=True)
    assert found.logprobs <= LOGPROBS
    assert found.gradients is not None and found.gradients <= GRADIENTS


def test_a_batch_of_text_only_calls_no_tower_and_scores_as_among_others(opened: Opened) -> None:
    model, _, family = opened
    rows, mixed = mixed_batch(family)
    text = [row for row in rows if not row.pictures and not any(turn.pictures for turn in row.earlier)]
    batch = collate(pack_trees(build_trees(text), family), family)
    with torch.no_grad():
        features = image_features(model, batch, family)
        alone = answer_logprobs(model, batch, family, features=features).sums
        among = answer_logprobs(model, mixed, family).sums
    assert features is None and len(text) == 2
    places = {name: list(answers) for name, answers in mixed.rows}
    for name, answers in batch.rows:
        assert torch.allclose(alone[list(answers)], among[places[name]], rtol=1e-5)


def test_rows_share_a_tree_where_all_before_the_question_is_equal() -> None:
    trees = build_trees(mixed_rows(several=True))
    assert [len(tree.rows) for tree in trees] == [1, 2, 1, 1, 1, 1, 1, 1]
    assert [len(tree.all_pictures) for tree in trees] == [0, 1, 0, 1, 1, 2, 2, 2]
