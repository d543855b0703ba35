"""lmms-eval's logs of samples, `<date>_samples_<task>.jsonl`: the answer to every document, and how it scored."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spavl.bridges.lmms.task_benchmark import NOT_SCORES, sample_score
from spavl.errors import DataError

_NAME = re.compile(r"_samples_(?P<task>.+)\.jsonl$")


@dataclass(frozen=True, slots=True)
class LoggedSample:
    """A line of a log."""

    doc_id: str
    """Which document of the task."""
    asked: str
    """The prompt's words."""
    answer: str
    """The answer that was scored."""
    target: str
    """The right answer."""
    scores: Mapping[str, float]
    """Score from 0 to 1 by metric, of those that score a sample."""


@dataclass(frozen=True, slots=True)
class SampleLog:
    """A log of samples."""

    task: str
    """Name of the task, as the file is called by it."""
    samples: tuple[LoggedSample, ...]
    """Its lines, by number of the document."""

    @property
    def metrics(self) -> list[str]:
        """Metrics that score every sample."""
        first = self.samples[0].scores
        return [name for name in first if all(name in sample.scores for sample in self.samples)]

    def mean(self, metric: str) -> float:
        """The mean score.

        Args:
            metric: one of `metrics`.
        """
        return sum(sample.scores[metric] for sample in self.samples) / len(self.samples)


def read_sample_log(path: Path) -> SampleLog:
    """A log that lmms-eval wrote with `--log_samples`.

    Args:
        path: a file `<date>_samples_<task>.jsonl`.

    Raises:
        DataError: it is not there, is no such log, or holds a document twice.
    """
    samples: dict[str, LoggedSample] = {}
    try:
        lines = path.read_text("utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError("The log of samples cannot be read", where=str(path)) from error
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        sample = _sample(line, f"{path}:{number}")
        if sample.doc_id in samples:
            raise DataError(f"Document {sample.doc_id} stands in the log twice", where=f"{path}:{number}",
                            try_="give the log of one run; lmms-eval appends to a file of the same second")  # fmt: skip
        samples[sample.doc_id] = sample
    if not samples:
        raise DataError("The log holds no sample", where=str(path))
    found = _NAME.search(path.name)
    ordered = sorted(samples.values(), key=lambda one: (len(one.doc_id), one.doc_id))
    return SampleLog(found["task"] if found else path.stem, tuple(ordered))


def _sample(line: str, where: str) -> LoggedSample:
    try:
        row = json.loads(line)
    except (RecursionError, ValueError) as error:
        raise DataError(f"The line is no JSON: {error}", where=where) from error
    if not isinstance(row, dict) or "doc_id" not in row or "filtered_resps" not in row:
        raise DataError("The line is no sample of lmms-eval: it has no `doc_id` and `filtered_resps`", where=where,
                        try_="run lmms-eval with `--log_samples`")  # fmt: skip
    scores = {name: score for name in row if name not in NOT_SCORES and (score := sample_score(row, name)) is not None}
    return LoggedSample(
        str(row["doc_id"]),
        str(row.get("input") or ""),
        _first_text(row["filtered_resps"]),
        str(row.get("target", "")),
        scores,
    )


def _first_text(answers: Any) -> str:
    """The answer; lmms-eval keeps lists around it, and drops them where there is one."""
    while isinstance(answers, list):
        answers = answers[0] if answers else ""
    return str(answers)
