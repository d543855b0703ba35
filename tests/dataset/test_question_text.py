"""A question is read out of what an asker wrote, and its own words are never changed."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from spavl.dataset.question_text import SCHEMA, declines, read_question, read_structured

WORD = st.from_regex(r"[a-zA-Zéüß'’0-9][\w'’.,;:%/()-]{0,9}", fullmatch=True).filter(
    lambda word: not re.fullmatch(r"\d{1,2}[.)]", word)  # a second number, by which the first is one of a list
)
QUESTION = st.lists(WORD, min_size=3, max_size=12).map(lambda words: f"Where {' '.join(words)} now?")
MARKS = ("{}", "**{}**", "_{}_", '"{}"', "“{}”", "「{}」", "`{}`")
LABELS = (
    "{}", "Question: {}", "**Question:** {}", "Q: {}", "Hard statement: {}", "Follow-up question: {}",
    "**Question**: {}", "Question 1: {}", "__Rewritten question:__ {}",
)  # fmt: skip
OUTERMOST = (
    "{}", "1. {}", "- {}", "# {}", "Here is a question about the picture: {}", "```\n{}\n```", "  {}\n", "**{}**",
    "Sure! Here's the rewritten question:\n\n{}",
)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(QUESTION, st.sampled_from(MARKS), st.sampled_from(LABELS), st.sampled_from(OUTERMOST))
@example("Where is 'that' from 'here' now?", '"{}"', "{}", "{}")
def test_what_stands_around_a_question_is_taken_off_and_its_words_are_kept(
    question: str, mark: str, label: str, outermost: str
) -> None:
    if "*" in mark + label and "*" in outermost:
        outermost = "{}"  # `****` opens nothing
    if "_" in question and "_" in mark:
        mark = "{}"  # whose mark it is cannot be told
    assert read_question(outermost.format(label.format(mark.format(question)))) == question


@settings(max_examples=60, deadline=None)
@given(st.text(st.characters(codec="utf-8"), max_size=60))
def test_reading_twice_changes_nothing_and_what_is_read_is_part_of_what_was_written(text: str) -> None:
    read = read_question(text)
    assert read in " ".join(text.split())
    if "1" not in text and "-" not in text:  # a second number may be an inner one
        assert read_question(read) == read


@pytest.mark.parametrize("text", [
    "1. Take the cup. 2. Fill it. 3. What now?", '"Stop" and "go": which is shown?', "'A' or 'B'?",
    "**Where** is the *cup*?", "3.5 metres: is that the height?", "Here is my cup: what is it worth?",
    "What does \"Question: 7\" on the sign mean?", "I wrote: question this.", "10 cups stand here, why?", "* of what?",
    "snake_case_name is on the screen, what is it?", "`ls` or `cd`?", "Ask: who is this?",
])  # fmt: skip
def test_a_question_that_only_looks_decorated_is_left_alone(text: str) -> None:
    assert read_question(text) == text


def test_several_numbered_questions_are_not_made_to_look_like_one() -> None:
    assert read_question("1. What is it?\n2. Where is it?") == "1. What is it? 2. Where is it?"


# --- structured -------------------------------------------------------------------------------------------------------


@settings(max_examples=30, deadline=None)
@given(QUESTION, st.sampled_from(["{}", "```json\n{}\n```", "Sure:\n{}", "\n {} \n"]))
def test_json_of_the_schema_is_read_in_whatever_it_is_wrapped(question: str, form: str) -> None:
    assert read_structured(form.format(json.dumps({"question": question}))) == (question, "")


def test_one_line_of_plain_text_is_the_question() -> None:
    assert read_structured(' "Question: Where is the cup?" ') == ("Where is the cup?", "")


@pytest.mark.parametrize("text", [
    '{"question": "Where is', '{"question": 3}', '{"questions": "Where?"}', "{'question': 'Where?'}",
    '{"question": null}',
    "Where is it?\nIt is here.", 'Here: {"question": "a"} and {"question": "b"}', '"question": "Where?"', "{}",
    '{"question": "Where?"',
])  # fmt: skip
def test_broken_json_is_never_used_and_says_why(text: str) -> None:
    question, why = read_structured(text)
    assert question == "" and why
    assert "Where" not in why, "nothing of the text is quoted"


def test_further_keys_are_passed_over_and_the_schema_allows_none() -> None:
    assert read_structured('{"question": "Where?", "note": "x"}') == ("Where?", "")
    assert SCHEMA["required"] == ["question"] and SCHEMA["additionalProperties"] is False


# --- refusals ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", [
    "I cannot help with writing such a question.", "I'm sorry, but I can't assist with that.",
    "Sorry, I can't write that. Is there something else you need?", "I am unable to provide a question for this image.",
    "I’m sorry, but I can’t describe this.", "Unfortunately, I am unable to rewrite that.",
])  # fmt: skip
def test_a_refusing_asker_is_recognised(text: str) -> None:
    assert declines(text)


@pytest.mark.parametrize("text", [
    "I can't get this door open, so show me how it is done.", "Explain why I should not provide my number here.",
    "Why does the sign say that I cannot help myself?", "As an AI, what would you say about this picture?",
    "How would you say that you cannot help with this?",
])  # fmt: skip
def test_a_question_that_speaks_of_refusing_is_none(text: str) -> None:
    assert not declines(text)
