"""One metric by subject, or by what the subjects belong to, for every model: counted by DuckDB."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from typing import Any

from spavl.evaluate.score_table import check_scores, weight_column
from spavl.pipeline.measured_metrics import MeasuredMetric
from spavl.pipeline.report_tables import tables_of
from spavl.report.data import GroupShown
from spavl.run import Run
from spavl.statistics.estimate import estimate
from spavl.statistics.intervals import Outcome, Rate
from spavl.tables.query import literal, query, quoted


def groups(
    run: Run, models: Sequence[str], metrics: Sequence[MeasuredMetric], named: Mapping[str, str] | None = None
) -> Iterator[GroupShown]:
    """Outcomes by subject, for every model: of the first of these metrics that an item counts in.

    Args:
        run: the run folder.
        models: names of the models.
        metrics: metrics of one axis and direction.
        named: what subjects are called, so that those of one name are counted together; None: as they are.
    """
    counts: dict[str, dict[str, Counter[tuple[Outcome, float]]]] = {}
    heldout: set[str] = set()
    for benchmark in dict.fromkeys(m.benchmark for m in metrics):
        own = [m for m in metrics if m.benchmark == benchmark]
        for model, table in tables_of(run, models, benchmark).items():
            sql = _outcomes_by_group(own, check_scores(table))
            for subject, kept_out, outcome, weight, count in query(sql, scores=table):
                group = (named or {}).get(subject, subject)
                counts.setdefault(group, {}).setdefault(model, Counter())[outcome, weight] += count
                heldout |= {group} if kept_out and not named else set()
    for group, by_model in sorted(counts.items()):
        rates = {model: _rate_of_counts(counted) for model, counted in by_model.items()}
        weighted = any(weight != 1.0 for counted in by_model.values() for _, weight in counted)
        yield GroupShown(label=group, rates=rates, heldout=group in heldout, weighted=weighted)


def _rate_of_counts(counted: Counter[tuple[Outcome, float]]) -> Rate:
    """The rate of some outcomes with their weights."""
    pairs = list(counted.elements())
    weights = [weight for _, weight in pairs]
    return estimate([o for o, _ in pairs], range(len(pairs)), weights if set(weights) != {1.0} else None)


def domain_names(manifest: Mapping[str, Any], subjects: Iterable[str]) -> dict[str, str]:
    """The highest name of the taxonomy above every subject; empty unless it has all subjects, and fewer such names.

    Args:
        manifest: `run.json`, which holds the taxonomy of a run that was built.
        subjects: names of subjects, such as subcategories.
    """
    coverage = manifest.get("coverage", {})
    tops = {leaf["class3"]: leaf["class1"] or leaf["class2"] for leaf in coverage.get("leaves", ())}
    found = {name: tops.get(name, "") for name in subjects}
    if not all(found.values()) or len(set(found.values())) == len(found):
        return {}
    return {name: coverage["display"].get(top, top) for name, top in found.items()}


def _outcomes_by_group(metrics: Sequence[MeasuredMetric], columns: Container[str]) -> str:
    cases = " ".join(f"WHEN {_counts(m)} THEN {m.column}" for m in metrics)
    weighed = [m for m in metrics if weight_column(m.name) in columns]
    weights = " ".join(f"WHEN {_counts(m)} THEN coalesce({quoted(weight_column(m.name))}, 1.0)" for m in weighed)
    weight = f"CASE {weights} ELSE 1.0 END" if weights else "1.0"
    counted = " OR ".join(_counts(m) for m in metrics)
    return (
        f'SELECT "group", heldout, CASE {cases} END AS outcome, CAST({weight} AS DOUBLE) AS weight, count(*) '
        f"FROM scores WHERE \"group\" <> '' AND ({counted}) GROUP BY ALL"
    )


def _counts(metric: MeasuredMetric) -> str:
    """Whether a row's item counts in a metric: it has an outcome, or one that could not be read."""
    return f"({metric.column} IS NOT NULL OR list_contains(unread, {literal(metric.name)}))"
