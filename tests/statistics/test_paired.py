"""Paired tests by hand, against published values and scipy, and by their properties."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import ndtr
from scipy.stats import binomtest

from spavl.statistics import compare_paired, mcnemar_exact, noninferior, noninferiority, sign_flip_exact, tango
from spavl.statistics.paired import worst_change
from spavl.statistics.paired_scores import weighted_difference

changes = st.tuples(st.integers(0, 200), st.integers(0, 200), st.integers(0, 400))


def test_mcnemar_by_hand():
    # 3 fixed, 0 broken: 2 · (1/2)³. The paper's "0.00 against 1.13 % HarmEval" is three items, and no finding.
    assert mcnemar_exact(3, 0) == pytest.approx(0.25)
    # 1 and 7: 2 · (C(8,0) + C(8,1)) / 2⁸ = 18/256
    assert mcnemar_exact(1, 7) == pytest.approx(18 / 256)
    assert mcnemar_exact(0, 0) == 1.0


@given(st.integers(0, 300), st.integers(0, 300))
def test_mcnemar_is_the_two_sided_sign_test(fixed, broken):
    theirs = binomtest(fixed, fixed + broken).pvalue if fixed + broken else 1.0
    assert mcnemar_exact(fixed, broken) == pytest.approx(theirs, rel=1e-9)
    assert mcnemar_exact(fixed, broken) == mcnemar_exact(broken, fixed)


def test_tango_gives_the_published_interval():
    """Airway reactivity before and after transplantation, 21 children, 1 against 7 changes: (−0.517, −0.026).

    Fagerland, Lydersen & Laake 2014, Statistics in Medicine 33:2850–2875, table of intervals, row Tango.
    """
    low, high = tango(1, 7, 21)
    assert (round(low, 3), round(high, 3)) == (-0.517, -0.026)


@given(changes)
def test_tango_holds_the_estimate_and_mirrors_itself(counts):
    up, down, same = counts
    n = up + down + same
    low, high = tango(up, down, n)
    assert -1 <= low <= high <= 1
    if n:
        assert low - 1e-9 <= (up - down) / n <= high + 1e-9
    mirrored = tango(down, up, n)
    assert mirrored == pytest.approx((-high, -low), abs=1e-7)


def test_no_change_at_all_still_has_a_width():
    low, high = tango(0, 0, 100)
    assert high == pytest.approx(-low, abs=1e-9)
    assert high == pytest.approx(3.841459 / (100 + 3.841459), abs=1e-6)  # Wilson's bound of 0 of 100


@given(changes)
def test_the_interval_and_the_noninferiority_test_are_one_method(counts):
    up, down, same = counts
    n = up + down + same
    low, _ = tango(up, down, n)
    if n and -0.99 < low < -0.01:
        assert noninferiority(up, down, n, margin=-low) == pytest.approx(0.025, abs=1e-6)


def test_noninferiority_needs_enough_items():
    assert noninferiority(0, 0, 50, margin=0.02) > 0.05  # "no difference" on 50 items shows little
    assert noninferiority(0, 0, 500, margin=0.02) < 0.01
    assert noninferiority(0, 30, 500, margin=0.02) > 0.9
    assert noninferiority(0, 0, 0, margin=0.02) == 1.0


def test_impossible_counts_are_refused():
    with pytest.raises(ValueError, match="do not fit"):
        tango(3, 3, 5)
    with pytest.raises(ValueError, match="between 0 and 1"):
        noninferiority(1, 1, 5, margin=2)


def test_fixed_means_an_improvement_in_either_direction():
    base = {"a": True, "b": True, "c": False, "d": False}
    aligned = {"a": False, "b": True, "c": True, "d": False, "unpaired": True}
    assert compare_paired({**base, "e": True}, {**aligned, "e": False}, better="lower").fixed == 2
    higher = compare_paired({**base, "e": True}, {**aligned, "e": False}, better="higher")
    assert (higher.fixed, higher.broken, higher.n) == (1, 2, 5)
    assert higher.difference == pytest.approx(-0.2)


pairs = st.lists(st.tuples(st.sampled_from([True, False, None]), st.sampled_from([True, False, None])), max_size=40)


@given(pairs, st.data())
def test_bounds_and_p_hold_whatever_the_unread_verdicts_would_have_been(rows, data):
    base = {str(i): b for i, (b, _) in enumerate(rows)}
    aligned = {str(i): a for i, (_, a) in enumerate(rows)}
    cautious = compare_paired(base, aligned, better="lower")
    resolve = {k: data.draw(st.booleans()) for k in ("base", "aligned")}
    full = compare_paired(
        {k: resolve["base"] if v is None else v for k, v in base.items()},
        {k: resolve["aligned"] if v is None else v for k, v in aligned.items()},
        better="lower",
    )
    assert cautious.low <= full.low + 1e-9 and full.high <= cautious.high + 1e-9
    assert cautious.p >= full.p - 1e-12


def test_a_judge_that_fails_on_the_aligned_model_cannot_make_the_change_more_certain():
    base = {str(i): True for i in range(20)}
    good = compare_paired(base, dict.fromkeys(base, False), better="lower")
    half = compare_paired(base, {k: (None if int(k) % 2 else False) for k in base}, better="lower")
    assert good.p < 1e-5 and (good.fixed, good.broken) == (20, 0)
    assert half.fixed == 10 and half.unreadable == 10 and half.p == 1.0


def test_sign_flip_by_hand():
    # nets 2 and 1: sums ±3, ±1, each with weight 1/4; 3 is reached by two of four
    assert sign_flip_exact([2, 1]) == pytest.approx(0.5)
    # nets 3 and −1 (sum 2): |±3 ± 1| ≥ 2 always
    assert sign_flip_exact([3, -1]) == pytest.approx(1.0)
    assert sign_flip_exact([]) == 1.0


@given(st.integers(0, 60), st.integers(0, 60))
def test_clusters_of_one_item_give_mcnemar(fixed, broken):
    assert sign_flip_exact([1] * fixed + [-1] * broken) == pytest.approx(mcnemar_exact(fixed, broken), abs=1e-12)


@given(st.lists(st.integers(-4, 4), max_size=10))
def test_sign_flip_agrees_with_counting_every_pattern(nets):
    sums = [sum(s * n for s, n in zip(signs, nets, strict=True)) for signs in product((1, -1), repeat=len(nets))]
    expected = sum(abs(s) >= abs(sum(nets)) for s in sums) / len(sums)
    assert sign_flip_exact(nets) == pytest.approx(expected)


def test_six_copies_of_an_item_prove_no_more_than_one():
    base = {f"{picture}/{n}": True for picture in range(5) for n in range(6)}
    aligned = dict.fromkeys(base, False)
    shared = compare_paired(base, aligned, better="lower", clusters={item: item.split("/")[0] for item in base})
    alone = compare_paired(base, aligned, better="lower")
    assert (shared.fixed, shared.broken) == (alone.fixed, alone.broken) == (30, 0)
    assert shared.p == pytest.approx(2 / 2**5) and alone.p == pytest.approx(2 / 2**30)
    assert shared.high > alone.high


@given(pairs, st.booleans(), st.integers(1, 4))
def test_the_bound_of_a_change_for_the_worse_is_that_of_the_comparison(rows, rising, size):
    base = {str(i): b for i, (b, _) in enumerate(rows)}
    aligned = {str(i): a for i, (_, a) in enumerate(rows)}
    clusters = {item: int(item) // size for item in base}
    compared = compare_paired(base, aligned, better="lower", clusters=clusters)
    bound = worst_change(base, aligned, rising=rising, clusters=clusters, level=0.975)
    assert bound == pytest.approx(compared.high if rising else -compared.low)


def test_the_bound_of_graded_scores_is_that_of_the_comparison():
    base = {str(i): i / 40 for i in range(40)}
    aligned = {k: None if k == "7" else min(1.0, v + 0.1 * (int(k) % 3)) for k, v in base.items()}
    compared = compare_paired(base, aligned, better="higher")
    for rising, bound in ((True, compared.high), (False, -compared.low)):
        assert worst_change(base, aligned, rising=rising, level=0.975) == pytest.approx(bound)


@pytest.mark.parametrize("moved", [5, 300, 5000])
def test_the_sign_flip_test_of_scores_is_near_the_exact_one_however_it_is_computed(moved):
    """All patterns, random ones, or the normal distribution: equal changes are McNemar's."""
    up = moved // 2 + max(2, int(moved**0.5) // 2)
    pairs = [(0.25, 0.75)] * up + [(0.75, 0.25)] * (moved - up)
    p = weighted_difference(pairs, [(1, 1)] * moved, range(moved), 0.95)[3]
    assert p == pytest.approx(mcnemar_exact(up, moved - up), abs=0.02)


