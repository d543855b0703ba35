"""Rules that judge answers to instructions: each accepts a right answer and refuses a wrong one."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.real_language import rules
from bench.real_language.instructions import INSTRUCTIONS, Instruction
from spavl.miniworld.real import english, lessons

WORDS = st.from_regex(r"[a-z]{3,8}", fullmatch=True)
ITEMS = st.lists(WORDS, min_size=2, max_size=9)


@pytest.mark.parametrize("instruction", INSTRUCTIONS, ids=lambda one: one.text[:40])
def test_every_instruction_accepts_a_right_answer_and_refuses_a_wrong_one(instruction: Instruction) -> None:
    assert instruction.rule(instruction.right)
    assert not instruction.rule(instruction.wrong)
    assert not instruction.rule("")


def test_there_are_a_hundred_instructions_and_no_two_are_the_same() -> None:
    assert len({one.text for one in INSTRUCTIONS}) == len(INSTRUCTIONS) == 100


def test_no_instruction_is_among_what_the_model_is_taught() -> None:
    taught = {*lessons.text_requests(), *english.CAPTION_REQUESTS, *english.DANGER_QUESTIONS, *english.CUE_QUESTIONS}
    topics = {one.text for one in INSTRUCTIONS for form in lessons.TEXT_REQUESTS if _is_of(form, one.text)}
    assert [one.text for one in INSTRUCTIONS if one.text in taught or english.read_question(one.text)] == []
    assert topics == set(), "not even about another topic"
    assert _is_of(lessons.TEXT_REQUESTS[0], lessons.text_requests()[0])


def _is_of(form: str, text: str) -> bool:
    """Whether a text is a request of a form, whatever its topic."""
    before, after = form.split("{topic}")
    return text.startswith(before) and text.endswith(after)


@given(WORDS, WORDS)
def test_a_word_counts_only_whole_and_in_any_case(word: str, other: str) -> None:
    assert rules.says(word)(f"It is {word.upper()}.")
    assert not rules.says(word)(f"It is x{word}x.")
    assert rules.lacks(f"x{word}x")(f"It is {other}.")
    assert not rules.lacks(word)(f"It is {word}.") and not rules.lacks(word)("  ")


@given(st.integers(2, 500), st.integers(2, 500), st.integers(2, 500))
def test_the_first_number_that_the_question_did_not_give_is_the_answer(right: int, given_one: int, other: int) -> None:
    rule = rules.number(right, given_one)
    assert rule(f"{given_one} and so the answer is {right}, not {other}") == (right != given_one)
    assert rule(f"The answer is {other}.") == (other == right != given_one)
    assert not rule("I do not know.")


def test_numbers_in_words_are_numbers_and_the_pronoun_one_is_none() -> None:
    assert rules.number(7)("Seven days.") and rules.number(7)("This is one of the best: seven.")
    assert not rules.number(1)("one")


@pytest.mark.parametrize("form", ["{n}. {word}", "{n}) {word}", "- {word}", "* {word}", "• {word}", "{word}"])
@given(words=ITEMS)
def test_items_are_counted_in_lists_of_every_form(form: str, words: list[str]) -> None:
    answer = "\n".join(form.format(n=n, word=word) for n, word in enumerate(words, 1))
    assert rules.items(len(words))(answer)
    assert not rules.items(len(words) + 1)(answer)
    assert rules.items(len(words))(f"Here they are:\n\n{answer}") == (form != "{word}")


@given(ITEMS)
def test_items_in_a_sentence_are_counted_by_commas(words: list[str]) -> None:
    assert rules.items(len(words))(", ".join(words))
    assert rules.items(len(words))(f"{', '.join(words[:-1])} and {words[-1]}") or "and" in words


@given(st.lists(WORDS, min_size=2, max_size=6, unique=True))
def test_words_in_order_are_told_from_words_in_another(words: list[str]) -> None:
    assert rules.in_order(*words)(", ".join(words))
    assert not rules.in_order(*words)(", ".join(reversed(words)))
    assert not rules.in_order(*words)(", ".join(words[:-1]))


@given(ITEMS)
def test_words_and_sentences_are_counted(words: list[str]) -> None:
    n = len(words)
    assert rules.words(n, n)(" ".join(words)) and not rules.words(n - 1)(" ".join(words))
    assert not rules.words(n + 5, n + 1)(" ".join(words))
    assert rules.sentences(n)(". ".join(words)) and rules.sentences(n)(". ".join(words) + ".")
    assert not rules.sentences(n)(". ".join(words[1:]))


@given(st.dictionaries(WORDS, st.integers() | WORDS, min_size=1, max_size=4))
def test_json_is_read_bare_and_in_a_block_and_needs_its_keys(found: dict[str, object]) -> None:
    rule = rules.json_with(*found)
    assert rule(json.dumps(found)) and rule(f"Here:\n```json\n{json.dumps(found, indent=2)}\n```\nDone.")
    assert not rule(json.dumps({**found, "one more": 1}))
    assert not rule(json.dumps(list(found))) and not rule(str(found) + ",")


@pytest.mark.parametrize(("answer", "yes", "no"), [
    ("Yes, it is.", True, False), ("No.", False, True), ("It depends.", False, False), ("", False, False),
])  # fmt: skip
def test_yes_and_no_are_told_apart(answer: str, yes: bool, no: bool) -> None:
    assert (rules.yes()(answer), rules.no()(answer)) == (yes, no)


def test_a_form_is_of_the_whole_answer_and_several_rules_hold_together() -> None:
    rule = rules.both(rules.matches(r"[A-Z]+"), rules.words(1))
    assert rule(" HELLO \n") and not rule("Hello") and not rule("HELLO THERE")
