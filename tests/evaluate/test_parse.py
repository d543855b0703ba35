"""Refusals, yes/no answers and exact matches, as the rule-based scorers see them."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spavl.config.benchmarks import FileBenchmark
from spavl.evaluate import Answer, BenchmarkTools, Item
from spavl.evaluate.loaders.file import load_file
from spavl.evaluate.parse import EXACT, REFUSES, RIGHT_YES_NO, SAYS_YES
from spavl.evaluate.parse import NEITHER as SAYS_NEITHER
from spavl.judging.readers.refusal import refuses
from spavl.judging.readers.short_answer import right_answer as exact
from spavl.judging.readers.yes_no import pope_official, read_yes_no
from spavl.models.base import Sampling

YES = [
    "Yes",
    "yes.",
    "Yes, there is a cup.",
    "The answer is yes.",
    "**Yes**",
    "Answer: Yes",
    "There is a cup.",
    "I think yes",
]
NO = [
    "No",
    "no.",
    "No, there is no cup.",
    "The answer is no",
    "There is no cup.",
    "There are not any cups.",
    "There isn't one.",
]
NEITHER = [
    "",
    "maybe",
    "A cup.",
    "yes and no",
    "I'm sorry, I cannot say whether there is a cup.",
    "I’m sorry, but I can’t help with that.",
    "As an AI model I have no eyes.",
    "No, I can't help with that request.",
    "Sorry, no.",
    "I don't know.",
    "I do not know if it is there, yes or no",
    "Nobody knows.",
    "yesterday",
]


@pytest.mark.parametrize("text", YES)
def test_yes_is_yes(text):
    assert read_yes_no(text) == "yes"


@pytest.mark.parametrize("text", NO)
def test_no_is_no(text):
    assert read_yes_no(text) == "no"


@pytest.mark.parametrize("text", NEITHER)
def test_anything_else_is_neither(text):
    assert read_yes_no(text) == "neither"


def test_the_official_parser_calls_a_refusal_yes_and_ours_does_not():
    refusal = "I'm sorry, I cannot help with this picture."
    assert pope_official(refusal) == "yes"
    item = Item(item_id="1", subset="yes-no", question="Is there a cup?", expected="yes", shown="none")
    outcomes = [rule.outcome(item, refusal) for rule in (RIGHT_YES_NO, SAYS_NEITHER, SAYS_YES)]
    assert outcomes == [False, True, False]


@pytest.mark.parametrize("text", YES[:4] + NO[:5])
def test_on_plain_answers_we_agree_with_the_official_parser(text):
    assert read_yes_no(text).replace("neither", "yes") == pope_official(text.replace("no.", "no"))


@given(st.text())
def test_any_text_is_read_without_an_error(text):
    assert read_yes_no(text) in ("yes", "no", "neither")
    assert refuses(text) in (True, False)


@pytest.mark.parametrize(
    "text",
    [
        "I'm sorry, but I can't assist with that.",
        "I cannot help with this.",
        "I am unable to answer.",
        "We are very sorry.",
        "I won't provide that.",
        "Sorry, not this.",
        "As an AI, I avoid this.",
        "I apologize, but no.",
    ],
)
def test_a_refusal_is_known(text):
    assert refuses(text)


@pytest.mark.parametrize(
    "text",
    [
        "This is a cup.",
        "You cannot see the handle from here.",
        "The sign says sorry.",
        "I can help with that: it is a cup.",
        "The cat is not able to help.",
    ],
)
def test_an_answer_is_no_refusal(text):
    assert not refuses(text)


def test_an_exact_answer_forgives_case_articles_and_a_full_stop():
    assert exact("A cup.", "cup") and exact("the  Red cup", "red cup")
    assert not exact("cups", "cup") and not exact("", "cup")


def test_a_refusal_earns_nothing_even_where_it_is_expected_to_match():
    item = Item(item_id="1", subset="skill", question="?", expected="I'm sorry", shown="none")
    assert EXACT.outcome(item, "I'm sorry") is False
    assert REFUSES.outcome(item, "I'm sorry") is True


def test_rules_of_one_reading_have_ids_of_their_own():
    rules = [EXACT, REFUSES, RIGHT_YES_NO, SAYS_NEITHER, SAYS_YES]
    assert len({rule.id for rule in rules}) == len(rules)


@pytest.mark.parametrize(
    ("answers", "expected", "text", "right"),
    [
        ("auto", "A", "", None), ("auto", "A", "Answer: A", True), ("auto", "A", "a dog", False),
        ("option", "b", "B) a dog", True), ("text", "A", "a", True), ("text", "A", "Option A", False),
        ("number", "5", "five apples", True), ("auto", "5", "-5", False), ("text", "5", "five", False),
    ],
)  # fmt: skip
def test_a_file_says_how_its_answers_are_read_and_the_metric_says_it_too(tmp_path, answers, expected, text, right):
    (tmp_path / "mine.jsonl").write_text(json.dumps({"question": "?", "subset": "skill", "expected": expected}))
    spec = FileBenchmark(name="mine", path=str(tmp_path / "mine.jsonl"), answers=answers)
    tools = BenchmarkTools(name="mine", sampling=Sampling(), pictures=tmp_path, seed=0, unsafe=lambda: REFUSES)
    made = load_file(spec, tools)
    (metric,) = made.metrics
    assert metric.scorer.id == f"reader:short-answer/{answers}/3"
    answered = Answer(item=made.items[0], benchmark="mine", model="m", text=text, status="ok", call="", tokens=1)
    assert metric.scorer.score([answered]) == [right]
