"""From the results of a study to what its claims and laws are computed from."""

from __future__ import annotations

from collections.abc import Mapping

from spavl.statistics.intervals import Outcome
from spavl.study.findings import MetricRuns
from spavl.study.measures import Measured


def metric_runs(arms: Measured) -> MetricRuns:
    """The outcomes of one metric by arm and seed, without models before training.

    A metric whose items do not all count alike, such as F1, has none: its differences are not means over items.

    Args:
        arms: outcomes of the metric by arm; at least one.
    """
    trained = {name: arm for name, arm in arms.items() if not arm.first.is_base}
    first = next(iter((trained or arms).values())).first
    plain = {name: arm for name, arm in trained.items() if not arm.is_weighted}
    trainings = {name: frozenset(one.training for one in arm.results) for name, arm in plain.items()}
    return MetricRuns(
        key=f"{first.metric}/{first.subset}", label=first.label_of_metric, axis=first.axis, better=first.better,
        runs={
            name: {one.seed: outcomes for one, outcomes in zip(arm.results, arm.by_item, strict=True)
                   if one.seed is not None}
            for name, arm in plain.items()
        },
        clusters={item: cluster for arm in plain.values() for item, cluster in arm.clusters.items()},
        labels={name: arm.first.label for name, arm in plain.items()},
        same=frozenset(
            frozenset((one, other)) for one, own in trainings.items() for other, others in trainings.items()
            if one != other and own == others
        ),
    )  # fmt: skip


def before_training(arms: Measured) -> Mapping[str, Outcome] | None:
    """The outcomes of the model before training; None where there are several or none, or items do not count alike.

    Args:
        arms: outcomes of the metric by arm.
    """
    bases = [arm for arm in arms.values() if arm.first.is_base and not arm.is_weighted]
    return bases[0].by_item[0] if len(bases) == 1 else None


def places(arms: Measured) -> dict[str, float | None]:
    """Place on the study's axis by name of the arm, without models before training.

    Args:
        arms: outcomes of a metric by arm.
    """
    return {name: arm.first.value for name, arm in arms.items() if not arm.first.is_base}
