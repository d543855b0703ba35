"""Responders behind a network are asked side by side, without a pause between batches, and independently of order."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from aiohttp import web

from spavl.config import EndpointSpec, PythonSpec, Settings
from spavl.errors import NothingMade
from spavl.models.calls.store import CallStore
from tests.models.server import Respond, completion, prompt_of, serving
from tests.pipeline.instant import RESPONDERS, built, settings_of, write_pictures


def with_endpoints(
    folder: Path, url: str, names: tuple[str, ...] = RESPONDERS, more: Mapping[str, Any] = {}, **changed: object
) -> Settings:
    """The instant build with responders behind a server; `more` is for each of them."""
    settings = settings_of(folder, **changed)
    one = {"kind": "endpoint", "url": url, "concurrency": 4, "attempts": 1, **more}
    models = [
        EndpointSpec.model_validate({"name": spec.name, "model": spec.name, "identity": f"test/{spec.name}", **one})
        if spec.name in names
        else spec
        for spec in settings.models
    ]
    assert all(isinstance(spec, (EndpointSpec, PythonSpec)) for spec in models)
    return settings.model_copy(update={"models": tuple(models)})


def test_responders_are_asked_side_by_side_and_never_drained_at_the_edge_of_a_batch(tmp_path: Path) -> None:
    write_pictures(tmp_path / "pictures", 20)
    in_flight: list[int] = []

    async def respond(request: web.Request, number: int) -> web.Response:
        in_flight.append(server.in_flight)
        await asyncio.sleep(random.uniform(0.05, 0.15))
        body = await request.json()
        return completion(f"Answer of {body['model']} to: {prompt_of(body)}")

    with serving(respond) as server:
        counts, *_ = built(with_endpoints(tmp_path, server.url, build={"batch_size": 1}))
    assert counts["respond"] == {"ok": 180}
    assert server.most_in_flight == 12, "three responders with four calls each, though a batch is three questions"
    middle = in_flight[30:-30]
    assert sum(middle) / len(middle) > 9, "more than if each batch ended before the next began"


def test_tables_do_not_depend_on_the_order_in_which_answers_come(tmp_path: Path) -> None:
    async def respond(request: web.Request, number: int) -> web.Response:
        await asyncio.sleep(random.random() / 50)
        body = await request.json()
        return completion(f"Answer of {body['model']} to: {prompt_of(body)}")

    tables = []
    for name in ("one", "two"):
        write_pictures(tmp_path / name / "pictures")
        with serving(respond) as server:
            built(with_endpoints(tmp_path / name, server.url))
        tables.append(pq.read_table(tmp_path / name / "run" / "3-responses.parquet"))
    assert tables[0] == tables[1]


def sick_server(how: str, falls_ill: int, well: threading.Event) -> Respond:
    """Answers, but the first responder is refused, left hanging or cut off after some answers until `well` is set."""
    answered: Counter[str] = Counter()

    async def respond(request: web.Request, number: int) -> web.StreamResponse:
        body = await request.json()
        model = body["model"]
        if model == RESPONDERS[0] and answered[model] >= falls_ill and not well.is_set():
            if how == "hangs":
                await asyncio.sleep(30)
            return web.json_response({"error": {"message": "no"}}, status=int(how) if how.isdigit() else 503)
        answered[model] += 1
        await asyncio.sleep(0.005)
        return completion(f"Answer of {model} to: {prompt_of(body)}")

    return respond


@pytest.mark.parametrize(
    ("how", "falls_ill"),
    [
        pytest.param("401", 0, id="refused", marks=pytest.mark.slow),
        pytest.param("503", 0, id="dead"),
        pytest.param("hangs", 0, id="hanging", marks=pytest.mark.slow),
        pytest.param("401", 5, id="revoked after five answers"),
        pytest.param("503", 5, id="dying after five", marks=pytest.mark.slow),
        pytest.param("hangs", 5, id="hanging after five"),
    ],
)
def test_a_responder_in_trouble_costs_its_own_answers_and_the_others_and_later_stages_finish(
    tmp_path: Path, how: str, falls_ill: int
) -> None:
    write_pictures(tmp_path / "pictures", 20)
    well, more = threading.Event(), {"timeout": 0.5, "patience": 1.0, "attempts": 5}
    began = time.monotonic()
    with serving(sick_server(how, falls_ill, well)) as server:
        counts, _, _, lines = built(with_endpoints(tmp_path, server.url, more=more))
        wall = time.monotonic() - began
        sent = Counter(body["model"] for body in server.bodies)
        well.set()
        again, calls, *_ = built(with_endpoints(tmp_path, server.url, more=more))
    amber = counts["respond"]["ok"] - 120
    assert counts["respond"] == {"ok": 120 + amber, "failed": 60 - amber}
    assert falls_ill <= amber <= falls_ill + 4
    assert counts["judge"]["ok"] > 0
    assert counts["export"], "pairs of the healthy two"
    assert sent[RESPONDERS[1]] == sent[RESPONDERS[2]] == 60
    assert sent[RESPONDERS[0]] < 5 + 20 + 25
    assert wall < 10
    (said,) = [line for line in lines if "is given up for this run" in line]
    assert said.startswith("`amber`")
    assert again["respond"] == {"ok": 180}
    assert calls >= 60 - amber


def test_each_failed_answer_says_why_it_failed(tmp_path: Path) -> None:
    write_pictures(tmp_path / "pictures", 20)
    with serving(sick_server("401", 0, threading.Event())) as server:
        built(with_endpoints(tmp_path, server.url))
    rows = pq.read_table(tmp_path / "run" / "3-responses.parquet").to_pylist()
    failed = [row for row in rows if row["response_status"] == "failed"]
    assert len(failed) == 60
    assert {row["responder"] for row in failed} == {"amber"}
    assert all("401" in row["response_detail"] and row["response_id"] for row in failed)
    assert sum(row["response_detail"].startswith("not sent: `amber` was given up") for row in failed) > 20


def test_a_command_whose_responder_is_dead_ends_with_status_3_and_says_why(tmp_path: Path) -> None:
    write_pictures(tmp_path / "pictures", 6)
    with serving(sick_server("503", 0, threading.Event())) as server:
        settings = tmp_path / "settings.json"
        settings.write_text(with_endpoints(tmp_path, server.url).model_dump_json())
        command = [sys.executable, "-m", "spavl", "build", str(settings), "--allow-code"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 3, done.stderr
    assert "`amber` is given up for this run: it has never answered" in done.stdout
    assert "Traceback" not in done.stderr


def test_a_ceiling_ends_with_typed_records_and_a_higher_one_goes_on(tmp_path: Path) -> None:
    write_pictures(tmp_path / "pictures", 20)
    more = {"price_in": 10_000.0}  # 1.0 a call

    async def respond(request: web.Request, number: int) -> web.Response:
        body = await request.json()
        return completion(f"Answer of {body['model']} to: {prompt_of(body)}")

    with serving(respond) as server:
        with pytest.raises(NothingMade) as stopped:
            built(with_endpoints(tmp_path, server.url, more=more, ceilings={"cost": 150.0}))
        assert stopped.value.exit_status == 3
        assert 150 <= len(server.bodies) <= 150 + 12
        rows = pq.read_table(tmp_path / "run" / "3-responses.parquet").to_pylist()
        assert Counter(row["response_status"] for row in rows)["ok"] == len(server.bodies)
        assert {row["grade_status"] for row in rows} == {"failed", "skipped"}
        assert all("ceiling of cost is reached" in row["response_detail"] + row["grade_detail"] for row in rows)
        counts, *_ = built(with_endpoints(tmp_path, server.url, more=more, ceilings={"cost": 1000.0}))
        assert len(server.bodies) == 180
    assert counts["respond"] == {"ok": 180}


def test_responders_with_weights_or_code_are_asked_one_after_the_other_beside_those_behind_a_network(
    tmp_path: Path,
) -> None:
    write_pictures(tmp_path / "pictures")

    async def respond(request: web.Request, number: int) -> web.Response:
        body = await request.json()
        return completion(f"Answer of {body['model']} to: {prompt_of(body)}")

    with serving(respond) as server:
        counts, *_ = built(with_endpoints(tmp_path, server.url, names=("birch",)))
    assert counts["respond"] == {"ok": 63}
    rows = pq.read_table(tmp_path / "run" / "3-responses.parquet", columns=["responder"])["responder"].to_pylist()
    assert rows == list(RESPONDERS) * 21


def test_ctrl_c_ends_the_build_at_once_and_what_was_answered_is_stored(tmp_path: Path) -> None:
    write_pictures(tmp_path / "pictures", 20)

    async def respond(request: web.Request, number: int) -> web.Response:
        if number == 30:
            os.kill(os.getpid(), signal.SIGINT)
        await asyncio.sleep(30 if number >= 30 else 0.02)
        return completion("an answer")

    began = time.monotonic()
    with serving(respond) as server, pytest.raises(KeyboardInterrupt):
        built(with_endpoints(tmp_path, server.url))
    assert time.monotonic() - began < 20
    with CallStore(tmp_path / "calls.sqlite") as store:
        assert len(store) >= 60 + 30 - 12
    assert not (tmp_path / "run" / "3-responses.parquet").exists()
