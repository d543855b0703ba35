"""Trees: how rows become one sequence, who sees whom in it, and that models cannot tell it from separate sequences."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from peft import LoraConfig, get_peft_model
from PIL import Image

from spavl.errors import DataError
from spavl.models.families import Family, family_of
from spavl.models.families.attention import tree_attention
from spavl.models.trees.batch import collate
from spavl.models.trees.pack import (
    PackedTree,
    Row,
    Tree,
    batch_by_tokens,
    build_trees,
    pack_tokens,
    pack_tree,
    unpack_tree,
)
from spavl.models.trees.parity import parity
from spavl.models.trees.score import answer_logprobs, hidden_at, image_features
from spavl.pictures import Picture
from tests.families import CASES, build, rows

ROWS = rows()
PICTURE = ROWS[0].pictures[0]


@pytest.fixture
def llava() -> tuple[Any, Family]:
    torch.set_num_threads(1)
    model, processor = build(CASES["llava"])
    return model, family_of(model, processor)


def encoded(family: Family, given_rows: list[Row] = ROWS, **how: Any) -> list[PackedTree]:
    return [pack_tree(tree, family) for tree in build_trees(given_rows, **how)]


# ---- from rows to trees


def test_rows_with_one_picture_and_system_become_one_tree() -> None:
    trees = build_trees([*ROWS, replace(ROWS[0], id="other", system="be brief")])
    assert [len(tree.branches) for tree in trees] == [3, 3, 1]
    assert trees[0].rows == (("p0/what is shown here", (0, 1)), ("p0/tell me more", (2, 3)), (ROWS[2].id, (4, 5)))


def test_grouping_by_question_and_by_row() -> None:
    twice = [ROWS[0], ROWS[1], replace(ROWS[0], id="again", answers=("a red cup", "a blue one"))]
    assert [len(tree.rows) for tree in build_trees(twice, "question")] == [2, 1]
    assert [len(tree.rows) for tree in build_trees(twice, "row")] == [1, 1, 1]


def test_equal_answers_to_a_question_are_laid_once() -> None:
    (tree,) = build_trees([Row("x", "q", ("good", "bad")), Row("y", "q", ("good", "worse")), Row("z", "r", ("good",))])
    assert [branch.answers for branch in tree.branches] == [("good", "bad", "worse"), ("good",)]
    assert tree.rows == (("x", (0, 1)), ("y", (0, 2)), ("z", (3,)))


# ---- who sees whom

Shape = list[list[int]]
"""Lengths: of the trunk, then of each question followed by its answers."""


@st.composite
def shapes(draw: st.DrawFn) -> Shape:
    size = st.integers(1, 4)
    questions = draw(st.lists(st.lists(size, min_size=2, max_size=4), min_size=1, max_size=3))
    return [[draw(size)], *questions]


def packed(shape: Shape) -> PackedTree:
    """A tree whose tokens are all different, save the first of every question's."""
    tokens = iter(range(1, 1000))
    shared_prefix = [next(tokens) for _ in range(shape[0][0])]
    prompts = [shared_prefix + [next(tokens) for _ in range(question[0])] for question in shape[1:]]
    answers = [[[next(tokens) for _ in range(length)] for length in question[1:]] for question in shape[1:]]
    return pack_tokens(Tree((), "", (), ()), prompts, answers)


class Bare:
    """Of a family, what laying out tokens alone needs."""

    pad_id = 0

    def positions(self, _: Any, __: Any, depth: np.ndarray, ___: Any) -> torch.Tensor:
        return torch.from_numpy(depth)

    def blocks(self, _: Any) -> None:
        return None


@settings(max_examples=60, deadline=None)
@given(st.lists(shapes(), min_size=1, max_size=3), st.sampled_from([None, 1, 3]))
def test_a_token_sees_exactly_the_tokens_it_would_see_alone(forest: list[Shape], window: int | None) -> None:
    trees = [packed(shape) for shape in forest]
    batch = collate(trees, Bare())  # type: ignore[arg-type]
    mask = batch.mask("tree", torch.float32, window)[:, 0].numpy()
    for tree, sees in zip(trees, mask, strict=True):
        expected = np.eye(len(sees), dtype=bool)
        for answer in tree.answers:
            path = tree.path(answer)
            apart = np.arange(len(path))[:, None] - np.arange(len(path))
            expected[np.ix_(path, path)] = (apart >= 0) & (apart < (window or 10**6))
            assert (tree.depth[path] == np.arange(len(path))).all()
        assert (sees == expected).all()


