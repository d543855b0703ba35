"""Questions are asked in an order that shares work, and answers stand in the order of the items."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from spavl.evaluate.order import put_back, sharing_order
from spavl.models.base import Prompt, Reply, Request, Sampling
from spavl.models.calls.engine import Engine
from spavl.models.calls.store import CallStore
from spavl.records import ImageRef


def shown(text: str, *pictures: str) -> Prompt:
    return Prompt(text, tuple(ImageRef(Path(name), name) for name in pictures))


PROMPTS = st.lists(st.builds(shown, st.text(max_size=5), st.sampled_from("abc")), max_size=20)


def test_questions_about_a_picture_stand_together_and_short_ones_before_long_ones() -> None:
    prompts = [shown("long question", "a"), shown("x", "b"), shown("short", "a"), shown("a longer text"), shown("text")]
    assert [prompts[place].text for place in sharing_order(prompts)] == [
        "text",
        "a longer text",
        "x",
        "short",
        "long question",
    ]


@given(PROMPTS)
def test_every_prompt_is_asked_once_and_a_picture_comes_in_one_stretch(prompts: list[Prompt]) -> None:
    order = sharing_order(prompts)
    assert sorted(order) == list(range(len(prompts)))
    pictures = [prompts[place].images for place in order]
    changes = sum(a != b for a, b in pairwise(pictures))
    assert changes == max(0, len(set(pictures)) - 1)


@given(PROMPTS, st.integers(1, 3))
def test_replies_go_back_to_their_prompts(prompts: list[Prompt], samples: int) -> None:
    order = sharing_order(prompts)
    replies = [(place, sample) for place in order for sample in range(samples)]
    assert put_back(replies, order, samples) == [(place, n) for place in range(len(prompts)) for n in range(samples)]


class NotingModel:
    """Notes the pictures of each batch."""

    name, batch_size, identity = "noting", 4, "noting"

    def __init__(self) -> None:
        self.batches: list[list[str]] = []

    def generate(self, requests: Sequence[Request]) -> list[Reply]:
        self.batches.append([request.prompt.images[0].sha256 for request in requests])
        return [Reply(request.prompt.text) for request in requests]

    def close(self) -> None:
        pass


def test_a_batch_ends_where_the_picture_changes_so_that_each_is_encoded_once(tmp_path: Path) -> None:
    model = NotingModel()
    prompts = [shown(f"{picture} {n}", picture) for picture in "abc" for n in range(3)]
    with CallStore(tmp_path / "calls.sqlite") as store, Engine(store) as engine:
        replies = engine.complete(model, prompts, sampling=Sampling())
    assert [reply.text for reply in replies] == [prompt.text for prompt in prompts]
    assert model.batches == [["a"] * 3, ["b"] * 3, ["c"] * 3]
