"""The table of calls of a real build: what it tells while responders answer, and that it changes nothing."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from rich.console import Console

from spavl.models.calls.oversight import Usage
from spavl.pipeline.build import build
from spavl.pipeline.live import LiveCalls, expected_of
from spavl.pipeline.session import Session
from spavl.pipeline.worker import Job
from spavl.progress import TerminalProgress
from spavl.run import STAGES, ModelUse
from tests.pipeline.ray_world import CALLS, answering, endpoints, settings_of


def test_a_build_shows_its_models_with_rates_money_and_time_left(tmp_path: Path) -> None:
    page = io.StringIO()
    progress = TerminalProgress(Console(file=page, force_terminal=True, width=100, color_system=None))
    with answering(0.02) as server:
        settings = settings_of(tmp_path, "run", endpoints(server.url, concurrency=1), ceilings={"cost": 9.0})
        with Session(settings, progress, allow_code=True) as session:
            build(session)
            asked = session.run.manifest()["asked"]["respond"]
    shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", page.getvalue())
    found = re.findall(r" amber +(\d+)/30 +1 +([\d.]+) +([\d,]+) +([\d.]+) +0 +0", shown)
    assert len(found) >= 2, "drawn anew while calls are made"
    done = [int(one[0]) for one in found]
    assert done == sorted(done) and 0 < done[-1] <= CALLS // 2
    tokens = [int(one[2].replace(",", "")) // 110 for one in found]
    assert all(0 <= n - ended <= 1 for n, ended in zip(tokens, done, strict=True)), "one may just be ending"
    assert re.search(r"\d+ s left of this, about .* of all, 0\.00\d+ spent of 9\.00", shown)
    assert asked["amber"]["calls"] == CALLS // 2 and asked["amber"]["seconds"] > 30 * 0.02
    footer = pq.ParquetFile(tmp_path / "run" / "parts" / "respond" / "amber.parquet").metadata.metadata
    assert b"seconds" not in footer[b"spavl.footer"], "a table is the same however long its calls took"


def test_what_was_used_before_the_work_is_none_of_it() -> None:
    used: dict[str, Usage] = {"amber": Usage(calls=5, ended=5, found=2, prompt_tokens=50, cost=1.0, failed=1)}
    calls = LiveCalls({"amber": 10, "birch": 4}, lambda: dict(used), unpriced=["birch"], later=lambda: 60.0)
    used["amber"] = Usage(calls=9, ended=8, found=4, prompt_tokens=80, completion_tokens=4, cost=1.5, failed=1)
    now = calls()
    amber, birch = now.models
    assert (amber.done, amber.expected, amber.tokens, amber.cost, amber.failed) == (5, 10, 34, 0.5, 0)
    assert (birch.done, birch.expected, birch.cost) == (0, 4, None)
    assert (now.spent, now.later) == (1.5, 60.0)


def test_a_model_that_is_asked_by_two_is_expected_to_be_asked_by_both() -> None:
    def job(rows: int, *uses: ModelUse) -> Any:
        return Job(stage=STAGES[3], uses=uses, path=Path("t"), inputs=(), order="", slices=1, rows=rows, shared=None,
                   fingerprint="")  # fmt: skip

    sampling: Any = None
    one = ModelUse(label="amber", setting="", sampling=sampling, calls=2.0, name="first")
    two = ModelUse(label="amber", setting="", sampling=sampling, name="second")
    other = ModelUse(label="birch", setting="", sampling=sampling)
    assert expected_of([job(10, one, two), job(10, other)]) == {"amber": 30, "birch": 10}
    assert expected_of([job(10)]) == {}
