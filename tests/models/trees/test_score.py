"""Scoring trees: as separate sequences, also with LoRA, checkpointing, DDP and pictures encoded before."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model

from spavl.models.families import Family, family_of
from spavl.models.trees.batch import collate
from spavl.models.trees.pack import Row
from spavl.models.trees.parity import parity
from spavl.models.trees.score import answer_logprobs, hidden_at, image_features
from tests.families import CASES, build
from tests.models.trees.samples import PICTURE, ROWS, packed_rows


def test_a_tree_can_have_one_answer_a_group_no_picture_or_two(llava: tuple[Any, Family]) -> None:
    model, family = llava
    odd = [
        Row("one", "what is it", ("a cup",), (PICTURE,)),
        Row("group", "what is it", ("a cup", "a hat", "no", "the kite"), (PICTURE, ROWS[3].pictures[0])),
        Row("text", "how are you", ("well", "not so well"), ()),
    ]
    trees = packed_rows(family, odd)
    tree, separate = collate(trees, family), collate(trees, family, "separate")
    assert tree.rows == (("one", (0,)), ("group", (1, 2, 3, 4)), ("text", (5, 6)))
    assert parity(model, family, tree, separate, gradients=True).logprobs < 1e-5


def test_two_pictures_in_a_conversation_agree_with_grid_positions() -> None:
    model, processor = build(CASES["qwen2_5_vl"])
    family = family_of(model, processor)
    pictures = (PICTURE, ROWS[3].pictures[0])
    trees = packed_rows(family, [replace(row, pictures=pictures) for row in ROWS[:3]] + ROWS[3:])
    found = parity(model, family, collate(trees, family), collate(trees, family, "separate"), gradients=True)
    assert found.logprobs < 1e-5
    assert found.gradients is not None and found.gradients < 1e-5


@pytest.mark.parametrize("packing", ["tree", "separate"])
def test_every_distinct_picture_is_encoded_once(llava: tuple[Any, Family], packing: Any) -> None:
    model, family = llava
    encoded: list[int] = []
    hook = model.model.vision_tower.register_forward_pre_hook(
        lambda _, args, kwargs: encoded.append(len(args[0])), with_kwargs=True
    )
    answer_logprobs(model, collate(packed_rows(family, by="question"), family, packing), family)
    hook.remove()
    assert encoded == [2]


@pytest.mark.parametrize("name", ["llava", "internvl+qwen2", "qwen3_vl", "idefics3", "gemma3"])
@pytest.mark.parametrize("packing", ["tree", "separate"])
def test_pictures_encoded_before_give_the_same(name: str, packing: Any) -> None:
    model, processor = build(CASES[name])
    family = family_of(model, processor)
    batch = collate(packed_rows(family), family, packing)
    features = image_features(model, batch, family)
    again = [answer_logprobs(model, batch, family, features=features).sums for _ in range(2)]
    live = answer_logprobs(model, batch, family).sums
    assert torch.allclose(again[0], live, rtol=1e-6)
    assert torch.equal(again[0], again[1])


@pytest.mark.parametrize("name", ["llava", "qwen3_vl", "gemma3"])
@pytest.mark.parametrize("packing", ["tree", "separate"])
def test_rows_widened_for_a_gpu_give_the_same(name: str, packing: Any) -> None:
    model, processor = build(CASES[name])
    family = family_of(model, processor)
    batch = collate(packed_rows(family), family, packing)
    wide = batch.widened(batch.ids.shape[1] + 3)
    assert wide.ids.shape[1] == batch.ids.shape[1] + 3 and wide.widened(wide.ids.shape[1]) is wide
    assert torch.equal(wide.ids.flatten()[wide.last], batch.ids.flatten()[batch.last])
    found = parity(model, family, wide, batch, gradients=True)
    assert found.logprobs < 1e-5
    assert found.gradients is not None and found.gradients < 1e-5


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
    trees = packed_rows(family)
    tree, separate = collate(trees, family), collate(trees, family, "separate")
    plain = parity(adapted, family, tree, separate, gradients=True)
    adapted.gradient_checkpointing_enable({"use_reentrant": False})
    adapted.train()
    checkpointed = parity(adapted, family, tree, separate, gradients=True)
    for found in (plain, checkpointed):
        assert found.logprobs < 1e-5
        assert found.gradients is not None and found.gradients < 1e-5
    assert {
        family.part_of(n.split("base_model.model.")[1]) for n, w in adapted.named_parameters() if w.requires_grad
    } == {"language"}


@pytest.fixture
def single_process_group(tmp_path: Path) -> Iterator[None]:
    torch.distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/group", rank=0, world_size=1)
    yield
    torch.distributed.destroy_process_group()


@pytest.mark.parametrize("packing", ["tree", "separate"])
def test_ddp_around_lora_gives_the_same(llava: tuple[Any, Family], single_process_group: None, packing: Any) -> None:
    model, family = llava
    adapted = with_lora(model, family)
    batch = collate(packed_rows(family), family, packing)
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
    batch = collate(packed_rows(family), family, packing)
    scores = answer_logprobs(model, batch, family, hidden=True)
    assert scores.hidden is not None
    here = hidden_at(model, batch, family, batch.scored)
    assert torch.allclose(scores.hidden[batch.scored], here, rtol=1e-5, atol=1e-6)
    again = torch.log_softmax(model.lm_head(here), -1).gather(1, batch.targets[:, None]).squeeze(1)
    assert torch.allclose(again, scores.logprobs, rtol=1e-4, atol=1e-5)
    assert hidden_at(model, batch, family, batch.last).shape == (12, 32)


def test_hidden_states_agree_between_packings(llava: tuple[Any, Family]) -> None:
    model, family = llava
    trees = packed_rows(family)
    at_end = [
        hidden_at(model, batch, family, batch.last)
        for batch in (collate(trees, family), collate(trees, family, "separate"))
    ]
    assert torch.allclose(at_end[0], at_end[1], rtol=1e-4, atol=1e-4)


def test_the_registered_attention_leaves_generation_unchanged(llava: tuple[Any, Family]) -> None:
    model, processor = build(CASES["llava"])
    inputs = processor(text="<image>\nwhat", images=PICTURE.load(), return_tensors="pt")
    generated = [model.generate(**inputs, max_new_tokens=12, do_sample=False, eos_token_id=None)]
    family_of(model, processor)
    generated.append(model.generate(**inputs, max_new_tokens=12, do_sample=False, eos_token_id=None))
    assert torch.equal(*generated)
