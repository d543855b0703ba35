"""The measures of a study: every metric over its arms, pooled over seeds and items, compared with one of the arms."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from spavl.evaluate.benchmark import AXES
from spavl.pipeline.score_outcomes import MetricOutcomes
from spavl.report.study_data import ArmShown, ChangeShown, MeasureShown, Tone
from spavl.statistics.intervals import Rate
from spavl.statistics.multiple import holm
from spavl.statistics.over_seeds import PooledDifference, pooled, pooled_difference
from spavl.statistics.paired import Better
from spavl.study.results import Result, outcomes


@dataclass(frozen=True, slots=True)
class ArmOutcomes:
    """What the trainings of one arm gave for one metric."""

    results: tuple[Result, ...]
    """One a seed, in the order of the seeds."""
    outcomes: tuple[MetricOutcomes, ...]
    """The same, item by item."""

    @property
    def first(self) -> Result:
        """The result of the first seed."""
        return self.results[0]

    @property
    def by_item(self) -> list[Mapping[str, float | bool | None]]:
        """By seed, the outcome of every item."""
        return [one.outcomes for one in self.outcomes]

    @property
    def is_weighted(self) -> bool:
        """Whether items do not all count alike, as in F1."""
        return any(one.weights for one in self.outcomes)

    @property
    def is_graded(self) -> bool:
        """Whether outcomes are scores, and not only true and false."""
        return any(outcome not in (None, 0, 1) for one in self.by_item for outcome in one.values())

    @property
    def clusters(self) -> dict[str, Hashable]:
        """Cluster by item id."""
        return {item: cluster for one in self.outcomes for item, cluster in one.clusters.items()}

    def rate(self, level: float) -> Rate:
        """The rate over seeds and items.

        Args:
            level: confidence level.
        """
        unread = sum(one.unreadable for one in self.results)
        n = sum(one.n for one in self.results)
        if self.is_weighted:
            values = [one.rate for one in self.results if one.rate is not None]
            mean = sum(values) / len(values) if values else None
            return Rate(mean, min(one.low for one in self.results), max(one.high for one in self.results), n, unread)
        found = pooled(self.by_item, self.clusters, level=level)
        return Rate(found.value, found.low, found.high, n, unread)


Measured = Mapping[str, ArmOutcomes]
"""Of one metric, the outcomes by arm."""


def measured(study: Path, results: Sequence[Result]) -> Iterator[Measured]:
    """The outcomes of every metric by arm, one metric after the other, in the order of the axes.

    Args:
        study: the study's folder.
        results: its results, arms in the order of the study.

    Yields:
        One metric; only its outcomes are held.

    Raises:
        RunError: a table of scores is missing or damaged.
    """
    found: dict[tuple[str, str], dict[str, list[Result]]] = {}
    for result in sorted(results, key=lambda one: AXES.index(one.axis)):
        found.setdefault((result.metric, result.subset), {}).setdefault(result.arm, []).append(result)
    for arms in found.values():
        yield {arm: _of_arm(study, own) for arm, own in arms.items()}


def _of_arm(study: Path, results: Sequence[Result]) -> ArmOutcomes:
    ordered = tuple(sorted(results, key=lambda one: -1 if one.seed is None else one.seed))
    return ArmOutcomes(ordered, tuple(outcomes(study, one) for one in ordered))


def measure(arms: Measured, *, against: str, level: float) -> MeasureShown:
    """One metric over all arms, p-values not yet corrected.

    Args:
        arms: its outcomes.
        against: arm that the others are compared with; where it lacks the metric, nothing is compared.
        level: confidence level.
    """
    changes = _changes(arms, against, level)
    trained = [arm for arm in arms.values() if not arm.first.is_base] or list(arms.values())
    first = trained[0].first
    shown = [_arm(arm, changes.get(name), level) for name, arm in arms.items()]
    return MeasureShown(
        label=first.label_of_metric, benchmark=first.benchmark, axis=first.axis, better=first.better,
        subset=first.subset, items=first.n, graded=any(arm.is_graded for arm in arms.values()),
        arms=tuple(sorted(shown, key=lambda arm: not arm.is_base)),
        against=arms[against].first.label if changes else "",
    )  # fmt: skip


def corrected(measures: Sequence[MeasureShown], level: float) -> list[MeasureShown]:
    """The measures with p-values corrected for all comparisons of the study (Holm), and what is shown by them.

    Args:
        measures: of all metrics.
        level: confidence level.
    """
    changes = [arm.change for one in measures for arm in one.arms if arm.change is not None]
    left = iter(holm([change.p for change in changes]))

    def of(arm: ArmShown, better: Better) -> ArmShown:
        if arm.change is None:
            return arm
        p = next(left)
        return replace(arm, change=replace(arm.change, p=p, tone=_tone(arm.change.difference, p, better, level)))

    return [replace(one, arms=tuple(of(arm, one.better) for arm in one.arms)) for one in measures]


def _tone(difference: float, p: float, better: Better, level: float) -> Tone:
    if p > 1 - level or better == "neither":
        return "same"
    return "better" if (difference < 0) == (better == "lower") else "worse"


def _changes(arms: Measured, against: str, level: float) -> dict[str, PooledDifference]:
    """How each arm differs from the one that it is compared with, over the seeds that both have."""
    reference = arms.get(against)
    if reference is None or reference.is_weighted:
        return {}
    found = {}
    for name, arm in arms.items():
        seeds = [one.seed for one in reference.results]
        own = {one.seed: outcome for one, outcome in zip(arm.results, arm.by_item, strict=True)}
        both = [seed for seed in seeds if seed in own]
        if name == against or arm.first.is_base or not both:
            continue
        before = [outcome for seed, outcome in zip(seeds, reference.by_item, strict=True) if seed in own]
        found[name] = pooled_difference(before, [own[seed] for seed in both], reference.clusters, level=level)
    return found


def _arm(arm: ArmOutcomes, change: PooledDifference | None, level: float) -> ArmShown:
    seeds = () if arm.first.is_base else tuple(one.rate for one in arm.results)
    shown = ArmShown(label=arm.first.label, rate=arm.rate(level), seeds=seeds, value=arm.first.value,
                     is_base=arm.first.is_base)  # fmt: skip
    if change is None or change.difference is None:
        return shown
    return replace(shown, change=ChangeShown(difference=change.difference, low=change.low, high=change.high,
                                             p=change.p, tone="same"))  # fmt: skip
