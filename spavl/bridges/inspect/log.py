"""A table of scores as what a log of Inspect holds: plain data in its published form, made without Inspect."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from PIL import Image

from spavl.errors import DataError
from spavl.evaluate.score_table import check_scores, outcome_column
from spavl.evaluate.scorer import FAILED
from spavl.pictures import read_header
from spavl.run import Run

STOPPED: Mapping[str, str] = {"truncated": "max_tokens", "filtered": "content_filter", "refused": "content_filter"}
"""Inspect's word for how an answer ended, by status of the call; else `stop`."""
ROWS = 256
"""Rows that are read at once."""
NO_OUTCOME = float("nan")
"""What stands in a log for a verdict that could not be read: Inspect leaves such samples out of its rates."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogMetric:
    """A metric of a benchmark with a model's rate."""

    name: str
    """Its name in the tables of scores."""
    scorer: str
    """Id of its scorer."""
    graded: bool
    """Whether outcomes are scores from 0 to 1."""
    rate: Mapping[str, Any]
    """The rate with its interval, as `run.json` has it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogSource:
    """One model on one benchmark, as a run has it."""

    run: Path
    """The run folder."""
    model: str
    """Name of the model."""
    benchmark: str
    """Name of the benchmark."""
    asked: Mapping[str, Any]
    """Source, protocol, sampling and number of items, as `run.json` has them."""
    metrics: tuple[LogMetric, ...]
    """Its metrics."""
    started: str
    """When the run was begun."""

    @property
    def table(self) -> Path:
        """The table of scores."""
        return Run(self.run).evaluate / self.model / f"{self.benchmark}.parquet"


def log_sources(folder: Path) -> list[LogSource]:
    """All that was evaluated in a run, a model and a benchmark each.

    Args:
        folder: the run folder.

    Raises:
        RunError: `run.json` is damaged, or a table of scores is of another format version.
    """
    run = Run(folder)
    known = run.manifest()
    sources = []
    for model, rates in known.get("models", {}).items():
        for benchmark, asked in known.get("benchmarks", {}).items():
            metrics = tuple(
                LogMetric(name=m["name"], scorer=m["scorer"], graded=bool(m.get("graded")), rate=rates[called])
                for called, m in known.get("metrics", {}).items()
                if m["benchmark"] == benchmark and called in rates
            )
            source = LogSource(
                run=folder, model=model, benchmark=benchmark, asked=asked, metrics=metrics, started=known["started"]
            )
            if source.table.exists():
                check_scores(source.table)
                sources.append(source)
    return sources


def samples_of(source: LogSource, *, pictures: bool = True) -> Iterator[dict[str, Any]]:
    """The samples of a log, one after the other: question with its pictures, answer, scores, and why a call failed.

    Args:
        source: model and benchmark.
        pictures: put pictures into the log; without, their paths stand in it.
    """
    shown = lru_cache(maxsize=64)(_data_url) if pictures else _path
    for batch in pq.ParquetFile(source.table).iter_batches(ROWS):
        for row in batch.to_pylist():
            yield _sample(row, source, [shown(_at(source.run, path)) for path in row["images"]])


def log_header(source: LogSource, count: int) -> dict[str, Any]:
    """A log without its samples: what was evaluated, and the rates with their intervals.

    Args:
        source: model and benchmark.
        count: samples of it.
    """
    sampling = source.asked.get("sampling", {})
    config = {"temperature": sampling.get("temperature"), "top_p": sampling.get("top_p"),
              "max_tokens": sampling.get("max_tokens"), "seed": sampling.get("seed")}  # fmt: skip
    return {
        "version": 2,
        "status": "success",
        "eval": {
            "created": source.started, "task": f"spavl/{source.benchmark}",
            "task_version": source.asked.get("protocol", 0),
            "dataset": {"name": source.benchmark, "location": source.asked.get("source"), "samples": count},
            "model": f"spavl/{source.model}", "model_generate_config": config, "config": {},
            "metadata": {"protocol": source.asked.get("protocol"), "standard": source.asked.get("standard"),
                         "prompt": source.asked.get("prompt")},
        },
        "plan": {"name": "plan", "steps": [{"solver": "generate"}], "config": config},
        "results": {"total_samples": count, "completed_samples": count,
                    "scores": [_score_of(metric) for metric in source.metrics]},
        "stats": {"started_at": source.started, "completed_at": source.started},
    }  # fmt: skip


def _score_of(metric: LogMetric) -> dict[str, Any]:
    rate = metric.rate
    found = {"mean": rate.get("value"), "low": rate.get("low"), "high": rate.get("high")}
    numbers = {name: value for name, value in found.items() if value is not None}
    unread = int(rate.get("unreadable") or 0)
    return {
        "name": metric.name, "scorer": metric.name, "params": {}, "scored_samples": int(rate.get("n") or 0) - unread,
        "unscored_samples": unread, "metadata": {"scorer": metric.scorer},
        "metrics": {name: {"name": name, "value": value, "params": {}} for name, value in numbers.items()},
    }  # fmt: skip


def _sample(row: Mapping[str, Any], source: LogSource, pictures: Sequence[str]) -> dict[str, Any]:
    messages = _messages(row, pictures)
    answer = {
        "role": "assistant",
        "content": row["answer"] or "",
        "source": "generate",
        "model": f"spavl/{source.model}",
    }
    if row["thought"]:
        answer["content"] = [
            {"type": "reasoning", "reasoning": row["thought"]}, {"type": "text", "text": row["answer"] or ""}
        ]  # fmt: skip
    failed = row["status"] in FAILED
    detail = row["detail"] or row["status"]
    why = {"message": detail, "traceback": "", "traceback_ansi": ""} if failed else None
    return {
        "id": row["item_id"], "epoch": 1, "input": messages, "target": row["expected"] or "",
        "choices": row["options"] or None, "messages": messages if failed else [*messages, answer],
        "output": {
            "model": f"spavl/{source.model}", "completion": row["answer"] or "",
            "choices": [] if failed else [{"message": answer, "stop_reason": STOPPED.get(row["status"], "stop")}],
            "usage": {"input_tokens": 0, "output_tokens": row["tokens"] or 0, "total_tokens": row["tokens"] or 0},
        },
        "scores": _scores(row, source), "metadata": _metadata(row), "error": why,
    }  # fmt: skip


def _messages(row: Mapping[str, Any], pictures: Sequence[str]) -> list[dict[str, Any]]:
    """Turns before the question as they are told in the table, then the question with all pictures."""
    found: list[dict[str, Any]] = [{"role": "system", "content": row["system"]}] if row["system"] else []
    for turn in row["earlier"] or []:
        role, _, text = turn.partition(": ")
        found.append({"role": role, "content": text})
    parts: list[dict[str, Any]] = [{"type": "image", "image": picture} for picture in pictures]
    return [*found, {"role": "user", "content": [*parts, {"type": "text", "text": row["question"] or ""}]}]


def _scores(row: Mapping[str, Any], source: LogSource) -> dict[str, Any]:
    """Score by metric, of those in which the item counts."""
    found = {}
    said = {one["metric"]: one for one in row["verdicts"] or []}
    for metric in source.metrics:
        outcome = row.get(outcome_column(metric.name, graded=metric.graded))
        unread = metric.name in row["unread"]
        if outcome is None and not unread:
            continue
        verdict = said.get(metric.name, {})
        found[metric.name] = {
            "value": NO_OUTCOME if outcome is None else float(outcome), "answer": row["answer"] or "",
            "explanation": verdict.get("detail") or ("no verdict could be read" if unread else None),
            "metadata": {"scorer": metric.scorer, "weight": row.get(f"weight_{metric.name}")},
        }  # fmt: skip
    return found


def _metadata(row: Mapping[str, Any]) -> dict[str, Any]:
    names = ("subset", "group", "shown", "harmful", "benign", "heldout", "unit", "status", "call")
    known = {name: row[name] for name in names if row[name] not in (None, "")}
    return {**known, "cluster": row["cluster"] or row["item_id"], **dict(row["notes"] or [])}


def _at(run: Path, path: str) -> Path:
    return Path(path) if Path(path).is_absolute() else run / path


def _path(picture: Path) -> str:
    return str(picture.resolve())


def _data_url(picture: Path) -> str:
    """The picture as a data URL; its path where it is there no more."""
    try:
        kind = Image.MIME.get(read_header(picture).kind, "image/png")
        return f"data:{kind};base64,{base64.b64encode(picture.read_bytes()).decode()}"
    except (OSError, DataError):
        return _path(picture)
