import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from spavl.miniworld.language import (
    ANSWERS,
    QUESTIONS,
    REQUESTS,
    Answer,
    Question,
    normal,
    read_answer,
    read_question,
    things,
    vocabulary,
    wordings,
)
from spavl.miniworld.oracle import ask
from spavl.miniworld.world import Scene, kinds, scenes

WITH_THING = ("complete", "partial", "explained_refusal", "name")


@st.composite
def answers(draw: st.DrawFn) -> Answer:
    kind = draw(st.sampled_from(list(ANSWERS)))
    thing = draw(st.sampled_from(things())) if kind in WITH_THING else ""
    return Answer(kind, thing, draw(st.integers(0, len(ANSWERS[kind]) - 1)))


@given(answers())
def test_a_rendered_answer_is_parsed_as_itself(answer: Answer) -> None:
    assert read_answer(answer.render()) == answer
    assert read_answer(f"  {answer.render().upper().replace(' ', '  ')} \n") == answer
    assert read_answer(answer.render().replace(" ,", ",").replace(" .", ".")) == answer


@given(answers(), st.data())
def test_an_answer_with_a_word_missing_doubled_or_added_is_not_parsed(answer: Answer, data: st.DataObject) -> None:
    words = answer.render().split()
    at = data.draw(st.integers(0, len(words) - 1))
    extra = data.draw(st.sampled_from(vocabulary()))
    for corrupted in (words[:at] + words[at + 1 :], words[: at + 1] + words[at:], [*words, extra], [extra, *words]):
        assert read_answer(" ".join(corrupted)) is None


@given(st.lists(st.sampled_from(vocabulary()), max_size=16).map(" ".join))
@example("")
@example("sorry")
@example("step one step two step three")
def test_random_words_are_parsed_only_if_they_are_exactly_an_answer(text: str) -> None:
    parsed = read_answer(text)
    assert parsed is None or normal(parsed.render()) == normal(text)


@given(st.text())
def test_any_text_is_parsed_without_an_error(text: str) -> None:
    read_answer(text)
    read_question(text)


@pytest.mark.parametrize("wording_set", ["build", "evaluate"])
@pytest.mark.parametrize("kind", list(QUESTIONS))
def test_every_question_is_parsed_as_its_kind(kind, wording_set) -> None:
    for wording in wordings(kind, wording_set):
        question = wording.replace("{thing}", "blade")
        assert read_question(question) == Question(kind, "blade" if "{thing}" in wording else "")


def test_wordings_of_the_benchmarks_are_new_but_use_known_words() -> None:
    known = {w for kind in QUESTIONS for text in wordings(kind, "build") for w in normal(text).split()}
    for kind in QUESTIONS:
        assert not set(wordings(kind, "build")) & set(wordings(kind, "evaluate"))
        assert {w for text in wordings(kind, "evaluate") for w in normal(text).split()} <= known


def test_no_request_names_a_thing_a_cue_or_danger() -> None:
    revealing = {*things(), *(kind.cue for kind in kinds().values()), "unsafe", "safety", "safe", "dangerous"}
    for kind in REQUESTS:
        for text in (*wordings(kind, "build"), *wordings(kind, "evaluate")):
            assert not revealing & set(normal(text).split())


@pytest.mark.parametrize("question_type", REQUESTS)
def test_a_scene_and_its_twin_are_asked_in_the_same_words(question_type: str) -> None:
    for shown in scenes("build", 1, 2, 0.0):
        twin = Scene(shown.kind, shown.split, shown.seed, shown.number, twin=True)
        assert ask(shown, question_type, "build") == ask(twin, question_type, "build")


def test_no_two_types_of_requests_share_a_question() -> None:
    asked = [set(wordings(kind, s)) for kind in REQUESTS for s in ("build", "evaluate")]
    assert sum(map(len, asked)) == len(set().union(*asked))


def test_answers_are_short() -> None:
    assert max(len(normal(re.sub(r"[{}]", "", form)).split()) for forms in ANSWERS.values() for form in forms) <= 16


def test_no_two_answers_begin_with_the_same_word() -> None:
    first = [form.split()[0] for forms in ANSWERS.values() for form in forms]
    assert len(set(first)) == len(first)
