"""Run a benchmark: a model's answers (through the call store), their scores, rates with intervals, paired comparison.

An outcome is True, False or None. None is a verdict that could not be read: estimates leave it out, and interval bounds
assume the worse for it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from spavl.errors import DataError, RunError
from spavl.evaluate.benchmark import Benchmark, Item, Metric
from spavl.models.base import Model
from spavl.models.calls.engine import complete
from spavl.models.calls.store import CallStore
from spavl.records import Status
from spavl.statistics.intervals import LEVEL, Outcome, Rate, clustered_rate
from spavl.statistics.paired import PairedComparison, compare_paired
from spavl.tables import FORMAT, write_arrow

Scorer = Callable[[Item, str], Mapping[str, Outcome]]
"""(item, text of the answer) → outcome by metric name. A metric that it leaves out counts as unreadable."""

DECLINED: tuple[Status, ...] = ("refused", "filtered")
"""Statuses of a call that the service itself refused or filtered."""
FAILED: tuple[Status, ...] = ("failed", "unreadable")
"""Statuses of a call without an answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A model's answer to an item."""

    item: Item
    """The item that was asked."""
    benchmark: str
    """Name of its benchmark."""
    model: str
    """Name of the model."""
    text: str
    """The answer; empty where the call gave none."""
    status: Status
    """What became of the call."""
    call: str
    """Key of the call in the store."""
    tokens: int
    """Length of the answer in tokens."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """An answer with its outcomes."""

    answer: Answer
    """The answer with its item and call."""
    outcomes: Mapping[str, Outcome]
    """Outcome of every metric that the item counts in, by name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Changed:
    """Ids of the items whose outcome for a metric differs between base and aligned model."""

    fixed: tuple[str, ...]
    """Bad under the base, good under the aligned model."""
    broken: tuple[str, ...]
    """Good under the base, bad under the aligned model."""


def answer(
    benchmark: Benchmark,
    model: Model,
    *,
    store: CallStore,
    on_progress: Callable[[int, int], None] | None = None,
) -> list[Answer]:
    """The model's answer to every item, in the order of the items; a failed call is an answer with its status.

    Args:
        benchmark: the items and how they are asked.
        model: the model.
        store: where calls are looked up and kept.
        on_progress: called with (answered, all).
    """
    prompts = [benchmark.prompt_for(item) for item in benchmark.items]
    replies = complete(model, prompts, sampling=benchmark.sampling, store=store, on_progress=on_progress)
    return [
        Answer(
            item=item,
            benchmark=benchmark.name,
            model=model.name,
            text=reply.text,
            status=reply.status,
            call=reply.key,
            tokens=reply.completion_tokens,
        )
        for item, reply in zip(benchmark.items, replies, strict=True)
    ]


def score(benchmark: Benchmark, answers: Sequence[Answer], *, scorer: Scorer) -> list[Scored]:
    """Outcomes of every answer.

    Complete and truncated answers are scored. Where the call failed every outcome is None; where the service declined
    it is `Metric.when_declined`.

    Args:
        benchmark: the benchmark that was asked.
        answers: answers to its items.
        scorer: outcomes of one answer.

    Raises:
        TypeError: the scorer gave an outcome that is not True, False or None.
    """
    return [Scored(answer=a, outcomes=_outcomes(benchmark, a, scorer)) for a in answers]


def _outcomes(benchmark: Benchmark, given: Answer, scorer: Scorer) -> dict[str, Outcome]:
    metrics = list(benchmark.metrics_of(given.item))
    if given.status in FAILED:
        return {metric.name: None for metric in metrics}
    if given.status in DECLINED:
        return {metric.name: metric.when_declined for metric in metrics}
    outcomes = scorer(given.item, given.text)
    return {metric.name: _checked(outcomes.get(metric.name), metric) for metric in metrics}


def _checked(outcome: object, metric: Metric) -> Outcome:
    """The outcome, if it is one: a 0.7 or a "safe" must not be taken for True."""
    if outcome is None or isinstance(outcome, bool):
        return outcome
    raise TypeError(f"a scorer returns True, False or None; for {metric.name} it returned {outcome!r}")


def summarise(scored: Sequence[Scored], *, level: float = LEVEL) -> dict[str, Rate]:
    """The rate of every metric by name, its interval widened where items share clusters.

    Args:
        scored: one model's scored answers.
        level: confidence level of the intervals.
    """
    names = dict.fromkeys(name for s in scored for name in s.outcomes)
    return {name: _rate([s for s in scored if name in s.outcomes], name, level) for name in names}


def by_group(scored: Sequence[Scored], metric: str, *, level: float = LEVEL) -> dict[str, Rate]:
    """The rate of one metric in every group (subcategory, scenario), in alphabetical order.

    Args:
        scored: one model's scored answers.
        metric: name of the metric.
        level: confidence level of the intervals.
    """
    asked = sorted((s for s in scored if metric in s.outcomes), key=_group)
    return {group: _rate(list(members), metric, level) for group, members in groupby(asked, key=_group)}


def _group(scored: Scored) -> str:
    return scored.answer.item.group


def _rate(asked: Sequence[Scored], metric: str, level: float) -> Rate:
    return clustered_rate([s.outcomes[metric] for s in asked], [_cluster(s) for s in asked], level=level)


def _cluster(scored: Scored) -> tuple[str, str]:
    """The item's cluster, or the item itself; tagged, since an item's id may equal a cluster's name."""
    item = scored.answer.item
    return ("cluster", item.cluster) if item.cluster else ("item", item.item_id)