@settings(max_examples=60, deadline=None)
@given(st.lists(shapes(), min_size=1, max_size=3), st.booleans())
def test_pieces_hold_every_token_and_all_it_sees(forest: list[Shape], together: bool) -> None:
    batch = collate([packed(shape) for shape in forest], Bare())  # type: ignore[arg-type]
    mask = batch.mask("tree", torch.float32)[:, 0]
    held = torch.zeros_like(mask)
    cut = batch.pieces(plain_prefix=True, together=together)
    for row in range(len(mask)):
        start, pieces = 0, cut[0] if len(cut) == 1 else cut[row]
        for piece in pieces:
            run = slice(start, start + piece.length)
            held[row, run, : pieces[0].length] = True
            held[row, run, run] = True
            if not piece.masked:
                assert torch.equal(mask[row, run, run], torch.ones_like(mask[row, run, run]).tril())
            start += piece.length
        assert start == (len(mask[row]) if together else batch.lengths[row])
    for row, length in enumerate(batch.lengths):
        assert not (mask & ~held)[row, :length].any()


@settings(max_examples=60, deadline=None)
@given(shapes())
def test_every_token_of_an_answer_is_scored_from_the_one_before_it(shape: Shape) -> None:
    tree = packed(shape)
    batch = collate([tree], Bare())  # type: ignore[arg-type]
    for number, answer in enumerate(tree.answers):
        path = tree.path(answer)
        length = answer.stop - answer.start
        of_it = batch.owner == number
        assert batch.scored[of_it].tolist() == path[-length - 1 : -1].tolist()
        assert batch.targets[of_it].tolist() == tree.ids[path[-length:]].tolist()
        assert batch.last[number] == path[-1]


@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize("plain_prefix", [True, False])
def test_attention_in_pieces_is_attention_under_the_mask(together: bool, plain_prefix: bool) -> None:
    shapes_ = [[[4], [2, 3, 1], [1, 2]], [[2], [3, 2, 2]], [[0], [2, 1], [3, 2]]]
    batch = collate([packed(shape) for shape in shapes_], Bare())  # type: ignore[arg-type]
    rows_, width = batch.ids.shape
    query, key, value = (torch.randn(rows_, 2, width, 8, generator=torch.manual_seed(n)) for n in range(3))
    mask = batch.mask("tree", torch.float32)
    whole = torch.nn.functional.scaled_dot_product_attention(query, key, value, attn_mask=mask).transpose(1, 2)
    pieces = batch.pieces(plain_prefix=plain_prefix, together=together)
    cut, _ = tree_attention(torch.nn.Module(), query, key, value, mask, tree=pieces)
    for row, length in enumerate(batch.lengths):
        assert torch.allclose(cut[row, :length], whole[row, :length], atol=1e-6)
    assert torch.isfinite(cut).all()


def test_separate_sequences_are_the_paths_of_the_tree(llava: tuple[Any, Family]) -> None:
    (tree, _) = encoded(llava[1])
    for one, answer in zip(unpack_tree(tree), tree.answers, strict=True):
        assert one.ids.tolist() == tree.ids[tree.path(answer)].tolist()
        assert one.answers[0].stop == len(one)


# ---- from text to tokens


def test_scored_tokens_read_as_the_answer_and_its_end(llava: tuple[Any, Family]) -> None:
    _, family = llava
    batch = collate(encoded(family), family)
    for row, (_, answers) in zip(ROWS, batch.rows, strict=True):
        for words, number in zip(row.answers, answers, strict=True):
            tokens = batch.targets[batch.owner == number]
            assert family.processor.tokenizer.decode(tokens) == f" {words}</s>"


def test_a_tree_can_have_one_answer_a_group_no_picture_or_two(llava: tuple[Any, Family]) -> None:
    model, family = llava
    odd = [
        Row("one", "what is it", ("a cup",), (PICTURE,)),
        Row("group", "what is it", ("a cup", "a hat", "no", "the kite"), (PICTURE, ROWS[3].pictures[0])),
        Row("blind", "how are you", ("well", "not so well"), ()),
    ]
    trees = encoded(family, odd)
    tree, apart = collate(trees, family), collate(trees, family, "separate")
    assert tree.rows == (("one", (0,)), ("group", (1, 2, 3, 4)), ("blind", (5, 6)))
    assert parity(model, family, tree, apart, gradients=True).logprobs < 1e-5


def test_two_pictures_in_a_conversation_agree_with_grid_positions() -> None:
    model, processor = build(CASES["qwen2_5_vl"])
    family = family_of(model, processor)
    pictures = (PICTURE, ROWS[3].pictures[0])
    trees = encoded(family, [replace(row, pictures=pictures) for row in ROWS[:3]] + ROWS[3:])
    found = parity(model, family, collate(trees, family), collate(trees, family, "separate"), gradients=True)
    assert found.logprobs < 1e-5
    assert found.gradients is not None and found.gradients < 1e-5


