"""The outcomes of a model by the date on which items joined their benchmark."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

from spavl.evaluate.score_table import check_scores
from spavl.pipeline.measured_metrics import MeasuredMetric
from spavl.pipeline.score_outcomes import MetricOutcomes, outcomes_of
from spavl.statistics.intervals import Outcome
from spavl.tables.query import query

COHORTS = {
    "day": "strftime(added::DATE, '%Y-%m-%d')",
    "month": "strftime(added::DATE, '%Y-%m')",
    "quarter": "year(added::DATE) || '-Q' || quarter(added::DATE)",
    "year": "year(added::DATE)::VARCHAR",
}
"""SQL of what the items of a period are called, by how dates are put together; in alphabetical order they follow in
time."""


def by_cohort(table: Path, metric: MeasuredMetric, by: str) -> dict[str, MetricOutcomes]:
    """The outcomes of a metric by the period in which items joined their benchmark, oldest first.

    Args:
        table: table of scores of a model.
        metric: the metric.
        by: how dates are put together, a key of `COHORTS`.

    Raises:
        RunError: the table is missing or damaged.
    """
    return _parted(table, metric, COHORTS[by])


def by_date(table: Path, metric: MeasuredMetric) -> dict[date, MetricOutcomes]:
    """The outcomes of a metric by the date on which items joined their benchmark, oldest first.

    Args:
        table: table of scores of a model.
        metric: the metric.

    Raises:
        RunError: the table is missing or damaged.
    """
    return _parted(table, metric, "added::DATE")


def _parted(table: Path, metric: MeasuredMetric, part: str) -> dict[Any, MetricOutcomes]:
    """The outcomes of items that have a date, by an SQL expression of it and in its order."""
    if "added" not in check_scores(table):
        return {}
    every = outcomes_of(table, metric)
    found: dict[Any, dict[str, Outcome]] = {}
    for item, key in query(f"SELECT item_id, {part} FROM scores WHERE added <> '' ORDER BY 2", scores=table):
        if item in every.outcomes:
            found.setdefault(key, {})[item] = every.outcomes[item]
    return {key: MetricOutcomes(own, every.clusters, every.weights) for key, own in found.items()}
