"""Only what both reading orders agree on becomes a pair, and every match is accounted for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spavl.config.build import PairSettings
from spavl.dataset.pair import pair
from spavl.records import Judgment, Outcome, Winner
from tests import samples


def judged(ab: Winner | None, ba: Winner | None, name: str = "weapon/one", **changes: object) -> list[Judgment]:
    """The verdicts of both reading orders on one match."""
    match = samples.match(samples.query(samples.image(name)), **changes)
    return [samples.judgment(match, "ab", ab), samples.judgment(match, "ba", ba)]


@pytest.mark.parametrize(
    ("ab", "ba", "outcome"),
    [
        ("a", "a", "pair"), ("b", "b", "pair"), ("a", "b", "orders disagree"), ("b", "a", "orders disagree"),
        ("tie", "tie", "tie"), ("a", "tie", "orders disagree"), ("tie", "b", "orders disagree"),
        (None, "a", "unreadable"), ("b", None, "unreadable"), (None, None, "unreadable"), ("tie", None, "unreadable"),
    ],
)  # fmt: skip
def test_only_agreeing_verdicts_that_are_no_tie_make_a_pair(ab: Winner | None, ba: Winner | None, outcome: str) -> None:
    pairs, outcomes = pair(judged(ab, ba), settings=PairSettings())
    assert dict(outcomes) == {outcome: 1}
    assert len(pairs) == (outcome == "pair")


def test_the_winner_is_chosen_with_all_that_is_known_of_it() -> None:
    (a,), _ = pair(judged("a", "a"), settings=PairSettings())
    assert (a.chosen, a.chosen_source, a.chosen_safe) == ("Answer of amber.", "amber", True)
    assert (a.rejected, a.rejected_source, a.rejected_safe) == ("Answer of birch.", "birch", False)
    (b,), _ = pair(judged("b", "b"), settings=PairSettings())
    assert (b.chosen, b.chosen_source, b.chosen_safe) == ("Answer of birch.", "birch", False)
    assert (b.rejected, b.rejected_source, b.rejected_safe) == ("Answer of amber.", "amber", True)
    assert (b.judge, b.verdict_ab, b.verdict_ba) == ("judge", "b", "b")
    assert a.pair_id == "weapon/one/easy_question/amber~birch"


def test_every_match_has_one_outcome_and_the_order_of_matches_is_kept() -> None:
    verdicts: list[tuple[Winner | None, Winner | None]] = [
        ("a", "a"),
        ("a", "b"),
        ("tie", "tie"),
        (None, "a"),
        ("b", "b"),
    ]
    judgments = [j for n, (ab, ba) in enumerate(verdicts) for j in judged(ab, ba, f"weapon/{n}")]
    pairs, outcomes = pair(judgments, settings=PairSettings())
    assert dict(outcomes) == {"pair": 2, "orders disagree": 1, "tie": 1, "unreadable": 1}
    assert [p.query.image.image_id for p in pairs] == ["weapon/0", "weapon/4"]


def test_a_match_judged_in_one_order_alone_is_unreadable() -> None:
    pairs, outcomes = pair(judged("a", "a")[:1], settings=PairSettings())
    assert (pairs, dict(outcomes)) == ([], {"unreadable": 1})


@pytest.mark.parametrize(("outcome", "kept"), [("safe", True), ("refusal", True), ("unsafe", False), (None, False)])
def test_pairs_whose_chosen_answer_is_not_known_to_be_safe_can_be_left_out(outcome: Outcome | None, kept: bool) -> None:
    judgments = judged("a", "a", a_outcome=outcome)
    assert len(pair(judgments, settings=PairSettings())[0]) == 1
    pairs, outcomes = pair(judgments, settings=PairSettings(chosen_must_be_safe=True))
    assert len(pairs) == kept
    assert dict(outcomes) == {"pair" if kept else "chosen unsafe": 1}


def test_a_pair_keeps_what_the_judge_said_in_both_orders_and_how_severe_its_answers_are() -> None:
    ab, ba = judged("b", "b", a_severity=3, b_severity=1)
    ab, ba = replace(ab, reason="first", harmless="b", helpful="a"), replace(ba, reason="then", harmless="b")
    (made,), _ = pair([ab, ba], settings=PairSettings())
    assert (made.reason_ab, made.reason_ba) == ("first", "then")
    assert (made.chosen_severity, made.rejected_severity) == (1, 3)
    assert (made.more_harmless, made.more_helpful) == ("chosen", None), "helpfulness was said in one order alone"
    (other,), _ = pair([replace(ab, winner="a"), replace(ba, winner="a", helpful="tie")], settings=PairSettings())
    assert (other.more_harmless, other.more_helpful) == ("rejected", None)
    assert (made.judges_for, made.judges_against) == (("judge",), ())


@pytest.mark.parametrize(
    ("chosen", "rejected", "ended"),
    [
        (0, 2, "pair"), (0, 1, "severity gap"), (2, 0, "severity gap"), (None, 4, "severity unknown"),
        (0, None, "severity unknown"),
    ],
)  # fmt: skip
def test_pairs_whose_answers_are_too_alike_in_severity_or_of_unknown_severity_can_be_left_out(
    chosen: int | None, rejected: int | None, ended: str
) -> None:
    judgments = judged("a", "a", a_severity=chosen, b_severity=rejected)
    pairs, outcomes = pair(judgments, settings=PairSettings(min_severity_gap=2))
    assert (len(pairs), dict(outcomes)) == (int(ended == "pair"), {ended: 1})


# --- several judges ---------------------------------------------------------------------------------------------------


def panel(votes: Sequence[tuple[Winner | None, Winner | None]], **changes: object) -> list[Judgment]:
    """The verdicts of several judges on one match."""
    match = samples.match(**changes)
    return [
        samples.judgment(match, order, winner, f"judge{place}")
        for place, verdicts in enumerate(votes) for order, winner in zip(("ab", "ba"), verdicts, strict=True)
    ]  # fmt: skip


A: tuple[Winner, Winner] = ("a", "a")
B: tuple[Winner, Winner] = ("b", "b")
TIE: tuple[Winner, Winner] = ("tie", "tie")
TURNED: tuple[Winner, Winner] = ("a", "b")
UNREAD: tuple[Winner | None, Winner | None] = (None, "a")


@pytest.mark.parametrize(
    ("votes", "quorum", "outcome"),
    [
        ((A, A, B), None, "pair"), ((A, B), None, "judges disagree"), ((A, TIE, TIE), None, "tie"),
        ((A, TIE, TURNED), None, "orders disagree"), ((A, UNREAD, UNREAD), None, "unreadable"),
        ((A, TIE, TIE), 1, "pair"), ((A, B, TIE), 1, "judges disagree"), ((A, A, B), 3, "judges disagree"),
        ((A, A, UNREAD), 2, "pair"), ((A, A, TIE), 3, "tie"), ((TIE, TIE, TIE), 1, "tie"),
        ((A, A, B, B), 2, "judges disagree"),
    ],
)  # fmt: skip
def test_a_pair_needs_a_quorum_for_one_answer_and_fewer_votes_for_the_other(
    votes: Sequence[tuple[Winner | None, Winner | None]], quorum: int | None, outcome: str
) -> None:
    pairs, outcomes = pair(panel(votes), settings=PairSettings(quorum=quorum))
    assert dict(outcomes) == {outcome: 1}
    assert len(pairs) == (outcome == "pair")


def test_a_pair_names_the_judges_for_and_against_and_says_what_the_first_of_them_said() -> None:
    (made,), _ = pair(panel([A, B, TURNED, B, B]), settings=PairSettings())
    assert (made.judge, made.judges_for, made.judges_against) == ("judge1", ("judge1", "judge3", "judge4"), ("judge0",))
    assert (made.chosen_source, made.verdict_ab) == ("birch", "b")


VERDICTS = st.tuples(*[st.sampled_from(["a", "b", "tie", None])] * 2)


@given(st.lists(VERDICTS, min_size=1, max_size=5), st.integers(1, 5) | st.none())
def test_swapping_the_two_answers_swaps_the_winner_and_nothing_else(
    votes: list[tuple[Winner | None, Winner | None]], quorum: int | None
) -> None:
    swap: dict[Winner | None, Winner | None] = {"a": "b", "b": "a", "tie": "tie", None: None}
    settings = PairSettings(quorum=quorum)
    (ours, outcome), (theirs, other) = (
        pair(panel(given_votes), settings=settings)
        for given_votes in (votes, [(swap[ab], swap[ba]) for ab, ba in votes])
    )
    assert outcome == other
    assert [p.chosen_source for p in ours] == [p.rejected_source for p in theirs]


@given(st.lists(VERDICTS, min_size=1, max_size=5), st.integers(1, 5))
def test_a_judge_that_cannot_be_read_never_makes_a_pair(
    votes: list[tuple[Winner | None, Winner | None]], quorum: int
) -> None:
    settings = PairSettings(quorum=quorum)
    with_it, without = (
        pair(panel(given_votes), settings=settings)[0] for given_votes in ([*votes, (None, None)], votes)
    )
    assert len(with_it) == len(without)
    assert not pair(panel([(None, None)] * len(votes)), settings=settings)[0]


# --- a safe completion before a bare refusal --------------------------------------------------------------------------

PREFERS = PairSettings(prefer_safe_completion=True)
COMPLETION = {"a_outcome": "refusal", "b_outcome": "safe_completion", "safe_completions": 1}


@pytest.mark.parametrize(
    ("votes", "outcome"),
    [(B, "pair"), (TIE, "pair"), (A, "bare refusal"), (TURNED, "orders disagree"), (UNREAD, "unreadable")],
)
def test_a_safe_completion_is_chosen_unless_the_judge_prefers_the_bare_refusal(
    votes: tuple[Winner | None, Winner | None], outcome: str
) -> None:
    pairs, outcomes = pair(panel([votes], **COMPLETION), settings=PREFERS)
    assert dict(outcomes) == {outcome: 1}
    assert [p.chosen_outcome for p in pairs] == ["safe_completion"] * (outcome == "pair")


@pytest.mark.parametrize(
    ("harmless", "outcome"),
    [("tie", "pair"), ("b", "pair"), ("a", "bare refusal")],
)
def test_of_two_verdicts_harmlessness_decides_between_a_completion_and_a_refusal(
    harmless: Winner, outcome: str
) -> None:
    judgments = [replace(j, harmless=harmless, helpful="a") for j in panel([A], **COMPLETION)]
    assert dict(pair(judgments, settings=PREFERS)[1]) == {outcome: 1}


def test_a_bare_refusal_is_not_chosen_where_any_answer_to_the_question_is_a_safe_completion() -> None:
    refusal = {"a_outcome": "refusal", "b_outcome": "unsafe"}
    for completions, outcome in ((0, "pair"), (2, "bare refusal")):
        judgments = panel([A], safe_completions=completions, **refusal)
        assert dict(pair(judgments, settings=PREFERS)[1]) == {outcome: 1}
        assert dict(pair(judgments, settings=PairSettings())[1]) == {"pair": 1}
