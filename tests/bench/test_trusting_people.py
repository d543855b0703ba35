"""The simulation of annotators runs, and finds what it planted."""

from __future__ import annotations

import numpy as np

from bench.trusting import people


def test_intervals_hold_about_as_often_as_they_say_in_a_few_draws() -> None:
    random = np.random.default_rng(13)
    found = [*people.tendencies(40, random), *people.errors(40, random), *people.halved(40, random)]
    shares = {one.name: one.value for one in found}
    assert all(value is not None for value in shares.values())
    assert min(value for name, value in shares.items() if value and "coverage" in name) > 80
    assert 0.4 < (shares["interval with the labels that halve it"] or 0) < 0.6
