"""What a scaling law says, in sentences: what more pairs are worth, and where the curve has its knee."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np

from spavl.statistics.intervals import LEVEL, Outcome
from spavl.statistics.scaling import ScalingFit, fit_scaling
from spavl.study.findings import MARGIN, Finding, MetricRuns, Verdict, interval, percent, points

BEYOND = 3.0
"""How far beyond the largest size is looked, as a factor."""
CURVE = 60
"""Points of the curve that is drawn."""


def law_of(
    metric: MetricRuns, values: Mapping[str, float | None], base: Mapping[str, Outcome] | None = None, *,
    level: float = LEVEL,
) -> ScalingFit | None:  # fmt: skip
    """The scaling law of one metric over the arms of a study of sizes; None where fewer than two were measured.

    Args:
        metric: its outcomes.
        values: number of pairs by name of the arm.
        base: outcomes of the model before training, which is the size 0.
        level: confidence level.
    """
    sizes: dict[int, Sequence[Mapping[str, Outcome]]] = {}
    for arm, runs in metric.runs.items():
        value = values.get(arm)
        if value is not None and value > 0 and runs:
            sizes[round(value)] = list(runs.values())
    if len(sizes) < 2:
        return None
    if base is not None:
        sizes[0] = [base]
    try:
        return fit_scaling(sizes, metric.clusters, level=level)
    except ValueError:
        return None


def curve_of(law: ScalingFit) -> list[tuple[float, float, float, float]]:
    """(pairs, rate, lower bound, upper bound) along the curve, from the smallest size to `BEYOND` times the largest.

    Where nothing is seen to change it ends at the largest: a flat piece says nothing of what comes after it. A curve on
    which the rates do not lie is not drawn.

    Args:
        law: the fit.
    """
    if law.why == "misfit":
        return []
    positive = law.measured.sizes[law.measured.sizes > 0]
    most = positive.max() if law.why == "no change" else BEYOND * positive.max()
    sizes = np.geomspace(positive.min(), most, CURVE)
    return [(float(size), *law.at(float(size))) for size in sizes]


def knee_sentence(law: ScalingFit) -> str:
    """Where the knee is, or why that cannot be told.

    Args:
        law: the fit.
    """
    value, low, high = law.knee
    if law.identifiable:
        return (
            f"Knee at n = {_size(value)} [{_size(low)}, {_size(high)}]: there 90 % of the gain that pairs can bring "
            "has been had."
        )
    return f"The knee is not identifiable from these points: {law.reason}."


def law_sentences(label: str, law: ScalingFit) -> list[str]:
    """What the law says: the knee, what each step of sizes is worth, and what is to be expected beyond.

    Where nothing is seen to change there are no steps to speak of: only the whole range, and nothing beyond it. A curve
    on which the rates do not lie says nothing of any step.

    Args:
        label: what is counted, a plural.
        law: the fit.
    """
    sizes = [float(size) for size in law.measured.sizes]
    said = [knee_sentence(law)]
    if law.why == "misfit":
        return [*said, "What more pairs were worth is in the table of numbers: it is read off no curve."]
    if law.why == "no change":
        least, most = float(law.measured.sizes[law.measured.sizes > 0].min()), sizes[-1]
        return [
            *said,
            f"{_size(least)} → {_size(most)} pairs is worth {interval(*law.gain(least, most))} by the curve.",
        ]
    for fewer, more in pairwise(sizes):
        said.append(f"{_size(fewer)} → {_size(more)} pairs is worth {interval(*law.gain(fewer, more))} by the curve.")
    far = BEYOND * sizes[-1]
    value, low, high = law.at(far)
    said.append(
        f"{_size(sizes[-1])} → {_size(far)} pairs would be worth {interval(*law.gain(sizes[-1], far))}, by the curve "
        f"alone: {label} {percent(value)} [{points(low)}, {points(high)}]."
    )
    return said


def knee_finding(law: ScalingFit | None, label: str, *, margin: float = MARGIN) -> Finding:
    """The claim that there is a knee, after which more pairs bring little; its p-value is not corrected yet.

    Confirmed where its interval lies within the sizes that were measured. Refuted where rates that are the same at all
    sizes fit as well, and the whole range is shown to be worth less than the margin; else not shown. Where the rates
    lie on no such curve there is nothing to test.

    Args:
        law: the fit of the metric that decides; None: there was none.
        label: what it counts.
        margin: least change that is worth a claim, as a share.
    """
    claim = "The gain has a knee, after which more pairs bring little"
    if law is None:
        said = "No law could be fitted: it needs a metric of safety at two sizes or more."
        return Finding(name="knee", claim=claim, verdict="not shown", sentence=said)
    if law.why == "misfit":
        said = f"{label}: {knee_sentence(law)}"
        return Finding(name="knee", claim=claim, verdict="not shown", sentence=said)
    sizes = law.measured.sizes[law.measured.sizes > 0]
    change = law.gain(float(sizes.min()), float(sizes.max()))
    worth = f"{_size(sizes.min())} → {_size(sizes.max())} pairs: {interval(*change)} by the curve."
    said = f"{label}: {knee_sentence(law)} {worth}"
    none = law.why == "no change" and max(-change[1], change[2]) < margin
    verdict: Verdict = "confirmed" if law.identifiable else "refuted" if none else "not shown"
    return Finding(name="knee", claim=claim, verdict=verdict, sentence=said, difference=change[0], low=change[1],
                   high=change[2], p=max(law.p_no_change, law.p_no_bend))  # fmt: skip


def _size(number: float) -> str:
    """A number of pairs, with three digits where it is an estimate."""
    rounded = float(f"{number:.3g}") if number >= 1000 else round(number)
    return f"{rounded:,.0f}"
