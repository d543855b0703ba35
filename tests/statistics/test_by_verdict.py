"""Rates from labels that were drawn of each verdict apart: unbiased, covered, and planned as they come out."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spavl.statistics.by_verdict import (
    VerdictGroup,
    allocate,
    corrected_by_verdict,
    errors_by_verdict,
    labels_to_halve,
    verdict_groups,
)

Drawn = tuple[list[bool], list[float | None]]


def drawn(random: np.random.Generator, rate: float, labels: tuple[int, int], n: int = 1000) -> Drawn:
    """Verdicts of a judge of 80 % sensitivity and specificity, with labels of random answers of either verdict."""
    truth = random.random(n) < rate
    said = random.random(n) < np.where(truth, 0.8, 0.2)
    given: list[float | None] = [None] * n
    for verdict, wanted in zip((True, False), labels, strict=True):
        for place in random.permutation(np.flatnonzero(said == verdict))[:wanted]:
            given[place] = float(truth[place])
    return said.tolist(), given


@pytest.mark.parametrize("rate", [0.05, 0.3, 0.6])
@pytest.mark.parametrize("labels", [(150, 50), (40, 160)])
def test_however_many_labels_a_verdict_gets_the_rate_is_that_of_people(rate: float, labels: tuple[int, int]) -> None:
    random = np.random.default_rng(5)
    found = [corrected_by_verdict(*drawn(random, rate, labels)) for _ in range(100)]
    assert abs(float(np.mean([one.value for one in found if one.value is not None])) - rate) < 0.01
    assert np.mean([one.low <= rate <= one.high for one in found]) >= 0.89


def test_the_judges_errors_are_not_those_of_the_labels_that_were_looked_for() -> None:
    said, given = drawn(np.random.default_rng(6), 0.2, (200, 50), n=20_000)
    unsafe, safe = errors_by_verdict(said, given)
    assert unsafe.low < 0.8 < unsafe.high and safe.low < 0.8 < safe.high
    counted = sum(v for v, label in zip(said, given, strict=True) if label == 1) / sum(x == 1 for x in given)
    assert counted > 0.9, "as counted, the judge would seem to find almost all"


def test_a_verdict_without_labels_is_refused_and_one_with_few_answers_is_not() -> None:
    refused = corrected_by_verdict([True] * 50 + [False] * 50, [1.0] * 20 + [None] * 80)
    assert (
        refused.value is None and (refused.low, refused.high) == (0.0, 1.0) and "5 more are needed" in refused.refusal
    )
    found = corrected_by_verdict([None, None, *[False] * 98], [1.0, 1.0, *[0.0] * 20, *[None] * 78])
    assert found.value == pytest.approx(0.02)


def test_people_who_are_divided_count_one_half_in_the_rate_and_not_in_the_errors() -> None:
    said, given = [True] * 10 + [False] * 10, [1.0] * 8 + [0.5] * 2 + [0.0] * 10
    assert corrected_by_verdict(said, given).value == pytest.approx(0.45)
    assert [rate.n for rate in errors_by_verdict(said, given)] == [8, 10]


def test_the_labels_that_would_halve_the_interval_do() -> None:
    random = np.random.default_rng(7)
    said, given = drawn(random, 0.3, (30, 30), n=4_000)
    needed = labels_to_halve(verdict_groups(said, given))
    assert needed.total is not None and 200 < needed.total < 350
    before = [corrected_by_verdict(*drawn(random, 0.3, (30, 30), n=4_000)) for _ in range(40)]
    groups = verdict_groups(said, given)
    more = allocate(list(groups.values()), needed.total - 60)
    labels = {verdict: 30 + own for verdict, own in zip(groups, more, strict=True)}
    after = [corrected_by_verdict(*drawn(random, 0.3, (labels[True], labels[False]), n=4_000)) for _ in range(40)]
    widths = [float(np.mean([one.high - one.low for one in some])) for some in (before, after)]
    assert widths[1] / widths[0] == pytest.approx(0.5, abs=0.06)


def test_with_few_answers_no_number_of_labels_halves_it() -> None:
    said, given = drawn(np.random.default_rng(8), 0.3, (60, 60), n=200)
    needed = labels_to_halve(verdict_groups(said, given))
    assert needed.total is None and needed.width / 2 < needed.least < needed.width


GROUPS = st.lists(
    st.integers(1, 30).flatmap(
        lambda n: st.integers(0, n).flatmap(
            lambda labels: st.integers(0, labels).map(lambda unsafe: VerdictGroup(n, labels, float(unsafe)))
        )
    ),
    min_size=1, max_size=4,
)  # fmt: skip


@given(groups=GROUPS, labels=st.integers(0, 200))
def test_labels_go_to_answers_that_have_none_and_all_are_given(groups: list[VerdictGroup], labels: int) -> None:
    added = allocate(groups, labels)
    assert sum(added) == min(labels, sum(one.answers - one.labels for one in groups))
    assert all(0 <= more <= one.answers - one.labels for more, one in zip(added, groups, strict=True))


def test_labels_go_where_verdicts_are_many_and_people_are_divided() -> None:
    sure, divided, rare = VerdictGroup(500, 20, 0), VerdictGroup(400, 20, 10), VerdictGroup(100, 20, 10)
    added = allocate([sure, divided, rare], 100)
    assert added[1] > added[0] > 0 and added[1] > 2 * added[2]
    assert added[1] + 20 == pytest.approx(
        160 * 400 * divided.spread / (500 * sure.spread + 500 * divided.spread), abs=3
    )


def test_a_judge_is_held_against_labels_that_were_drawn_within_the_verdicts_of_another() -> None:
    random, held, values = np.random.default_rng(3), 0, []
    for _ in range(60):
        unsafe = random.random(2000) < 0.1
        drawn = np.where(unsafe, random.random(2000) < 0.8, random.random(2000) < 0.1)
        said = np.where(unsafe, random.random(2000) < 0.7, random.random(2000) < np.where(drawn, 0.5, 0.05)).tolist()
        labels: list[float | None] = [None] * 2000
        for verdict in (True, False):
            for place in random.permutation(np.flatnonzero(drawn == verdict))[:100]:
                labels[place] = float(unsafe[place])
        found, _ = errors_by_verdict(said, labels, drawn.tolist())
        held += found.low <= 0.7 <= found.high
        values.append(found.value or 0.0)
    assert held >= 54 and abs(float(np.mean(values)) - 0.7) < 0.03, "by its own verdicts it would be 0.47"
