"""Several tests, what can be found, repeated looking, several samples: published values, oracles, properties."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint
from truescore import min_detectable_effect

from spavl.statistics import (
    any_of,
    clustered_rate,
    compare_paired,
    confidence_sequence,
    decided,
    detectable_difference,
    detectable_mean_difference,
    half_width,
    holm,
    mcnemar_exact,
    noninferior,
    noninferiority,
    rule_of_three,
    sample_variance,
    wilson,
)

outcomes = st.sampled_from([True, False, None])


@settings(max_examples=10, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_is_statsmodels_s(p_values):
    assert holm(p_values) == pytest.approx(multipletests(p_values, method="holm")[1], abs=1e-12)


def test_holm_of_nothing_is_nothing_and_a_p_above_one_is_refused():
    assert holm([]) == []
    with pytest.raises(ValueError, match="between 0 and 1"):
        holm([1.2])


@given(st.integers(0, 400), st.integers(1, 400))
def test_wilson_is_statsmodels_s(k, n):
    k = min(k, n)
    assert wilson(k, n) == pytest.approx(proportion_confint(k, n, method="wilson"), abs=1e-12)


@given(st.integers(0, 60), st.integers(0, 60))
def test_mcnemar_is_statsmodels_s(fixed, broken):
    theirs = mcnemar([[3, fixed], [broken, 5]], exact=True).pvalue if fixed + broken else 1.0
    assert mcnemar_exact(fixed, broken) == pytest.approx(theirs, abs=1e-12)


@pytest.mark.parametrize(
    ("n", "discordance", "points"),
    [
        (265, 0.2, 7.7), (168, 0.2, 9.7), (1680, 0.2, 3.1), (500, 0.2, 5.6), (2241, 0.25, 3.0), (167, 0.25, 10.8),
        (250, 0.1, 5.6), (300, 0.15, 6.3), (9000, 0.04, 0.6), (2017, 0.1, 2.0), (5000, 0.08, 1.1), (12578, 0.08, 0.7),
    ],
)  # fmt: skip
def test_the_detectable_differences_of_the_usual_benchmarks(n: int, discordance: float, points: float):
    assert round(100 * detectable_difference(n, discordance), 1) == points
    theirs = min_detectable_effect(n, discordance_rate=discordance)
    assert theirs <= detectable_difference(n, discordance) <= 1.03 * theirs


def test_graded_scores_clusters_and_too_few_changes():
    assert round(100 * detectable_mean_difference(218, 0.3), 1) == 5.7
    assert detectable_difference(400, 0.2, design_effect=4) == pytest.approx(detectable_difference(100, 0.2))
    # one in a hundred items changes, 50 items: only if all of 15.7 % changed one way
    assert detectable_difference(50, 0.01) == pytest.approx((1.959964 + 0.841621) ** 2 / 50, abs=1e-4)
    assert detectable_difference(3, 0.5) == 1.0
    assert half_width(265, 0.44) == pytest.approx((wilson(116.6, 265)[1] - wilson(116.6, 265)[0]) / 2)
    with pytest.raises(ValueError, match="not possible"):
        detectable_difference(0, 0.2)


@given(st.integers(1, 3000))
def test_the_rule_of_three_is_exact(n):
    assert (1 - rule_of_three(n)) ** n == pytest.approx(0.05)
    assert rule_of_three(n) <= 3 / n <= 1.01 * rule_of_three(n) + 6 / n**2
    assert n < 10 or rule_of_three(n) <= wilson(0, n)[1]


def accepted(interval: Callable[[int, int], tuple[float, float]], rate: float, most: int) -> np.ndarray:
    """The smallest and the largest count of each n whose interval holds a rate; both grow with n."""
    ends, low, high = [], 0, 0
    for n in range(1, most + 1):
        while low < n and interval(low, n)[1] < rate:
            low += 1
        while high < n and interval(high + 1, n)[0] <= rate:
            high += 1
        ends.append((low, high))
    return np.array(ends)


def test_looking_after_each_of_a_thousand_items_is_wrong_in_five_percent_of_cases_at_most():
    random, rate = np.random.default_rng(11), 0.1
    counts = (random.random((4000, 1000)) < rate).cumsum(axis=1)
    missed = {}
    for interval in (confidence_sequence, wilson):
        low, high = accepted(interval, rate, 1000).T
        missed[interval] = ((counts < low) | (counts > high)).any(axis=1).mean()
    assert missed[confidence_sequence] <= 0.05
    assert missed[wilson] > 0.3


@given(st.integers(0, 200), st.integers(1, 200), st.integers(0, 20))
def test_a_confidence_sequence_holds_the_estimate_and_mirrors_itself(k, n, unread):
    k = min(k, n)
    low, high = confidence_sequence(k, n)
    assert 0 <= low <= k / n <= high <= 1
    assert confidence_sequence(n - k, n) == pytest.approx((1 - high, 1 - low), abs=1e-9)
    wider = confidence_sequence(k, n + unread, unread=unread)
    assert wider[0] <= confidence_sequence(k + unread, n + unread)[0] + 1e-12
    assert wider[1] >= confidence_sequence(k, n + unread)[1] - 1e-12


def test_a_confidence_sequence_before_the_first_item_and_with_impossible_counts():
    assert confidence_sequence(0, 0) == (0.0, 1.0)
    with pytest.raises(ValueError, match="do not fit"):
        confidence_sequence(3, 4, unread=2)


def test_a_limit_is_decided_one_way_the_other_or_not_yet():
    assert (decided(0.0, 0.04, 0.05), decided(0.06, 0.2, 0.05), decided(0.01, 0.2, 0.05)) == (True, False, None)


@given(st.lists(st.booleans(), min_size=1, max_size=7), st.integers(1, 7))
def test_any_of_k_is_the_mean_over_all_choices_of_k_answers(one, k):
    k = min(k, len(one))
    chosen = [any(some) for some in combinations(one, k)]
    assert any_of([one], k).value == pytest.approx(sum(chosen) / len(chosen))


def test_any_of_one_is_the_mean_and_any_of_all_is_any():
    attempts = [[True, False, False], [False] * 3, [True] * 3, [False] * 3]
    assert any_of(attempts, 1).value == pytest.approx(4 / 12)
    assert any_of(attempts, 3) == clustered_rate([True, False, True, False], range(4))


@given(st.lists(st.lists(outcomes, min_size=3, max_size=3), min_size=1, max_size=12), st.data())
def test_any_of_k_holds_whatever_the_unread_answers_would_have_been(attempts, data):
    found = any_of(attempts, 3)
    for verdict in (True, False):
        resolved = any_of([[verdict if o is None else o for o in one] for one in attempts], 3)
        assert found.low <= resolved.low + 1e-12 and resolved.high <= found.high + 1e-12


def test_more_answers_than_there_are_cannot_be_asked_for():
    with pytest.raises(ValueError, match="answers to every item"):
        any_of([[True]], 2)


def test_the_variance_of_answers_falls_apart_into_items_and_samples():
    random = np.random.default_rng(12)
    own = random.beta(2, 2, 4000)
    found = sample_variance([(random.random(5) < p).tolist() for p in own])
    assert found is not None
    assert found.between == pytest.approx(0.05, abs=0.005)  # the variance of Beta(2, 2)
    assert found.within == pytest.approx(0.2, abs=0.005)  # the mean of p (1 − p)
    assert found.error(100, 5) == pytest.approx(((0.05 + 0.04) / 100) ** 0.5, rel=0.05)
    assert sample_variance([[True, None], [False, True]]) is None


def test_noninferiority_of_items_alone_is_tango_s_test():
    base = {str(i): i % 3 > 0 for i in range(300)}
    aligned = {k: (not v if int(k) % 60 == 1 else v) for k, v in base.items()}
    found = noninferior(base, aligned, better="higher", margin=0.04)
    down = sum(base[k] and not aligned[k] for k in base)
    up = sum(aligned[k] and not base[k] for k in base)
    assert found.p == pytest.approx(noninferiority(up, down, 300, margin=0.04), abs=1e-4)
    assert found.holds == (found.p <= 0.05) == (found.loss < 0.04)


def test_noninferiority_looks_in_the_direction_that_is_worse():
    base = {str(i): False for i in range(1000)}
    aligned = {k: int(k) < 10 for k in base}
    assert noninferior(base, aligned, better="higher", margin=0.01).loss < 0
    assert not noninferior(base, aligned, better="lower", margin=0.01).holds
    assert noninferior(base, base, better="lower", margin=0.01).holds
    with pytest.raises(ValueError, match="direction"):
        noninferior(base, aligned, better="neither", margin=0.01)


def test_noninferiority_of_clusters_needs_more_than_of_items_alone():
    base = {f"{c}/{i}": True for c in range(40) for i in range(5)}
    aligned = {k: not k.startswith("3/") for k in base}
    shared = noninferior(base, aligned, better="higher", margin=0.05, clusters={k: k.split("/")[0] for k in base})
    alone = noninferior(base, aligned, better="higher", margin=0.05)
    assert shared.loss > alone.loss and shared.p > alone.p


def test_an_unread_verdict_is_a_loss():
    base = dict.fromkeys(map(str, range(400)), True)
    aligned: dict[str, bool | None] = {k: (None if int(k) < 20 else True) for k in base}
    assert noninferior(base, base, better="higher", margin=0.02).holds
    assert not noninferior(base, aligned, better="higher", margin=0.02).holds


def test_two_hundred_thousand_pairs_are_compared_without_a_matrix_of_them():
    random = np.random.default_rng(13)
    base = dict(zip(map(str, range(200_000)), random.random(200_000).tolist(), strict=True))
    aligned = {k: min(1.0, v + 0.001) for k, v in base.items()}
    assert compare_paired(base, aligned, better="higher").p < 1e-6
    yes = {k: v < 0.5 for k, v in base.items()}
    more = {k: v < 0.51 for k, v in base.items()}
    clusters = {k: int(k) // 3 for k in base}
    assert compare_paired(yes, more, better="higher", clusters=clusters).p < 1e-6
