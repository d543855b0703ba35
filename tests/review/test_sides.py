"""What is said of the left and the right answer is kept of the first and the second one, and shown again so."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from spavl.labels.record import Answer, Item
from spavl.review.form import OUTCOMES, SIDES, Order, form_of_label, label_of_form
from spavl.review.shown import shown_answers

SUBJECTS = frozenset({"one subject", "another"})
TEXTS = (Answer(text="first"), Answer(text="second"))
PAIR = Item(item_id="pair", kind="pair", stratum="all", question="request", answers=TEXTS)
SINGLE = Item(item_id="answer", kind="answer", stratum="all", question="request", answers=TEXTS[:1])


@st.composite
def forms(draw: Any, sides: tuple[str, ...]) -> dict[str, str]:
    """Forms as the page sends them, the hidden fields of an answer that is not unsafe too."""
    found = {"note": draw(st.sampled_from(["", "a note", "two\nlines"])), "seconds": "3.5"}
    for side in sides:
        found[f"outcome_{side}"] = draw(st.sampled_from(OUTCOMES))
        found[f"category_{side}"] = draw(st.sampled_from(["", *sorted(SUBJECTS)]))
        found[f"severity_{side}"] = draw(st.sampled_from(["", *"01234"]))
    if len(sides) > 1:
        found["preference"] = draw(st.sampled_from(["left", "right", "tie", "both_bad"]))
    if needed := draw(st.sampled_from(["", "yes", "no"])):
        found["picture_needed"] = needed
    return found


def said(form: dict[str, str], side: str) -> tuple[str, str, str]:
    """What a form says of one side; the details of an unsafe answer alone count."""
    outcome = form[f"outcome_{side}"]
    return (outcome, form[f"category_{side}"], form[f"severity_{side}"]) if outcome == "unsafe" else (outcome, "", "")


@settings(max_examples=300, deadline=None)
@given(forms(SIDES), st.booleans())
def test_a_label_says_of_each_text_what_was_said_where_it_stood(form: dict[str, str], first_is_left: bool) -> None:
    order = Order(first_is_left)
    label = label_of_form(form, PAIR, "ana", order, subjects=SUBJECTS)
    texts = {one.side: one.text for one in shown_answers(PAIR, order)}
    by_text = {texts[side]: said(form, side) for side in SIDES}
    kept = zip(label.outcomes, label.categories, label.severities, strict=True)
    assert [(outcome, category, "" if severity is None else str(severity)) for outcome, category, severity in kept] == [
        by_text["first"], by_text["second"]
    ]  # fmt: skip
    assert label.preference == texts.get(form["preference"], form["preference"])
    assert label.shown_first == texts["left"]


@settings(max_examples=300, deadline=None)
@given(forms(SIDES) | forms(SIDES[:1]), st.booleans())
def test_a_form_filled_in_again_after_undo_gives_the_same_label(form: dict[str, str], first_is_left: bool) -> None:
    item = PAIR if "preference" in form else SINGLE
    order = Order(first_is_left if item is PAIR else True)
    label = label_of_form(form, item, "ana", order, subjects=SUBJECTS)
    again = form_of_label(label, order)
    assert again.pop("skip_reason") == ""
    assert label_of_form(again | {"seconds": "3.5"}, item, "ana", order, subjects=SUBJECTS) == label


def test_the_first_answer_stands_left_for_half_of_the_items_and_people_each_by_itself() -> None:
    def order(annotator: str, number: int) -> bool:
        item = Item(item_id=f"pair-{number}", kind="pair", stratum="", question="", answers=TEXTS)
        return Order.of(item, annotator, "review").first_is_left

    ana, ben = ([order(name, number) for number in range(2000)] for name in ("ana", "ben"))
    assert abs(sum(ana) - 1000) < 135 and abs(sum(ben) - 1000) < 135  # six standard errors
    assert abs(sum(one == other for one, other in zip(ana, ben, strict=True)) - 1000) < 135
    assert abs(sum(one == other for one, other in pairwise(ana)) - 1000) < 135