def test_a_question_that_begins_another_is_laid_as_a_branch_of_nothing(llava: tuple[Any, Family]) -> None:
    model, family = llava
    family.processor.chat_template = (
        "{% for m in messages %}{% for c in m['content'] %}{{ c['text'] }}{% endfor %}{% endfor %}"
    )
    trees = encoded(family, [Row("a", "abc", ("x", "yy")), Row("b", "abcdef", ("zz", "z"))])
    assert trees[0].answers[0].before == trees[0].shared_prefix - 1
    assert parity(model, family, collate(trees, family), collate(trees, family, "separate")).logprobs < 1e-5


def test_a_tokenizer_that_joins_letters_across_the_border_is_reported(llava: tuple[Any, Family]) -> None:
    _, family = llava
    family.processor.chat_template = family.processor.chat_template.replace("ASSISTANT:", "ASSISTANT:t").replace(
        "ASSISTANT:t ", "ASSISTANT:t"
    )
    (tree,) = encoded(family, [Row("a", "q", ("hello", "bye"), (PICTURE,))])
    assert tree.unstable == (0,)
    said = tree.ids[tree.answers[0].start : tree.answers[0].stop]
    assert family.processor.tokenizer.decode(said) == "hello</s>"


@pytest.mark.parametrize("word", ["<image>", "</s>"])
def test_control_tokens_in_a_text_are_refused_with_the_row(llava: tuple[Any, Family], word: str) -> None:
    with pytest.raises(DataError, match=r"row bad/7"):
        encoded(llava[1], [Row("bad/7", "what", (f"a {word} b", "c"), (PICTURE,))])


def test_empty_answers_are_refused_with_the_row(llava: tuple[Any, Family]) -> None:
    with pytest.raises(DataError, match=r"empty[^$]*row bad/8"):
        encoded(llava[1], [Row("bad/8", "what", ("fine", " "), (PICTURE,))])


def test_several_pictures_are_refused_where_they_are_read_otherwise() -> None:
    family = family_of(*build(CASES["llava_onevision+qwen2"]))
    with pytest.raises(DataError, match="row r"):
        encoded(family, [Row("r", "q", ("a", "b"), (PICTURE, ROWS[3].pictures[0]))])


# ---- pictures


def test_a_turned_picture_has_its_upright_size(tmp_path: Path) -> None:
    turned = Image.new("RGB", (30, 20))
    exif = Image.Exif()
    exif[0x0112] = 6
    turned.save(tmp_path / "turned.jpg", exif=exif)
    for source in (tmp_path / "turned.jpg", (tmp_path / "turned.jpg").read_bytes()):
        assert Picture("k", source).size() == (20, 30) == Picture("k", source).load().size


def test_an_unreadable_picture_is_named(tmp_path: Path) -> None:
    (tmp_path / "bad.png").write_bytes(b"not a picture")
    with pytest.raises(DataError, match=r"bad\.png"):
        Picture("k", tmp_path / "bad.png").size()
    with pytest.raises(DataError, match="picture k"):
        Picture("k", io.BytesIO(b"").getvalue()).load()


@pytest.mark.parametrize("packing", ["tree", "separate"])
def test_every_distinct_picture_is_encoded_once(llava: tuple[Any, Family], packing: Any) -> None:
    model, family = llava
    seen: list[int] = []
    hook = model.model.vision_tower.register_forward_pre_hook(
        lambda _, args, kwargs: seen.append(len(args[0])), with_kwargs=True
    )
    answer_logprobs(model, collate(encoded(family, by="question"), family, packing), family)
    hook.remove()
    assert seen == [2]


@pytest.mark.parametrize("name", ["llava", "internvl+qwen2", "qwen3_vl", "idefics3", "gemma3"])
@pytest.mark.parametrize("packing", ["tree", "separate"])
def test_pictures_encoded_before_give_the_same(name: str, packing: Any) -> None:
    model, processor = build(CASES[name])
    family = family_of(model, processor)
    batch = collate(encoded(family), family, packing)
    features = image_features(model, batch, family)
    again = [answer_logprobs(model, batch, family, features=features).sums for _ in range(2)]
    live = answer_logprobs(model, batch, family).sums
    assert torch.allclose(again[0], live, rtol=1e-6)
    assert torch.equal(again[0], again[1])


@pytest.mark.parametrize("name", ["llava_next+llama", "qwen2_vl", "idefics3", "internvl+qwen2"])
def test_pictures_prepared_one_by_one_are_laid_as_together(name: str) -> None:
    family = family_of(*build(CASES[name]))
    trees = encoded(family)
    alone = {tree.pictures[0].key: family.pixels([tree.pictures[0].load()]) for tree in trees}
    together, joined = collate(trees, family).pixels, collate(trees, family, pixels=alone).pixels
    assert {key: value.shape for key, value in joined.items()} == {key: value.shape for key, value in together.items()}
    assert all(torch.equal(joined[key], value) for key, value in together.items())


# ---- models around models


