"""Answers on trees have the words of transformers' own `generate`, in every family, whatever shares a batch."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from peft import LoraConfig, get_peft_model
from PIL import Image

from spavl.models.backends.local_trees import Question, batch_trees, grow_trees
from spavl.models.backends.local_vlm import VLM, tree_family
from spavl.models.base import Prompt, Reply, Request, Sampling
from spavl.models.families import Family
from spavl.records import ImageRef, Turn
from tests.families import CASES, Case, build

TEXTS = ("what is shown here", "tell me more", "what is it ?", "is the kite blue, and where is it now, i wonder")


@dataclass(frozen=True)
class World:
    """A tiny checkpoint that answers on trees, and the same one that does not."""

    trees: VLM
    alone: VLM
    model: Any
    family: Family


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> list[ImageRef]:
    folder = tmp_path_factory.mktemp("pictures")
    made = []
    for number, size in enumerate([(60, 40), (36, 76), (60, 40)]):
        noise = np.random.default_rng(number).integers(0, 256, (*size[::-1], 3), dtype=np.uint8)
        Image.fromarray(noise).save(folder / f"{number}.png")
        made.append(ImageRef(folder / f"{number}.png", f"{number:064x}"))
    return made


@pytest.fixture(scope="module", params=list(CASES.values()), ids=list(CASES))
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    yield opened(request.param)


def opened(case: Case, dtype: torch.dtype = torch.float32) -> World:
    """A checkpoint whose answers are read as token numbers: many of its tokens are no letters."""
    torch.set_num_threads(1)
    model, processor = build(case)
    processor.tokenizer.padding_side = "left"
    processor.tokenizer.decode = lambda ids, **_: " ".join(map(str, ids))
    family = tree_family(model.to(dtype), processor)
    assert family is not None
    return World(VLM(model, processor, "", family), VLM(model, processor, ""), model, family)


def mixed(pictures: list[ImageRef], sampling: Sampling | None = None) -> list[Request]:
    """Requests with 0, 1 and 2 pictures, a system turn, earlier turns with and without pictures, of many lengths."""
    first, second, third = pictures
    earlier = (Turn("user", "what is this ?", (first,)), Turn("assistant", "a red cup, i think", ()))
    prompts = [
        *(Prompt(text, (first,)) for text in TEXTS),
        *(Prompt(text, (second,), "be kind") for text in TEXTS[:2]),
        *(Prompt(text) for text in TEXTS[2:]),
        *(Prompt(text, (first, third)) for text in TEXTS[:3]),
        *(Prompt(text, earlier=earlier) for text in TEXTS[:2]),
        Prompt(TEXTS[0], (third,), earlier=earlier[:0]),
        Prompt(TEXTS[3], (), "be kind", earlier=(Turn("user", "hello", ()), Turn("assistant", "yes ?", ()))),
        Prompt(TEXTS[0], (first,)),
        *(Prompt(text, earlier=earlier[:1], role="assistant") for text in TEXTS[1:3]),
    ]
    made = [
        Request(prompt, sampling or Sampling(max_tokens=(1, 24, 5, 40)[number % 4]), key=f"key {number}")
        for number, prompt in enumerate(prompts)
    ]
    return made[::2] + made[1::2]


def words(replies: list[Reply]) -> list[tuple[str, str, int, int]]:
    return [(reply.text, reply.status, reply.prompt_tokens, reply.completion_tokens) for reply in replies]


def test_greedy_words_are_those_of_plain_generate(world: World, pictures: list[ImageRef]) -> None:
    requests = mixed(pictures)
    together, alone = words(world.trees.answer(requests)), words(world.alone.answer(requests))
    assert together == alone
    assert {status for _, status, _, _ in together} <= {"ok", "truncated"}
    assert len(set(together)) > 8


def test_sampled_words_are_those_of_plain_generate(world: World, pictures: list[ImageRef]) -> None:
    requests = mixed(pictures, Sampling(temperature=0.8, top_p=0.9, max_tokens=20, seed=1))
    assert words(world.trees.answer(requests)) == words(world.alone.answer(requests))


def test_an_answer_does_not_depend_on_its_batch(world: World, pictures: list[ImageRef]) -> None:
    requests = mixed(pictures, Sampling(temperature=0.8, max_tokens=8))
    together = words(world.trees.answer(requests))
    assert [words(world.trees.answer([request]))[0] for request in requests] == together


@contextmanager
def read(model: Any, family: Family) -> Iterator[dict[str, list[int]]]:
    """Meanwhile counts the pictures that the vision tower reads, and the tokens of each pass of the language model."""
    counted: dict[str, list[int]] = {"pictures": [], "tokens": []}

    def pictures(_: Any, args: tuple[Any, ...], given: dict[str, Any]) -> None:
        counted["pictures"].append(len(args[0] if args else given["pixel_values"]))

    def tokens(_: Any, args: tuple[Any, ...], given: dict[str, Any]) -> None:
        counted["tokens"].append(given["inputs_embeds"].shape[:2].numel())

    hooks = [
        model.get_submodule(family.facts.vision[0]).register_forward_pre_hook(pictures, with_kwargs=True),
        model.get_submodule(family.facts.language).register_forward_pre_hook(tokens, with_kwargs=True),
    ]
    try:
        yield counted
    finally:
        for hook in hooks:
            hook.remove()


@pytest.fixture(scope="module")
def llava() -> World:
    return opened(CASES["llava"])


def test_a_picture_is_read_once_for_all_its_questions_and_answers(llava: World, pictures: list[ImageRef]) -> None:
    sampling = Sampling(temperature=1.0, max_tokens=3)
    requests = [
        Request(Prompt(text, (image,), "be kind"), sampling, sample=sample, key=f"{text} {image.path} {sample}")
        for image in pictures[:2] for text in TEXTS[:3] for sample in range(4)
    ]  # fmt: skip
    with read(llava.model, llava.family) as counted:
        replies = llava.trees.answer(requests)
    questions = {
        (r.prompt.pictures, r.prompt.text): reply.prompt_tokens for r, reply in zip(requests, replies, strict=True)
    }
    assert counted["pictures"] == [2]
    assert counted["tokens"][0] < 0.75 * sum(questions.values())
    assert all(tokens <= len(requests) for tokens in counted["tokens"][1:])
    assert len({reply.text for reply in replies}) > 12


def test_ended_answers_are_computed_no_further(llava: World, pictures: list[ImageRef]) -> None:
    limits = (1, 2, 2, 30)
    requests = [
        Request(Prompt(text, (pictures[0],)), Sampling(max_tokens=limit))
        for text, limit in zip(TEXTS, limits, strict=True)
    ]
    with read(llava.model, llava.family) as counted:
        replies = llava.trees.answer(requests)
    assert [reply.completion_tokens for reply in replies] == list(limits)
    assert counted["tokens"][1:] == [3, *[1] * 28]


def test_a_model_wrapped_by_peft_answers_on_trees(pictures: list[ImageRef]) -> None:
    world = opened(CASES["llava"])
    plain = words(world.trees.answer(mixed(pictures)))
    torch.manual_seed(0)
    config = LoraConfig(r=4, target_modules=r".*language_model.*\.(q_proj|v_proj)", init_lora_weights=False)
    wrapped = get_peft_model(world.model, config)
    processor = world.family.processor
    adapted = words(VLM(wrapped, processor, "", world.family).answer(mixed(pictures)))
    assert adapted == words(VLM(wrapped, processor, "").answer(mixed(pictures)))
    assert adapted != plain


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_half_precision_answers_too(case: Case, pictures: list[ImageRef]) -> None:
    replies = opened(case, torch.bfloat16).trees.answer(mixed(pictures))
    assert {reply.status for reply in replies} <= {"ok", "truncated"}


def test_what_trees_cannot_hold_is_left_to_plain_generate() -> None:
    model, processor = build(CASES["llava"])
    language = model.get_submodule("model.language_model")
    language.set_attn_implementation("eager")
    assert tree_family(model, processor) is None
    language.set_attn_implementation("sdpa")
    assert tree_family(model, processor) is not None
    model.config.model_type = "unheard-of"
    assert tree_family(model, processor) is None


def question(opening: str, ids: tuple[int, ...]) -> Question:
    return Question(Request(Prompt("what ?"), Sampling()), (), (opening,), ids)


def test_a_tree_takes_questions_until_they_are_much_longer_than_what_they_share(llava: World) -> None:
    prefix = tuple(range(100, 120))
    asked = [question("a", (*prefix, *range(n, n + 29))) for n in (10, 40, 70, 10)] + [question("b", prefix)]
    trees = grow_trees(asked, llava.family)
    assert [tree.members for tree in trees] == [(0, 1), (2, 3), (4,)]
    assert [tree.packed.shared_prefix for tree in trees] == [20, 20, 20]
    repeated = grow_trees([asked[0], asked[0], asked[1], asked[0]], llava.family)
    assert [(tree.members, tree.branches) for tree in repeated] == [((0, 1, 2, 3), (0, 0, 1, 0))]


def test_short_and_long_trees_are_not_padded_to_each_other(llava: World) -> None:
    lengths = (700, 20, 720, 2000, 25, 1990)
    trees = grow_trees([question(str(n), tuple(range(n))) for n in lengths], llava.family)
    batches = [[len(tree.packed) - 1 for tree in batch] for batch in batch_trees(trees)]
    assert batches == [[20, 25], [700, 720], [1990, 2000]]
