"""Rates and differences over seeds and items: what their intervals carry, and that they hold."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import t as student

from spavl.statistics.intervals import clustered_rate
from spavl.statistics.over_seeds import (
    Variances,
    crossed,
    difference_table,
    pooled,
    pooled_difference,
    pooled_table,
    variances_of,
)
from spavl.statistics.paired import compare_paired


def runs(table: np.ndarray) -> list[dict[str, float | None]]:
    """By seed, outcomes by item id; NaN is unread."""
    return [{str(n): None if np.isnan(v) else float(v) for n, v in enumerate(row)} for row in np.asarray(table, float)]


def drawn(random: np.random.Generator, rate: float, seeds: int, items: int, spread: float = 0.0) -> np.ndarray:
    """Outcomes of seeds whose rates differ with a standard deviation."""
    rates = np.clip(rate + spread * random.standard_normal((seeds, 1)), 0, 1)
    return (random.random((seeds, items)) < rates).astype(float)


def test_one_seed_is_the_rate_over_items_and_one_pair_the_paired_comparison() -> None:
    random = np.random.default_rng(1)
    first, second = runs(drawn(random, 0.3, 1, 90)), runs(drawn(random, 0.2, 1, 90))
    clusters = {str(n): n // 3 for n in range(90)}
    one = pooled(first, clusters)
    alone = clustered_rate([bool(v) for v in first[0].values()], [clusters[i] for i in first[0]])
    assert (one.value, one.low, one.high, one.between_seeds) == (alone.value, alone.low, alone.high, None)
    both = pooled_difference(first, second, clusters)
    paired = compare_paired(first[0], second[0], better="lower", clusters=clusters)
    assert (both.difference, both.low, both.high, both.p) == (paired.difference, paired.low, paired.high, paired.p)


def test_no_failure_at_all_still_has_an_upper_bound_that_more_seeds_do_not_shrink_below_the_items() -> None:
    for seeds in (2, 3, 5):
        none = pooled(runs(np.zeros((seeds, 265))), {})
        assert none.value == 0 and none.low == 0 and none.high == pytest.approx(1.96**2 / (265 + 1.96**2), rel=1e-3)
        every = pooled(runs(np.ones((seeds, 265))), {})
        assert every.high == 1 and every.low == pytest.approx(1 - none.high)


def test_seeds_that_differ_widen_the_interval_to_that_of_the_t_distribution() -> None:
    """With 4,000 items chance of the items is next to nothing: what is left is a mean of three numbers."""
    table = np.zeros((3, 4000))
    for row, share in zip(table, (0.2, 0.3, 0.4), strict=True):
        row[: round(4000 * share)] = 1
    found = pooled(runs(np.stack([np.random.default_rng(n).permutation(row) for n, row in enumerate(table)])), {})
    half = student.ppf(0.975, 2) * 0.1 / np.sqrt(3)
    assert found.between_seeds == pytest.approx(0.1, abs=0.005) and found.value == pytest.approx(0.3)
    assert found.high - found.low == pytest.approx(2 * half, rel=0.2)


def test_the_variance_between_seeds_is_what_least_squares_with_both_effects_says() -> None:
    random = np.random.default_rng(3)
    table = random.normal(size=(4, 30)) + random.normal(size=(4, 1)) + random.normal(size=(1, 30))
    seed, item = np.repeat(np.eye(4), 30, axis=0), np.tile(np.eye(30), (4, 1))
    squares = [rest(design, table) for design in (np.hstack([seed, item]), item)]
    found = crossed(table, np.arange(30), 0.95)
    assert found.residual == pytest.approx(squares[0] / (3 * 29) / 120)
    assert found.seeds == pytest.approx((squares[1] - squares[0]) / 3 / 120)


def rest(design: np.ndarray, table: np.ndarray) -> float:
    """Sum of squares that a design of less than full rank leaves."""
    fitted = design @ np.linalg.lstsq(design, table.ravel(), rcond=None)[0]
    return float(((table.ravel() - fitted) ** 2).sum())


@settings(max_examples=40)
@given(
    st.lists(st.lists(st.sampled_from([0.0, 1.0, None]), min_size=6, max_size=6), min_size=2, max_size=4),
    st.integers(1, 3),
)
def test_bounds_hold_whatever_the_unread_verdicts_would_have_been(rows: list[list[float | None]], size: int) -> None:
    clusters = {str(n): n // size for n in range(6)}
    table = [dict(zip(map(str, range(6)), row, strict=True)) for row in rows]
    found = pooled(table, clusters)
    assert 0 <= found.low <= found.high <= 1 and found.unreadable == sum(v is None for row in rows for v in row)
    for fill in (0.0, 1.0):
        whole = pooled([{i: fill if v is None else v for i, v in row.items()} for row in table], clusters)
        assert found.low <= whole.low + 1e-9 and whole.high <= found.high + 1e-9
    other = pooled_difference(table, table[::-1], clusters)
    assert -1 <= other.low <= other.high <= 1 and 0 <= other.p <= 1


def test_unread_pairs_count_against_a_difference() -> None:
    random = np.random.default_rng(4)
    first, second = drawn(random, 0.6, 3, 200), drawn(random, 0.3, 3, 200)
    whole = pooled_difference(runs(first), runs(second), {})
    second[:, :20] = np.nan
    holed = pooled_difference(runs(first), runs(second), {})
    assert whole.p < holed.p and whole.high < holed.high and holed.unreadable == 60
    second[:, :] = np.nan
    nothing = pooled_difference(runs(first), runs(second), {})
    assert nothing.difference is None and (nothing.low, nothing.high, nothing.p) == (-1.0, 1.0, 1.0)


def test_items_of_one_picture_are_as_unknown_with_several_seeds_as_with_one() -> None:
    """All items are of one cluster, so that nothing tells how they go together; seeds do not tell it either."""
    rows = np.tile(np.arange(100) % 4 == 0, (3, 1)).astype(float)
    clusters = {str(n): "picture" for n in range(100)}
    one, three = pooled(runs(rows[:1]), clusters), pooled(runs(rows), clusters)
    assert (three.low, three.high) == pytest.approx((one.low, one.high), abs=0.01) and three.high - three.low > 0.8
    fewer = runs(np.zeros((3, 100)))
    changed = pooled_difference(fewer, runs(rows), clusters)
    assert changed.p > 0.3 and changed.low < -0.3


@pytest.mark.parametrize("changed", [1, 5, 9, 10])
@pytest.mark.parametrize("seeds", [1, 2, 3])
def test_items_of_one_picture_show_nothing_however_many_change(changed: int, seeds: int) -> None:
    rows = np.tile(np.arange(10) < changed, (seeds, 1)).astype(float)
    found = pooled_difference(runs(np.zeros((seeds, 10))), runs(rows), {str(n): "picture" for n in range(10)})
    assert found.p > 0.3 and found.low < 0 and found.high > 0.9 * changed / 10


@pytest.mark.parametrize("value", [0.1, 0.3, 0.7])
@pytest.mark.parametrize("seeds", [1, 2])
def test_graded_outcomes_of_one_picture_are_one_item(value: float, seeds: int) -> None:
    """Their spread is rounding alone, of either sign."""
    for count in range(1, 12):
        table = np.full((seeds, count), value)
        found = pooled(runs(table), {str(n): "picture" for n in range(count)})
        assert found.value == pytest.approx(value) and found.high - found.low > 0.6


def test_two_arms_without_a_change_do_not_show_that_there_is_none() -> None:
    same = runs(np.zeros((3, 50)))
    found = pooled_difference(same, same, {})
    assert found.difference == 0 and found.low < -0.02 and found.high > 0.02 and found.p == 1.0


def test_items_that_a_seed_lacks_are_left_out_and_what_cannot_be_paired_is_refused() -> None:
    found = pooled([{"a": 1.0, "b": 0.0}, {"a": 1.0}], {})
    assert found.items == 1 and found.value == 1.0
    empty = pooled([{"a": 1.0}, {"b": 1.0}], {})
    assert (empty.value, empty.low, empty.high) == (None, 0.0, 1.0)
    with pytest.raises(ValueError, match="no seed"):
        pooled([], {})
    with pytest.raises(ValueError, match="no pairs"):
        pooled_difference([{"a": 1.0}], [], {})
    with pytest.raises(ValueError, match="no item"):
        variances_of([{"a": 1.0}, {"b": 1.0}], 0.0, {})


def test_the_quantile_is_normal_without_seeds_and_students_without_items() -> None:
    assert Variances(0.04, 0.0, 0.0, 1, 0.0).quantile(0.95) == pytest.approx(1.96 * 0.2, rel=1e-3)
    only = Variances(1e-12, 0.01, 0.0, 4, 1e9)
    assert only.quantile(0.95) == pytest.approx(student.ppf(0.975, 3) * 0.1, rel=0.02)
    assert only.p(only.quantile(0.95)) == pytest.approx(0.05, abs=1e-6)
    assert Variances(0.0, 0.0, 0.0, 3, 0.0).quantile(0.95) == 0


@pytest.mark.parametrize(("seeds", "rate", "spread"), [(2, 0.1, 0.03), (3, 0.3, 0.05), (5, 0.02, 0.0)])
def test_intervals_of_few_seeds_hold_their_level(seeds: int, rate: float, spread: float) -> None:
    random = np.random.default_rng([seeds, 5])
    held = wrong = 0
    for _ in range(150):
        one, two = (drawn(random, rate, seeds, 150, spread) for _ in range(2))
        found = pooled_table(one, np.arange(150))
        held += found.low <= rate <= found.high
        wrong += difference_table(one - two, np.arange(150)).p <= 0.05
    assert held >= 136 and wrong <= 15
