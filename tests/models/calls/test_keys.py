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
from spavl.records import ImageRef

PICTURE = ImageRef(Path("somewhere/cup.png"), "ab" * 32)
PLAIN = Request(Prompt("What is this?", (PICTURE,)), Sampling())
FULL = Request(
    Prompt("What is this?", (PICTURE, replace(PICTURE, sha256="cd" * 32)), system="Be brief.", item="cup/0001"),
    Sampling(temperature=0.7, top_p=0.9, max_tokens=64, seed=5),
    sample=2,
    schema={"type": "object", "properties": {"winner": {"enum": ["A", "B"]}}},
)


def key(request: Request, identity: str = "local:0123", *, by_item: bool = False) -> str:
    return key_of(canonical(request, identity, by_item=by_item))


def test_the_key_of_a_plain_request_is_this_literal() -> None:
    assert canonical(PLAIN, "local:0123") == (
        '{"form":1,"images":[{"as":"original-bytes","sha256":"' + "ab" * 32 + '"}],"model":"local:0123",'
        '"sample":0,"sampling":{"max_tokens":256,"temperature":0.0,"top_p":1.0},"schema":null,"system":"",'
        '"text":"What is this?"}'
    )
    assert key(PLAIN) == "3b580f1a812a0354b38cf9dbfcf697e7"


def test_the_keys_of_a_full_request_are_these_literals() -> None:
    assert key(FULL, "endpoint:maker/model/1") == "fd55f19aeca4c210151d305a5aa5c56a"
    assert key(FULL, "python:spavl.somewhere:Oracle@1", by_item=True) == "8f3b4da081108747d6a69490d9109231"


def test_the_key_of_other_writing_systems_is_this_literal() -> None:
    assert key(Request(Prompt("Was ist das? 这是什么 🙂 \ud800"), Sampling())) == "d5d3b50100d256650562499b6341ce5b"


texts = st.text(max_size=20)
shas = st.text("0123456789abcdef", min_size=64, max_size=64)
prompts = st.builds(
    Prompt,
    text=texts,
    images=st.lists(st.builds(ImageRef, path=st.just(Path("x.png")), sha256=shas), max_size=3).map(tuple),
    system=texts,
    item=texts,
)
samplings = st.builds(
    Sampling,
    temperature=st.floats(0.01, 2),
    top_p=st.floats(0.01, 1),
    max_tokens=st.integers(1, 4096),
    seed=st.integers(0, 2**31),
)
requests = st.builds(Request, prompt=prompts, sampling=samplings, sample=st.integers(0, 9), schema=st.none())


@given(requests, requests)
def test_two_requests_share_a_key_only_if_all_that_counts_is_equal(one: Request, other: Request) -> None:
    def counts(request: Request) -> tuple[Any, ...]:
        images = tuple(image.sha256 for image in request.prompt.images)
        return request.prompt.text, images, request.prompt.system, request.prompt.item, request.sampling, request.sample

    assert (key(one, by_item=True) == key(other, by_item=True)) == (counts(one) == counts(other))


@given(requests, texts)
def test_changing_any_one_thing_changes_the_key(request: Request, constant: str) -> None:
    prompt, sampling = request.prompt, request.sampling
    changed = [
        replace(request, prompt=replace(prompt, text=prompt.text + "!")),
        replace(request, prompt=replace(prompt, system=prompt.system + "!")),
        replace(request, prompt=replace(prompt, images=(*prompt.images, PICTURE))),
        replace(request, prompt=replace(prompt, item=prompt.item + "!")),
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
