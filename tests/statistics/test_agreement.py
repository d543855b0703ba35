"""Agreement by hand and by its properties."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spavl.statistics import cohen_kappa, swap_agreement
from spavl.statistics.agreement import nominal_alpha, position_bias
from spavl.statistics.ranking import auc_of


def test_kappa_of_the_textbook_example():
    # 50 grant proposals: 20 both yes, 15 both no, 5 and 10 apart: observed 0.7, chance 0.5, κ 0.4
    first = ["yes"] * 25 + ["no"] * 25
    second = ["yes"] * 20 + ["no"] * 5 + ["yes"] * 10 + ["no"] * 15
    assert cohen_kappa(first, second) == pytest.approx(0.4)


@given(st.lists(st.sampled_from("abc"), min_size=2))
def test_kappa_with_oneself_is_one_unless_undefined(labels):
    assert cohen_kappa(labels, labels) == (pytest.approx(1.0) if len(set(labels)) > 1 else None)


def test_kappa_of_nothing_is_undefined():
    assert cohen_kappa([], []) is None


def test_swap_agreement_counts_flips_position_and_silence():
    steady = swap_agreement([("a", "a"), ("b", "b"), ("tie", "tie"), ("a", "b"), ("a", "tie"), (None, "a")])
    assert (steady.agree.value, steady.agree.n, steady.agree.unreadable) == (3 / 5, 6, 1)
    assert steady.flipped.value == 1 / 5
    # shown first: a in order ab, b in order ba. ab names a, b, a, a (3 of 4); ba names a, b, b, a (2 of 4)
    assert (steady.first.value, steady.first.n) == (5 / 8, 8)


def test_a_judge_that_always_takes_the_first_never_agrees_with_itself():
    biased = swap_agreement([("a", "b")] * 40)
    assert biased.agree.value == 0.0 and biased.first.value == 1.0 and biased.flipped.value == 1.0


# --- position bias ----------------------------------------------------------------------------------------------------

WINNERS = ("a", "b", "tie")
COUNTS = st.dictionaries(st.tuples(*[st.sampled_from((*WINNERS, None))] * 2), st.integers(1, 50))


@given(COUNTS)
def test_a_bias_turns_its_sign_with_the_positions_and_lies_in_its_interval(counts):
    swap = {"a": "b", "b": "a", "tie": "tie", None: None}
    found, mirrored = position_bias(counts), position_bias({(swap[ab], swap[ba]): n for (ab, ba), n in counts.items()})
    assert found.n == sum(n for pair, n in counts.items() if None not in pair)
    if found.value is None:
        assert found.n == 0 and (found.low, found.high) == (-1.0, 1.0)
    else:
        assert mirrored.value == pytest.approx(-found.value)
        assert (mirrored.low, mirrored.high) == pytest.approx((-found.high, -found.low))
        assert -1 <= found.low < found.high <= 1
        assert position_bias({pair: 100 * n for pair, n in counts.items()}).value == pytest.approx(found.value)


@given(st.floats(0, 1), st.lists(st.floats(0.01, 1), min_size=3, max_size=3), st.floats(0, 1))
def test_what_is_expected_of_a_judge_that_follows_the_position_in_a_share_is_that_share(share, content, primacy):
    """By content it prefers a, b or neither with any probabilities, the same in both orders."""
    says = {winner: p / sum(content) for winner, p in zip(WINNERS, content, strict=True)}

    def single(winner, first):
        by_position = primacy * (winner == first) + (1 - primacy) * (winner == {"a": "b", "b": "a"}[first])
        return share * by_position + (1 - share) * says[winner]

    expected = {(ab, ba): single(ab, "a") * single(ba, "b") for ab in WINNERS for ba in WINNERS}
    assert position_bias(expected).value == pytest.approx(share * (2 * primacy - 1), abs=1e-9)


def test_intervals_of_the_bias_hold_the_truth_as_often_as_they_say():
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(400):
        follows = rng.random(60) < 0.8  # in the order ab; in ba position and content both say b, which is better
        counts = {("a", "b"): int(follows.sum()), ("b", "b"): int((~follows).sum())}
        found = position_bias(counts)
        held += found.low <= 0.8 <= found.high
    assert held / 400 > 0.92


# --- several raters ---------------------------------------------------------------------------------------------------


def test_alpha_of_the_published_example_with_missing_labels():
    """Krippendorff 2011, part C: four observers, twelve units, five labels; nominal α is 0.743."""
    units = [(3,), (0, 3, 1), (0, 0, 4), (0, 0, 4), (0, 4), (1, 1, 1, 1), (0, 0, 0, 4), (3, 1), (0, 4),
             (0, 0, 0, 0, 3), (2,), (0, 0, 1)]  # fmt: skip
    counts = Counter((*unit, *[0] * (5 - len(unit))) for unit in units)
    assert nominal_alpha(counts) == pytest.approx(0.743, abs=5e-4)


@given(st.lists(st.sampled_from("abc"), min_size=1))
def test_alpha_of_raters_that_say_the_same_is_one_unless_undefined(labels):
    counts = Counter(tuple(3 * (label == one) for one in "abc") for label in labels)
    assert nominal_alpha(counts) == (pytest.approx(1.0) if len(set(labels)) > 1 else None)
    assert nominal_alpha({(1, 0, 0): 5}) is None


# --- ranking ----------------------------------------------------------------------------------------------------------


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 3), st.integers(0, 3)), max_size=8))
def test_auc_is_the_share_of_pairs_in_which_the_positive_ranks_higher(rows):
    positives = [score for score, n, _ in rows for _ in range(n)]
    negatives = [score for score, _, n in rows for _ in range(n)]
    wins = [(p > n) + (p == n) / 2 for p in positives for n in negatives]
    assert auc_of(rows) == (pytest.approx(sum(wins) / len(wins)) if wins else None)
