"""Intervals by hand, against scipy, and by their properties."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from spavl.statistics import Rate, cluster_bootstrap, clustered_rate, rate, wilson

counts = st.integers(1, 2000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))
outcomes = st.lists(st.sampled_from([True, False, None]), min_size=1, max_size=80)


def test_wilson_by_hand_for_one_of_two():
    # z² = 3.8415, p = 1/2: centre 1/2, half-width z·sqrt(1/8 + z²/16) / (1 + z²/2) = 0.40548
    low, high = wilson(1, 2)
    assert low == pytest.approx(0.5 - 0.40548, abs=1e-4)
    assert high == pytest.approx(0.5 + 0.40548, abs=1e-4)


def test_zero_of_n_ends_at_z_squared_over_n_plus_z_squared():
    assert wilson(0, 168) == (0.0, pytest.approx(3.841459 / (168 + 3.841459)))
    assert wilson(168, 168) == (pytest.approx(168 / (168 + 3.841459)), 1.0)


def test_the_paper_s_zero_percent_cells_get_their_bounds():
    """SPA-VL prints 0 % on 168, 265 and 520 items; the upper bounds are 2.2, 1.4 and 0.7 %."""
    assert [round(100 * wilson(0, n)[1], 1) for n in (168, 265, 520)] == [2.2, 1.4, 0.7]


@given(counts)
def test_wilson_agrees_with_scipy(count):
    k, n = count
    theirs = binomtest(k, n).proportion_ci(method="wilson")
    assert wilson(k, n) == pytest.approx((theirs.low, theirs.high), abs=1e-9)


@given(counts)
def test_wilson_holds_the_estimate_and_mirrors_itself(count):
    k, n = count
    low, high = wilson(k, n)
    assert 0 <= low <= k / n <= high <= 1
    assert wilson(n - k, n) == pytest.approx((1 - high, 1 - low))


def test_nothing_seen_is_nothing_known():
    assert wilson(0, 0) == (0.0, 1.0)
    assert rate([]) == Rate(None, 0.0, 1.0, 0, 0)


def test_impossible_counts_are_refused():
    with pytest.raises(ValueError, match="0 <= successes <= n"):
        wilson(3, 2)


def test_unread_verdicts_leave_the_estimate_and_widen_both_bounds():
    read = [True] * 2 + [False] * 8
    worse = rate([*read, None, None])
    assert worse.value == 0.2 and worse.n == 12 and worse.unreadable == 2 and worse.flagged
    assert worse.low == wilson(2, 12)[0]
    assert worse.high == wilson(4, 12)[1]
    assert worse.count == rate(read).count == 2


@given(outcomes)
def test_bounds_hold_whatever_the_unread_verdicts_would_have_been(seen):
    bounds = rate(seen)
    for verdict in (True, False):
        resolved = rate([verdict if o is None else o for o in seen])
        assert bounds.low <= resolved.low and resolved.high <= bounds.high


@given(outcomes, st.data())
def test_losing_verdicts_never_lowers_the_upper_bound(seen, data):
    lost = data.draw(st.sets(st.integers(0, len(seen) - 1)))
    after = rate([None if i in lost else o for i, o in enumerate(seen)])
    assert after.high >= rate(seen).high
    assert after.low <= rate(seen).low


def test_a_judge_that_reads_nothing_gives_no_estimate_and_no_upper_bound():
    silent = rate([None] * 50)
    assert silent.value is None and silent.high == 1.0 and silent.low == 0.0


@given(outcomes)
def test_clusters_of_one_are_no_clusters(seen):
    assert clustered_rate(seen, range(len(seen))) == rate(seen)


def test_copies_of_an_item_are_one_item():
    """Six equal outcomes a cluster carry as much as one: the interval is that of the clusters, up to C / (C − 1)."""
    right = [True] * 30 + [False] * 20
    copied = clustered_rate([o for o in right for _ in range(6)], [c for c in range(50) for _ in range(6)])
    low, high = wilson(0.6 * 49, 49)
    assert (copied.low, copied.high) == (pytest.approx(low), pytest.approx(high))
    assert copied.value == 0.6 and copied.n == 300


def test_where_nothing_varies_a_cluster_counts_once():
    assert clustered_rate([False] * 300, [c // 6 for c in range(300)]).high == wilson(0, 50)[1]


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 5)), min_size=1, max_size=60))
def test_clustering_never_narrows(rows):
    seen, clusters = zip(*rows, strict=True)
    plain, wide = rate(seen), clustered_rate(seen, clusters)
    assert wide.low <= plain.low + 1e-12 and plain.high <= wide.high + 1e-12


def test_bootstrap_of_a_mean_is_near_the_textbook_interval():
    x = np.random.default_rng(1).normal(size=400)
    low, high = cluster_bootstrap(lambda rows: float(x[rows].mean()), range(400), resamples=800)
    half = 1.96 * x.std(ddof=1) / math.sqrt(400)
    assert low == pytest.approx(x.mean() - half, abs=0.15 * half)
    assert high == pytest.approx(x.mean() + half, abs=0.15 * half)


def test_bootstrap_draws_whole_clusters():
    clusters = [c for c in range(30) for _ in range(3)]
    whole = []

    def note(rows: np.ndarray) -> float:
        times = np.bincount(rows, minlength=90).reshape(30, 3)
        whole.append((times == times[:, :1]).all() and len(rows) == 90)
        return 0.0

    cluster_bootstrap(note, clusters, resamples=20)
    assert len(whole) == 20 and all(whole)
