"""`make study` on this machine: wall time, and what the mini studies say of the paper's findings.

python -m bench.studying.mini --json FILE [--at FOLDER]

Everything is made anew in a folder of its own: dataset, trainings, evaluations, pages. With `--at` it is made in that
folder, which is kept; what is there already is not made again, so only a fresh folder measures the time.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from bench.measures import Measure, run
from spavl.study.page import study_shown

STUDIES = ("scale", "sources", "questions", "freeze")
"""The mini studies that `make study` runs."""
FILES = Path(__file__).resolve().parents[2] / "settings" / "studies"
"""Where their files lie."""
MINUTES = 25.0
"""Most minutes on two cores."""
AT = "--at"
"""Option that names the folder."""


def measures() -> list[Measure]:
    """Minutes of `make study`, what was made, and the verdict on every claim."""
    with ExitStack() as opened:
        at = os.environ.get("SPAVL_BENCH_STUDY_AT")
        folder = Path(at or opened.enter_context(tempfile.TemporaryDirectory()))
        began = time.monotonic()
        used = _processor_seconds()
        files = [str(FILES / f"mini-{name}.yaml") for name in STUDIES]
        subprocess.run([sys.executable, "-m", "spavl", "study", *files], cwd=folder, check=True)
        minutes, used = (time.monotonic() - began) / 60, _processor_seconds() - used
        facts = {name: _facts(folder, name) for name in STUDIES}
        return [*_work(minutes, used, facts), *(_verdict(folder, name) for name in STUDIES)]


def _work(minutes: float, used: float, facts: Mapping[str, Mapping[str, Any]]) -> list[Measure]:
    trained = sum(one["distinct"] - one["reused"] - one["failed"] for one in facts.values())
    wanted = sum(one["wanted"] for one in facts.values())
    how = f"{wanted} wanted, {trained} made, {wanted - trained} shared by {len(facts)} studies, and the dataset"
    return [
        Measure("make study on two cores", minutes, MINUTES, "min", "lower", how),
        Measure("make study: processor time", used / 60, None, "min", "lower", "of all processes, both cores together"),
        Measure("make study: trainings not made", sum(one["failed"] for one in facts.values()), 0, "", "lower", how),
    ]  # fmt: skip


def _verdict(folder: Path, name: str) -> Measure:
    """Claims of a study of which its page says whether they are confirmed or refuted, with an interval."""
    claims = study_shown(folder / "studies" / f"mini-{name}").claims
    said = "; ".join(f"{one.claim}: {one.verdict}" for one in claims)
    decided = sum(one.verdict != "not shown" for one in claims)
    return Measure(f"mini-{name}: claims confirmed or refuted, of {len(claims)}", decided, None, "", "higher", said)


def _facts(folder: Path, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "studies" / f"mini-{name}" / "study.json").read_text("utf-8"))
    return found


def _processor_seconds() -> float:
    """Seconds of processor of all processes that have ended and that this one started."""
    times = os.times()
    return times.children_user + times.children_system


if __name__ == "__main__":
    if AT in sys.argv:
        place = sys.argv.index(AT)
        os.environ["SPAVL_BENCH_STUDY_AT"] = sys.argv[place + 1]
        del sys.argv[place : place + 2]
    run(measures)
