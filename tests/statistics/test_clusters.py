"""Clustered intervals: coverage by simulation, published figures, few clusters."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spavl.statistics import TooFewClusters, cluster_bootstrap, clustered_rate, effective_size, estimate, rate, wilson


def alike(random: np.random.Generator, clusters: int, items: int, correlation: float, share: float) -> list[bool]:
    """Outcomes cluster by cluster, from a beta-binomial."""
    scale = (1 - correlation) / correlation
    own = random.beta(share * scale, (1 - share) * scale, size=(clusters, 1))
    return (random.random((clusters, items)) < own).ravel().tolist()


@pytest.mark.parametrize(("correlation", "share"), [(0.05, 0.3), (0.5, 0.05), (0.5, 0.3)])
def test_thirty_clusters_of_ten_cover_as_they_say(correlation: float, share: float):
    """10,000 simulations of every setting: `bench/evaluating/statistics.py`."""
    random, groups = np.random.default_rng(4), [c for c in range(30) for _ in range(10)]
    found = [clustered_rate(alike(random, 30, 10, correlation, share), groups) for _ in range(1500)]
    assert 0.92 <= np.mean([one.low <= share <= one.high for one in found]) <= 0.98


def test_where_the_naive_interval_covers_as_evaluatellm_publishes_ours_covers_as_theirs():
    """evaluatellm (R) publishes 74.5 % for the naive interval with 30 clusters of 10 and 95.1 % for its clustered one.

    With a correlation of 0.2 the naive one covers about that.
    """
    random, groups = np.random.default_rng(5), [c for c in range(30) for _ in range(10)]
    drawn = [alike(random, 30, 10, 0.2, 0.5) for _ in range(1500)]
    naive, ours = ([f(one) for one in drawn] for f in (rate, lambda one: clustered_rate(one, groups)))
    assert np.mean([one.low <= 0.5 <= one.high for one in naive]) == pytest.approx(0.745, abs=0.04)
    assert np.mean([one.low <= 0.5 <= one.high for one in ours]) == pytest.approx(0.951, abs=0.015)


def test_items_alone_are_worth_themselves_and_copies_are_worth_one():
    values = [True, False, False, True, False] * 10
    assert effective_size(values, range(50), level=0.95) == 50
    copied = effective_size([v for v in values for _ in range(4)], [c for c in range(50) for _ in range(4)], level=0.95)
    assert copied == pytest.approx(49)


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 8)), min_size=2, max_size=80))
def test_an_estimated_design_effect_makes_the_size_smaller_and_never_below_copies(rows):
    values, clusters = zip(*rows, strict=True)
    plain, careful = effective_size(values, clusters), effective_size(values, clusters, level=0.95)
    sizes = np.bincount(clusters)
    assert careful <= plain + 1e-9
    assert careful >= min(plain, len(values) ** 2 / (sizes**2).sum()) - 1e-9


def test_clusters_of_another_type_with_the_same_letters_are_others():
    assert effective_size([1, 0, 1, 0], [1, "1", 2, "2"]) == 4


def test_a_weighted_estimate_of_ones_and_zeros_is_that_of_the_items_that_count():
    outcomes, clusters = [True, False, True, None, False, True], [1, 1, 2, 2, 3, 4]
    weights = [1.0, 0.0, 1.0, 1.0, 1.0, 0.0]
    kept = [i for i, weight in enumerate(weights) if weight]
    expected = clustered_rate([outcomes[i] for i in kept], [clusters[i] for i in kept])
    found = estimate(outcomes, clusters, weights)
    assert (found.value, found.low, found.high) == (expected.value, expected.low, expected.high)


@pytest.mark.parametrize("clusters", [60, 15])
def test_graded_scores_cover_as_they_say(clusters: int):
    random, covered = np.random.default_rng(6), 0
    for _ in range(1500):
        own = random.beta(2, 4, size=(clusters, 1))
        scores = np.clip(own + random.normal(0, 0.05, (clusters, 3)), 0, 1).ravel().tolist()
        found = estimate(scores, [c for c in range(clusters) for _ in range(3)])
        covered += found.low <= 1 / 3 <= found.high
    assert 0.93 <= covered / 1500 <= 0.975


@pytest.mark.parametrize("right", [[True, False], [True, False, True, False, False, True]])
def test_clusters_that_are_alike_by_chance_do_not_make_a_weighted_mean_sure(right: list[bool]):
    outcomes, weights = [*right] * 3, [2.0 if one else 1.0 for one in right] * 3
    found = estimate(outcomes, [c for c in range(3) for _ in right], weights)
    assert found.value == pytest.approx(2 / 3)
    assert found.low < 2 / 3 - 0.08 and found.high > 2 / 3 + 0.08
    same = estimate([0.1] * 9, [c for c in range(3) for _ in range(3)])
    assert same.low < 0.05 and same.high > 0.4


def test_a_bootstrap_over_few_clusters_is_refused():
    with pytest.raises(TooFewClusters, match="29 clusters"):
        cluster_bootstrap(lambda rows: 0.0, range(29))


def test_where_one_cluster_has_all_the_events_the_bound_is_that_of_one_in_so_many_clusters():
    seen = [c == 7 for c in range(50) for _ in range(6)]
    found = clustered_rate(seen, [c for c in range(50) for _ in range(6)])
    assert found.high == pytest.approx(wilson(0.02 * 49, 49)[1], abs=1e-9)