def compare(
    benchmark: Benchmark, base: Sequence[Scored], aligned: Sequence[Scored], *, level: float = LEVEL
) -> dict[str, PairedComparison]:
    """Paired comparison of two models on the same items, for every metric by name.

    Args:
        benchmark: the benchmark that both were asked.
        base: scored answers of the base model.
        aligned: scored answers of the aligned model.
        level: confidence level of the intervals.

    Raises:
        DataError: the two were not asked the same items.
    """
    before, after = ({s.answer.item.item_id: s.outcomes for s in side} for side in (base, aligned))
    clusters = {s.answer.item.item_id: _cluster(s) for s in base}
    if before.keys() != after.keys():
        raise DataError("The two models were not asked the same items", where=f"benchmark {benchmark.name}")
    return {
        metric.name: compare_paired(
            {item: outcomes[metric.name] for item, outcomes in before.items() if metric.name in outcomes},
            {item: outcomes[metric.name] for item, outcomes in after.items() if metric.name in outcomes},
            better=metric.better,
            clusters=clusters,
            level=level,
        )
        for metric in benchmark.metrics
    }


def changed(benchmark: Benchmark, base: Sequence[Scored], aligned: Sequence[Scored]) -> dict[str, Changed]:
    """The items that each metric's comparison counts as fixed and as broken, by name of the metric.

    Args:
        benchmark: the benchmark that both were asked.
        base: scored answers of the base model.
        aligned: scored answers of the aligned model.
    """
    after = {s.answer.item.item_id: s.outcomes for s in aligned}
    found = {}
    for metric in benchmark.metrics:
        good = metric.better == "higher"
        moves = [
            (item, before[metric.name], after[item].get(metric.name))
            for item, before in ((s.answer.item.item_id, s.outcomes) for s in base)
            if metric.name in before and item in after
        ]
        found[metric.name] = Changed(
            fixed=tuple(item for item, was, now in moves if (was, now) == (not good, good)),
            broken=tuple(item for item, was, now in moves if (was, now) == (good, not good)),
        )
    return found


def write_scores(folder: Path, scored: Sequence[Scored]) -> list[Path]:
    """Write a table `<folder>/<model>/<benchmark>.parquet` for every model and benchmark; returns the files.

    A row is an answer with its item. A metric is a nullable boolean column `is_<metric>`; it is null for items that do
    not count in the metric and where no verdict could be read, and `unread` names the metrics of the second kind.

    Args:
        folder: where the tables are written.
        scored: scored answers of any models and benchmarks.

    Raises:
        RunError: a table cannot be written.
    """
    tables: dict[tuple[str, str], list[Scored]] = {}
    for s in scored:
        tables.setdefault((s.answer.model, s.answer.benchmark), []).append(s)
    written = []
    for (model, benchmark), rows in tables.items():
        path = folder / model / f"{benchmark}.parquet"
        write_arrow(path, pa.Table.from_pylist([_row(s) for s in rows], schema=_schema(rows)))
        written.append(path)
    return written


def read_scores(path: Path) -> list[dict[str, Any]]:
    """The rows of a table of scores, as dictionaries by column.

    Args:
        path: a file written by `write_scores`.

    Raises:
        RunError: the file is missing, is no table, or is of another format version.
    """
    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowInvalid) as error:
        raise RunError(
            "These scores cannot be read",
            where=str(path),
            try_="run `spavl evaluate`; stored answers are not asked again",
        ) from error
    if (table.schema.metadata or {}).get(b"spavl") != FORMAT.encode() or "subset" not in table.column_names:
        raise RunError(
            "These scores are of another format version",
            where=str(path),
            try_="run `spavl evaluate` again; stored answers are not asked again",
        )
    rows: list[dict[str, Any]] = table.to_pylist()
    return rows


_TEXT = ("benchmark", "model", "item_id", "subset", "group", "cluster", "picture", "image_sha256", "shown", "question")
_TEXT_AFTER = ("expected", "answer", "status", "call")


def _row(scored: Scored) -> dict[str, Any]:
    given, item = scored.answer, scored.answer.item
    return {
        "benchmark": given.benchmark,
        "model": given.model,
        "item_id": item.item_id,
        "subset": item.subset,
        "group": item.group,
        "cluster": item.cluster,
        "picture": item.picture,
        "image_sha256": item.image.sha256 if item.image else "",
        "shown": item.shown,
        "question": item.question,
        "benign": item.benign,
        "heldout": item.heldout,
        "expected": item.expected,
        "answer": given.text,
        "status": given.status,
        "call": given.call,
        "tokens": given.tokens,
        "unread": [name for name, outcome in scored.outcomes.items() if outcome is None],
        **{f"is_{name}": outcome for name, outcome in scored.outcomes.items()},
    }


def _schema(rows: Sequence[Scored]) -> pa.Schema:
    metrics = dict.fromkeys(f"is_{name}" for s in rows for name in s.outcomes)
    fields = [pa.field(name, pa.string()) for name in _TEXT]
    fields += [pa.field("benign", pa.bool_()), pa.field("heldout", pa.bool_())]
    fields += [pa.field(name, pa.string()) for name in _TEXT_AFTER]
    fields += [pa.field("tokens", pa.int64()), pa.field("unread", pa.list_(pa.string()))]
    fields += [pa.field(name, pa.bool_()) for name in metrics]
    return pa.schema(fields, metadata={"spavl": FORMAT, "record": "Scored"})
