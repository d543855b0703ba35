"""Match policies: who meets whom, and that two answers of one responder meet only where that is asked for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from spavl.config.build import MatchSettings
from spavl.dataset.match import match
from spavl.dataset.policies import tournament
from spavl.records import Match, Outcome, Response
from tests import samples

NAMES = ("amber", "birch", "cedar", "dune", "ember")
GROUPS = {name: place for place, name in enumerate(NAMES)}


def answers(questions: int = 1, each: int = 1, **outcomes: Outcome | None) -> list[Response]:
    """Every responder's answers to every question."""
    return [
        samples.response(
            query, name, response=f"Answer {sample} of {name}.", outcome=outcomes.get(name, "safe"),
            response_id=f"{query.query_id}/{name}" + (f"#{sample}" if sample > 1 else ""),
        )
        for n in range(questions) for query in [samples.query(samples.image(f"weapon/{n}"))]
        for name in NAMES for sample in range(1, each + 1)
    ]  # fmt: skip


def matched(
    responses: Sequence[Response], policy: str, count: int = 1, seed: int = 0, same: bool = False
) -> list[Match]:
    """The matches of a policy."""
    settings = MatchSettings.model_validate({"policy": policy, "per_question": count, "same_responder": same})
    return match(responses, groups=GROUPS, settings=settings, seed=seed)


def meeting(one: Match) -> frozenset[str]:
    """Who meets in a match."""
    return frozenset((one.a_responder, one.b_responder))


def test_strong_against_weak_takes_one_of_the_safest_group_and_one_of_the_least_safe() -> None:
    groups = {"amber": 0, "birch": 0, "cedar": 2, "dune": 4, "ember": 4}
    settings = MatchSettings(policy="strong-weak", per_question=9)
    found = match(answers(30), groups=groups, settings=settings, seed=0)
    assert {(m.a_group, m.b_group) for m in found} == {(0, 4), (4, 0)}
    assert set(Counter(m.query.query_id for m in found).values()) == {4}
    alike = match(answers(), groups=dict.fromkeys(NAMES, 2), settings=settings, seed=0)
    assert alike == []


def test_in_a_tournament_everyone_meets_everyone_once_and_nobody_twice_in_a_round() -> None:
    for size in range(2, 9):
        names = [f"m{n}" for n in range(size)]
        cycle = tournament(names)
        assert Counter(cycle) == Counter([*map(frozenset, combinations(names, 2)), *(frozenset([n]) for n in names)])
        of_round = size // 2
        for first in range(0, len(cycle) - size, of_round):
            assert len(frozenset().union(*cycle[first : first + of_round])) == 2 * of_round


def test_in_turn_every_pair_of_responders_meets_about_equally_often() -> None:
    found = Counter(map(meeting, matched(answers(1000), "round-robin", 2)))
    assert set(found) == set(map(frozenset, combinations(NAMES, 2)))
    assert min(found.values()) > 0.8 * 200 and max(found.values()) < 1.2 * 200


def test_in_turn_needs_no_groups_and_uses_every_responder_before_one_comes_again() -> None:
    settings = MatchSettings(policy="round-robin", per_question=2)
    alike = match(answers(50), groups=dict.fromkeys(NAMES, 0), settings=settings, seed=0)
    assert len(alike) == 100
    both = [len(meeting(one) | meeting(two)) for one, two in zip(alike[::2], alike[1::2], strict=True)]
    assert Counter(both)[4] > 35, "two matches of one question are of four responders, but where a round ends"


def test_the_best_answer_by_outcome_then_severity_meets_the_worst() -> None:
    told = answers(amber="refusal", birch="safe_completion", cedar="unsafe", dune=None, ember="unsafe")
    severe = [r if r.responder != "ember" else samples.response(r.query, "ember", outcome="unsafe", severity=4)
              for r in told]  # fmt: skip
    found = matched(severe, "best-worst", 3)
    assert [set(meeting(m)) for m in found] == [{"birch", "ember"}, {"birch", "cedar"}, {"amber", "birch"}]
    assert matched(answers(), "best-worst", 3) == [], "equal answers are neither best nor worst"


