"""The benchmark of laws draws what it says, and its measures stand on what is drawn."""

from __future__ import annotations

import numpy as np
import pytest

from bench.studying import laws


def test_simulated_outcomes_have_the_rates_of_the_curve_and_items_that_are_hard_at_every_size() -> None:
    random = np.random.default_rng(1)
    truth = laws.Truth(0.6, 0.05, 8_000, 1.5)
    rates = truth.at(np.array(laws.SIZES, dtype=float))
    drawn = np.stack([laws.outcomes(rates, 400, 0.01, random) for _ in range(30)])
    assert drawn.mean(axis=(0, 2, 3)) == pytest.approx(rates, abs=0.02)
    by_item = drawn[0].mean(axis=1)
    assert np.corrcoef(by_item[0], by_item[1])[0, 1] > 0.1
    assert truth.at(8_000) - 0.05 == pytest.approx(0.1 * 0.55)


def test_the_other_forms_have_a_tenth_of_the_gain_left_at_their_knee() -> None:
    for form in (laws.shifted, laws.exponential):
        left = form(5_000.0, np.random.default_rng(2))(np.array([0.0, 5_000.0]))
        assert left == pytest.approx([1.0, 0.1])


@pytest.mark.parametrize(("part", "draws"), [("known knees", 12), ("no knees", 2), ("other forms", 3)])
def test_each_part_gives_measures_whose_names_differ(part: str, draws: int) -> None:
    rows = [measure.row() for measure in laws.PARTS[part][0](draws, np.random.default_rng(3))]
    assert len({row["name"] for row in rows}) == len(rows) > 1
    assert all(type(row["holds"]) in (bool, type(None)) and row["value"] >= 0 for row in rows)
