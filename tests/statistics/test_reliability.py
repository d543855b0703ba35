"""Agreement beyond chance: the values are those of other people's packages, and the intervals hold."""

from __future__ import annotations

import krippendorff
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.inter_rater import cohens_kappa, fleiss_kappa

from spavl.pipeline.agreement import both_orders
from spavl.statistics.agreement import cohen_kappa
from spavl.statistics.estimate import estimate
from spavl.statistics.reliability import disagreement, pair_table, rater_tables, reliability

KINDS = 4
LABELS = st.lists(st.lists(st.integers(0, KINDS - 1), min_size=3, max_size=3), min_size=3, max_size=40)
RAGGED = st.lists(st.lists(st.integers(0, KINDS - 1), min_size=0, max_size=4), min_size=3, max_size=40)


def with_gaps(labels: list[list[int]]) -> np.ndarray:
    """Labels as `krippendorff` takes them: a row a rater, NaN where one is missing."""
    data = np.full((4, len(labels)), np.nan)
    for place, own in enumerate(labels):
        data[: len(own), place] = own
    return data


@pytest.mark.parametrize("scale", ["nominal", "ordinal"])
@given(labels=RAGGED)
def test_alpha_is_that_of_krippendorff_with_raters_missing(scale: str, labels: list[list[int]]) -> None:
    kept = {one for own in labels if len(own) > 1 for one in own}
    found = reliability(rater_tables(labels, KINDS, "alpha"), "alpha", scale=scale)  # type: ignore[arg-type]
    if len(kept) < 2:
        assert found.value is None and (found.low, found.high) == (-1.0, 1.0)
        return
    oracle = krippendorff.alpha(with_gaps(labels), level_of_measurement=scale, value_domain=list(range(KINDS)))
    assert found.value == pytest.approx(max(-1.0, oracle)) and found.low <= found.value <= found.high


@given(labels=LABELS)
def test_fleiss_kappa_is_that_of_statsmodels(labels: list[list[int]]) -> None:
    found = reliability(rater_tables(labels, KINDS, "fleiss"), "fleiss")
    if len({one for own in labels for one in own}) < 2:
        assert found.value is None
        return
    counts = np.array([[own.count(kind) for kind in range(KINDS)] for own in labels])
    assert found.value == pytest.approx(fleiss_kappa(counts))


@given(labels=LABELS)
def test_cohen_kappa_is_that_of_statsmodels_and_our_own(labels: list[list[int]]) -> None:
    first, second = ([own[rater] for own in labels] for rater in (0, 1))
    own = cohen_kappa(first, second)
    table = pair_table(first, second, KINDS)
    found = reliability(table, "cohen")
    assert (found.value is None) == (own is None)
    if own is not None:
        assert found.value == pytest.approx(own)
        assert own == pytest.approx(cohens_kappa(table.sum(axis=0), return_results=False))


def test_the_interval_is_near_that_of_statsmodels_where_both_can_be_trusted() -> None:
    table = np.array([[180, 30], [25, 165]])
    cells = [(a, b) for a in range(2) for b in range(2) for _ in range(table[a, b])]
    found = reliability(pair_table([a for a, _ in cells], [b for _, b in cells], 2), "cohen")
    oracle = cohens_kappa(table)
    assert found.low == pytest.approx(oracle.kappa_low, abs=0.01)
    assert found.high == pytest.approx(oracle.kappa_upp, abs=0.01)


def test_full_agreement_of_few_does_not_prove_full_agreement_of_all() -> None:
    found = reliability(pair_table([0, 1] * 10, [0, 1] * 10, 2), "cohen")
    assert found.value == 1.0 == found.high and 0.6 < found.low < 0.75
    assert reliability(pair_table([0, 1] * 200, [0, 1] * 200, 2), "cohen").low > 0.97


def test_items_of_one_picture_count_as_fewer_and_weights_as_more() -> None:
    random = np.random.default_rng(3)
    said = random.integers(0, 2, 60)
    wrong = np.repeat(random.random(12) < 0.3, 5)
    table = pair_table(said.tolist(), np.where(wrong, 1 - said, said).tolist(), 2)
    alone = reliability(table, "cohen")
    together = reliability(table, "cohen", clusters=np.repeat(np.arange(12), 5).tolist())
    assert together.value == alone.value and together.high - together.low > 1.4 * (alone.high - alone.low)
    weights = np.where(wrong, 4.0, 1.0).tolist()
    weighted = reliability(table, "cohen", weights=weights)
    assert weighted.value is not None and alone.value is not None and weighted.value < alone.value
    doubled = reliability(np.concatenate([table, table[wrong], table[wrong], table[wrong]]), "cohen")
    assert weighted.value == pytest.approx(doubled.value)


def test_one_label_throughout_has_no_kappa_and_its_raw_agreement_is_told() -> None:
    found = reliability(pair_table([0] * 9, [0] * 9, 2), "cohen")
    assert (found.value, found.agree, found.shares, found.items) == (None, 1.0, (1.0, 0.0), 9)
    nothing = reliability(np.zeros((3, 2, 2)), "alpha")
    assert (nothing.value, nothing.items, nothing.agree) == (None, 0, None)


def test_two_raters_are_of_the_same_items() -> None:
    with pytest.raises(ValueError, match="two raters, 2 and 1 items"):
        pair_table([0, 1], [0], 2)


@pytest.mark.parametrize(("prevalence", "error", "n"), [(0.1, 0.02, 60), (0.5, 0.1, 100), (0.05, 0.1, 100)])
def test_the_interval_holds_near_one_and_for_rare_labels(prevalence: float, error: float, n: int) -> None:
    random = np.random.default_rng(11)
    means = np.array([1 - prevalence, prevalence])
    said = np.array([[1 - error, error], [error, 1 - error]])
    observed, expected = disagreement(np.einsum("t,ta,tb->ab", means, said, said) * 1e9, "alpha")
    truth, held = 1 - float(observed / expected), 0
    for _ in range(400):
        labels = (random.random((n, 1)) < prevalence) ^ (random.random((n, 3)) < error)
        found = reliability(rater_tables(labels.astype(int).tolist(), 2, "alpha"), "alpha")
        held += found.low <= truth <= found.high
    assert held >= 0.92 * 400


@pytest.mark.parametrize(("sizes", "right", "drawn"), [((900, 100), (0.95, 0.5), 20), ((5000, 50), (0.9, 0.9), 15)])
def test_few_items_that_stand_for_most_and_are_alike_by_chance_do_not_make_an_estimate_sure(
    sizes: tuple[int, int], right: tuple[float, float], drawn: int
) -> None:
    truth = float(np.dot(sizes, right)) / sum(sizes)
    weights = [size / drawn for size in sizes for _ in range(drawn)]
    random, shares, kappas = np.random.default_rng(2), 0, 0
    for _ in range(200):
        same = np.concatenate([random.random(drawn) < share for share in right])
        share = estimate(same.astype(float).tolist(), range(len(same)), weights)
        tables = both_orders(pair_table([0] * len(same), np.where(same, 0, 1).tolist(), 2))
        kappa = reliability(tables, "cohen", weights=weights)
        shares += share.low <= truth <= share.high
        kappas += kappa.low <= 2 * truth - 1 <= kappa.high
    assert min(shares, kappas) >= 0.935 * 200, f"{shares} and {kappas} of 200 intervals hold"
