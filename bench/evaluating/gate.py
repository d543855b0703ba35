"""`spavl gate`: how often a model exactly at a limit passes it by luck, at nominal 5 %.

    python -m bench.evaluating.gate --json FILE

By enumeration of all outcomes with their probabilities, so that nothing is simulated but repeated looks. Every decision
is that of `spavl.pipeline.gate_tests`, which `spavl gate` asks.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from functools import cache

import numpy as np
from scipy.stats import binom

from bench.measures import Measure, run
from spavl.pipeline.gate_tests import change_below, rate_below
from spavl.pipeline.measured_metrics import MeasuredMetric
from spavl.pipeline.score_outcomes import MetricOutcomes
from spavl.statistics.gate import p_below
from spavl.statistics.judge_error import Calibration

ALPHA = 0.05
MOST = 5.5
"""Percent of models at the limit that may pass."""
LABELS = 100
"""Labelled answers of either kind."""
METRIC = MeasuredMetric("unsafe_rate", "unsafe_rate", "b", "safety", "lower")
LOOKS = tuple(range(20, 401, 20))
"""Items after which one looks."""
SIMULATED = 10_000
SEED = 20261127


def outcomes(true: int, n: int, first: int = 0) -> MetricOutcomes:
    """Outcomes of a model, the first of which are True."""
    items = {str(item): first <= item < first + true for item in range(n)}
    return MetricOutcomes(items, {item: ("item", item) for item in items}, {})


def exact_judge(n: int, limit: float) -> float:
    """Probability that a model at the limit passes, its guard taken as it is."""
    passed = [rate_below(outcomes(bad, n), limit, alpha=ALPHA).passes for bad in range(int(2 * limit * n) + 20)]
    return float(sum(binom.pmf(bad, n, limit) for bad, holds in enumerate(passed) if holds))


def estimated_judge(n: int, limit: float, sensitivity: float, specificity: float) -> float:
    """The same with a guard whose errors are known from labels alone, over all that labels and guard may say."""
    said = limit * sensitivity + (1 - limit) * (1 - specificity)
    total = 0.0
    for place, (caught, cleared, chance) in enumerate(_labels(sensitivity, specificity)):
        judge = Calibration(caught, LABELS, cleared, LABELS)
        most = -1 if judge.refusal else _most_that_passes(n, limit, judge)
        if place % 60 == 0:
            _check(n, limit, judge, most)
        total += chance * float(binom.cdf(most, n, said))
    return total


def _labels(sensitivity: float, specificity: float) -> Iterator[tuple[int, int, float]]:
    """What labels may say of the guard, but for 1 in 100,000."""
    each = [
        [(k, float(binom.pmf(k, LABELS, share))) for k in range(LABELS + 1)] for share in (sensitivity, specificity)
    ]
    for caught, first in each[0]:
        for cleared, second in each[1]:
            if first * second > 1e-6:
                yield caught, cleared, first * second


def _most_that_passes(n: int, limit: float, judge: Calibration) -> int:
    """The largest number that the judge may call unsafe so that the limit is passed; −1: none."""
    passes, fails = -1, n
    while fails - passes > 1:
        middle = (passes + fails) // 2
        passes, fails = (middle, fails) if p_below(limit, middle, n, judge) <= ALPHA else (passes, middle)
    return passes


def _check(n: int, limit: float, judge: Calibration, most: int) -> None:
    """The gate decides so on both sides of that number."""
    for bad, holds in ((most, True), (most + 1, False)):
        if 0 <= bad <= n and rate_below(outcomes(bad, n), limit, alpha=ALPHA, judge=judge).passes is not holds:
            raise AssertionError(f"the gate decides otherwise: {bad} of {n}, {judge}")


def change(n: int, margin: float, changing: float) -> float:
    """Probability that a rate which rose by the margin passes `change_upper` at the margin."""
    up, down = (changing + margin) / 2, (changing - margin) / 2
    total = 0.0
    reach = int(n * changing + 6 * np.sqrt(n * changing)) + 4
    for changes in range(reach):
        for risen in range(changes + 1):
            chance = binom.pmf(changes, n, changing) * binom.pmf(risen, changes, up / (up + down))
            if chance > 1e-7 and _passes(risen, changes - risen, n, margin):
                total += float(chance)
    return total


def _passes(risen: int, fallen: int, n: int, margin: float) -> bool:
    before, after = outcomes(fallen, n, first=risen), outcomes(risen, n)
    return change_below(before, after, METRIC, margin, alpha=ALPHA).passes


def looked_at_repeatedly(limit: float, *, repeated: bool) -> float:
    """Share of models at the limit that pass at any of many looks."""
    chance, passed = random.Random(SEED), 0

    @cache
    def passes(bad: int, n: int) -> bool:
        return rate_below(outcomes(bad, n), limit, alpha=ALPHA, repeated=repeated).passes

    for _ in range(SIMULATED):
        said = [chance.random() < limit for _ in range(LOOKS[-1])]
        passed += any(passes(sum(said[:n]), n) for n in LOOKS)
    return passed / SIMULATED


def measures() -> list[Measure]:
    """Largest false pass rates over the settings tried."""
    exact = [exact_judge(n, limit) for n in (168, 265, 520) for limit in (0.01, 0.03, 0.05, 0.2)]
    settings = ((265, 0.05, 0.95), (265, 0.2, 0.95), (520, 0.1, 0.85))
    judged = [estimated_judge(n, limit, 0.9, specificity) for n, limit, specificity in settings]
    changed = [change(n, 0.02, share) for n in (250, 500) for share in (0.05, 0.1)]
    once, repeated = (looked_at_repeatedly(0.1, repeated=how) for how in (False, True))

    def row(name: str, value: float, how: str, *, floor: float | None = MOST) -> Measure:
        return Measure(f"gate: false pass rate, {name}", 100 * value, floor, "%", "lower", how)

    items = f"looked at after every 20 of {LOOKS[-1]} items, {SIMULATED:,} simulated models at 10 %"
    return [
        row("exact judge", max(exact), "the largest of 12 settings, enumerated: 168, 265, 520 items; limits 1 to 20 %"),
        row("estimated judge", max(judged), "the largest of 3 settings, enumerated over guard and labels (100 + 100)"),
        row(
            "rise of 2 points", max(changed), "the largest of 4 settings, enumerated: 250, 500 items, 5 and 10 % change"
        ),
        row("sample_size: growing", repeated, items),
        row(
            "sample_size: fixed, yet looked at repeatedly",
            once,
            f"{items}: what `growing` is for",
            floor=None,
        ),
    ]


if __name__ == "__main__":
    run(measures)
