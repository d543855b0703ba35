"""Scorers that combine others: what is unread stays unread, and their parts are known."""

from __future__ import annotations

from dataclasses import replace

from spavl.evaluate import Answer, Item
from spavl.evaluate.combined_scorer import AllHold, ScorerByPart
from spavl.evaluate.pairs import WantedScorer
from spavl.evaluate.scorer import Rule, parts_of


def answer(part: str, text: str) -> Answer:
    item = Item(item_id=part + text, subset=part, question="?", shown="none")
    return Answer(item=item, benchmark="b", model="m", text=text, status="ok", call="", tokens=1)


A = Rule("a/1", lambda item, text: None if "?" in text else "a" in text)
B = Rule("b/1", lambda item, text: None if "?" in text else "b" in text)


def test_a_part_without_a_scorer_is_unread_and_what_is_unread_stays_so() -> None:
    scorer = ScorerByPart({"one": A, "two": B}, lambda item: item.subset)
    answers = [answer("one", "a"), answer("two", "a"), answer("one", "?"), answer("three", "a")]
    assert [verdict.outcome for verdict in scorer.score(answers)] == [True, False, None, None]
    assert parts_of(scorer) == (A, B) and parts_of(scorer, answers[1].item) == (B,)
    assert parts_of(scorer, answers[3].item) == () and parts_of(A) == (A,)
    assert scorer.id == "by-part:one=a/1+two=b/1"


def test_all_hold_where_every_scorer_says_what_is_wanted() -> None:
    half_read = Rule("half/1", lambda item, text: None)
    both = AllHold(((A, False), (B, True)))
    assert [v.outcome for v in both.score([answer("x", t) for t in ("b", "ab", "c", "?")])] == [
        True,
        False,
        False,
        None,
    ]
    open_ = AllHold(((half_read, True), (B, True)))
    assert [v.outcome for v in open_.score([answer("x", "b"), answer("x", "a")])] == [None, False]
    assert parts_of(both) == (A, B)


def test_what_is_wanted_of_an_item_is_asked_of_one_scorer() -> None:
    wanted = WantedScorer(A, unsafe=B)
    item = answer("x", "a").item
    harmful, benign = replace(item, harmful=True), replace(item, benign=True)
    assert parts_of(wanted) == (A, B) and parts_of(wanted, harmful) == (B,) and parts_of(wanted, benign) == (A,)
