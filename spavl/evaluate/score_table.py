"""Tables of scores: one Parquet file for every model and benchmark, a row an answer, that any tool reads."""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from spavl.errors import RunError
from spavl.evaluate.run import Scored
from spavl.evaluate.scorer import AnswerVerdict
from spavl.tables import FORMAT, write_arrow

TOGETHER = 1024
"""Rows that are made at once."""
_TEXT = (
    "benchmark",
    "model",
    "item_id",
    "subset",
    "group",
    "cluster",
    "unit",
    "picture",
    "shown",
    "system",
    "question",
)
_LISTS = ("images", "image_sha256", "earlier", "options")
_FLAGS = ("harmful", "benign", "heldout")
_TEXT_AFTER = ("added", "expected", "answer", "thought", "status", "detail", "call")
_VERDICT = pa.struct(
    [
        ("metric", pa.string()), ("status", pa.string()), ("detail", pa.string()), ("outcome", pa.string()),
        ("severity", pa.int8()), ("category", pa.string()), ("calls", pa.list_(pa.string())),
    ]
)  # fmt: skip
"""What a guard or judge said: `outcome` is of the four kinds, where it tells them."""


def outcome_column(metric: str, *, graded: bool = False) -> str:
    """The column that holds the outcomes of a metric.

    Args:
        metric: name of the metric in its benchmark.
        graded: whether they are scores, and not only true and false.
    """
    return f"score_{metric}" if graded else f"is_{metric}"


def weight_column(metric: str) -> str:
    """The column that says how much every item counts in a metric.

    Args:
        metric: name of the metric in its benchmark.
    """
    return f"weight_{metric}"


def write_scores(folder: Path, scored: Sequence[Scored], *, run: Path, graded: Container[str] = ()) -> list[Path]:
    """Write a table `<folder>/<model>/<benchmark>.parquet` for every model and benchmark; returns the files.

    A row is an answer with its item. A metric is a nullable column `is_<metric>` of true and false, or `score_<metric>`
    of numbers where it is graded; it is null for items that do not count in the metric and where no verdict could be
    read, and `unread` names the metrics of the second kind. `weight_<metric>` says how much an item counts, where not
    all count alike. `verdicts` lists what the guards and judges said.

    Args:
        folder: where the tables are written.
        scored: scored answers of any models and benchmarks.
        run: the run folder, to which paths of pictures inside it are relative.
        graded: names of the metrics whose outcomes are scores.

    Raises:
        RunError: a table cannot be written.
    """
    tables: dict[tuple[str, str], list[Scored]] = {}
    for s in scored:
        tables.setdefault((s.answer.model, s.answer.benchmark), []).append(s)
    written = []
    for (model, benchmark), rows in tables.items():
        path = folder / model / f"{benchmark}.parquet"
        write_arrow(path, _table(rows, run, graded))
        written.append(path)
    return written


def check_scores(path: Path) -> frozenset[str]:
    """The columns of a table of scores, which is read no further.

    Args:
        path: a file written by `write_scores`.

    Raises:
        RunError: the file is missing, is no table, or is of another format version.
    """
    try:
        schema = pq.read_schema(path)
    except (OSError, pa.ArrowInvalid) as error:
        raise RunError(
            "These scores cannot be read", where=str(path),
            try_="run `spavl evaluate`; stored answers are not asked again",
        ) from error  # fmt: skip
    if (schema.metadata or {}).get(b"spavl") != FORMAT.encode() or not {*_TEXT, *_LISTS, *_FLAGS} <= set(schema.names):
        raise RunError(
            "These scores are of another format version", where=str(path),
            try_="run `spavl evaluate` again; stored answers are not asked again",
        )  # fmt: skip
    return frozenset(schema.names)


def _table(rows: Sequence[Scored], run: Path, graded: Container[str]) -> pa.Table:
    """The rows as a table; few of them are ever held as Python's dictionaries, which are large."""
    schema = _schema(rows, graded)
    parts = (rows[start : start + TOGETHER] for start in range(0, len(rows), TOGETHER))
    named = cache(partial(_path, run.resolve()))
    batches = [pa.RecordBatch.from_pylist([_row(s, named, graded) for s in part], schema=schema) for part in parts]
    return pa.Table.from_batches(batches, schema)


def _row(scored: Scored, named: Callable[[Path], str], graded: Container[str]) -> dict[str, Any]:
    given, item = scored.answer, scored.answer.item
    return {
        "benchmark": given.benchmark, "model": given.model, "item_id": item.item_id, "subset": item.subset,
        "group": item.group, "cluster": item.cluster, "unit": item.unit, "picture": item.picture, "shown": item.shown,
        "system": item.system, "question": item.question, "earlier": [f"{t.role}: {t.text}" for t in item.earlier],
        "earlier_images": [len(turn.images) for turn in item.earlier],
        "images": [named(image.path) for image in item.pictures],
        "image_sha256": [image.sha256 for image in item.pictures],
        "options": list(item.options), "notes": list(item.notes.items()),
        "harmful": item.harmful, "benign": item.benign, "heldout": item.heldout, "added": item.added,
        "expected": " | ".join(item.answers),
        "answer": given.text, "thought": given.thought, "status": given.status, "detail": given.detail,
        "call": given.call,
        "tokens": given.tokens, "unread": [name for name, outcome in scored.outcomes.items() if outcome is None],
        "verdicts": [_verdict(name, verdict) for name, verdict in scored.verdicts.items()],
        **{outcome_column(name, graded=name in graded): outcome for name, outcome in scored.outcomes.items()},
        **{weight_column(name): weight for name, weight in scored.weights.items()},
    }  # fmt: skip


def _verdict(metric: str, said: AnswerVerdict) -> dict[str, Any]:
    grade = said.grade
    return {
        "metric": metric, "status": said.status, "detail": said.detail, "calls": list(said.calls),
        "outcome": grade.outcome if grade else None, "severity": grade.severity if grade else None,
        "category": grade.category if grade else "",
    }  # fmt: skip


def _path(run: Path, path: Path) -> str:
    """Path of a picture, relative to the run folder where it lies in it, so that it can be moved."""
    own = path.resolve()
    return (own.relative_to(run) if own.is_relative_to(run) else own).as_posix()


def _schema(rows: Sequence[Scored], graded: Container[str]) -> pa.Schema:
    metrics = dict.fromkeys(name for s in rows for name in s.outcomes)
    weights = dict.fromkeys(weight_column(name) for s in rows for name in s.weights)
    fields = [pa.field(name, pa.string()) for name in _TEXT]
    fields += [pa.field(name, pa.list_(pa.string())) for name in _LISTS]
    fields += [pa.field("earlier_images", pa.list_(pa.int16()))]
    fields += [pa.field(name, pa.bool_()) for name in _FLAGS]
    fields += [pa.field(name, pa.string()) for name in _TEXT_AFTER]
    fields += [pa.field("tokens", pa.int64()), pa.field("unread", pa.list_(pa.string()))]
    fields += [pa.field("notes", pa.map_(pa.string(), pa.string())), pa.field("verdicts", pa.list_(_VERDICT))]
    fields += [
        pa.field(outcome_column(name, graded=name in graded), pa.float64() if name in graded else pa.bool_())
        for name in metrics
    ]
    fields += [pa.field(name, pa.float64()) for name in weights]
    return pa.schema(fields, metadata={"spavl": FORMAT, "record": "Scored"})
