"""Outcomes of one metric, read back from a table of scores: what comparisons and limits are computed from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from spavl.evaluate.score_table import check_scores, weight_column
from spavl.evaluate.scorer import DECLINED
from spavl.judging.readers.refusal import refuses
from spavl.pipeline.measured_metrics import MeasuredMetric
from spavl.statistics.estimate import estimate
from spavl.statistics.intervals import LEVEL, Outcome, Rate
from spavl.statistics.paired import PairedComparison, compare_paired
from spavl.tables.query import literal, query, quoted

Cluster = tuple[str, str]
"""An item's cluster, or the item itself; tagged, since an item's id may equal a cluster's name."""


@dataclass(frozen=True, slots=True)
class MetricOutcomes:
    """The outcomes of one model on one metric."""

    outcomes: Mapping[str, Outcome]
    """Outcome by item id."""
    clusters: Mapping[str, Cluster]
    """Cluster by item id."""
    weights: Mapping[str, float]
    """How much every item counts; empty where all count alike."""

    @property
    def unread(self) -> int:
        """Number of items without a readable verdict."""
        return sum(outcome is None for outcome in self.outcomes.values())

    @property
    def is_share(self) -> bool:
        """Whether the rate is a plain share of items, so that it has a count."""
        return not self.weights and all(outcome in (None, 0, 1) for outcome in self.outcomes.values())

    def rate(self, *, level: float = LEVEL) -> Rate:
        """The rate, with its interval.

        Args:
            level: confidence level.
        """
        weights = [self.weights[item] for item in self.outcomes] if self.weights else None
        return estimate(list(self.outcomes.values()), [self.clusters[i] for i in self.outcomes], weights, level=level)


def outcomes_of(table: Path, metric: MeasuredMetric) -> MetricOutcomes:
    """The outcomes of one metric in a table of scores; empty where it was not measured there.

    Args:
        table: a file that `spavl evaluate` wrote.
        metric: the metric.

    Raises:
        RunError: the table is missing, damaged or of another format version.
    """
    columns, weight = check_scores(table), weight_column(metric.name)
    if metric.plain_column not in columns:
        return MetricOutcomes({}, {}, {})
    weighs = weight in columns
    rows = query(
        f"SELECT item_id, cluster, {metric.column}, {quoted(weight) if weighs else 'NULL'} FROM scores "
        f"WHERE {metric.column} IS NOT NULL OR list_contains(unread, {literal(metric.name)})",
        scores=table,
    )
    return MetricOutcomes(
        outcomes={item: outcome for item, _, outcome, _ in rows},
        clusters={item: ("cluster", cluster) if cluster else ("item", item) for item, cluster, *_ in rows},
        weights={item: 1.0 if own is None else own for item, *_, own in rows} if weighs else {},
    )


def pooled(parts: Mapping[str, MetricOutcomes], *, turned: Iterable[str] = ()) -> MetricOutcomes:
    """The outcomes of several benchmarks as those of one, in which every item counts alike.

    Args:
        parts: outcomes by name of the benchmark.
        turned: benchmarks whose outcomes mean the opposite and are turned around.
    """
    other = frozenset(turned)
    outcomes: dict[str, Outcome] = {}
    clusters: dict[str, Cluster] = {}
    for name, part in parts.items():
        for item, outcome in part.outcomes.items():
            kind, cluster = part.clusters[item]
            outcomes[f"{name}/{item}"] = outcome if outcome is None or name not in other else 1 - outcome
            clusters[f"{name}/{item}"] = (kind, f"{name}/{cluster}")
    return MetricOutcomes(outcomes, clusters, {})


def compared(
    base: MetricOutcomes, aligned: MetricOutcomes, metric: MeasuredMetric, *, level: float = LEVEL
) -> PairedComparison:
    """The comparison of two models on the items that both were asked.

    Args:
        base: outcomes of the base model.
        aligned: outcomes of the other model.
        metric: the metric, for its direction.
        level: confidence level of the interval.
    """
    return compare_paired(
        base.outcomes, aligned.outcomes, better=metric.better, clusters=base.clusters,
        weights=(base.weights, aligned.weights), level=level,
    )  # fmt: skip


def refused_items(table: Path) -> frozenset[str]:
    """Ids of the items of a table whose answer is a refusal, by its words or because the service declined the call.

    Args:
        table: a file that `spavl evaluate` wrote.

    Raises:
        RunError: the table is missing, damaged or of another format version.
    """
    check_scores(table)
    rows = query("SELECT item_id, answer, status FROM scores", scores=table)
    return frozenset(item for item, text, status in rows if status in DECLINED or refuses(text or ""))
