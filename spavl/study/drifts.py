"""Drift: whether items that joined later fare otherwise, for every model of a longitudinal study."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from itertools import groupby
from pathlib import Path

from spavl.pipeline.score_outcomes import MetricOutcomes
from spavl.report.numbers import points
from spavl.report.study_data import DriftOfModel, DriftShown
from spavl.run import Run
from spavl.statistics.intervals import Rate
from spavl.statistics.transfer import LEAST_DATES, drift
from spavl.study.cohorts import by_date
from spavl.study.results import Result, metric_of

YEAR = 365.25
"""Days."""


def drifts(study: Path, results: Sequence[Result], *, level: float) -> list[DriftShown]:
    """Every metric of a longitudinal study by period.

    Args:
        study: the study's folder.
        results: its results, in the order of metrics.
        level: confidence level.

    Raises:
        RunError: a table of scores is missing or damaged.
    """
    return [_drift(study, list(own), level) for _, own in groupby(results, key=lambda one: one.metric)]


def _drift(study: Path, results: Sequence[Result], level: float) -> DriftShown:
    first = results[0]
    periods = sorted({one.subset for one in results})
    rates = {(one.arm, one.subset): Rate(one.rate, one.low, one.high, one.n, one.unreadable) for one in results}
    items = [max(one.n for one in results if one.subset == period) for period in periods]
    models = {one.arm: one for one in results}
    return DriftShown(
        label=first.label_of_metric, benchmark=first.benchmark, axis=first.axis, better=first.better,
        periods=tuple(periods), items=tuple(items),
        models=tuple(
            DriftOfModel(label=arm, rates=tuple(rates.get((arm, period)) for period in periods),
                         sentence=_sentence(arm, _outcomes(study, own), level))
            for arm, own in models.items()
        ),
    )  # fmt: skip


def _outcomes(study: Path, result: Result) -> dict[date, MetricOutcomes]:
    table = Run(study / result.run).evaluate / result.model / f"{result.benchmark}.parquet"
    return by_date(table, metric_of(study, result))


def _sentence(model: str, outcomes: Mapping[date, MetricOutcomes], level: float) -> str:
    """Whether the rate of a model moves with the date of the items."""
    clusters = {item: cluster for one in outcomes.values() for item, cluster in one.clusters.items()}
    years = [day.toordinal() / YEAR for day in outcomes]
    found = drift(years, [[one.outcomes] for one in outcomes.values()], clusters, level=level)
    if found is None:
        return f"{model}: a trend needs items of at least {LEAST_DATES} dates."
    said = f"{points(found.slope)} points a year ({points(found.low)} to {points(found.high)})"
    shown = "" if found.p <= 1 - level else ": no trend is shown"
    return f"{model}, over {found.dates} dates: {said}{shown}."
