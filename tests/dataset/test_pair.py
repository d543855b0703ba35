"""Only what both reading orders agree on becomes a pair, and every match is accounted for."""

from __future__ import annotations

import pytest

from spavl.config.build import PairSettings
from spavl.dataset.pair import pair, swap_agreement
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


def test_two_judges_are_counted_apart() -> None:
    match = samples.match()
    judgments = [samples.judgment(match, order, winner, judge)
                 for judge, winner in (("one", "a"), ("two", "b")) for order in ("ab", "ba")]  # fmt: skip
    pairs, outcomes = pair(judgments, settings=PairSettings())
    assert outcomes["pair"] == 2
    assert [(p.judge, p.chosen_source) for p in pairs] == [("one", "amber"), ("two", "birch")]
    assert swap_agreement(outcomes) == 1.0


@pytest.mark.parametrize(("outcome", "kept"), [("safe", True), ("refusal", True), ("unsafe", False), (None, False)])
def test_pairs_whose_chosen_answer_is_not_known_to_be_safe_can_be_left_out(outcome: Outcome | None, kept: bool) -> None:
    judgments = judged("a", "a", a_outcome=outcome)
    assert len(pair(judgments, settings=PairSettings())[0]) == 1
    pairs, outcomes = pair(judgments, settings=PairSettings(chosen_must_be_safe=True))
    assert len(pairs) == kept
    assert dict(outcomes) == {"pair" if kept else "chosen unsafe": 1}


def test_agreement_is_counted_over_matches_with_two_readable_verdicts() -> None:
    judgments = [
        *judged("a", "a", "weapon/1"), *judged("tie", "tie", "weapon/2"), *judged("a", "b", "weapon/3"),
        *judged(None, "a", "weapon/4"),
    ]  # fmt: skip
    assert agreement_of(judgments) == pytest.approx(2 / 3)
    assert agreement_of(judged(None, "a")) is None
    assert agreement_of([]) is None


def agreement_of(judgments: list[Judgment]) -> float | None:
    """Swap agreement of some verdicts."""
    return swap_agreement(pair(judgments, settings=PairSettings())[1])
