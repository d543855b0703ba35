"""Responders behind a network are asked side by side, without a pause between batches, and independently of order."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import threading
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from aiohttp import web

from spavl.config import EndpointSpec, PythonSpec, Settings
from spavl.errors import ModelError
from spavl.models.calls.store import CallStore
from tests.models.server import completion, prompt_of, serving
from tests.pipeline.instant import RESPONDERS, built, settings_of, write_pictures


def with_endpoints(folder: Path, url: str, names: tuple[str, ...] = RESPONDERS, **changed: object) -> Settings:
    """The instant build with responders behind a server."""
    settings = settings_of(folder, **changed)
    models = [
        EndpointSpec(name=spec.name, url=url, model=spec.name, identity=f"test/{spec.name}", concurrency=4, attempts=1)
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


def test_a_responder_that_cannot_be_used_ends_the_build_and_keeps_what_the_others_answered(tmp_path: Path) -> None:
    write_pictures(tmp_path / "pictures", 20)
    answered = threading.Event()

    async def respond(request: web.Request, number: int) -> web.Response:
        body = await request.json()
        if body["model"] == "birch":
            await asyncio.to_thread(answered.wait)
            return web.json_response({"error": {"message": "no"}}, status=401)
        if number > 40:
            answered.set()
        return completion(f"Answer of {body['model']} to: {prompt_of(body)}")

    with serving(respond) as server, pytest.raises(ModelError, match="birch"):
        built(with_endpoints(tmp_path, server.url))
    answered_before = len(server.bodies)
    with CallStore(tmp_path / "calls.sqlite") as store:
        assert len(store) > 20 * 3, "the questions, and answers"

    async def well(request: web.Request, number: int) -> web.Response:
        body = await request.json()
        return completion(f"Answer of {body['model']} to: {prompt_of(body)}")

    with serving(well) as server:
        counts, *_ = built(with_endpoints(tmp_path, server.url))
    assert counts["respond"] == {"ok": 180}
    assert len(server.bodies) < 180, "answers of before are not asked again"
    assert answered_before > 0


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
