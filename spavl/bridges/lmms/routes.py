"""Two routes to one number: lmms-eval's log of a task beside our scores, item by item, and where they differ."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from spavl.atomic import write_text
from spavl.bridges.lmms.log import LoggedSample, SampleLog
from spavl.errors import DataError
from spavl.evaluate.score_table import check_scores, outcome_column, weight_column


@dataclass(frozen=True, slots=True)
class ItemRoutes:
    """One item on both routes."""

    item_id: str
    """Our id of it."""
    doc_id: str
    """lmms-eval's number of its document."""
    answer: str
    """The answer that we scored."""
    logged_answer: str
    """The answer that lmms-eval scored."""
    outcome: float | None
    """Our outcome; None where it was not read."""
    logged_outcome: float
    """lmms-eval's score."""

    @property
    def differs(self) -> bool:
        """Whether the two scores differ."""
        return self.outcome != self.logged_outcome

    @property
    def same_words(self) -> bool:
        """Whether the two answers are the same, blanks around them left aside."""
        return self.answer.strip() == self.logged_answer.strip()


@dataclass(frozen=True, slots=True)
class Routes:
    """All items on both routes, for one metric of each."""

    metric: str
    """Our metric."""
    logged_metric: str
    """lmms-eval's."""
    items: tuple[ItemRoutes, ...]
    """In the order of our table."""

    @property
    def sentence(self) -> str:
        """What came of it, in words."""
        read = [one.outcome for one in self.items if one.outcome is not None]
        ours = sum(read) / len(read) if read else float("nan")
        theirs = sum(one.logged_outcome for one in self.items) / len(self.items)
        other_words = sum(not one.same_words for one in self.items)
        unread = len(self.items) - len(read)
        aside = f" ({unread} of them unread here, which count as differing)" if unread else ""
        judged = [one for one in self.items if one.differs and one.same_words]
        return (
            f"{self.metric} {ours:.2%} here, {self.logged_metric} {theirs:.2%} in the log, on {len(self.items)} items"
            f"{aside}: "
            f"{other_words} answers have other words; {sum(one.differs for one in self.items)} scores differ, "
            f"{len(judged)} of them on the same words"
        )


def compare_routes(log: SampleLog, table: Path, metric: str, logged_metric: str) -> Routes:
    """Both routes item by item.

    Items are the same where ids are, if any question is; else where the two have as many, and each question stands in
    the log's prompt.

    Args:
        log: of lmms-eval.
        table: our scores of one model on one benchmark.
        metric: name of our metric.
        logged_metric: name of lmms-eval's.

    Raises:
        DataError: a metric is not there, it weighs its items, or the items are not the same.
        RunError: the table cannot be read.
    """
    if logged_metric not in log.metrics:
        raise DataError(f"The log scores no sample by `{logged_metric}`", where=log.task,
                        try_=f"it has {', '.join(log.metrics) or 'none'}")  # fmt: skip
    column, names = "", check_scores(table)
    for graded in (False, True):
        column = column or (name if (name := outcome_column(metric, graded=graded)) in names else "")
    if not column:
        raise DataError(f"The scores have no metric `{metric}`", where=str(table))
    if weight_column(metric) in names:
        raise DataError(f"`{metric}` weighs its items, and is no mean of single samples", where=str(table),
                        try_="take a metric in which all items count alike, such as accuracy")  # fmt: skip
    rows = pq.read_table(table, columns=["item_id", "question", "answer", "unread", column]).to_pylist()
    pairs = _paired([row for row in rows if row[column] is not None or metric in row["unread"]], log)
    return Routes(metric, logged_metric, tuple(_item(row, sample, column, logged_metric) for row, sample in pairs))


def _item(row: Mapping[str, Any], sample: LoggedSample, column: str, logged_metric: str) -> ItemRoutes:
    outcome = None if row[column] is None else float(row[column])
    return ItemRoutes(
        row["item_id"], sample.doc_id, row["answer"] or "", sample.answer, outcome, sample.scores[logged_metric]
    )


def _paired(rows: Sequence[Mapping[str, Any]], log: SampleLog) -> list[tuple[Mapping[str, Any], LoggedSample]]:
    samples = {sample.doc_id: sample for sample in log.samples}
    if {row["item_id"] for row in rows} == set(samples):
        found = [(row, samples[row["item_id"]]) for row in rows]
        if all(sample.asked and row["question"].strip() not in sample.asked for row, sample in found):
            raise DataError("The log has documents of the same numbers, and asks none of our questions",
                            where=log.task, try_="give the log of the same task")  # fmt: skip
        return found
    if len(rows) != len(log.samples):
        raise DataError(f"Here are {len(rows)} items, and in the log {len(log.samples)}", where=log.task,
                        try_="evaluate the same part with both")  # fmt: skip
    pairs = list(zip(rows, log.samples, strict=True))
    for row, sample in pairs:
        if row["question"].strip() not in sample.asked:
            raise DataError(
                f"The log's document {sample.doc_id} asks another question than our item `{row['item_id']}`",
                where=log.task, try_="the order of the items is to be that of the task",
            )  # fmt: skip
    return pairs


def write_routes(routes: Routes, path: Path) -> None:
    """Write a CSV table, a row an item.

    Args:
        routes: both routes.
        path: the file.

    Raises:
        RunError: it cannot be written.
    """
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(
        ["item_id", "doc_id", "answer", "logged_answer", routes.metric, f"logged {routes.logged_metric}", "differs"]
    )
    for one in routes.items:
        rows.writerow(
            [one.item_id, one.doc_id, one.answer, one.logged_answer, one.outcome, one.logged_outcome, one.differs]
        )
    write_text(path, text.getvalue())
