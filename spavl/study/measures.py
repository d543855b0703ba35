"""The measures of a study: every metric over its arms, pooled over seeds and items, compared with one of the arms."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from spavl.evaluate.benchmark import AXES
from spavl.pipeline.score_outcomes import MetricOutcomes
from spavl.report.study_data import ArmShown, ChangeShown, MeasureShown
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


def measured(study: Path, results: Sequence[Result]) -> dict[tuple[str, str], Measured]:
    """Outcomes by (metric, subset) and arm, metrics in the order of the axes, arms in the order of the study.

    Args:
        study: the study's folder.
        results: its results.

    Raises:
        RunError: a table of scores is missing or damaged.
    """
    found: dict[tuple[str, str], dict[str, list[Result]]] = {}
    for result in sorted(results, key=lambda one: AXES.index(one.axis)):
        found.setdefault((result.metric, result.subset), {}).setdefault(result.arm, []).append(result)
    return {key: {arm: _of_arm(study, own) for arm, own in arms.items()} for key, arms in found.items()}


def _of_arm(study: Path, results: Sequence[Result]) -> ArmOutcomes:
    ordered = tuple(sorted(results, key=lambda one: -1 if one.seed is None else one.seed))
    return ArmOutcomes(ordered, tuple(outcomes(study, one) for one in ordered))


def measures(found: Mapping[tuple[str, str], Measured], *, against: str, level: float) -> list[MeasureShown]:
    """What the page shows of every metric; p-values are corrected for all comparisons of the study.

    Args:
        found: as `measured` gives it.
        against: arm that the others are compared with; of a metric that it lacks nothing is compared.
        level: confidence level.
    """
    changes = {key: _changes(arms, against, level) for key, arms in found.items()}
    flat = [(key, arm) for key, own in changes.items() for arm in own]
    corrected = dict(zip(flat, holm([changes[key][arm].p for key, arm in flat]), strict=True))
    made = []
    for key, arms in found.items():
        first = next(iter(arms.values())).first
        ps = {arm: corrected[key, arm] for arm in changes[key]}
        made.append(_measure(first, arms, changes[key], ps, against, level))
    return made


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


def _measure(
    first: Result, arms: Measured, changes: Mapping[str, PooledDifference], ps: Mapping[str, float], against: str,
    level: float,
) -> MeasureShown:  # fmt: skip
    trained = [arm for arm in arms.values() if not arm.first.is_base] or list(arms.values())
    shown = [_arm(arm, changes.get(name), ps.get(name, 1.0), first.better, level) for name, arm in arms.items()]
    graded = any(
        outcome not in (None, 0, 1) for arm in arms.values() for one in arm.by_item for outcome in one.values()
    )
    return MeasureShown(
        label=first.label_of_metric, benchmark=first.benchmark, axis=first.axis, better=first.better,
        subset=first.subset, items=trained[0].first.n, graded=graded,
        arms=tuple(sorted(shown, key=lambda arm: not arm.is_base)),
        against=arms[against].first.label if changes else "",
    )  # fmt: skip


def _arm(arm: ArmOutcomes, change: PooledDifference | None, p: float, better: Better, level: float) -> ArmShown:
    seeds = () if arm.first.is_base else tuple(one.rate for one in arm.results)
    shown = ArmShown(label=arm.first.label, rate=arm.rate(level), seeds=seeds, value=arm.first.value,
                     is_base=arm.first.is_base)  # fmt: skip
    if change is None or change.difference is None:
        return shown
    known = p <= 1 - level and better != "neither"
    improves = (change.difference < 0) == (better == "lower")
    tone = "same" if not known else "better" if improves else "worse"
    return replace(shown, change=ChangeShown(difference=change.difference, low=change.low, high=change.high, p=p,
                                             tone=tone))  # fmt: skip
