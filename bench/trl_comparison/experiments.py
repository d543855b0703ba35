"""Rows that are measured together, and the file that receives them as they come and keeps what it held before."""

from __future__ import annotations

import argparse
import json
import statistics
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.measures import Measure, write


@dataclass(frozen=True, slots=True)
class Experiment:
    """Rows that are measured together."""

    seconds: float
    """What it takes at least where it is meant to run."""
    planned: Callable[[], Sequence[Measure]]
    """Its rows without values."""
    measures: Callable[..., Iterator[Sequence[Measure]]]
    """Measures on what it is given; whatever it yields replaces what it yielded before."""


class Results:
    """The rows so far, written at every change to a file, whose own rows stay where there is no new value.

    The machine that the file names stays too until this one has measured something.

    Args:
        wanted: the experiments by name.
        path: the file; None: none is written.
        how: what a row says that was never measured.
        fresh: forget what the file holds.
    """

    def __init__(
        self, wanted: Mapping[str, Experiment], path: Path | None, *, how: str = "", fresh: bool = False
    ) -> None:
        self._path = path
        held = json.loads(path.read_text("utf-8")) if path and path.exists() and not fresh else {}
        self._earlier: dict[str, dict[str, Any]] = {row["name"]: row for row in held.get("measures", ())}
        self._measured_on: dict[str, Any] | None = held.get("machine")
        self._found = {name: [row.replace(how=how) for row in one.planned()] for name, one in wanted.items()}
        self._save()

    def found(self, name: str, rows: Sequence[Measure]) -> None:
        """Keep measured rows in place of what was there; of a row with runs, those of the file count too.

        Args:
            name: of the experiment.
            rows: all that it measured; rows that it had planned and not measured stay as they are.
        """
        self._measured_on = None
        card = _card()
        carded = [row.replace(how=f"{row.how}{card}") for row in rows]
        measured = {row.name: _with_earlier(row, self._earlier.get(row.name)) for row in carded}
        planned = [measured.pop(row.name, row) for row in self._found[name]]
        self._found[name] = [*planned, *measured.values()]
        self._save()

    def missing(self, name: str, why: str) -> None:
        """Say why rows of an experiment have no value.

        Args:
            name: of the experiment.
            why: a clause.
        """
        self._found[name] = [row.replace(how=why) if row.value is None else row for row in self._found[name]]
        self._save()

    def rows(self) -> list[dict[str, Any]]:
        """All rows, as `Measure.row` gives them."""
        return [row.row() for rows in self._found.values() for row in rows]

    def _save(self) -> None:
        if self._path:
            merged = dict(self._earlier)
            for row in self.rows():
                if row["value"] is not None or merged.get(row["name"], row)["value"] is None:
                    merged[row["name"]] = row
            write(self._path, list(merged.values()), self._measured_on)


def check_rehearsal(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    """Refuse to write the numbers of a rehearsal, which mean nothing, over a file that is there.

    Args:
        parser: ends the process with a sentence.
        options: with `rehearse` and `json`.
    """
    if options.rehearse and options.json and options.json.exists():
        parser.error(f"{options.json} is there, and a rehearsal's numbers mean nothing: name another file")


def measure_one(name: str, one: Experiment, results: Results, *given: Any) -> bool:
    """Whether an experiment came to its end; one that breaks is told of, and others can go on.

    Args:
        name: of the experiment.
        one: the experiment.
        results: receives its rows.
        given: what it measures on.
    """
    try:
        for rows in one.measures(*given):
            results.found(name, rows)
    except Exception as error:
        traceback.print_exc()
        results.missing(name, f"broke: {type(error).__name__}: {(str(error).splitlines() or [''])[0][:300]}")
        return False
    return True


def _with_earlier(row: Measure, earlier: dict[str, Any] | None) -> Measure:
    """The row with the runs that the file holds of it before its own, and their median as its value."""
    if not (row.runs and earlier and earlier["value"] is not None):
        return row
    runs = (*earlier.get("runs", [earlier["value"]]), *row.runs)
    how = f"median of {len(runs)} whole runs, {min(runs):.3g} to {max(runs):.3g}; the last: {row.how}"
    return row.replace(runs=runs, value=statistics.median(runs), how=how)


def _card() -> str:
    """What a measured row says of the GPU."""
    import torch

    return f"; {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ""
