"""Answers on trees have the words of transformers' own `generate`, in every family, whatever shares a batch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from spavl.models.backends.local_trees import Question, batch_trees, grow_trees
from spavl.models.backends.local_vlm import VLM, tree_family
from spavl.models.base import Prompt, Reply, Request, Sampling
from spavl.models.families import Family
from spavl.records import ImageRef, Turn
from tests.families import CASES, build

TEXTS = ("what is shown here", "tell me more", "what is it ?", "is the kite blue, and where is it now, i wonder")


@dataclass(frozen=True)
class World:
    """A tiny checkpoint that answers on trees, and the same one that does not."""

    name: str
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
    torch.set_num_threads(1)
    model, processor = build(request.param)
    processor.tokenizer.padding_side = "left"
    family = tree_family(model, processor)
    assert family is not None
    yield World(
        request.param.name, VLM(model, processor, "", family), VLM(model, processor, ""), model, family
    )


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
    assert len({text for text, _, _, _ in together}) > 8


def test_sampled_words_are_those_of_plain_generate(world: World, pictures: list[ImageRef]) -> None:
    requests = mixed(pictures, Sampling(temperature=0.8, top_p=0.9, max_tokens=20, seed=1))
    assert words(world.trees.answer(requests)) == words(world.alone.answer(requests))


def test_an_answer_does_not_depend_on_its_batch(world: World, pictures: list[ImageRef]) -> None:
    requests = mixed(pictures, Sampling(temperature=0.8, max_tokens=20))
    together = words(world.trees.answer(requests))
    assert [words(world.trees.answer([request]))[0] for request in requests] == together
