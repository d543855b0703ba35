"""Alarms: they ring by the bound of an interval, corrected together, on the side of their limit alone."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spavl.statistics.alarm import Alarm, difference_of, p_beyond, rung
from spavl.statistics.intervals import rate_of, wilson
from spavl.statistics.margins import NOTHING, share_of_mean, symmetric_correlation

QUIET = Alarm(name="one", subject="dpo", what="w", try_="t", value=0.02, low=0.01, high=0.03, limit=0.05)


def of_rate(true: int, n: int, limit: float, *, below: bool = False) -> Alarm:
    """The alarm of a plain share."""
    found = rate_of(true, n)
    return replace(QUIET, value=found.value, low=found.low, high=found.high, limit=limit, below=below)


@given(st.integers(0, 200), st.integers(1, 200), st.floats(0.01, 0.99), st.booleans())
def test_alone_an_alarm_rings_where_its_bound_is_beyond_the_limit_and_nowhere_else(true, n, limit, below):
    alarm = of_rate(min(true, n), n, limit, below=below)
    bound_beyond = alarm.high < limit if below else alarm.low > limit
    (found,) = rung([alarm])
    assert found.rings == bound_beyond or math.isclose(alarm.high if below else alarm.low, limit, rel_tol=1e-9)


def test_what_could_not_be_measured_never_rings_and_a_count_without_width_decides_alone():
    assert not rung([replace(QUIET, value=None, low=0.9)])[0].rings
    assert rung([replace(QUIET, value=0.2, low=0.2, high=0.2)])[0].rings
    assert p_beyond(replace(QUIET, value=0.05, low=0.05, high=0.05)) == 1.0


def test_looked_at_beside_many_others_an_alarm_needs_more_evidence():
    close = of_rate(22, 200, 0.07)
    assert rung([close])[0].rings
    assert not rung([close, *[QUIET] * 30])[0].rings
    sure = of_rate(60, 200, 0.07)
    assert [one.rings for one in rung([sure, *[QUIET] * 30])] == [True, *[False] * 30]


def test_a_report_of_twenty_rates_at_their_limits_rings_in_one_of_twenty_at_most():
    random = np.random.default_rng(5)
    rang = 0
    for _ in range(400):
        rang += any(one.rings for one in rung([of_rate(int(k), 300, 0.1) for k in random.binomial(300, 0.1, 20)]))
    assert rang / 400 <= 0.08


def test_the_difference_of_two_rates_has_newcombes_interval():
    one, other = (56, 70), (48, 80)  # his example: 0.2 with 0.0524 to 0.3339
    found = difference_of(*((k / n, *wilson(k, n)) for k, n in (one, other)))
    assert found == pytest.approx((0.2, 0.0524, 0.3339), abs=5e-5)


def test_the_interval_of_a_share_of_the_margin_holds_the_truth_where_pairs_share_pictures():
    random, held = np.random.default_rng(3), 0
    for _ in range(300):
        of_picture = np.repeat(random.normal(0, 0.4, 40), 3)
        whole = 1 + of_picture + random.normal(0, 0.5, 120)
        part = 0.3 * whole + random.normal(0, 0.2, 120)
        value, low, high = share_of_mean(part, whole, np.repeat(np.arange(40), 3).tolist())
        held += low <= 0.3 <= high
        assert value is not None
    assert held / 300 >= 0.92


def test_a_share_of_a_margin_that_is_not_above_zero_is_not_told():
    assert share_of_mean([0.1, -0.1, 0.2], [0.5, -0.6, 0.1], ["a", "b", "c"]) == NOTHING
    assert share_of_mean([1.0], [1.0], ["a"]) == NOTHING


@given(st.lists(st.tuples(st.floats(-5, 5), st.integers(-9, 9)), min_size=5, max_size=30))
def test_which_answer_is_called_the_first_changes_no_correlation(pairs):
    margins, lengths = [m for m, _ in pairs], [float(d) for _, d in pairs]
    clusters = list(range(len(pairs)))
    signs = [1 if place % 2 else -1 for place in clusters]
    turned = symmetric_correlation([s * m for s, m in zip(signs, margins, strict=True)],
                                   [s * d for s, d in zip(signs, lengths, strict=True)], clusters)  # fmt: skip
    assert turned == pytest.approx(symmetric_correlation(margins, lengths, clusters), nan_ok=True)


def test_pairs_whose_chosen_answer_is_always_longer_correlate_though_the_usual_correlation_is_zero():
    random = np.random.default_rng(1)
    lengths, margins = random.uniform(3, 9, 100), random.uniform(1, 2, 100)
    assert abs(np.corrcoef(margins, lengths)[0, 1]) < 0.2
    value, low, _ = symmetric_correlation(margins, lengths, list(range(100)))
    assert value is not None and value > 0.7 and low > 0.6
    balanced = lengths * random.choice([-1, 1], 100)
    value, low, high = symmetric_correlation(margins, balanced, list(range(100)))
    assert low < 0 < high
