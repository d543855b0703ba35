"""A model in trouble is paused, probed and resumed, or given up; its calls are typed, and nobody else is held up."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import CancelledError
from pathlib import Path

import pytest
from aiohttp import web

from spavl.config.models import EndpointSpec
from spavl.models import open_model
from spavl.models.base import Sampling
from spavl.models.calls import circuit, rate_limit
from spavl.models.calls.engine import Engine
from spavl.models.calls.oversight import Oversight
from spavl.models.calls.store import CallStore
from tests.models.calls.in_trouble import Said, Sick, ask, prompts
from tests.models.server import completion, prompt_of, serving


@pytest.fixture
def store(tmp_path: Path) -> Iterator[CallStore]:
    with CallStore(tmp_path / "calls.sqlite") as opened:
        yield opened


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rate_limit, "FIRST_PAUSE", 0.01)
    monkeypatch.setattr(circuit, "FIRST_INTERVAL", 0.05)


@pytest.mark.parametrize("how", ["502", "503", "504", "breaks", "hangs"])
def test_a_server_that_goes_away_and_comes_back_costs_no_call_and_two_lines(store: CallStore, how: str) -> None:
    sick, said = Sick(20, how), Said()

    def recover() -> None:
        said.news.wait(20)
        time.sleep(0.5)
        sick.recovered.set()

    nurse = threading.Thread(target=recover)
    nurse.start()
    with serving(sick) as server:
        spec = server.spec(attempts=2, concurrency=4, timeout=0.3)
        replies = ask(store, spec, prompts(0, 60), said)
    nurse.join()
    assert [reply.text for reply in replies] == [f"heard q{number}" for number in range(60)]
    assert said.states == [("server", "paused"), ("server", "asking")]
    assert "is out of reach since" in said.lines[0]
    assert "tried again for up to 10 minutes" in said.lines[0]
    assert "answers again after" in said.lines[1]
    assert len(sick.while_ill) < 4 + 8, "those in flight, then one probe at a time"
    assert store.calls == 60


def test_a_server_that_is_restarted_is_waited_for(store: CallStore, free_port: int) -> None:
    async def respond(request: web.Request, number: int) -> web.Response:
        return completion(f"heard {prompt_of(await request.json())}")

    said, down = Said(), 3.0
    spec = EndpointSpec(name="server", url=f"http://127.0.0.1:{free_port}/v1", model="m", identity="t/1", attempts=1)
    with Engine(store, oversight=Oversight(tell=said)) as engine:
        model = open_model(spec)
        with serving(respond, port=free_port):
            assert engine.complete(model, prompts(0, 5), sampling=Sampling())[0].status == "ok"
        pending = engine.submit(model, prompts(5, 50), sampling=Sampling())
        began = time.monotonic()
        time.sleep(down)
        with serving(respond, port=free_port) as server:
            replies = pending.result()
            assert 50 <= len(server.bodies) <= 51
    assert {reply.status for reply in replies} == {"ok"}
    assert time.monotonic() - began < down + 3
    assert said.states == [("server", "paused"), ("server", "asking")]


@pytest.fixture
def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.parametrize("how", ["503", "breaks", "hangs"])
def test_a_server_that_stays_away_is_given_up_when_patience_ends_and_later_batches_are_not_sent(
    store: CallStore, how: str
) -> None:
    sick, said = Sick(20, how), Said()
    with serving(sick) as server, Engine(store, oversight=Oversight(tell=said)) as engine:
        model = open_model(server.spec(patience=1.0, attempts=5, concurrency=4, timeout=0.3))
        began = time.monotonic()
        replies = engine.complete(model, prompts(0, 500), sampling=Sampling())
        assert 0.9 < time.monotonic() - began < 4
        sent = len(server.bodies)
        assert sent < 20 + 4 + 10
        later = engine.complete(model, prompts(500, 300), sampling=Sampling())
        assert len(server.bodies) == sent
    failed = [reply for reply in replies if reply.status == "failed"]
    assert [reply.status for reply in replies].count("ok") == 20
    assert len(failed) == 480
    assert all("`server` was given up for this run: out of reach for 1 s" in r.detail for r in (*failed, *later))
    assert said.states == [("server", "paused"), ("server", "given up")]
    assert len(store) < 30, "calls that were not sent are not stored"
    sick.recovered.set()
    with serving(sick) as server:
        again = ask(store, server.spec(), prompts(0, 800), Said())
    assert {reply.status for reply in again} == {"ok"}
    assert len(server.bodies) == 780


@pytest.mark.parametrize("how", ["nothing", "503", "hangs"])
def test_a_server_that_has_never_answered_is_given_up_after_two_attempts(store: CallStore, how: str) -> None:
    said = Said()
    with serving(Sick(0, how)) as server:
        spec = server.spec(concurrency=4, timeout=0.3)
        if how != "nothing":
            began = time.monotonic()
            replies = ask(store, spec, prompts(0, 100), said)
    if how == "nothing":
        began = time.monotonic()
        replies = ask(store, spec, prompts(0, 100), said)
    assert time.monotonic() - began < 3
    assert {reply.status for reply in replies} == {"failed"}
    assert all("given up for this run: it has never answered" in reply.detail for reply in replies)
    assert said.states[-1] == ("server", "given up")
    assert len(server.bodies) <= 5


def test_a_server_that_answered_an_earlier_run_is_waited_for(store: CallStore) -> None:
    sick, said = Sick(0, "503"), Said()
    sick.recovered.set()
    with serving(sick) as server:
        ask(store, server.spec(), prompts(0, 3), Said())
    sick.recovered.clear()
    threading.Timer(1.0, sick.recovered.set).start()
    with serving(sick) as server:
        replies = ask(store, server.spec(attempts=1), prompts(3, 20), said)
    assert {reply.status for reply in replies} == {"ok"}
    assert said.states == [("server", "paused"), ("server", "asking")]


@pytest.mark.parametrize("how", ["503", "breaks", "hangs"])
@pytest.mark.parametrize("first", [True, False])
def test_a_prompt_that_is_never_answered_is_its_own_failure_and_says_nothing(
    store: CallStore, how: str, first: bool
) -> None:
    said, poison = Said(), "q0" if first else "q39"
    sick = Sick(0, how)

    async def respond(request: web.Request, number: int) -> web.StreamResponse:
        if prompt_of(await request.json()) == poison:
            return await sick(request, 0)
        return completion("Fine.")

    with serving(respond) as server:
        replies = ask(store, server.spec(attempts=2, concurrency=2, timeout=0.3), prompts(0, 40), said)
    assert {r.status for r, p in zip(replies, prompts(0, 40), strict=True) if p.text != poison} == {"ok"}
    assert [r.status for r in replies].count("failed") == 1
    assert said.lines == []


def test_a_call_that_fails_on_its_own_while_others_wait_for_the_server_ends_nothing(store: CallStore) -> None:
    async def respond(request: web.Request, number: int) -> web.Response:
        text = prompt_of(await request.json())
        await asyncio.sleep(0.6 if text == "q2" else 0.02)
        return completion("Fine.") if text == "q9" else web.Response(status=400 if text == "q2" else 503)

    with serving(respond) as server:
        ask(store, server.spec(), prompts(9, 1), Said())
        replies = ask(store, server.spec(attempts=2, concurrency=3, patience=1.5), prompts(0, 3), Said())
    assert [reply.status for reply in replies] == ["failed"] * 3
    assert replies[2].detail.startswith("the server refused the request with 400")


@pytest.mark.parametrize("status", [401, 403])
def test_a_key_is_bad_only_when_every_call_says_so(store: CallStore, status: int) -> None:
    async def some(request: web.Request, number: int) -> web.Response:
        number = int(prompt_of(await request.json())[1:])
        return completion("Fine.") if number % 30 == 25 else web.Response(status=status, text="not for you")

    said = Said()
    with serving(some) as server:
        replies = ask(store, server.spec(concurrency=1), prompts(20, 100), said)
    assert [r.status for r in replies].count("ok") == 4
    assert [r.status for r in replies].count("failed") == 96, "each its own failure, though 29 in a row were refused"
    assert said.lines == []
    assert len(server.bodies) <= 100 + 4, "and a few probes"


def test_a_key_that_no_call_may_use_is_given_up_with_what_mends_it(store: CallStore) -> None:
    async def refuse(request: web.Request, number: int) -> web.Response:
        return web.Response(status=401, text="no such key")

    said = Said()
    with serving(refuse) as server:
        replies = ask(store, server.spec(concurrency=4), prompts(0, 500), said)
    assert len(server.bodies) < 30
    assert {reply.status for reply in replies} == {"failed"}
    assert said.states == [("server", "given up")]
    assert "each of the last 20 calls was refused (unauthorised)" in said.lines[0]
    assert "no such key. Name the environment variable" in said.lines[0]


def test_a_key_that_is_revoked_in_the_middle_is_found_out(store: CallStore) -> None:
    async def revoke(request: web.Request, number: int) -> web.Response:
        return completion("Fine.") if number < 50 else web.Response(status=401, text="expired")

    said = Said()
    with serving(revoke) as server:
        replies = ask(store, server.spec(concurrency=4), prompts(0, 500), said)
    assert [r.status for r in replies].count("ok") == 50
    assert len(server.bodies) < 50 + 40
    assert said.states == [("server", "given up")]


def test_413_to_most_calls_and_a_flagged_prompt_stop_nothing(store: CallStore) -> None:
    async def some(request: web.Request, number: int) -> web.Response:
        number = int(prompt_of(await request.json())[1:])
        if number < 25:
            return web.Response(status=413, text="too large")
        return web.Response(status=403, text="flagged") if number == 30 else completion("Fine.")

    for sent in (60, 26):
        said = Said()
        with serving(some) as server:
            replies = ask(store, server.spec(concurrency=1), prompts(0, 60), said)
        assert [r.status for r in replies].count("ok") == 34
        assert len(server.bodies) <= sent
        assert said.lines == []


# --- stopped while paused ---------------------------------------------------------------------------------------------

CHILD = """
import signal, sys
from spavl.config.models import EndpointSpec
from spavl.models import open_model
from spavl.models.base import Prompt, Sampling
from spavl.models.calls.engine import complete
from spavl.models.calls.oversight import Oversight
from spavl.models.calls.store import CallStore

