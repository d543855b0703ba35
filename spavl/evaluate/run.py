"""From a benchmark and a model to rates with intervals, by plain functions; answers come from the call store.

Outcomes are True, False or None. None is a verdict nobody could read: it is in no estimate, and in every bound.
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
from spavl.statistics.paired import Paired, compare_paired
from spavl.tables import FORMAT, write_arrow

Scorer = Callable[[Item, str], Mapping[str, Outcome]]
"""(item, text of the answer) → outcome by metric name. A metric it leaves out counts as unread."""

DECLINED: tuple[Status, ...] = ("refused", "filtered")
SILENT: tuple[Status, ...] = ("failed", "unreadable")


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a model said to an item."""

    item: Item
    benchmark: str
    model: str
    text: str
    status: Status
    call: str
    """Key of the call in the store."""
    tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """An answer with its outcome for every metric that its item feeds."""

    answer: Answer
    outcomes: Mapping[str, Outcome]


@dataclass(frozen=True, slots=True, kw_only=True)
class Changed:
    """Ids of the items that a metric's comparison counts."""

    fixed: tuple[str, ...]
    broken: tuple[str, ...]


def answer(
    benchmark: Benchmark,
    model: Model,
    *,
    store: CallStore,
    on_progress: Callable[[int, int], None] | None = None,
) -> list[Answer]:
    """The model's answer to every item, in the order of the items. A failed call is an answer with its status."""
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

    The scorer sees whole and truncated answers. Where the call failed there is nothing to score and every outcome is
    None; where the service declined, each metric says itself what that means (`Metric.when_declined`).
    """
    return [Scored(answer=a, outcomes=_outcomes(benchmark, a, scorer)) for a in answers]


def _outcomes(benchmark: Benchmark, given: Answer, scorer: Scorer) -> dict[str, Outcome]:
    metrics = list(benchmark.metrics_of(given.item))
    if given.status in SILENT:
        return {metric.name: None for metric in metrics}
    if given.status in DECLINED:
        return {metric.name: metric.when_declined for metric in metrics}
    said = scorer(given.item, given.text)
    return {metric.name: _outcome(said.get(metric.name), metric) for metric in metrics}


def _outcome(said: object, metric: Metric) -> Outcome:
    """True, False or None and nothing that merely looks like one: a 0.7 or a "safe" must not become True."""
    if said is None or isinstance(said, bool):
        return said
    raise TypeError(f"a scorer says True, False or None; for {metric.name} it said {said!r}")


def summarise(scored: Sequence[Scored], *, level: float = LEVEL) -> dict[str, Rate]:
    """The rate of every metric, items that share a cluster counted as what they are."""
    names = dict.fromkeys(name for s in scored for name in s.outcomes)
    return {name: _rate([s for s in scored if name in s.outcomes], name, level) for name in names}


def by_group(scored: Sequence[Scored], metric: str, *, level: float = LEVEL) -> dict[str, Rate]:
    """The rate of one metric in every group (subcategory, scenario), in alphabetical order."""
    asked = sorted((s for s in scored if metric in s.outcomes), key=_group)
    return {group: _rate(list(members), metric, level) for group, members in groupby(asked, key=_group)}


def _group(scored: Scored) -> str:
    return scored.answer.item.group


def _rate(asked: Sequence[Scored], metric: str, level: float) -> Rate:
    return clustered_rate([s.outcomes[metric] for s in asked], [_cluster(s) for s in asked], level=level)


def _cluster(scored: Scored) -> tuple[str, str]:
    """Items without a named cluster are on their own, also where an id happens to equal a cluster's name."""
    item = scored.answer.item
    return ("cluster", item.cluster) if item.cluster else ("item", item.item_id)


def compare(
    benchmark: Benchmark, base: Sequence[Scored], aligned: Sequence[Scored], *, level: float = LEVEL
) -> dict[str, Paired]:
    """Base against aligned on the same items, for every metric: fixed, broken, exact p, bounds of the difference."""
    before, after = ({s.answer.item.item_id: s.outcomes for s in side} for side in (base, aligned))
    clusters = {s.answer.item.item_id: _cluster(s) for s in base}
    if before.keys() != after.keys():
        raise DataError("The two models were not asked the same items", where=f"benchmark {benchmark.name}")
    return {
        metric.name: compare_paired(
            {item: said[metric.name] for item, said in before.items() if metric.name in said},
            {item: said[metric.name] for item, said in after.items() if metric.name in said},
            better=metric.better,
            clusters=clusters,
            level=level,
        )
        for metric in benchmark.metrics
    }


def changed(benchmark: Benchmark, base: Sequence[Scored], aligned: Sequence[Scored]) -> dict[str, Changed]:
    """Which items each metric's `fixed` and `broken` count, to look at them."""
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
    """Write `<folder>/<model>/<benchmark>.parquet`, one file a model and benchmark; returns the files.

    A row is an answer with all of its item. A metric is a nullable boolean column `is_<metric>`; it is null for items
    that it does not ask about and where no verdict could be read, and `unread` names the metrics of the second kind.
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
    """The rows of a table of scores, as plain dictionaries.

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
    if (table.schema.metadata or {}).get(b"spavl") != FORMAT.encode():
        raise RunError(
            "These scores are of another format version", where=str(path), try_="delete the file; it is remade"
        )
    rows: list[dict[str, Any]] = table.to_pylist()
    return rows


_TEXT = ("benchmark", "model", "item_id", "arm", "group", "cluster", "picture", "image_sha256", "shown", "question")
_TEXT_AFTER = ("expected", "answer", "status", "call")


def _row(scored: Scored) -> dict[str, Any]:
    given, item = scored.answer, scored.answer.item
    return {
        "benchmark": given.benchmark,
        "model": given.model,
        "item_id": item.item_id,
        "arm": item.subset,
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
