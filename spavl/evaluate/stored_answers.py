"""Answers read back from a table of scores, so that any guard can grade them without a model answering again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from spavl.evaluate.item import Item
from spavl.evaluate.score_table import TOGETHER, check_scores, outcome_column
from spavl.evaluate.scorer import Answer
from spavl.records import ImageRef, Turn
from spavl.statistics.intervals import Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredAnswer:
    """An answer with its outcomes, as its table has them."""

    answer: Answer
    """The answer with its item."""
    outcomes: Mapping[str, Outcome]
    """Outcome of every metric of those asked for in which the item counts; None where it was unread."""


def stored_answers(path: Path, run: Path, metrics: Mapping[str, bool]) -> Iterator[StoredAnswer]:
    """The answers of a table of scores, in its order.

    Args:
        path: a file written by `write_scores`.
        run: the run folder, to which paths of pictures are relative.
        metrics: names of metrics, and whether they are graded.

    Raises:
        RunError: the file is missing, is no table, or is of another format version.
    """
    there = check_scores(path)
    columns = {name: outcome_column(name, graded=graded) for name, graded in metrics.items()}
    columns = {name: column for name, column in columns.items() if column in there}
    for batch in pq.ParquetFile(path).iter_batches(batch_size=TOGETHER):
        for row in batch.to_pylist():
            counted = {name: row[column] for name, column in columns.items() if _counts(row, name, column)}
            yield StoredAnswer(answer=_answer(row, run), outcomes=counted)


def _counts(row: Mapping[str, Any], metric: str, column: str) -> bool:
    return row[column] is not None or metric in row["unread"]


def _answer(row: Mapping[str, Any], run: Path) -> Answer:
    return Answer(
        item=_item(row, run), benchmark=row["benchmark"], model=row["model"], text=row["answer"] or "",
        thought=row["thought"] or "", status=row["status"], detail=row["detail"] or "", call=row["call"] or "",
        tokens=row["tokens"] or 0,
    )  # fmt: skip


def _item(row: Mapping[str, Any], run: Path) -> Item:
    images = [ImageRef(run / path, sha) for path, sha in zip(row["images"], row["image_sha256"], strict=True)]
    earlier = []
    for said, count in zip(row["earlier"], row.get("earlier_images") or [0] * len(row["earlier"]), strict=True):
        role, _, text = said.partition(": ")
        earlier.append(Turn(role, text, tuple(images[:count])))
        images = images[count:]
    expected, *also = (row["expected"] or "").split(" | ")
    return Item(
        item_id=row["item_id"], subset=row["subset"], question=row["question"], images=tuple(images),
        earlier=tuple(earlier), system=row["system"] or "", shown=row["shown"], expected=expected, also=tuple(also),
        options=tuple(row["options"] or ()), unit=row["unit"] or "", notes=dict(row.get("notes") or ()),
        cluster=row["cluster"] or "", group=row["group"] or "", harmful=row["harmful"], benign=row["benign"],
        heldout=row["heldout"], added=row.get("added") or "", picture=row["picture"] or "",
    )  # fmt: skip