signal.signal(signal.SIGINT, signal.default_int_handler)
spec = EndpointSpec(name="e", url=sys.argv[1], model="mini", identity="test/mini/1", concurrency=4)
with CallStore(sys.argv[2]) as store:
    tell = lambda notice: print(notice.state, flush=True)
    complete(open_model(spec), [Prompt(f"q{n}") for n in range(50)], sampling=Sampling(), store=store,
             oversight=Oversight(tell=tell))
"""


@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGKILL])
def test_who_is_stopped_while_a_model_is_paused_ends_at_once_and_loses_nothing(tmp_path: Path, by: int) -> None:
    sick, path = Sick(20, "503"), tmp_path / "calls.sqlite"
    with serving(sick) as server:
        command = [sys.executable, "-c", CHILD, server.url, str(path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
            assert child.stdout is not None
            assert child.stdout.readline() == "paused\n"
            time.sleep(0.3)
            stopped = time.monotonic()
            os.kill(child.pid, by)
            output, errors = child.communicate(timeout=20)
            assert time.monotonic() - stopped < 5
        assert child.returncode != 0
        assert output == "", "nobody says that it answers again"
        sick.recovered.set()
        before = len(server.bodies)
        with CallStore(path) as store:
            assert len(store) >= 20
            replies = ask(store, server.spec(), prompts(0, 50), Said())
        assert len(server.bodies) - before == 30
    assert {reply.status for reply in replies} == {"ok"}
    assert by == signal.SIGKILL or "KeyboardInterrupt" in errors


def test_an_engine_that_is_closed_while_a_model_is_paused_says_no_more(store: CallStore) -> None:
    sick, said = Sick(5, "503"), Said()
    with serving(sick) as server, Engine(store, oversight=Oversight(tell=said)) as engine:
        pending = engine.submit(open_model(server.spec(concurrency=2)), prompts(0, 50), sampling=Sampling())
        assert said.news.wait(10)
        engine.close()
        with pytest.raises(CancelledError):
            pending.result()
    assert said.states == [("server", "paused")]
