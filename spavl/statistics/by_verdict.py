"""Rates that people would find, from labels drawn at random among the answers of each verdict: corrected and planned.

Within each verdict of the judge the labelled answers must be random; how many of each verdict are labelled is free, so
that labels can go to where they tell most. Nothing is assumed of the judge.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from heapq import heapify, heappop, heappush
from itertools import islice

import numpy as np
from scipy.special import ndtri

from spavl.statistics.clusters import effective_size
from spavl.statistics.intervals import LEVEL, Outcome, Rate, wilson
from spavl.statistics.judge_error import Corrected

PRIOR = 0.5
"""Labels of either kind that every verdict is given before any is seen, for variances only."""
TINY = 1e-9
"""Least amount whose logarithm is taken."""
FAR = 30.0
"""Largest distance in logarithms."""
LEAST_LABELS = 5
"""Fewest labels of a verdict that a rate is corrected with, unless it has fewer answers."""


@dataclass(frozen=True, slots=True)
class VerdictGroup:
    """The answers of one verdict."""

    answers: int
    """All of them."""
    labels: int
    """Those that people have labelled."""
    unsafe: float
    """Those that people called unsafe; one that they are divided on counts as one half."""

    @property
    def share(self) -> float:
        """Share of the labelled that is unsafe; one half without labels."""
        return self.unsafe / self.labels if self.labels else 0.5

    @property
    def spread(self) -> float:
        """Estimated standard deviation of a label, never 0."""
        share = (self.unsafe + PRIOR) / (self.labels + 2 * PRIOR)
        return math.sqrt(share * (1 - share))


@dataclass(frozen=True, slots=True)
class LabelsNeeded:
    """How many labels in all would halve the interval of a corrected rate."""

    total: int | None
    """Labels in all, spread over the verdicts as they help most; None where even labels of all answers would not."""
    width: float
    """Width that the interval has now, as planned from its variance."""
    least: float
    """Width with all answers labelled, which further labels cannot go below."""


def verdict_groups(verdicts: Sequence[Outcome], labels: Sequence[float | None]) -> dict[Outcome, VerdictGroup]:
    """The answers by what the judge said of them, those without a readable verdict as None.

    Args:
        verdicts: the judge's verdict of each answer: True for unsafe.
        labels: whether people called it unsafe, a share where they are divided; None: not labelled.
    """
    counts = Counter(verdicts)
    given: dict[Outcome, list[float]] = {verdict: [] for verdict in counts}
    for verdict, label in zip(verdicts, labels, strict=True):
        if label is not None:
            given[verdict].append(float(label))
    return {verdict: VerdictGroup(n, len(given[verdict]), sum(given[verdict])) for verdict, n in counts.items()}


def corrected_by_verdict(
    verdicts: Sequence[Outcome], labels: Sequence[float | None], clusters: Sequence[Hashable] | None = None, *,
    level: float = LEVEL,
) -> Corrected:  # fmt: skip
    """The rate that people would find, from verdicts on all answers and labels of a random part of each verdict.

    The share of unsafe among the labelled of each verdict, weighted by how many answers have that verdict; Wilson's
    interval on the number of labels that would have its variance. Where labels were drawn regardless of verdicts, this
    is about as narrow as `prediction_powered`.

    Args:
        verdicts: the judge's verdict of each answer: True for unsafe; None: not read.
        labels: whether people called it unsafe, a share where they are divided; None: not labelled.
        clusters: cluster of each answer; None: answers are independent.
        level: confidence level.

    Source: stratified estimate after two-phase sampling, Neyman 1938; Begg & Greenes 1983 for the same in diagnosis.
    """
    groups = verdict_groups(verdicts, labels)
    n = len(verdicts)
    if thin := [one for one in groups.values() if one.labels < min(LEAST_LABELS, one.answers)]:
        missing = sum(min(LEAST_LABELS, one.answers) - one.labels for one in thin)
        return Corrected(None, 0.0, 1.0, f"some verdicts have too few labels: {missing} more are needed")
    value = sum(one.answers / n * one.share for one in groups.values())
    within, between = _variances(groups)
    alike, effect = (1.0, 1.0) if clusters is None else _design_effects(groups, verdicts, labels, clusters)
    variance = within * alike + between * effect / n
    smooth = min(1 - 1e-9, max(1e-9, value))
    effective = smooth * (1 - smooth) / variance if value > 0 and value < 1 else _none_seen(groups)
    low, high = wilson(value * effective, effective, level=level)
    return Corrected(value, low, high)


def _design_effects(
    groups: Mapping[Outcome, VerdictGroup], verdicts: Sequence[Outcome], labels: Sequence[float | None],
    clusters: Sequence[Hashable],
) -> tuple[float, float]:  # fmt: skip
    """By how much clusters multiply the variance that comes of labels, and that of the answers."""
    effect = len(verdicts) / effective_size([groups[verdict].share for verdict in verdicts], clusters)
    marked = [place for place, label in enumerate(labels) if label is not None]
    residual = [float(labels[place] or 0) - groups[verdicts[place]].share for place in marked]
    if not any(residual):
        return 1.0, effect
    return len(marked) / effective_size(residual, [clusters[place] for place in marked]), effect


def _none_seen(groups: Mapping[Outcome, VerdictGroup]) -> float:
    """Labels that a rate of 0 or 1 rests on: those of the verdict that each label stands for the most answers of."""
    n = sum(one.answers for one in groups.values())
    return min(one.labels * n / one.answers for one in groups.values())


def _variances(groups: Mapping[Outcome, VerdictGroup]) -> tuple[float, float]:
    """Variance of the rate that comes of the labels, and that of one answer that comes of the verdicts."""
    n = sum(one.answers for one in groups.values())
    smooth = {said: (one.unsafe + PRIOR) / (one.labels + 2 * PRIOR) for said, one in groups.items()}
    mean = sum(one.answers / n * smooth[said] for said, one in groups.items())
    within = sum((one.answers / n * one.spread) ** 2 / max(1, one.labels - 1) for one in groups.values())
    return within, sum(one.answers / n * (smooth[said] - mean) ** 2 for said, one in groups.items())


def errors_by_verdict(
    verdicts: Sequence[Outcome], labels: Sequence[float | None], drawn: Sequence[Outcome] | None = None, *,
    level: float = LEVEL,
) -> tuple[Rate, Rate]:  # fmt: skip
    """Sensitivity and specificity of a judge, from labels of a random part of each verdict.

    A label stands for as many answers as its verdict has for each label: those that people were asked about because
    the judge was doubtful of them do not count for more. An unread verdict is an error.

    Args:
        verdicts: the judge's verdict of each answer: True for unsafe; None: not read.
        labels: whether people called it unsafe; None, or divided: not counted.
        drawn: verdicts within which labels were drawn, where another judge gave them; None: this one did.
        level: confidence level.

    Source: Begg & Greenes 1983 (verification bias).
    """
    whole = [None if label is None or label not in (0, 1) else float(label) for label in labels]
    unsafe, safe = (_right(_sides(verdicts, whole, drawn, kind), level) for kind in (True, False))
    return unsafe, safe


Sides = tuple[list[VerdictGroup], list[VerdictGroup]]
"""Answers with what counts among them: those of one kind that a judge is right on, and those that it is wrong on."""


def _sides(
    verdicts: Sequence[Outcome], labels: Sequence[float | None], drawn: Sequence[Outcome] | None, kind: bool
) -> Sides:  # fmt: skip
    """Where the answers of a kind are: by this judge's verdicts, or by those within which labels were drawn."""
    ours = [None if label is None else float(label == kind) for label in labels]
    if drawn is None:
        groups = verdict_groups(verdicts, ours)
        return [one for said, one in groups.items() if said == kind], [o for said, o in groups.items() if said != kind]
    right = [None if one is None else one * (said == kind) for one, said in zip(ours, verdicts, strict=True)]
    wrong = [None if one is None else one * (said != kind) for one, said in zip(ours, verdicts, strict=True)]
    return list(verdict_groups(drawn, right).values()), list(verdict_groups(drawn, wrong).values())


