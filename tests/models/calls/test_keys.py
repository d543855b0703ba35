"""What a call's key depends on. The literals below must never change: stored answers would not be found."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spavl.errors import ModelError
from spavl.models.base import Prompt, Request, Sampling
from spavl.models.calls.keys import canonical, key_of
from spavl.records import ImageRef, Turn

PICTURE = ImageRef(Path("somewhere/cup.png"), "ab" * 32)
PLAIN = Request(Prompt("What is this?", (PICTURE,)), Sampling())
FULL = Request(
    Prompt("What is this?", (PICTURE, replace(PICTURE, sha256="cd" * 32)), system="Be brief.", item="cup/0001"),
    Sampling(temperature=0.7, top_p=0.9, max_tokens=64, seed=5),
    sample=2,
    schema={"type": "object", "properties": {"winner": {"enum": ["A", "B"]}}},
)

CONVERSATION = replace(
    PLAIN,
    prompt=Prompt(
        "And this?", (replace(PICTURE, sha256="ef" * 32),),
        earlier=(Turn("user", "What is this?", (PICTURE,)), Turn("assistant", "A cup.")),
    ),
)  # fmt: skip


def key(request: Request, identity: str = "local:0123", *, by_item: bool = False) -> str:
    return key_of(canonical(request, identity, by_item=by_item))


def by_json(request: Request, identity: str, *, by_item: bool) -> str:
    """The canonical form as its definition has it: everything that counts, written by `json`."""
    prompt, sampling = request.prompt, request.sampling
    form: dict[str, Any] = {
        "form": 2,
        "model": identity,
        "system": prompt.system,
        "turns": [
            {
                "role": turn.role,
                "images": [{"sha256": image.sha256, "as": "original-bytes"} for image in turn.images],
                "text": turn.text,
            }
            for turn in prompt.turns
        ],
        "sampling": {
            "temperature": float(sampling.temperature),
            "top_p": float(sampling.top_p),
            "max_tokens": sampling.max_tokens,
        },
        "schema": request.schema,
        "sample": request.sample,
    }
    if sampling.temperature > 0:
        form["sampling"]["seed"] = sampling.seed
    if by_item:
        form["item"] = prompt.item
    return json.dumps(form, sort_keys=True, separators=(",", ":"))


def test_the_key_of_a_plain_request_is_this_literal() -> None:
    assert canonical(PLAIN, "local:0123") == (
        '{"form":2,"model":"local:0123","sample":0,"sampling":{"max_tokens":256,"temperature":0.0,"top_p":1.0},'
        '"schema":null,"system":"","turns":[{"images":[{"as":"original-bytes","sha256":"' + "ab" * 32 + '"}],'
        '"role":"user","text":"What is this?"}]}'
    )
    assert key(PLAIN) == "1f16832b3e18b44d84ae94320802f060"


def test_the_keys_of_a_full_request_are_these_literals() -> None:
    assert key(FULL, "endpoint:maker/model/1") == "a0b4cf321e1f84b904cec207759559b0"
    assert key(FULL, "python:spavl.somewhere:Oracle@1", by_item=True) == "40d4a73e9113e80ff9efbacc330070b0"


def test_the_key_of_several_turns_is_this_literal() -> None:
    assert key(CONVERSATION) == "dc0eecb8da8330a09a0118e6db6945f0"


def test_the_key_of_other_writing_systems_is_this_literal() -> None:
    assert key(Request(Prompt("Was ist das? 这是什么 🙂 \ud800"), Sampling())) == "90a6a5be4cbb411042292659c915d758"


texts = st.text(max_size=20) | st.text(st.characters(), max_size=20)
shas = st.text("0123456789abcdef", min_size=64, max_size=64)
images = st.lists(st.builds(ImageRef, path=st.just(Path("x.png")), sha256=shas), max_size=3).map(tuple)
turns = st.builds(Turn, role=st.sampled_from(["user", "assistant"]), text=texts, images=images)
prompts = st.builds(
    Prompt,
    text=texts,
    images=images,
    system=texts,
    item=texts,
    earlier=st.lists(turns, max_size=3).map(tuple),
)
samplings = st.builds(
    Sampling,
    temperature=st.floats(0.01, 2),
    top_p=st.floats(0.01, 1),
    max_tokens=st.integers(1, 4096),
    seed=st.integers(0, 2**31),
)
requests = st.builds(Request, prompt=prompts, sampling=samplings, sample=st.integers(0, 9), schema=st.none())


@given(requests, texts, st.booleans())
def test_the_canonical_form_is_that_of_json_to_the_byte(request: Request, identity: str, by_item: bool) -> None:
    for schema in (None, {"type": "object", "b": [1, 2.5, None], "a": {"é": "\u2028"}}):
        asked = replace(request, schema=schema)
        assert canonical(asked, identity, by_item=by_item) == by_json(asked, identity, by_item=by_item)


@given(requests, requests)
def test_two_requests_share_a_key_only_if_all_that_counts_is_equal(one: Request, other: Request) -> None:
    def counts(request: Request) -> tuple[Any, ...]:
        prompt = request.prompt
        turns = tuple((turn.role, turn.text, tuple(image.sha256 for image in turn.images)) for turn in prompt.turns)
        return turns, prompt.system, prompt.item, request.sampling, request.sample

    assert (key(one, by_item=True) == key(other, by_item=True)) == (counts(one) == counts(other))


@given(requests, texts)
def test_changing_any_one_thing_changes_the_key(request: Request, constant: str) -> None:
    prompt, sampling = request.prompt, request.sampling
    changed = [
        replace(request, prompt=replace(prompt, text=prompt.text + "!")),
        replace(request, prompt=replace(prompt, system=prompt.system + "!")),
        replace(request, prompt=replace(prompt, images=(*prompt.images, PICTURE))),
        replace(request, prompt=replace(prompt, item=prompt.item + "!")),
        replace(request, prompt=replace(prompt, earlier=(*prompt.earlier, Turn("user", "", ())))),
        replace(request, prompt=replace(prompt, earlier=(*prompt.earlier, Turn("assistant", "", ())))),
        replace(request, sampling=replace(sampling, temperature=sampling.temperature + 1)),
        replace(request, sampling=replace(sampling, top_p=sampling.top_p / 2)),
        replace(request, sampling=replace(sampling, max_tokens=sampling.max_tokens + 1)),
        replace(request, sampling=replace(sampling, seed=sampling.seed + 1)),
        replace(request, sample=request.sample + 1),
        replace(request, schema={"const": constant}),
    ]
    keys = [key(r, by_item=True) for r in [request, *changed]] + [key(request, "local:4567", by_item=True)]
    assert len(set(keys)) == len(keys)


@given(st.dictionaries(texts, st.integers(), max_size=6), requests)
def test_the_order_in_which_a_schema_is_written_does_not_matter(schema: dict[str, int], request: Request) -> None:
    backwards = dict(reversed(list(schema.items())))
    assert key(replace(request, schema=schema)) == key(replace(request, schema=backwards))


def test_a_seed_does_not_matter_where_nothing_is_sampled() -> None:
    assert key(replace(PLAIN, sampling=Sampling(seed=1))) == key(replace(PLAIN, sampling=Sampling(seed=2)))


def test_a_temperature_written_as_a_whole_number_is_the_same_temperature() -> None:
    assert key(replace(PLAIN, sampling=Sampling(1))) == key(replace(PLAIN, sampling=Sampling(1.0)))


def test_where_a_picture_lies_and_what_filled_the_template_do_not_matter() -> None:
    moved = replace(PLAIN.prompt, images=(replace(PICTURE, path=Path("elsewhere.png")),), fields={"question": "x"})
    assert key(replace(PLAIN, prompt=moved)) == key(PLAIN)


def test_the_item_matters_only_to_models_that_see_it() -> None:
    other = replace(PLAIN, prompt=replace(PLAIN.prompt, item="another"))
    assert key(other) == key(PLAIN)
    assert key(other, by_item=True) != key(PLAIN, by_item=True)


@given(requests)
def test_the_canonical_form_is_json_that_names_the_model(request: Request) -> None:
    assert json.loads(canonical(request, "local:0123"))["model"] == "local:0123"


def test_a_schema_that_is_not_json_is_a_plain_error() -> None:
    with pytest.raises(ModelError, match="schema cannot be written as JSON"):
        key(replace(PLAIN, schema={"x": object()}))


def test_an_answer_that_a_guard_grades_is_not_the_question_that_says_the_same() -> None:
    asked = Prompt("so", earlier=(Turn("user", "why"),))
    graded = replace(asked, role="assistant")
    assert canonical(Request(asked, Sampling()), "m") != canonical(Request(graded, Sampling()), "m")
    assert '"role":"assistant","text":"so"' in canonical(Request(graded, Sampling()), "m")
