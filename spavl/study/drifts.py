"""Drift: whether items that joined later fare otherwise, for every model of a longitudinal study."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path

from spavl.report.numbers import points
from spavl.report.study_data import DriftOfModel, DriftShown
from spavl.run import Run
from spavl.statistics.intervals import Rate
from spavl.statistics.multiple import holm
from spavl.statistics.transfer import LEAST_DATES, Drift, drift
from spavl.study.cohorts import by_date
from spavl.study.results import Result, metric_of

YEAR = 365.25
"""Days."""


def drifts(study: Path, results: Sequence[Result], *, level: float) -> list[DriftShown]:
    """Every metric of a longitudinal study by period, with the trend of every model.

    P-values of all trends of the study are corrected together (Holm), but those of metrics that only describe.

    Args:
        study: the study's folder.
        results: its results, in the order of metrics.
        level: confidence level.

    Raises:
        RunError: a table of scores is missing or damaged.
    """
    trends = {(one.metric, one.arm): _trend(study, one, level)
              for one in {(one.metric, one.arm): one for one in results}.values()}  # fmt: skip
    directed = {one.metric for one in results if one.better != "neither"}
    tested = {key: trend.p for key, trend in trends.items() if trend is not None and key[0] in directed}
    p_values = dict(zip(tested, holm(list(tested.values())), strict=True))
    sentences = {key: _sentence(key[1], trend, p_values.get(key), level) for key, trend in trends.items()}
    return [_drift(list(own), sentences) for _, own in groupby(results, key=lambda one: one.metric)]


def _drift(results: Sequence[Result], sentences: Mapping[tuple[str, str], str]) -> DriftShown:
    first = results[0]
    periods = sorted({one.subset for one in results})
    rates = {(one.arm, one.subset): Rate(one.rate, one.low, one.high, one.n, one.unreadable) for one in results}
    items = [max(one.n for one in results if one.subset == period) for period in periods]
    return DriftShown(
        label=first.label_of_metric, benchmark=first.benchmark, axis=first.axis, better=first.better,
        periods=tuple(periods), items=tuple(items),
        models=tuple(
            DriftOfModel(label=arm, rates=tuple(rates.get((arm, period)) for period in periods),
                         sentence=sentences[first.metric, arm])
            for arm in dict.fromkeys(one.arm for one in results)
        ),
    )  # fmt: skip


def _trend(study: Path, result: Result, level: float) -> Drift | None:
    """How the rate of a model moves with the date of the items."""
    table = Run(study / result.run).evaluate / result.model / f"{result.benchmark}.parquet"
    outcomes = by_date(table, metric_of(study, result))
    clusters = {item: cluster for one in outcomes.values() for item, cluster in one.clusters.items()}
    years = [day.toordinal() / YEAR for day in outcomes]
    return drift(years, [[one.outcomes] for one in outcomes.values()], clusters, level=level)


def _sentence(model: str, found: Drift | None, p: float | None, level: float) -> str:
    """Whether a trend is shown, by its corrected p-value; None: that is not tested."""
    if found is None:
        return f"{model}: a trend needs readable verdicts on items of at least {LEAST_DATES} dates."
    change = f"{points(found.slope)} points a year ({points(found.low)} to {points(found.high)})"
    said = f"{model}, over {found.dates} dates: {change}"
    if p is None:
        return f"{said}; what only describes is not tested."
    if p <= 1 - level:
        return f"{said}."
    several = "; the interval excludes none, but not after correction for all trends of the study"
    return f"{said}: no trend is shown{several if found.low * found.high > 0 else ''}."
