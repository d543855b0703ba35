"""Batches of trees: the mask, its cut into attention blocks, indices of scored tokens, pictures."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from spavl.models.families import Family, family_of
from spavl.models.families.attention import tree_attention
from spavl.models.trees.batch import collate
from spavl.models.trees.pack import Row
from tests.families import CASES, build
from tests.models.trees.samples import PICTURE, ROWS, Shape, packed_rows, packed_shape, shapes, tokens_only


@settings(max_examples=60, deadline=None)
@given(st.lists(shapes(), min_size=1, max_size=3), st.sampled_from([None, 1, 3]))
def test_a_token_attends_to_exactly_the_tokens_it_would_attend_to_alone(
    forest: list[Shape], window: int | None
) -> None:
    trees = [packed_shape(shape) for shape in forest]
    batch = collate(trees, tokens_only())
    mask = batch.mask("tree", torch.float32, window)[:, 0].numpy()
    for tree, attends in zip(trees, mask, strict=True):
        expected = np.eye(len(attends), dtype=bool)
        for answer in tree.answers:
            path = tree.path(answer)
            distance = np.arange(len(path))[:, None] - np.arange(len(path))
            expected[np.ix_(path, path)] = (distance >= 0) & (distance < (window or 10**6))
            assert (tree.depth[path] == np.arange(len(path))).all()
        assert (attends == expected).all()


@settings(max_examples=60, deadline=None)
@given(st.lists(shapes(), min_size=1, max_size=3), st.booleans(), st.sampled_from([1, 2, 64]))
def test_attention_blocks_cover_every_token_and_all_it_attends_to(
    forest: list[Shape], uniform: bool, multiple: int
) -> None:
    batch = collate([packed_shape(shape) for shape in forest], tokens_only())
    mask = batch.mask("tree", torch.float32)[:, 0]
    covered = torch.zeros_like(mask)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("spavl.models.trees.batch.GPU_PREFIX", multiple)
        cut = batch.attention_blocks(causal_prefix=True, uniform=uniform)
    for row in range(len(mask)):
        start, blocks = 0, cut[0] if len(cut) == 1 else cut[row]
        for block in blocks:
            run = slice(start, start + block.length)
            covered[row, run, : blocks[0].length] = True
            covered[row, run, run] = True
            if not block.masked:
                assert torch.equal(mask[row, run, run], torch.ones_like(mask[row, run, run]).tril())
            start += block.length
        assert start == (len(mask[row]) if uniform else batch.lengths[row])
    for row, length in enumerate(batch.lengths):
        assert not (mask & ~covered)[row, :length].any()


@pytest.mark.parametrize("multiple", [1, 20, 28, 41])
def test_a_picture_whose_tokens_attend_both_ways_is_never_cut_in_two(
    multiple: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("spavl.models.trees.batch.GPU_PREFIX", multiple)
    family = family_of(*build(CASES["gemma3"]))
    for trees in [[tree] for tree in packed_rows(family)] + [packed_rows(family)]:
        batch = collate(trees, family)
        assert batch.picture_index is not None and (batch.picture_index >= 0).any()
        ((first, _),) = batch.attention_blocks(causal_prefix=False, uniform=True)
        assert first.length >= 0 and first.length % multiple == 0
        assert not batch.mask("tree", torch.float32)[:, 0, : first.length, first.length :].any()


@settings(max_examples=60, deadline=None)
@given(shapes())
def test_every_token_of_an_answer_is_scored_from_the_one_before_it(shape: Shape) -> None:
    tree = packed_shape(shape)
    batch = collate([tree], tokens_only())
    for number, answer in enumerate(tree.answers):
        path = tree.path(answer)
        length = answer.stop - answer.start
        of_it = batch.owner == number
        assert batch.scored[of_it].tolist() == path[-length - 1 : -1].tolist()
        assert batch.targets[of_it].tolist() == tree.ids[path[-length:]].tolist()
        assert batch.last[number] == path[-1]


@pytest.mark.parametrize("uniform", [True, False])
@pytest.mark.parametrize("causal_prefix", [True, False])
def test_attention_in_blocks_is_attention_under_the_mask(
    uniform: bool, causal_prefix: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("spavl.models.trees.batch.GPU_PREFIX", 1)
    shapes_ = [[[4], [2, 3, 1], [1, 2]], [[2], [3, 2, 2]], [[0], [2, 1], [3, 2]]]
    batch = collate([packed_shape(shape) for shape in shapes_], tokens_only())
    rows_, width = batch.ids.shape
    query, key, value = (torch.randn(rows_, 2, width, 8, generator=torch.manual_seed(n)) for n in range(3))
    mask = batch.mask("tree", torch.float32)
    whole = torch.nn.functional.scaled_dot_product_attention(query, key, value, attn_mask=mask).transpose(1, 2)
    blocks = batch.attention_blocks(causal_prefix=causal_prefix, uniform=uniform)
    cut, _ = tree_attention(torch.nn.Module(), query, key, value, mask, tree=blocks)
    for row, length in enumerate(batch.lengths):
        assert torch.allclose(cut[row, :length], whole[row, :length], atol=1e-6)
    assert torch.isfinite(cut).all()


@pytest.mark.parametrize("name", ["llava_next+llama", "qwen2_vl", "idefics3", "internvl+qwen2"])
def test_pictures_processed_one_by_one_are_joined_as_together(name: str) -> None:
    family = family_of(*build(CASES[name]))
    trees = packed_rows(family)
    alone = {tree.pictures[0].key: family.pixels([tree.pictures[0].load()]) for tree in trees}
    together, joined = collate(trees, family).pixels, collate(trees, family, pixels=alone).pixels
    assert {key: value.shape for key, value in joined.items()} == {key: value.shape for key, value in together.items()}
    assert all(torch.equal(joined[key], value) for key, value in together.items())


def test_pairs_name_chosen_and_rejected(llava: tuple[Any, Family]) -> None:
    _, family = llava
    batch = collate(
        packed_rows(family, [*ROWS, Row("again", ROWS[0].question, ("new", "a red cup"), (PICTURE,), "be kind")]),
        family,
    )
    assert batch.pairs().tolist() == [[0, 1], [3, 4], [5, 6], [2, 0], [7, 8], [9, 10], [11, 12]]