@pytest.mark.parametrize("policy", ["groups", "round-robin", "best-worst"])
def test_samples_of_one_responder_meet_only_where_that_is_allowed(policy: str) -> None:
    given_answers = answers(20, each=2)
    if policy == "best-worst":
        given_answers = [
            samples.response(r.query, r.responder, response=r.response, response_id=r.response_id,
                             outcome="unsafe" if r.response_id.endswith("#2") else "safe")
            for r in given_answers
        ]  # fmt: skip
    apart, together = (matched(given_answers, policy, 60, same=same) for same in (False, True))
    assert min(len(meeting(m)) for m in apart) == 2
    alone = [m for m in together if len(meeting(m)) == 1]
    assert len(alone) == 5 * 20
    one = next(m for m in alone if m.a_response_id.endswith("#2") and m.a_responder == "amber")
    assert one.match_id == f"{one.query.query_id}/amber#2~amber"


@pytest.mark.parametrize("policy", ["groups", "strong-weak", "round-robin", "best-worst"])
@given(seed=st.integers(0, 99), count=st.integers(1, 12), each=st.integers(1, 3))
def test_matches_are_unique_never_of_one_text_and_the_same_whatever_the_order(
    policy: str, seed: int, count: int, each: int
) -> None:
    given_answers = answers(2, each, amber="refusal", birch="unsafe")
    found = matched(given_answers, policy, count, seed)
    assert len({m.match_id for m in found}) == len(found)
    assert len({(m.query.query_id, frozenset((m.a_response_id, m.b_response_id))) for m in found}) == len(found)
    assert all(m.a_response != m.b_response for m in found)
    backwards = matched(given_answers[::-1], policy, count, seed)
    assert {m.match_id for m in found} == {m.match_id for m in backwards}
    assert set(found) <= set(matched([*given_answers, *answers(4)[10:]], policy, count, seed))


def test_a_match_knows_how_many_answers_to_its_question_are_safe_completions() -> None:
    told = answers(amber="safe_completion", cedar="safe_completion", dune="refusal")
    cut = samples.response(told[0].query, "zinc", outcome="safe_completion", response_status="truncated")
    assert {m.safe_completions for m in matched([*told, cut], "groups", 9)} == {2}


def test_one_responder_is_not_strong_and_weak() -> None:
    with pytest.raises(ValidationError, match="does not go with"):
        MatchSettings(policy="strong-weak", same_responder=True)


def test_evenly_a_responder_is_on_the_safe_side_as_often_as_on_the_other_however_safe_it_is() -> None:
    rates = {"amber": 0.1, "birch": 0.3, "cedar": 0.5, "dune": 0.7, "ember": 0.9}
    rng = Random(0)
    responses = [
        replace(one, outcome="unsafe" if rng.random() < rates[one.responder] else "safe") for one in answers(900)
    ]  # fmt: skip
    settings = MatchSettings(policy="even", per_question=3)
    found = match(responses, groups=GROUPS, settings=settings, seed=0, rates=rates)
    safe, unsafe = Counter[str](), Counter[str]()
    for one in found:
        if one.a_safe is not one.b_safe:
            safe[one.a_responder if one.a_safe else one.b_responder] += 1
            unsafe[one.b_responder if one.a_safe else one.a_responder] += 1
    shares = {name: safe[name] / (safe[name] + unsafe[name]) for name in NAMES}
    assert all(0.4 < share < 0.6 for share in shares.values()), shares
    assert safe.total() > 0.4 * len(found)


def test_evenly_of_harmless_questions_any_two_answers_are_compared() -> None:
    harmless = [replace(one, query=replace(one.query, harmful=False)) for one in answers(60, ember="unsafe")]
    settings = MatchSettings(policy="even", per_question=1)
    found = match(harmless, groups=GROUPS, settings=settings, seed=0, rates=dict.fromkeys(NAMES, 0.2))
    with_ember = sum("ember" in meeting(one) for one in found)
    assert 10 < with_ember < 40, "a guard's error there does not decide who meets"
