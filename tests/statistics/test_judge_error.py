"""Rates corrected for a judge that errs: truescore as an oracle, refusals, unread verdicts, coverage."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import fisher_exact
from truescore import gold_only_estimate, ppi_estimate, rogan_gladen_estimate

from spavl.statistics import Calibration, prediction_powered, rogan_gladen
from spavl.statistics.judge_error import _fisher, not_drawn_at_random

GOOD = Calibration(180, 200, 190, 200)


def test_the_corrected_rate_by_hand():
    # (0.12 + 0.95 − 1) / (0.9 + 0.95 − 1)
    assert rogan_gladen(120, 1000, GOOD).value == pytest.approx(0.07 / 0.85)


@settings(max_examples=30)
@given(st.integers(400, 600), st.integers(160, 199), st.integers(160, 199))
def test_the_estimate_is_truescore_s_and_the_interval_near_its_delta_method(judged, caught, cleared):
    judge = [1] * caught + [0] * (200 - caught) + [0] * cleared + [1] * (200 - cleared)
    rest = [1] * judged + [0] * (1000 - judged)
    theirs = rogan_gladen_estimate(np.array(judge + rest), np.array([1] * 200 + [0] * 200), np.arange(400))
    ours = rogan_gladen(sum(judge) + judged, 1400, Calibration(caught, 200, cleared, 200))
    assert ours.value == pytest.approx(theirs.point, abs=1e-12)
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=0.03)


def test_a_judge_near_guessing_corrects_nothing_and_says_so():
    for calibration in (Calibration(60, 100, 55, 100), Calibration(0, 0, 90, 100)):
        found = rogan_gladen(100, 1000, calibration)
        assert found.value is None and (found.low, found.high) == (0.0, 1.0) and found.refusal


def test_labels_and_verdicts_are_counted_and_an_unread_verdict_is_an_error():
    seen = [(True, True), (True, False), (True, None), (False, False), (False, True), (False, None)]
    assert Calibration.of(seen) == Calibration(1, 3, 1, 3)


def test_impossible_counts_are_refused():
    with pytest.raises(ValueError, match="no counts"):
        Calibration(5, 4, 1, 1)
    with pytest.raises(ValueError, match="do not fit"):
        rogan_gladen(5, 6, GOOD, unread=2)


@given(st.integers(0, 500), st.integers(0, 100), st.data())
def test_bounds_hold_whatever_the_unread_verdicts_would_have_been(judged, unread, data):
    found = rogan_gladen(judged, 600, GOOD, unread=unread)
    resolved = rogan_gladen(judged + data.draw(st.integers(0, unread)), 600, GOOD)
    assert found.low <= resolved.low + 1e-12 and resolved.high <= found.high + 1e-12


def test_a_judge_that_reads_nothing_gives_no_estimate():
    found = rogan_gladen(0, 100, GOOD, unread=100)
    assert found.value is None and found.high == 1.0


def test_prediction_powered_is_near_truescore_s_and_uses_the_judge():
    random = np.random.default_rng(2)
    truth = random.random(2000) < 0.3
    said = (random.random(2000) < np.where(truth, 0.9, 0.05)).astype(float)
    theirs = ppi_estimate(said, truth[:300].astype(float), np.arange(300))
    ours = prediction_powered(said.tolist(), [*truth[:300].tolist(), *[None] * 1700])
    assert ours.value == pytest.approx(theirs.point, abs=0.004)
    assert ours.high - ours.low == pytest.approx(theirs.high - theirs.low, rel=0.12)
    alone = gold_only_estimate(truth[:300].astype(float))
    assert ours.high - ours.low < 0.8 * (alone.high - alone.low)


def test_a_useless_judge_leaves_the_labels_alone():
    random = np.random.default_rng(3)
    truth = random.random(400) < 0.2
    found = prediction_powered([True] * 1000, [*truth.tolist(), *[None] * 600])
    assert found.value == pytest.approx(truth.mean())


@pytest.mark.parametrize("size", [1, 5])
def test_prediction_powered_covers_with_and_without_clusters(size: int):
    """More settings and draws: `bench/evaluating/statistics.py`."""
    random, covered, groups = np.random.default_rng(8), 0, 600 // size
    for _ in range(800):
        own = np.repeat(random.beta(0.8, 3.2, groups), size)
        truth = random.random(600) < own
        said = random.random(600) < np.where(truth, 0.85, 0.1)
        labels = [*truth[:200].tolist(), *[None] * 400]
        found = prediction_powered(said.tolist(), labels, np.repeat(np.arange(groups), size).tolist())
        covered += found.low <= 0.2 <= found.high
    assert 0.93 <= covered / 800 <= 0.98


def test_without_labels_nothing_is_corrected():
    assert prediction_powered([True, False], [None, None]).refusal == "no item is labelled"


def test_an_unread_verdict_widens_the_prediction_powered_bounds():
    said, labels = [True, False] * 50, [True, False] * 20 + [None] * 60
    unread = [*said[:60], *[None] * 40]
    before, after = prediction_powered(said, labels), prediction_powered(unread, labels)
    assert after.low <= before.low and after.high >= before.high


def test_labels_that_follow_the_verdicts_are_no_random_part_and_random_ones_are():
    verdicts = [True] * 50 + [False] * 50
    said = not_drawn_at_random(verdicts, [None] * 50 + [False] * 30 + [None] * 20, range(100))
    assert "calls unsafe 0% of the labelled answers and 71% of the others" in said
    assert not_drawn_at_random(verdicts, [True] * 50 + [False] * 50, range(100)) == "", "all are labelled"
    assert not_drawn_at_random(verdicts, [None] * 50 + [False] * 4 + [None] * 46, range(100)) == "", "too few to tell"
    unread = [None] * 30 + [False] * 170
    assert "leaves unread 100%" in not_drawn_at_random(unread, [True] * 30 + [None] * 170, range(200))
    two = [place // 50 for place in range(100)]
    assert not_drawn_at_random(verdicts, [None] * 50 + [False] * 50, two) == "", "two clusters show nothing"
    random = np.random.default_rng(3)
    drawn = [[False if one < 0.3 else None for one in random.random(100)] for _ in range(300)]
    assert sum(bool(not_drawn_at_random(verdicts, labels, range(100))) for labels in drawn) <= 2


@given(st.integers(0, 30), st.integers(0, 30), st.integers(0, 30), st.integers(0, 30))
def test_the_exact_test_is_scipy_s(ours: int, rest: int, clear: int, others: int):
    expected = fisher_exact([[ours, rest], [clear, others]]).pvalue
    assert _fisher(ours, ours + rest, ours + clear, ours + rest + clear + others) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(("true", "labels"), [(0.05, 5), (0.05, 20), (0.1, 10), (0.3, 4), (0.3, 15)])
def test_few_labels_that_show_no_error_of_the_judge_do_not_make_it_sure(true: float, labels: int) -> None:
    random, held = np.random.default_rng(11), 0
    for _ in range(300):
        unsafe = random.random(400) < true
        said = np.where(unsafe, random.random(400) < 0.8, random.random(400) >= 0.9)
        given = [*map(float, unsafe[:labels]), *[None] * (400 - labels)]
        found = prediction_powered(said.tolist(), given)
        held += found.low <= true <= found.high
    assert held >= 0.93 * 300, f"{held} of 300 intervals hold"


def test_few_labels_never_turn_the_bounds_around_nor_divide_by_nothing() -> None:
    for unsafe, safe in itertools.product(range(1, 9), repeat=2):
        for caught, cleared in itertools.product(range(unsafe + 1), range(safe + 1)):
            found = rogan_gladen(3, 10, Calibration(caught, unsafe, cleared, safe))
            assert found.refusal or (found.value is not None and found.low <= found.value <= found.high)
