"""A tendency: found where there is one, and as often as it should where there is none."""

from __future__ import annotations

import numpy as np
import pytest

from spavl.statistics.tendency import difference_of_tendencies, tendency


def test_nothing_and_a_single_value_say_nothing() -> None:
    nothing = tendency([])
    assert (nothing.value, nothing.p, nothing.n) == (None, 1.0, 0)
    one = tendency([1.0])
    assert one.value == 1.0 and one.low < 0 < one.high and one.p > 0.3


def test_a_lean_to_one_side_is_found_with_its_size() -> None:
    found = tendency([1.0] * 60 + [-1.0] * 40)
    assert found.value == pytest.approx(0.2) and 0 < found.low < 0.2 < found.high < 0.4 and 0.03 < found.p < 0.06
    assert tendency([0.0] * 50).p == 1.0


@pytest.mark.parametrize("size", [1, 5])
def test_without_a_tendency_one_in_twenty_is_found_and_the_interval_holds(size: int) -> None:
    random = np.random.default_rng(9)
    wrong = held = 0
    for _ in range(500):
        own = random.choice([-1.0, 0.0, 1.0], size=60 // size, p=[0.3, 0.4, 0.3])
        values, clusters = np.repeat(own, size), np.repeat(np.arange(60 // size), size)
        found = tendency(values.tolist(), clusters.tolist())
        wrong, held = wrong + (found.p < 0.05), held + (found.low <= 0 <= found.high)
    assert wrong <= 40 and held >= 460


def test_two_groups_differ_by_the_difference_of_their_means() -> None:
    first = ([1.0] * 40 + [0.0] * 10, list(range(50)), None)
    second = ([1.0] * 20 + [0.0] * 30, list(range(50, 100)), [2.0] * 50)
    found = difference_of_tendencies(first, second)
    assert found.value == pytest.approx(0.4) and found.p < 0.001 and 0.15 < found.low < 0.4 < found.high
    assert difference_of_tendencies(first, ([], [], None)).value is None
