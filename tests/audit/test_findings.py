"""Which findings are faults: limits of all kinds are tested together, and what is left out is no fault."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from scipy.stats import binomtest

from spavl.audit.finding import Finding, p_of, weighed
from spavl.config import AuditLimits
from spavl.statistics.intervals import Rate, clustered_rate, clustered_rate_of, rate_of


def finding(rate: Rate | None, limit: float | None = 0.1, **more: object) -> Finding:
    """A finding of a share."""
    return Finding(kind="kind", what="what", try_="do this", rate=rate, limit=limit, **more)


@given(st.integers(1, 60), st.integers(60, 400), st.floats(0.01, 0.9))
def test_the_p_value_of_independent_items_is_that_of_an_exact_binomial_test(hits: int, n: int, limit: float) -> None:
    ours = p_of(finding(rate_of(hits, n), limit))
    exact = binomtest(hits, n, limit, alternative="greater").pvalue
    assert ours == pytest.approx(min(1.0, 2 * exact) if hits / n > limit else 1.0, rel=1e-6)


@given(st.integers(0, 100), st.floats(0.01, 0.99))
def test_a_share_below_its_limit_is_one_of_the_others_above_it(hits: int, limit: float) -> None:
    below = p_of(finding(rate_of(hits, 100), limit, below=True))
    assert below == pytest.approx(p_of(finding(rate_of(100 - hits, 100), 1 - limit)), rel=1e-6)


def test_pairs_that_share_pictures_are_fewer_in_the_test_too() -> None:
    outcomes = [cluster < 6 for cluster in range(40) for _ in range(10)]
    alike = clustered_rate(outcomes, [cluster for cluster in range(40) for _ in range(10)])
    assert p_of(finding(alike, 0.1)) > 0.3 > 0.01 > p_of(finding(rate_of(60, 400), 0.1))


def test_a_count_without_an_interval_decides_alone_and_unread_verdicts_count_for_the_limit() -> None:
    assert p_of(finding(Rate(0.2, 0.2, 0.2, 50))) == 0.0 and p_of(finding(Rate(0.1, 0.1, 0.1, 50))) == 1.0
    read, unread = rate_of(30, 60), rate_of(30, 120, 60)
    assert read.value == unread.value and p_of(finding(read, 0.3)) < 0.05 < p_of(finding(unread, 0.3))
    assert p_of(finding(Rate(None, 0.0, 1.0, 5, 5))) == 1.0


def test_what_is_barely_beyond_its_limit_is_a_fault_alone_and_none_among_many() -> None:
    barely = finding(rate_of(19, 100), 0.1)
    assert weighed([barely])[0].weight == "fault"
    among = weighed([barely, *(finding(rate_of(10, 100)) for _ in range(40))])
    assert among[0].weight == "note" and among[0].p is not None and among[0].p > 0.05 and among[0].try_ == ""
    assert weighed([finding(rate_of(90, 100)), *(finding(rate_of(10, 100)) for _ in range(40))])[0].weight == "fault"


def test_of_a_group_only_faults_are_told_and_what_has_no_limit_is_never_one() -> None:
    high, low = rate_of(90, 100), rate_of(1, 100)
    found = weighed([finding(high, grouped=True), finding(low, grouped=True), finding(high, None), finding(None)])
    assert [one.weight for one in found] == ["fault", "note", "note"] and found[1].p is None


def test_data_at_their_limits_raise_a_fault_in_few_audits() -> None:
    """Two hundred audits of thirty checks, each with its true share at the limit: at most 2.5 % raise any."""
    random = np.random.default_rng(11)
    raised = sum(
        any(one.weight == "fault" for one in weighed([finding(rate_of(int(k), 300)) for k in counts]))
        for counts in random.binomial(300, 0.1, size=(200, 30))
    )
    assert raised <= 11, "more than that would be chance in 1 % of runs at 2.5 %"


@given(st.lists(st.tuples(st.integers(1, 5), st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=40))
@example([(2, 0, 0), (4, 0, 2), (1, 0, 1)])  # a design effect of exactly 1
def test_a_rate_from_counts_is_that_of_the_items(clusters: list[tuple[int, int, int]]) -> None:
    counts = [(size, min(size, true), min(size - min(size, true), unread), 1) for size, true, unread in clusters]
    outcomes = [one for size, true, unread, _ in counts
                for one in [True] * true + [None] * unread + [False] * (size - true - unread)]  # fmt: skip
    groups = [place for place, (size, *_) in enumerate(counts) for _ in range(size)]
    ours, theirs = clustered_rate_of(counts), clustered_rate(outcomes, groups)
    assert (ours.value, ours.n, ours.unreadable) == (theirs.value, theirs.n, theirs.unreadable)
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=1e-9)


def test_every_kind_with_a_limit_has_a_setting_and_its_default() -> None:
    limits = AuditLimits()
    assert limits.of("contradictions") == 0.005 and limits.of("safe_rejected") is None
    assert AuditLimits(unsafe_chosen=None).of("unsafe_chosen") is None
    with pytest.raises(KeyError):
        limits.of("nonsense")