def with_lora(model: Any, family: Family) -> Any:
    adapted = get_peft_model(model, LoraConfig(r=4, target_modules=family.linear_names(model, "language")))
    with torch.no_grad():
        for name, weight in adapted.named_parameters():
            if "lora_B" in name:
                weight.normal_(std=0.3)
    return adapted


@pytest.mark.parametrize("name", ["llava", "qwen3_vl", "gemma3"])
def test_lora_and_checkpointing_change_nothing(name: str) -> None:
    model, processor = build(CASES[name])
    family = family_of(model, processor)
    adapted = with_lora(model, family)
    trees = encoded(family)
    tree, apart = collate(trees, family), collate(trees, family, "separate")
    plain = parity(adapted, family, tree, apart, gradients=True)
    adapted.gradient_checkpointing_enable({"use_reentrant": False})
    adapted.train()
    checkpointed = parity(adapted, family, tree, apart, gradients=True)
    for found in (plain, checkpointed):
        assert found.logprobs < 1e-5
        assert found.gradients is not None and found.gradients < 1e-5
    assert {
        family.part_of(n.split("base_model.model.")[1]) for n, w in adapted.named_parameters() if w.requires_grad
    } == {"language"}


@pytest.fixture
def lonely_group(tmp_path: Path) -> Iterator[None]:
    torch.distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/group", rank=0, world_size=1)
    yield
    torch.distributed.destroy_process_group()


@pytest.mark.parametrize("packing", ["tree", "separate"])
def test_ddp_around_lora_gives_the_same(llava: tuple[Any, Family], lonely_group: None, packing: Any) -> None:
    model, family = llava
    adapted = with_lora(model, family)
    batch = collate(encoded(family), family, packing)
    answer_logprobs(adapted, batch, family).sums.sum().backward()
    alone = [weight.grad.clone() for weight in adapted.parameters() if weight.requires_grad]
    adapted.zero_grad()
    wrapped = torch.nn.parallel.DistributedDataParallel(adapted, find_unused_parameters=True)
    answer_logprobs(wrapped, batch, family).sums.sum().backward()
    together = [weight.grad for weight in adapted.parameters() if weight.requires_grad]
    assert all(torch.allclose(a, b, rtol=1e-5, atol=1e-6) for a, b in zip(alone, together, strict=True))


@pytest.mark.parametrize("packing", ["tree", "separate"])
def test_hidden_states_are_those_that_the_head_reads(llava: tuple[Any, Family], packing: Any) -> None:
    model, family = llava
    batch = collate(encoded(family), family, packing)
    scores = answer_logprobs(model, batch, family, hidden=True)
    assert scores.hidden is not None
    here = hidden_at(model, batch, family, batch.scored)
    assert torch.allclose(scores.hidden[batch.scored], here, rtol=1e-5, atol=1e-6)
    again = torch.log_softmax(model.lm_head(here), -1).gather(1, batch.targets[:, None]).squeeze(1)
    assert torch.allclose(again, scores.logprobs, rtol=1e-4, atol=1e-5)
    assert hidden_at(model, batch, family, batch.last).shape == (12, 32)


def test_hidden_states_agree_between_layouts(llava: tuple[Any, Family]) -> None:
    model, family = llava
    trees = encoded(family)
    at_end = [
        hidden_at(model, batch, family, batch.last)
        for batch in (collate(trees, family), collate(trees, family, "separate"))
    ]
    assert torch.allclose(at_end[0], at_end[1], rtol=1e-4, atol=1e-4)


def test_generation_does_not_notice_the_attention(llava: tuple[Any, Family]) -> None:
    model, processor = build(CASES["llava"])
    inputs = processor(text="<image>\nwhat", images=PICTURE.load(), return_tensors="pt")
    told = [model.generate(**inputs, max_new_tokens=12, do_sample=False, eos_token_id=None)]
    family_of(model, processor)
    told.append(model.generate(**inputs, max_new_tokens=12, do_sample=False, eos_token_id=None))
    assert torch.equal(*told)


# ---- batches and scores


@given(st.lists(st.integers(1, 50), max_size=40), st.integers(1, 120))
def test_batches_keep_the_order_and_the_budget(lengths: list[int], budget: int) -> None:
    cut = batch_by_tokens(lengths, budget)
    assert [index for indices in cut for index in indices] == list(range(len(lengths)))
    for indices in cut:
        assert len(indices) == 1 or len(indices) * max(lengths[index] for index in indices) <= budget


def test_pairs_name_chosen_and_rejected(llava: tuple[Any, Family]) -> None:
    _, family = llava
    batch = collate(
        encoded(family, [*ROWS, Row("again", ROWS[0].question, ("new", "a red cup"), (PICTURE,), "be kind")]), family
    )
    assert batch.pairs().tolist() == [[0, 1], [3, 4], [5, 6], [2, 0], [7, 8], [9, 10], [11, 12]]
