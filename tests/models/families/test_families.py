"""Every family: packed trees give the same numbers as separate sequences, and broken trees do not.

Sequences are longer than every sliding window, pictures come in two sizes, three questions have two answers each.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from spavl.errors import ModelError
from spavl.models.families import FACTS, Family, family_of, load_processor
from spavl.models.families.facts import LANGUAGES
from spavl.models.trees.batch import TreeBatch, collate
from spavl.models.trees.pack import PackedTree, Row, build_trees, pack_tree
from spavl.models.trees.parity import parity
from spavl.models.trees.score import answer_logprobs
from tests.families import CASES, WINDOW, Case, build, rows, save

LOGPROBS, GRADIENTS = 1e-4, 1e-5
"""What two packings may differ by: sums of log-probabilities, relative; gradients, relative."""


@dataclass(frozen=True)
class World:
    """A family with its rows in both packings."""

    case: Case
    model: Any
    processor: Any
    family: Family
    rows: list[Row]
    trees: list[PackedTree]
    tree: TreeBatch
    separate: TreeBatch

    def difference(self, tree: TreeBatch, family: Family | None = None) -> float:
        """Relative difference of log-probabilities from the separate sequences."""
        return parity(self.model, family or self.family, tree, self.separate).logprobs


@pytest.fixture(scope="module", params=list(CASES.values()), ids=list(CASES))
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    torch.set_num_threads(1)
    model, processor = build(request.param)
    family = family_of(model, processor)
    samples = rows()
    trees = [pack_tree(tree, family) for tree in build_trees(samples)]
    both = (collate(trees, family), collate(trees, family, "separate"))
    yield World(request.param, model, processor, family, samples, trees, *both)


def test_tree_and_separate_sequences_agree_in_logprobs_and_gradients(world: World) -> None:
    found = parity(world.model, world.family, world.tree, world.separate, gradients=True)
    assert found.logprobs <= LOGPROBS
    assert found.gradients is not None and found.gradients <= GRADIENTS


def test_the_samples_cover_windows_and_sizes(world: World) -> None:
    assert world.tree.answers == 12
    lengths = world.separate.lengths.tolist()
    assert all(short != long for short, long in zip(lengths[::2], lengths[1::2], strict=True))
    assert any(window is not None for window in world.family.masks.values()) == world.case.slides
    assert min(world.separate.lengths) > WINDOW
    assert (len(set(world.tree.picture_tokens)) == 2) == world.case.sizes


def test_an_answer_that_attends_to_its_sibling_is_noticed(world: World) -> None:
    first = world.trees[0].answers[0]
    end = world.tree.end.clone()
    end[0, first.start : first.stop] = world.trees[0].answers[1].stop
    assert world.difference(replace(world.tree, end=end)) > 10 * LOGPROBS


def test_positions_that_do_not_restart_are_noticed(world: World) -> None:
    running = torch.arange(world.tree.ids.shape[1]) - world.tree.depth
    assert world.difference(replace(world.tree, positions=world.tree.positions + running)) > 10 * LOGPROBS


def test_a_block_left_out_of_attention_is_noticed(world: World) -> None:
    # Also shows that every family passes the blocks on to its attention.
    shorter = tuple(runs[:-1] for runs in world.tree.questions)
    assert world.difference(replace(world.tree, questions=shorter)) > 10 * LOGPROBS


def test_sliding_windows_left_out_are_noticed(world: World) -> None:
    if not world.case.slides:
        assert set(world.family.masks.values()) == {None}
        return
    wide = replace(world.family, masks=dict.fromkeys(world.family.masks))
    assert world.difference(world.tree, wide) > 10 * LOGPROBS


def test_causal_attention_inside_bidirectional_pictures_is_noticed(world: World) -> None:
    if world.tree.picture_index is None:
        assert not world.family.facts.bidirectional_pictures
        return
    assert world.difference(replace(world.tree, picture_index=None)) > 10 * LOGPROBS


def test_logprobs_depend_on_the_picture(world: World) -> None:
    pixels = {**world.tree.pixels, "pixel_values": world.tree.pixels["pixel_values"].flip(-1)}
    assert world.difference(replace(world.tree, pixels=pixels)) > 10 * LOGPROBS


def test_eager_attention_agrees_too(world: World) -> None:
    language = world.model.get_submodule(world.family.facts.language)
    attention = language.config._attn_implementation
    language.set_attn_implementation("eager")
    try:
        family = family_of(world.model, world.processor)
        assert family.attention == "eager"
        assert parity(world.model, family, world.tree, world.separate).logprobs <= LOGPROBS
    finally:
        language.set_attn_implementation(attention)


def test_a_prompt_is_what_inference_gets(world: World) -> None:
    # transformers' own way from conversation to scores, for one row with each picture.
    scores = answer_logprobs(world.model, world.tree, world.family).logprobs.detach()
    for number, tree in enumerate(world.trees):
        row, answer = world.rows[3 * number], tree.answers[0]
        inputs = world.processor.apply_chat_template(
            [
                {"role": "system", "content": [{"type": "text", "text": row.system}]},
                {
                    "role": "user",
                    "content": [
                        {"type": "image", "image": row.pictures[0].load()},
                        {"type": "text", "text": row.question},
                    ],
                },
            ],
            tokenize=True,
            return_dict=True,
            return_tensors="pt",
            add_generation_prompt=True,
        )
        prompt = tree.path(answer)[: -(answer.stop - answer.start)]
        assert inputs["input_ids"][0].tolist() == tree.ids[prompt].tolist()
        with torch.no_grad():
            first = world.model(**inputs).logits[0, -1].log_softmax(-1)[tree.ids[answer.start]]
        here = scores[(world.tree.owner == 6 * number).nonzero()[0, 0]]
        assert float(first) == pytest.approx(float(here), rel=1e-4)


def test_answers_end_with_the_turn(world: World) -> None:
    decode = world.processor.tokenizer.decode
    for tree, number in zip(world.trees, range(2), strict=True):
        texts = [text for row in world.rows[3 * number : 3 * number + 3] for text in row.answers]
        assert tree.unstable == ()
        for answer, text in zip(tree.answers, texts, strict=True):
            assert decode(tree.ids[answer.start : answer.stop - 1]).strip() == text
            assert tree.ids[answer.stop - 1] in world.family.end_ids


def test_every_parameter_belongs_to_one_part(world: World) -> None:
    parts = {world.family.part_of(name) for name, _ in world.model.named_parameters()}
    assert {"vision", "projector", "language"} <= parts
    language = world.family.linear_names(world.model, "language")
    assert len(language) >= 8
    assert all(name.startswith(world.family.facts.language) for name in language)
    modules = dict(world.model.named_modules())
    assert not any(isinstance(modules.get(name), torch.nn.ModuleList) for name in world.family.facts.projector)


def test_a_saved_checkpoint_opens_with_the_same_processor(world: World, tmp_path: Path) -> None:
    folder = save(world.case, tmp_path)
    processor = load_processor(folder)
    family = replace(world.family, processor=processor, _expansions={})
    again = [pack_tree(tree, family) for tree in build_trees(world.rows)]
    assert [tree.ids.tolist() for tree in again] == [tree.ids.tolist() for tree in world.trees]
    pixels = collate(again, family).pixels
    assert {name: value.tolist() for name, value in pixels.items()} == {
        name: value.tolist() for name, value in world.tree.pixels.items()
    }


def test_every_family_and_language_model_in_the_tables_is_tested() -> None:
    models = [build(case)[0].config for case in CASES.values()]
    assert {config.model_type for config in models} == set(FACTS)
    assert {config.get_text_config().model_type for config in models} == set(LANGUAGES)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"model_type": "qwen3_5"}, "qwen3_5"),
        ({"vision_config": SimpleNamespace(model_type="pixtral")}, "pixtral"),
    ],
)
def test_unknown_families_and_towers_are_refused_by_name(change: dict[str, Any], reason: str) -> None:
    config = SimpleNamespace(model_type="llava", vision_config=SimpleNamespace(model_type="clip_vision_model"))
    with pytest.raises(ModelError, match=reason):
        family_of(SimpleNamespace(config=SimpleNamespace(**{**vars(config), **change})), None)


def test_linear_attention_is_refused() -> None:
    model, processor = build(CASES["llava_onevision+qwen2"])
    model.config.get_text_config().layer_types = ["linear_attention", "full_attention"]
    with pytest.raises(ModelError, match="linear_attention"):
        family_of(model, processor)


def test_an_attention_without_masks_is_refused() -> None:
    model, processor = build(CASES["llava"])
    model.get_submodule("model.language_model").config._attn_implementation_internal = "flash_attention_2"
    with pytest.raises(ModelError, match="flash_attention_2"):
        family_of(model, processor)
