"""Findings of a study: each claim confirmed, refuted or not shown, with what decides it and what it costs elsewhere."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from spavl.evaluate.benchmark import AXES, Axis
from spavl.statistics.intervals import LEVEL, Outcome
from spavl.statistics.multiple import holm
from spavl.statistics.over_seeds import PooledDifference, pooled, pooled_difference
from spavl.statistics.paired import Better
from spavl.study.claims import Claim

MARGIN = 0.01
"""Least gain that is worth a claim, as a share: one that is shown to be smaller refutes it."""

Verdict = Literal["confirmed", "refuted", "not shown"]
"""What a study says of a claim."""
AXIS_WORDS: Mapping[Axis, str] = {
    "safety": "safety", "over-refusal": "over-refusal", "helpfulness": "helpfulness", "skill": "skill",
}  # fmt: skip
"""Axes in the middle of a sentence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What a study says of a claim."""

    name: str
    """Names the claim in files."""
    claim: str
    """The claim, a sentence without its full stop."""
    verdict: Verdict
    """`confirmed`: shown in every comparison that it makes; `refuted`: one shows the opposite, or no gain worth the
    margin; else `not shown`."""
    sentence: str
    """What was found, for readers."""
    difference: float | None = None
    """Of the comparison that decides, in the metric itself; None where nothing could be compared."""
    low: float = -1.0
    """Lower bound."""
    high: float = 1.0
    """Upper bound."""
    p: float = 1.0
    """Its p-value, corrected for all deciding comparisons of the study (Holm)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricRuns:
    """Outcomes of one metric of all arms."""

    key: str
    """Names the metric, with the items that it is of; unique in the study."""
    label: str
    """What is counted, a plural that can fall or rise."""
    axis: Axis
    """What it measures."""
    better: Better
    """Direction of an improvement."""
    runs: Mapping[str, Mapping[int, Mapping[str, Outcome]]]
    """By arm and seed: outcomes of items by id."""
    clusters: Mapping[str, Hashable]
    """Cluster by item id."""
    labels: Mapping[str, str]
    """Names of the arms for readers."""
    same: frozenset[frozenset[str]] = frozenset()
    """Pairs of arms that are the same trainings, of which nothing can be said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """One metric of two arms of a claim."""

    claim: Claim
    """The claim."""
    key: str
    """Names the metric."""
    metric: str
    """What is counted."""
    axis: Axis
    """What it measures."""
    better: Better
    """Direction of an improvement."""
    labels: tuple[str, str]
    """Names of both arms for readers, the one that is to be better first."""
    rates: tuple[float, float]
    """Their rates over seeds and items."""
    found: PooledDifference
    """The first minus the other."""

    @property
    def gain(self) -> tuple[float, float, float]:
        """(estimate, lower bound, upper bound) of the improvement that the first arm is over the other."""
        found = self.found
        value = found.difference or 0.0
        return (-value, -found.high, -found.low) if self.better == "lower" else (value, found.low, found.high)


def compare(claims: Sequence[Claim], metric: MetricRuns, *, level: float = LEVEL) -> list[Comparison]:
    """The comparisons that some claims make on one metric, paired by item and seed.

    Args:
        claims: of the study.
        metric: its outcomes.
        level: confidence level.
    """
    if metric.better == "neither":
        return []
    found = []
    for claim in claims:
        for other in claim.than:
            pair = (claim.better, other)
            if not all(metric.runs.get(arm) for arm in pair) or frozenset(pair) in metric.same:
                continue
            seeds = [seed for seed in metric.runs[claim.better] if seed in metric.runs[other]]
            if not seeds:
                continue
            own, others = ([metric.runs[arm][seed] for seed in seeds] for arm in pair)
            difference = pooled_difference(others, own, metric.clusters, level=level)
            rates = tuple(pooled(runs, metric.clusters, level=level).value for runs in (own, others))
            if difference.difference is None or rates[0] is None or rates[1] is None:
                continue
            found.append(Comparison(
                claim=claim, key=metric.key, metric=metric.label, axis=metric.axis, better=metric.better,
                labels=(metric.labels.get(claim.better, claim.better), metric.labels.get(other, other)),
                rates=(rates[0], rates[1]), found=difference,
            ))  # fmt: skip
    return found


def findings(
    claims: Sequence[Claim], comparisons: Sequence[Comparison], others: Sequence[Finding] = (), *,
    level: float = LEVEL, margin: float = MARGIN,
) -> list[Finding]:  # fmt: skip
    """What a study says of its claims.

    A claim is decided by the first metric of its axis. P-values of all deciding comparisons of the study are corrected
    together (Holm). A claim about several arms is confirmed where each comparison is, and refuted where one is: by a
    p-value that shows the opposite, or by an interval, not corrected, that excludes a gain that is worth the claim.

    Args:
        claims: of the study.
        comparisons: of all metrics, in the order of the metrics.
        others: findings of the study that no comparison decides; p-values of those that could be tested are corrected
            with the rest here.
        level: confidence level; 1 − level is the share of studies in which any claim may be wrongly confirmed.
        margin: least gain that is worth a claim, as a share.
    """
    deciding = {claim.name: _deciding(claim, comparisons) for claim in claims}
    flat = [one for own in deciding.values() for one in own]
    tested = [one for one in others if one.difference is not None]
    p_values = holm([*(one.found.p for one in flat), *(one.p for one in tested)])
    corrected = dict(zip(map(id, (*flat, *tested)), p_values, strict=True))
    decided = [
        _finding(claim, [(one, corrected[id(one)]) for one in deciding[claim.name]], comparisons, level, margin)
        for claim in claims
    ]
    return [*decided, *(_with_p(one, corrected.get(id(one), one.p), level) for one in others)]


def _with_p(found: Finding, p: float, level: float) -> Finding:
    """A finding with its corrected p-value, by which it may not be confirmed any more."""
    if found.verdict != "confirmed" or p <= 1 - level:
        return replace(found, p=p)
    said = f"{found.sentence} After correction for all claims of the study (p = {p:.3f}) that is not shown."
    return replace(found, p=p, verdict="not shown", sentence=said)


def _deciding(claim: Claim, comparisons: Sequence[Comparison]) -> list[Comparison]:
    own = [one for one in comparisons if one.claim == claim and one.axis == claim.axis]
    return [one for one in own if one.key == own[0].key]


def _finding(
    claim: Claim, deciding: Sequence[tuple[Comparison, float]], comparisons: Sequence[Comparison], level: float,
    margin: float,
) -> Finding:  # fmt: skip
    if not deciding:
        said = f"No metric of {AXIS_WORDS[claim.axis]} was measured on arms that could be compared."
        return Finding(name=claim.name, claim=claim.claim, verdict="not shown", sentence=said)
    verdicts = [_verdict(one, p, level, margin) for one, p in deciding]
    if "refuted" in verdicts:
        verdict: Verdict = "refuted"
    elif len(deciding) == len(claim.than) and set(verdicts) == {"confirmed"}:
        verdict = "confirmed"
    else:
        verdict = "not shown"
    shown = [pair for pair, own in zip(deciding, verdicts, strict=True) if own == verdict] or list(deciding)
    worst, p = min(shown, key=lambda pair: pair[0].gain[0])
    sentences = [_said(one, own, p, level, margin) for (one, p), own in zip(deciding, verdicts, strict=True)]
    if missing := len(claim.than) - len(deciding):
        sentences.append(f"{missing} of {len(claim.than)} comparisons could not be made.")
    costs = _costs(claim, [one for one in comparisons if one.claim == claim and one.axis != claim.axis], level)
    return Finding(
        name=claim.name, claim=claim.claim, verdict=verdict, sentence=" ".join([*sentences, *costs]),
        difference=worst.found.difference, low=worst.found.low, high=worst.found.high, p=p,
    )  # fmt: skip


def _verdict(one: Comparison, p: float, level: float, margin: float) -> Verdict:
    gain, _, high = one.gain
    if p <= 1 - level:
        return "confirmed" if gain > 0 else "refuted"
    return "refuted" if high < margin else "not shown"


def _said(one: Comparison, verdict: Verdict, p: float, level: float, margin: float) -> str:
    """A comparison in a sentence."""
    rates = f"{one.metric}: {percent(one.rates[0])} ({one.labels[0]}) against {percent(one.rates[1])} ({one.labels[1]})"
    value = one.found.difference or 0.0
    text = f"{rates}, {interval(value, one.found.low, one.found.high)}"
    if verdict == "not shown":
        several = "; the interval excludes none, but not after correction for all comparisons of the study"
        return f"{text}: no difference is shown{several if _excludes_none(one) else ''}."
    if verdict == "refuted" and p > 1 - level:
        return f"{text}: a gain of {points(margin)} points or more is excluded."
    alone = ", of one training each, so that another may show otherwise" if one.found.seeds == 1 else ""
    return f"{text} (p {'< 0.001' if p < 0.001 else f'= {p:.3f}'}{alone})."


def _excludes_none(one: Comparison) -> bool:
    return one.found.low > 0 or one.found.high < 0


def _costs(claim: Claim, comparisons: Sequence[Comparison], level: float) -> list[str]:
    """What gets worse on other axes, the largest loss of each axis; corrected for all that were looked at."""
    if not comparisons:
        return []
    corrected = holm([one.found.p for one in comparisons])
    worse = [one for one, p in zip(comparisons, corrected, strict=True) if p <= 1 - level and one.gain[0] < 0]
    said = []
    for axis in AXES:
        own = [one for one in worse if one.axis == axis]
        if own:
            one = min(own, key=lambda other: other.gain[0])
            change = interval(one.found.difference or 0.0, one.found.low, one.found.high)
            said.append(f"It costs {AXIS_WORDS[axis]}: {one.metric} {change} against {one.labels[1]}.")
    if not said:
        measured = [AXIS_WORDS[axis] for axis in AXES if any(one.axis == axis for one in comparisons)]
        said.append(f"No cost is shown in {listed(measured)}.")
    return said


def percent(share: float) -> str:
    """A share, such as `4.2 %`.

    Args:
        share: from 0 to 1.
    """
    return f"{100 * share:.1f} %"


def points(difference: float) -> str:
    """A difference in percentage points with its sign where it is negative, such as `−1.2`.

    Args:
        difference: of two shares.
    """
    shown = f"{100 * difference:.1f}"
    return (shown.removeprefix("-") if float(shown) == 0 else shown).replace("-", "−")


def interval(value: float, low: float, high: float) -> str:
    """A difference with its interval, such as `−1.2 points [−2.0, −0.3]`.

    Args:
        value: the difference.
        low: lower bound.
        high: upper bound.
    """
    sign = "+" if float(f"{100 * value:.1f}") > 0 else ""
    return f"{sign}{points(value)} points [{points(low)}, {points(high)}]"


def listed(words: Sequence[str]) -> str:
    """Words in a row, such as `skill, helpfulness and safety`.

    Args:
        words: at least one.
    """
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
