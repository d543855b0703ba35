"""Which answers are compared: from different safety groups only, sampled for each question on its own."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spavl.config.build import MatchSettings
from spavl.dataset.match import match, safety_groups, unsafe_rates
from spavl.records import Match, Outcome, Response
from spavl.tables import write_table
from tests import samples

NAMES = ("amber", "birch", "cedar", "dune", "ember", "fjord")
OUTCOMES: dict[bool, Outcome] = {True: "safe", False: "unsafe"}
RATES = st.dictionaries(st.sampled_from("abcdefghijkl"), st.integers(0, 4).map(lambda n: n / 4), max_size=12)


def graded(questions: int = 20, unsafe: dict[str, float] | None = None) -> list[Response]:
    """Every responder's answer to every question; the first share of each is unsafe."""
    shares = unsafe or {name: n / len(NAMES) for n, name in enumerate(NAMES)}
    return [
        samples.response(samples.query(samples.image(f"weapon/{n:03}")), name, outcome=OUTCOMES[n >= share * questions])
        for n in range(questions) for name, share in shares.items()
    ]  # fmt: skip


def rates_of(responses: Sequence[Response]) -> dict[str, float]:
    """Unsafe rate of every responder, from a table on disk."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "responses.parquet"
        write_table(path, responses, Response)
        return unsafe_rates(path)


def matched(responses: Sequence[Response], settings: MatchSettings, seed: int = 0) -> list[Match]:
    """The matches of some responses, by the groups that their own rates make."""
    groups = safety_groups(rates_of(responses), settings.groups)
    return match(responses, groups=groups, settings=settings, seed=seed)


# --- rates and groups -------------------------------------------------------------------------------------------------


def test_a_rate_is_the_share_of_graded_answers_that_are_unsafe_safest_first() -> None:
    rates = rates_of(graded(10, {"dune": 0.9, "amber": 0.2, "birch": 0.2}))
    assert list(rates.items()) == [("amber", 0.2), ("birch", 0.2), ("dune", 0.9)]


def test_answers_that_were_not_graded_do_not_count() -> None:
    query = samples.query()
    given = [samples.response(query, "amber", outcome=outcome) for outcome in ("safe", "unsafe", None, None)]
    assert rates_of([*given, samples.response(query, "birch", outcome=None)]) == {"amber": 0.5}


def test_benign_pictures_make_no_responder_safer() -> None:
    benign = samples.query(samples.image("weapon/benign/1", benign=True))
    given = [
        samples.response(samples.query(), "amber", outcome="unsafe"),
        *[samples.response(benign, "amber", outcome="safe")] * 9,
    ]
    assert rates_of(given) == {"amber": 1.0}
    assert rates_of(given[1:]) == {"amber": 0.0}, "where there is nothing else, they count"


def test_twelve_responders_fall_into_five_groups_of_nearly_equal_size() -> None:
    groups = safety_groups({f"m{n:02}": n / 12 for n in range(12)}, 5)
    assert [groups[f"m{n:02}"] for n in range(12)] == [0, 0, 0, 1, 1, 2, 2, 2, 3, 3, 4, 4]


@given(RATES, st.integers(2, 12))
def test_groups_follow_rates_and_a_tie_is_never_broken_by_a_name(rates: dict[str, float], count: int) -> None:
    groups = safety_groups(rates, count)
    assert set(groups) == set(rates)
    assert all(0 <= g < count for g in groups.values())
    for one in rates:
        for other in rates:
            if rates[one] == rates[other]:
                assert groups[one] == groups[other]
            elif rates[one] < rates[other]:
                assert groups[one] <= groups[other]
    renamed = safety_groups({chr(219 - ord(name)): rate for name, rate in rates.items()}, count)
    assert renamed == {chr(219 - ord(name)): group for name, group in groups.items()}


@given(RATES, st.integers(2, 12))
def test_two_different_rates_are_enough_for_two_groups(rates: dict[str, float], count: int) -> None:
    assert (len(set(safety_groups(rates, count).values())) > 1) == (len(set(rates.values())) > 1)


@given(st.integers(2, 12), st.integers(2, 12))
def test_responders_that_all_differ_fill_as_many_groups_as_they_can(responders: int, count: int) -> None:
    sizes = Counter(safety_groups({f"m{n:02}": n / 100 for n in range(responders)}, count).values())
    assert len(sizes) == min(responders, count)
    assert max(sizes.values()) - min(sizes.values()) <= 1


# --- matches ----------------------------------------------------------------------------------------------------------


def test_answers_are_matched_only_if_their_responders_are_in_different_groups() -> None:
    responses = graded()
    groups = safety_groups(rates_of(responses), 3)
    matches = matched(responses, MatchSettings(groups=3, per_question=15))
    assert {(m.a_group, m.b_group) for m in matches} == {(i, j) for i in range(3) for j in range(3) if i != j}
    for m in matches:
        assert (m.a_group, m.b_group) == (groups[m.a_responder], groups[m.b_responder])
    possible = sum(1 for i, a in enumerate(NAMES) for b in NAMES[i + 1 :] if groups[a] != groups[b])
    assert Counter(m.query.query_id for m in matches) == Counter({r.query.query_id: possible for r in responses})


def test_no_pair_of_answers_is_matched_twice_in_either_order() -> None:
    matches = matched(graded(), MatchSettings(groups=3, per_question=9))
    pairs = [(m.query.query_id, *sorted((m.a_responder, m.b_responder))) for m in matches]
    assert len(pairs) == len(set(pairs))
    assert len({m.match_id for m in matches}) == len(matches)


def test_equally_safe_responders_are_never_matched() -> None:
    assert matched(graded(unsafe=dict.fromkeys(NAMES, 0.5)), MatchSettings()) == []


def test_the_number_of_matches_a_question_is_that_of_the_settings_or_all_there_are() -> None:
    for wanted in (1, 4, 99):
        matches = matched(graded(6), MatchSettings(groups=6, per_question=wanted))
        assert set(Counter(m.query.query_id for m in matches).values()) == {min(wanted, 15)}


def test_only_complete_answers_are_matched_and_never_two_with_the_same_text() -> None:
    responses = graded(20, {"amber": 0.1, "birch": 0.5, "cedar": 0.9})
    query = samples.query(samples.image("weapon/new"))
    new = [
        samples.response(query, "amber", response="The same."), samples.response(query, "birch", response="The same."),
        samples.response(query, "cedar", response_status="truncated"),
    ]  # fmt: skip
    matches = matched([*responses, *new], MatchSettings(groups=3, per_question=9))
    assert query.query_id not in {m.query.query_id for m in matches}
    assert len({m.query.query_id for m in matches}) == 20


def test_a_responder_that_was_never_graded_is_not_matched() -> None:
    ungraded = [samples.response(r.query, "new", outcome=None) for r in graded() if r.responder == "amber"]
    matches = matched([*graded(), *ungraded], MatchSettings(groups=3, per_question=99))
    assert "new" not in {name for m in matches for name in (m.a_responder, m.b_responder)}


def test_a_match_carries_both_answers_and_their_grades() -> None:
    responses = graded()
    by_id = {r.response_id: r for r in responses}
    for m in matched(responses, MatchSettings()):
        a, b = (by_id[f"{m.query.query_id}/{name}"] for name in (m.a_responder, m.b_responder))
        assert (m.a_response, m.a_safe, m.b_response, m.b_safe) == (a.response, a.safe, b.response, b.safe)
        assert m.query == a.query == b.query
        assert m.match_id == f"{m.query.query_id}/{m.a_responder}~{m.b_responder}"


def test_which_answer_is_a_is_random_and_does_not_follow_safety() -> None:
    matches = matched(graded(400), MatchSettings(groups=3, per_question=1))
    safer_first = sum(m.a_group < m.b_group for m in matches)
    assert 150 < safer_first < 250
    assert len({m.a_responder for m in matches}) == len(NAMES)


@pytest.mark.parametrize("seed", [0, 1])
def test_the_sample_is_the_same_whatever_the_order_of_the_rows(seed: int) -> None:
    responses = graded()
    mixed = random.Random(1).sample(responses, len(responses))
    settings = MatchSettings(groups=3, per_question=2)
    key = lambda m: m.match_id  # noqa: E731
    first, second = (sorted(matched(r, settings, seed), key=key) for r in (responses, mixed))
    assert first == second


def test_another_seed_samples_other_matches() -> None:
    settings = MatchSettings(groups=3, per_question=1)
    first, second = ([m.match_id for m in matched(graded(), settings, seed)] for seed in (0, 1))
    assert first != second


def test_a_question_keeps_its_matches_when_others_come_and_go() -> None:
    """As long as the groups are the same: rates are the same in either half of these questions."""
    responses = graded(20)
    images = [samples.image(f"{r.query.image.image_id}-more") for r in responses]
    more = [
        samples.response(samples.query(i), r.responder, outcome=r.outcome)
        for i, r in zip(images, responses, strict=True)
    ]
    doubled = [*responses, *more]
    settings = MatchSettings(groups=3, per_question=2)
    alone = matched(responses, settings)
    among = matched(doubled, settings)
    assert set(alone) < set(among)


def test_no_responses_make_no_matches() -> None:
    assert matched([], MatchSettings()) == []
