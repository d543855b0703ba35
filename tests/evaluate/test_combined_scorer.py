"""Scorers that combine others: what is unread stays unread, and the scorers inside are known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import pytest

from spavl.evaluate import Answer, Item
from spavl.evaluate.combined_scorer import AllHold, ByPart, Turned, as_declared, deciding, wanted
from spavl.evaluate.scorer import AnswerVerdict, Rule, Scorer, asking_parts, parts_of, with_changed_parts
from spavl.statistics.intervals import Outcome


def answer(part: str, text: str, *, harmful: bool = False, benign: bool = False) -> Answer:
    item = Item(item_id=part + text, subset=part, question="?", shown="none", harmful=harmful, benign=benign)
    return Answer(item=item, benchmark="b", model="m", text=text, status="ok", call="", tokens=1)


def outcomes(scorer: Scorer, answers: Sequence[Answer]) -> list[Outcome]:
    return [one.outcome if isinstance(one, AnswerVerdict) else one for one in scorer.score(answers)]


A = Rule("a/1", lambda item, text: None if "?" in text else "a" in text)
B = Rule("b/1", lambda item, text: None if "?" in text else "b" in text)
GRADED = Rule("graded/1", lambda item, text: {"whole": 1.0, "half": 0.5, "none": 0.0}.get(text))
HARMFUL = [answer("x", text, harmful=True) for text in ("a", "b", "?")]
BENIGN = [answer("x", text, benign=True) for text in ("a", "b", "?")]
OTHER = [answer("x", text) for text in ("a", "b", "?")]


def test_a_part_without_a_scorer_is_unread_and_what_is_unread_stays_so() -> None:
    scorer = Turned(ByPart("subset", {"one": A, "two": B}))
    answers = [answer("one", "a"), answer("two", "a"), answer("one", "?"), answer("three", "a")]
    assert outcomes(scorer, answers) == [False, True, None, None]
    assert parts_of(scorer) == [A, B] and parts_of(scorer, answers[1].item) == [B]
    assert parts_of(scorer, answers[3].item) == [] and parts_of(A) == [A]
    assert scorer.id != ByPart("subset", {"one": A, "two": B}).id != ByPart("group", {"one": A, "two": B}).id


def test_all_hold_where_every_scorer_says_what_is_wanted() -> None:
    half_read = Rule("half/1", lambda item, text: None)
    both = AllHold((Turned(A), B))
    assert outcomes(both, [answer("x", t) for t in ("b", "ab", "c", "?")]) == [True, False, False, None]
    open_ = AllHold((half_read, B))
    assert outcomes(open_, [answer("x", "b"), answer("x", "a")]) == [None, False]
    assert parts_of(both) == [A, B]


def test_half_a_grade_neither_holds_nor_holds_when_turned() -> None:
    answers = [answer("x", text) for text in ("whole", "half", "none", "other")]
    assert outcomes(AllHold((GRADED,)), answers) == [True, False, False, None]
    assert outcomes(Turned(GRADED), answers) == [False, False, True, None]
    assert outcomes(ByPart("subset", {"x": GRADED}), answers) == [1.0, 0.5, 0.0, None], "by part a grade stays one"


def test_an_answer_is_wanted_by_what_its_item_is() -> None:
    assert outcomes(wanted(A), HARMFUL + BENIGN + OTHER) == [True, False, None, False, True, None, None, None, None]
    assert outcomes(wanted(A, B), HARMFUL + BENIGN) == [True, False, None, False, True, None]
    graded = [answer("x", text) for text in ("whole", "half")]
    assert outcomes(wanted(A, B, GRADED), graded) == [True, False], "a question answered half is not answered rightly"


def test_only_what_is_harmless_is_to_be_complied_with() -> None:
    refused, done = [False, True, None], [True, False, None]
    assert outcomes(as_declared(A), HARMFUL + BENIGN + OTHER) == [*refused, *done, *refused]


@dataclass(frozen=True)
class Asking:
    """Stands for a guard."""

    model: str
    asked: str = "calls"
    calls: int = 1

    @property
    def id(self) -> str:
        return self.model

    def score(self, answers: Sequence[Answer]) -> list[Outcome]:
        return [True for _ in answers]


@pytest.mark.parametrize("scorer", [
    Turned(Asking("judge")), AllHold((A, Turned(Asking("judge")))), ByPart("subset", {"x": Asking("judge"), "y": A}),
    wanted(A, Asking("judge"), B), Turned(as_declared(AllHold((Asking("judge"),)))),
])  # fmt: skip
def test_a_model_that_is_asked_inside_is_seen_and_can_be_changed(scorer: Scorer) -> None:
    assert {one.model for one in asking_parts(scorer)} == {"judge"}
    other = with_changed_parts(scorer, lambda one: replace(one, model="other") if isinstance(one, Asking) else one)
    assert {one.model for one in asking_parts(other)} == {"other"} and type(other) is type(scorer)
    assert other.id == scorer.id.replace("judge", "other")
    assert [one for one in parts_of(other) if isinstance(one, Rule)] == [
        one for one in parts_of(scorer) if isinstance(one, Rule)
    ]


def test_only_who_is_passed_on_as_is_decides_an_outcome() -> None:
    assert deciding(A) == [A] and deciding(ByPart("group", {"one": A, "two": B})) == [A, B]
    assert deciding(Turned(A)) == deciding(AllHold((A, B))) == []