def test_very_many_clusters_of_several_sizes_are_tested_by_the_normal_distribution():
    nets = [1, -1, 2, -2, 3, -3] * 5000 + [1] * 600
    few = [1, -1, 2, -2, 3, -3] * 200 + [1] * 24
    for sizes in (nets, few):
        expected = 2 * ndtr(-(sum(sizes) - 0.5) / sum(size * size for size in sizes) ** 0.5)
        assert sign_flip_exact(sizes) == pytest.approx(expected, rel=0.02)


@pytest.mark.parametrize("n", [2, 3, 30])
@pytest.mark.parametrize("weights", [{}, {0: 2.0}])
def test_few_scores_that_all_stayed_do_not_show_that_nothing_changes(n: int, weights: dict[int, float]) -> None:
    said: dict[Any, float | None] = dict.fromkeys(range(n), 0.5)
    counted: dict[Any, float] = {place: weights.get(place, 1.0) for place in range(n)} if weights else {}
    pair = compare_paired(said, dict(said), better="higher", weights=(counted, counted))
    assert pair.difference == 0 and pair.low <= -1 / n and pair.high >= 1 / n
    kept = noninferior(said, dict(said), better="higher", margin=0.01, weights=(counted, counted), level=0.975)
    assert not kept.holds and kept.p > 0.025


def test_an_item_without_weight_is_neither_fixed_nor_broken() -> None:
    before: dict[Any, float | None] = dict.fromkeys(range(10), False)
    after: dict[Any, float | None] = {item: item < 5 for item in before}
    weights: dict[Any, float] = {item: float(item >= 4) for item in before}
    pair = compare_paired(before, after, better="higher", weights=(weights, weights))
    assert (pair.fixed, pair.broken) == (1, 0) and pair.difference == pytest.approx(1 / 6)