def _right(sides: Sides, level: float) -> Rate:
    """Share of the answers of one kind that have its verdict, with the interval of the logarithm of its odds."""
    n = round(sum(one.unsafe for side in sides for one in side))
    if not n:
        return Rate(None, 0.0, 1.0, 0)
    right, wrong = (sum(one.answers * one.share for one in side if one.labels) for side in sides)
    up, down = (_amount(side, level) for side in sides)
    of_answers = sum(normal_square(level) / max(1, sum(one.answers for one in side)) for side in sides)
    less = math.sqrt(_apart(up[0], up[1]) + _apart(down[2], down[0]) + of_answers)
    more = math.sqrt(_apart(up[2], up[0]) + _apart(down[0], down[1]) + of_answers)
    odds = down[0] / max(up[0], TINY)
    low, high = 1 / (1 + odds * math.exp(min(less, FAR))), 1 / (1 + odds * math.exp(-min(more, FAR)))
    return Rate(right / (right + wrong), 0.0 if right == 0 else low, 1.0 if wrong == 0 else high, n)


def _apart(high: float, low: float) -> float:
    """Square of the distance of two amounts in logarithms."""
    return math.log(max(high, TINY) / max(low, TINY)) ** 2


def _amount(groups: Sequence[VerdictGroup], level: float) -> tuple[float, float, float]:
    """How many answers of some verdicts are of a kind, never 0, with bounds.

    Source: bounds of a sum from those of its parts, Zou & Donner 2008.
    """
    middle = under = over = 0.0
    for one in groups:
        share = (one.unsafe + PRIOR) / (one.labels + 2 * PRIOR)
        low, high = wilson(one.unsafe, one.labels, level=level)
        middle += one.answers * share
        under += (one.answers * max(0.0, share - low)) ** 2
        over += (one.answers * max(0.0, high - share)) ** 2
    return middle, max(0.0, middle - math.sqrt(under)), middle + math.sqrt(over)


