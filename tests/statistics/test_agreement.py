"""Agreement by hand and by its properties."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spavl.statistics import cohen_kappa, swap_agreement


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
