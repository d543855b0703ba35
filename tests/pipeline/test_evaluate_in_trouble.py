"""An evaluation goes on without a model that cannot be asked, and within the ceilings of the command."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from spavl.config import EndpointSpec, Settings
from spavl.pipeline.evaluate import evaluate
from spavl.pipeline.session import Session
from tests.models.server import completion, serving
from tests.pipeline.instant import Log

ITEMS = 50


def settings_of(folder: Path, url: str, **changed: Any) -> Settings:
    """Settings of an evaluation of two models, `dead` and `well`, on questions without pictures."""
    lines = [
        json.dumps({"id": f"i{n}", "question": f"Is {n} a number?", "expected": "yes", "subset": "skill"})
        for n in range(ITEMS)
    ]
    (folder / "items.jsonl").write_text("\n".join(lines) + "\n")
    models = [
        EndpointSpec(name=name, url=url, model=name, identity=f"t/{name}", price_in=10_000.0, concurrency=2)
        for name in ("dead", "well")
    ]
    return Settings.model_validate({
        "out": str(folder / "run"), "store": str(folder / "calls.sqlite"),
        "models": [one.model_dump() for one in models],
        "evaluate": {"benchmarks": [{"kind": "file", "name": "own", "path": str(folder / "items.jsonl")}]},
        **changed,
    })  # fmt: skip


async def respond(request: web.Request, number: int) -> web.Response:
    """Answers for one model only."""
    body = await request.json()
    return completion("Yes.") if body["model"] == "well" else web.Response(status=503, text="no such server")


def test_a_dead_model_has_failed_answers_and_the_other_is_evaluated(tmp_path: Path) -> None:
    log = Log()
    with serving(respond) as server, Session(settings_of(tmp_path, server.url), log) as session:
        scores = evaluate(session, models=["dead", "well"])
        asked = Counter(body["model"] for body in server.bodies)
    assert scores.failed == ITEMS
    assert asked["well"] == ITEMS
    assert asked["dead"] < 6
    assert {rate.value for rate in scores.rates["well"].values()} == {1.0}
    assert sum("`dead` is given up for this run: it has never answered" in line for line in log.lines) == 1


def test_a_command_that_evaluates_a_dead_model_ends_with_status_3(tmp_path: Path) -> None:
    with serving(respond) as server:
        path = tmp_path / "settings.json"
        path.write_text(settings_of(tmp_path, server.url).model_dump_json())
        command = [sys.executable, "-m", "spavl", "evaluate", str(path), "--model", "dead", "--model", "well"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 3, done.stderr
    assert "is given up for this run" in done.stdout


def test_a_ceiling_holds_over_all_benchmarks_and_models(tmp_path: Path) -> None:
    log = Log()
    with serving(respond) as server:
        settings = settings_of(tmp_path, server.url, ceilings={"cost": 20.0})  # 1.0 a call
        with Session(settings, log) as session:
            assert evaluate(session, models=["well"]).failed == pytest.approx(30, abs=2)
        sent = len(server.bodies)
        assert 20 <= sent <= 22
        with Session(settings.model_copy(update={"ceilings": settings.ceilings.model_copy(update={"cost": None})}),
                     Log()) as session:  # fmt: skip
            assert evaluate(session, models=["well"]).failed == 0
        assert len(server.bodies) == ITEMS
    assert sum("The ceiling of cost is reached" in line for line in log.lines) == 1