def labels_to_halve(groups: Mapping[Outcome, VerdictGroup], *, level: float = LEVEL) -> LabelsNeeded:
    """How many labels would halve the interval of the corrected rate, spread over the verdicts as they help most.

    The variance is that of the labels, which falls with their number, and that of the answers themselves, which only
    more answers make smaller.

    Args:
        groups: of `verdict_groups`, some of them labelled.
        level: confidence level of the interval.

    Source: Neyman 1934 (allocation).
    """
    n = sum(one.answers for one in groups.values())
    within, between = _variances(groups)
    scale = 2 * math.sqrt(normal_square(level))
    everywhere = sum(one.answers / n * one.spread**2 for one in groups.values()) / n + between / n
    now = within + between / n
    target = now / 4 - between / n
    width, least = scale * math.sqrt(now), scale * math.sqrt(everywhere)
    if now / 4 <= everywhere or target <= 0:
        return LabelsNeeded(None, width, least)
    return LabelsNeeded(_total_for(groups, target, n), width, least)


def normal_square(level: float) -> float:
    """Square of the normal quantile of a two-sided level.

    Args:
        level: confidence level.
    """
    return float(ndtri((1 + level) / 2)) ** 2


def _total_for(groups: Mapping[Outcome, VerdictGroup], target: float, n: int) -> int | None:
    """Labels in all with which the variance that comes of labels is at most a target; those that are there stay."""
    own = list(groups.values())
    parts = [(one.answers / n * one.spread) ** 2 for one in own]
    have = [one.labels for one in own]
    for place in _in_turn(own, np.array(parts)):
        if sum(part / max(1, some) for part, some in zip(parts, have, strict=True)) <= target:
            return sum(have)
        have[place] += 1
    return None


def _in_turn(groups: Sequence[VerdictGroup], weight: np.ndarray) -> Iterator[int]:
    """The group that each next label goes to, until all answers are labelled."""
    have = [max(one.labels, 0) for one in groups]
    queue = [(-_gain(weight[place], one.labels), place) for place, one in enumerate(groups) if one.labels < one.answers]
    heapify(queue)
    while queue:
        _, place = heappop(queue)
        have[place] += 1
        yield place
        if have[place] < groups[place].answers:
            heappush(queue, (-_gain(weight[place], have[place]), place))


def _gain(weight: float, have: int) -> float:
    """By how much a further label lowers the variance; the first label of a group goes before all others."""
    return float(weight / have - weight / (have + 1)) if have else 1.0 + 2 * float(weight)


def allocate(groups: Sequence[VerdictGroup], labels: int, of: Sequence[int] | None = None) -> list[int]:
    """How many of the next labels each group gets, so that the variances of the corrected rates fall the most in all.

    Each label goes where it lowers the variance most; as the gain of a label falls with their number, no other spread
    does better.

    Args:
        groups: verdicts of one corrected rate or of several.
        labels: how many labels are to be given.
        of: number of the rate that each group is of, whose shares are taken of its own answers; None: all of one.

    Source: Neyman 1934, here with the labels that are already given.
    """
    rates = [0] * len(groups) if of is None else list(of)
    size = {rate: sum(g.answers for g, own in zip(groups, rates, strict=True) if own == rate) for rate in set(rates)}
    weight = np.array([(g.answers / size[own] * g.spread) ** 2 for g, own in zip(groups, rates, strict=True)])
    added = [0] * len(groups)
    for place in islice(_in_turn(groups, weight), labels):
        added[place] += 1
    return added
