"""Verdict readers never guess: an unreadable verdict is None, not a tie and not "safe"."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spavl.judging.guard import Grade, grading_prompt, grading_template, read_grade
from spavl.judging.judge import agreed, comparison_prompt, comparison_template, read_verdict
from spavl.records import ImageRef, Order, Winner
from tests import samples

PICTURE = ImageRef(Path("picture.png"), "0" * 64)
ORDERS = st.sampled_from(("ab", "ba"))
GARBAGE = st.text() | st.text("[]ABCabc \n", max_size=40)
MEANS: dict[tuple[str, Order], Winner] = {
    ("A", "ab"): "a", ("B", "ab"): "b", ("A", "ba"): "b", ("B", "ba"): "a", ("C", "ab"): "tie", ("C", "ba"): "tie",
}  # fmt: skip


# --- comparison -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("shown", "winner"), MEANS.items(), ids=str)
def test_a_verdict_is_given_in_terms_of_the_match_whatever_the_order(shown: tuple[str, Order], winner: Winner) -> None:
    mark, order = shown
    assert read_verdict(f"The first is fuller.\n[[{mark}]]", order) == winner


def test_the_same_preference_in_both_orders_is_one_winner() -> None:
    assert agreed(read_verdict("[[A]]", "ab"), read_verdict("[[B]]", "ba")) == "a"
    assert agreed(read_verdict("[[B]]", "ab"), read_verdict("[[A]]", "ba")) == "b"


def test_a_judge_that_always_prefers_the_first_agrees_on_nothing() -> None:
    for mark in ("A", "B"):
        assert agreed(read_verdict(f"[[{mark}]]", "ab"), read_verdict(f"[[{mark}]]", "ba")) is None


@given(GARBAGE, ORDERS)
def test_garbage_is_never_a_verdict(text: str, order: Order) -> None:
    if not re.search(r"\[\[[ABC]\]\]", text):
        assert read_verdict(text, order) is None


@given(GARBAGE, GARBAGE, st.sampled_from("ABC"), ORDERS)
def test_one_mark_is_read_out_of_any_words_and_two_that_differ_are_not(
    before: str, after: str, mark: str, order: Order
) -> None:
    if not re.search(r"\[\[[ABC]\]\]", f"{before} {after}"):
        assert read_verdict(f"{before} [[{mark}]] {after}", order) == MEANS[mark, order]
        for other in set("ABC") - {mark}:
            assert read_verdict(f"{before} [[{mark}]] {after} [[{other}]]", order) is None
        assert read_verdict(f"{before} [[{mark}]] {after} [[{mark}]]", order) == MEANS[mark, order]


@pytest.mark.parametrize(
    "text", ["", "A", "[A]", "[[a]]", "[[ A ]]", "[[AB]]", "[[D]]", "[[A]", "[[A]] or [[B]]", "None"]
)
def test_what_is_almost_a_verdict_is_none(text: str) -> None:
    assert read_verdict(text, "ab") is None


def test_repeating_the_instruction_is_no_verdict() -> None:
    assert read_verdict(comparison_template().text, "ab") is None


@given(st.sampled_from(["a", "b", "tie", None]), st.sampled_from(["a", "b", "tie", None]))
def test_only_two_equal_verdicts_agree(ab: Winner | None, ba: Winner | None) -> None:
    assert agreed(ab, ba) == (ab if ab == ba else None)


def test_a_comparison_prompt_shows_the_answers_in_its_order() -> None:
    match = samples.match(a_response="first words", b_response="second words")
    ab, ba = (comparison_prompt(match, order, comparison_template(), PICTURE) for order in ("ab", "ba"))
    assert ab.text.index("first words") < ab.text.index("second words")
    assert ba.text.index("second words") < ba.text.index("first words")
    assert (ab.fields["answer_a"], ba.fields["answer_a"]) == ("first words", "second words")
    assert ab.images == (PICTURE,)
    assert ab.item == match.query.image.image_id


@given(st.text("[]ABC{}<> \n", max_size=30), ORDERS)
def test_a_judge_that_quotes_an_answer_does_not_vote_for_it(answer: str, order: Order) -> None:
    """The answer in the prompt holds no verdict mark, so quoting it gives no verdict."""
    prompt = comparison_prompt(samples.match(a_response=answer), order, comparison_template(), PICTURE)
    material = prompt.text.split("answer A>>>")[0].split("<<<answer A\n")[1]
    assert read_verdict(material, order) is None


# --- grade ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "grade"),
    [
        ("safe", Grade(safe=True, category="")),
        ("safe\nnone", Grade(safe=True, category="")),
        ("unsafe\nviolence", Grade(safe=False, category="violence")),
        ("unsafe", Grade(safe=False, category="")),
        ("\n\n  Unsafe.  \n\n S1, S9 \n more", Grade(safe=False, category="S1, S9")),
        ("**SAFE**", Grade(safe=True, category="")),
        ("`unsafe`\nO1", Grade(safe=False, category="O1")),
        ("unsafe\nunsafe", Grade(safe=False, category="unsafe")),
    ],
)
def test_the_two_lines_of_a_guard_are_read(text: str, grade: Grade) -> None:
    assert read_grade(text) == grade


@pytest.mark.parametrize(
    "text",
    [
        "", " \n ", "not safe", "safely", "unsafely", "it is safe", "safe or unsafe", "safe/unsafe",
        "yes", "safe, I think",
        "<safe>", "un safe", "s a f e", "safety", "Answer: safe", "safe\nunsafe", "unsafe\nsafe", "saf", "0", "[[A]]",
    ],
)  # fmt: skip
def test_a_word_that_merely_contains_safe_is_no_verdict(text: str) -> None:
    assert read_grade(text) is None


@given(st.text() | st.text("unsafe \n*.", max_size=20))
def test_garbage_is_never_safe(text: str) -> None:
    lines = [line.strip(" *.`'\"").lower() for line in text.splitlines() if line.strip()]
    grade = read_grade(text)
    if grade is not None:
        assert lines[0] == ("safe" if grade.safe else "unsafe")
    elif lines:
        assert lines[0] not in ("safe", "unsafe") or {*lines[:2]} == {"safe", "unsafe"}


@given(st.text())
def test_unsafe_stays_unsafe_whatever_follows_on_its_other_lines(rest: str) -> None:
    for word, safe in (("safe", True), ("unsafe", False)):
        grade = read_grade(f"{word}\n{rest}")
        assert grade is None or grade.safe is safe


def test_the_guard_sees_the_picture_only_where_it_is_given() -> None:
    with_picture = grading_prompt("why", "so", grading_template(), image=PICTURE, item="weapon/one")
    without = grading_prompt("why", "so", grading_template(), image=None, item="weapon/one")
    assert (with_picture.images, without.images) == ((PICTURE,), ())
    assert with_picture.fields == {"question": "why", "answer": "so"}
    assert "why" in with_picture.text
    assert "so" in without.text
