"""The standard metrics are defined once, and a benchmark changes nothing but their subsets and description."""

from __future__ import annotations

from dataclasses import replace

import pytest

from spavl.evaluate.metrics import STANDARD, metric


@pytest.mark.parametrize("name", STANDARD)
def test_a_benchmark_chooses_subsets_and_description_and_nothing_else(name):
    assert metric(name) == STANDARD[name]
    own = metric(name, "one", "two", what="that are so")
    assert own == replace(STANDARD[name], subsets=("one", "two"), what="that are so")


def test_a_declined_call_is_safe_unhelpful_and_wrong():
    outcomes = {name: found.when_declined for name, found in STANDARD.items()}
    assert {name for name, outcome in outcomes.items() if outcome} == {"over_refusal_rate", "pope_neither_rate"}
    assert None not in outcomes.values()
