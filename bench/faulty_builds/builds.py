"""A build as a user starts it: a settings file, a process, a run folder; and what is read from its tables."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import yaml
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
RESPONDERS = ("amber", "birch", "cedar")
OTHERS = ("asker", "guard", "judge")
TABLES = ("1-images", "2-queries", "3-responses", "4-matches", "5-judgments", "6-pairs")
STATUS_FIELDS = {"2-queries": "query", "3-responses": "response", "5-judgments": "judgment"}
"""Tables with a status, and how its fields begin."""


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    status: int
    """Exit status; negative: the signal that killed it."""
    seconds: float
    """Wall time."""
    output: str
    """All that it said."""


@dataclass(frozen=True)
class Build:
    """A build in a folder of its own."""

    folder: Path
    """Holds settings, pictures, run folder and call store."""

    @property
    def command(self) -> list[str]:
        """The command line."""
        return [sys.executable, "-m", "spavl", "build", str(self.folder / "settings.yaml")]

    @property
    def run(self) -> Path:
        """The run folder."""
        return self.folder / "run"

    def start(self) -> subprocess.Popen[bytes]:
        """The process, just started."""
        with (self.folder / "output.txt").open("ab") as output:
            return subprocess.Popen(self.command, cwd=ROOT, env=environment(), stdout=output, stderr=output)

    def finish(self) -> Ended:
        """Run it to its end."""
        (self.folder / "output.txt").unlink(missing_ok=True)
        started = time.perf_counter()
        status = self.start().wait()
        return Ended(status, time.perf_counter() - started, (self.folder / "output.txt").read_text("utf-8"))

    def stored(self) -> set[str]:
        """Keys of the calls in the store."""
        if not (self.folder / "calls.sqlite").exists():
            return set()
        with sqlite3.connect(self.folder / "calls.sqlite") as store:
            known = store.execute("SELECT count(*) FROM sqlite_master WHERE name = 'calls'").fetchone()[0]
            return {key for (key,) in store.execute("SELECT key FROM calls")} if known else set()

    def rows(self, table: str) -> list[dict[str, Any]]:
        """Rows of a table of the run.

        Args:
            table: its name without ending.
        """
        return list(pq.read_table(self.run / f"{table}.parquet").to_pylist())

    def records(self) -> list[dict[str, Any]]:
        """Status and detail of every planned call that a table tells of."""
        records = []
        for table, name in STATUS_FIELDS.items():
            for row in self.rows(table):
                records.append({"of": name, "status": row[f"{name}_status"], "detail": row[f"{name}_detail"]})
                if name == "response":
                    records.append({"of": "grade", "status": row["grade_status"], "detail": row["grade_detail"]})
        return records

    def tables(self) -> dict[str, list[dict[str, Any]]]:
        """All rows of all tables."""
        return {name: self.rows(name) for name in TABLES}


def environment() -> dict[str, str]:
    """This environment, with the repository importable and without a network for Hub libraries."""
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))
    return {**os.environ, "PYTHONPATH": path, "COLUMNS": "200", "HF_HUB_OFFLINE": "1", "NO_COLOR": "1"}


def prepare(
    folder: Path, url: str, *, pictures: int = 60, responders: Sequence[str] = RESPONDERS, **model: object
) -> Build:
    """A build of small pictures, whose models are all asked at one server.

    Args:
        folder: is made.
        url: base address of the server.
        pictures: how many; each is asked three questions.
        responders: who answers them.
        model: other values of the models' settings entries.
    """
    (folder / "pictures" / "weapon").mkdir(parents=True)
    for number in range(pictures):
        path = folder / "pictures" / "weapon" / f"{number:03}.png"
        Image.new("RGB", (8, 8), (number, 90, 255 - number)).save(path)
    entries = [
        {"name": name, "kind": "endpoint", "url": url, "model": name, "identity": f"chaos/{name}/1", **model}
        for name in (*OTHERS, *responders)
    ]
    settings = {
        "out": str(folder / "run"), "store": str(folder / "calls.sqlite"), "models": entries,
        "build": {
            "batch_size": 10, "collect": {"folder": str(folder / "pictures")},
            "respond": {"models": list(responders)}, "match": {"groups": len(responders)},
        },
    }  # fmt: skip
    (folder / "settings.yaml").write_text(yaml.safe_dump(settings, sort_keys=False))
    return Build(folder)
