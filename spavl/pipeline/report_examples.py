"""Examples of a run in proportion: how many items alignment repaired, broke or left, and which of them are shown."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from pathlib import Path

from spavl.pipeline.measured_metrics import MeasuredMetric
from spavl.pipeline.report_tables import ScoredItem, scored_items, tables_of
from spavl.report.data import AnswerShown, Example
from spavl.report.summary_data import ExampleKind, ExampleShare
from spavl.run import Run
from spavl.tables.query import literal, query

KINDS: tuple[ExampleKind, ...] = (
    "repaired", "new failure", "still fails", "stays right", "unread", "over-refusal", "other",
)  # fmt: skip
"""Kinds of examples, in the order in which they are shown."""
BY_RANK: tuple[ExampleKind, ...] = ("new failure", "repaired", "stays right", "still fails", "unread")
"""Kind by the number that `_ranked` gives an item."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """An item that is shown."""

    kind: ExampleKind
    """What it shows."""
    benchmark: str
    """Its benchmark."""
    item: str
    """Its id."""


def examples_of(
    run: Run, models: Sequence[str], metrics: Sequence[MeasuredMetric], wanted: int, shown: str
) -> tuple[tuple[Example, ...], tuple[ExampleShare, ...]]:
    """Examples in proportion, at least one of every kind that there is, and how many items are of every kind.

    Args:
        run: the run folder.
        models: names of the models, the base first.
        metrics: all metrics, the headline first.
        wanted: most examples.
        shown: name of the model that is held against the base; where it is the first itself, only its needless
            refusals are told apart.
    """
    tables = {name: tables_of(run, models, name) for name in dict.fromkeys(m.benchmark for m in metrics)}
    asked = [m for m in metrics if list(tables[m.benchmark]) == list(models)]
    sources = _sources(asked)
    counts = {kind: _counted(tables[m.benchmark], m, shown, kind) for kind, m in sources}
    places = shares_of({kind: n for kind, (n, _) in counts.items()}, wanted)
    chosen = [one for kind, m in sources for one in _taken(tables[m.benchmark], m, shown, kind, places[kind])]
    fresh = list({(one.benchmark, one.item): one for one in reversed(chosen)}.values())[::-1]
    rest = wanted - len(fresh)
    fresh += _others(tables, asked, shown, rest, {(one.benchmark, one.item) for one in fresh})
    if [shown] == list(models[:1]):  # nothing is repaired or broken of a model that is held against itself
        counts = {kind: found for kind, found in counts.items() if kind == "over-refusal"}
        fresh = [one if one.kind in counts else replace(one, kind="other") for one in fresh]
    asked_in = {kind: m.benchmark for kind, m in sources}
    said = tuple(
        ExampleShare(kind=kind, count=n, of=of, shown=sum(one.kind == kind for one in fresh), model=shown,
                     benchmark=asked_in[kind])
        for kind, (n, of) in counts.items()
    )  # fmt: skip
    return tuple(_examples(run, tables, metrics, fresh)), said


def shares_of(counts: Mapping[ExampleKind, int], wanted: int) -> dict[ExampleKind, int]:
    """How many examples of every kind are shown: one of each that there is, the rest by the largest remainders.

    Args:
        counts: items of every kind.
        wanted: most examples.
    """
    there = {kind: n for kind, n in counts.items() if n}
    least = dict.fromkeys(sorted(there, key=lambda kind: -there[kind])[:wanted], 1)
    left, total = wanted - len(least), sum(there.values())
    if left <= 0 or not total:
        return {kind: least.get(kind, 0) for kind in counts}
    exact = {kind: wanted * there[kind] / total for kind in least}
    made = {kind: min(there[kind], max(1, int(exact[kind]))) for kind in least}
    while sum(made.values()) > wanted:
        most = max(made, key=lambda kind: made[kind] - exact[kind] if made[kind] > 1 else -math.inf)
        made[most] -= 1
    open_ = sorted(made, key=lambda kind: made[kind] - exact[kind])
    while sum(made.values()) < min(wanted, total):
        kind = next(kind for kind in open_ if made[kind] < there[kind])
        made[kind] += 1
        open_.sort(key=lambda kind: made[kind] - exact[kind])
    return {kind: made.get(kind, 0) for kind in counts}


def _sources(metrics: Sequence[MeasuredMetric]) -> list[tuple[ExampleKind, MeasuredMetric]]:
    """Kinds of examples with the metric that tells them: the headline, and the first metric of needless refusals."""
    if not metrics or metrics[0].better == "neither":
        return []
    headline = metrics[0]
    refusals = next(
        (m for m in metrics if m.axis == "over-refusal" and m.better == "lower" and m is not headline), None
    )
    kinds: list[tuple[ExampleKind, MeasuredMetric]] = [(kind, headline) for kind in KINDS if kind in BY_RANK]
    return [*kinds, ("over-refusal", refusals)] if refusals else kinds


def _ranked(tables: Mapping[str, Path], metric: MeasuredMetric, shown: str) -> tuple[str, dict[str, Path]]:
    """SQL of items with their rank, and its tables: 0 broken, 1 repaired, 2 right, 3 failing, 4 unread."""
    first = next(iter(tables))
    column, wanted = metric.column, "< 0.5" if metric.better == "lower" else ">= 0.5"
    is_good = [f"CAST({name}.{column} AS DOUBLE) {wanted}" for name in ("before", "after")]
    rank = (
        f"CASE WHEN before.{column} IS NULL OR after.{column} IS NULL THEN 4 WHEN {is_good[0]} AND NOT {is_good[1]} "
        f"THEN 0 WHEN NOT {is_good[0]} AND {is_good[1]} THEN 1 WHEN {is_good[1]} THEN 2 ELSE 3 END"
    )
    counts = f"(before.{column} IS NOT NULL OR list_contains(before.unread, {literal(metric.name)}))"
    sql = (
        f'SELECT item_id, before."group" AS subject, place, {rank} AS rank FROM '
        f"(SELECT *, row_number() OVER () AS place FROM base_scores) AS before "
        f"JOIN model_scores AS after USING (item_id) WHERE {counts}"
    )
    return sql, {"base_scores": tables[first], "model_scores": tables[shown]}


def _where(kind: ExampleKind) -> str:
    """Which ranks are of a kind: an over-refusal is one that the model makes, whether the base made it too or not."""
    return "rank IN (0, 3)" if kind == "over-refusal" else f"rank = {BY_RANK.index(kind)}"


def _counted(tables: Mapping[str, Path], metric: MeasuredMetric, shown: str, kind: ExampleKind) -> tuple[int, int]:
    """Items of a kind, and of how many."""
    sql, files = _ranked(tables, metric, shown)
    ((n, of),) = query(f"SELECT count(*) FILTER ({_where(kind)}), count(*) FROM ({sql})", None, **files)
    return n, of


def _taken(
    tables: Mapping[str, Path], metric: MeasuredMetric, shown: str, kind: ExampleKind, wanted: int
) -> Iterator[Wanted]:
    """Items of a kind, of as many subjects as there are."""
    sql, files = _ranked(tables, metric, shown)
    turn = "row_number() OVER (PARTITION BY subject ORDER BY place)"
    rows = query(
        f"SELECT item_id FROM (SELECT *, {turn} AS turn FROM ({sql}) WHERE {_where(kind)}) "
        f"ORDER BY turn, place LIMIT {int(wanted)}", None, **files,
    )  # fmt: skip
    for (item,) in rows:
        yield Wanted(kind, metric.benchmark, item)


def _others(
    tables: Mapping[str, Mapping[str, Path]], metrics: Sequence[MeasuredMetric], shown: str, wanted: int,
    there: set[tuple[str, str]],
) -> list[Wanted]:  # fmt: skip
    """Items that no example is of yet, of all metrics in turn, those that changed first."""
    taken: dict[tuple[str, str], None] = {}
    by_metric = []
    for metric in metrics if wanted > 0 else ():
        sql, files = _ranked(tables[metric.benchmark], metric, shown)
        most = wanted + len(there)
        rows = query(f"SELECT item_id FROM ({sql}) ORDER BY rank, place LIMIT {int(most)}", None, **files)
        by_metric.append([(metric.benchmark, item) for (item,) in rows if (metric.benchmark, item) not in there])
    for turn in zip_longest(*by_metric):
        taken |= dict.fromkeys(one for one in turn if one is not None)
    return [Wanted("other", benchmark, item) for benchmark, item in list(taken)[: max(0, wanted)]]


def _examples(
    run: Run, tables: Mapping[str, Mapping[str, Path]], metrics: Sequence[MeasuredMetric], wanted: Sequence[Wanted]
) -> Iterator[Example]:
    found: dict[tuple[str, str], ScoredItem] = {}
    for benchmark, table in tables.items():
        ids = [one.item for one in wanted if one.benchmark == benchmark]
        own = [m for m in metrics if m.benchmark == benchmark]
        found |= {(benchmark, item): known for item, known in scored_items(run, table, own, ids).items()}
    return (_example(found[one.benchmark, one.item], one.kind) for one in wanted)


def _example(item: ScoredItem, kind: ExampleKind) -> Example:
    return Example(
        question=item.question, topic=item.group, harmful=item.closed, benign=item.benign, heldout=item.heldout,
        kind=kind, pictures=tuple(path for path in item.pictures if path.exists()),
        answers=tuple(
            AnswerShown(model=name, text=answer.text, good=answer.good, grade=answer.words,
                        closed=item.is_closed(answer))
            for name, answer in item.answers.items()
        ),
    )  # fmt: skip
