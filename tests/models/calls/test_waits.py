"""What a server asks to wait is bounded, empty answers are asked again, and a command has ceilings."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiohttp import web

from spavl.config.models import LocalSpec
from spavl.models import open_model
from spavl.models.base import Reply, Sampling
from spavl.models.calls import circuit, rate_limit
from spavl.models.calls.engine import Engine, plan
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


@pytest.mark.parametrize("after", ["86400", "inf", "1e300", "Fri, 31 Dec 2100 23:59:59 GMT"])
def test_what_a_server_asks_to_wait_is_bounded_and_said_once(
    store: CallStore, after: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(circuit, "SAID_AFTER", 0.2)

    async def busy(request: web.Request, number: int) -> web.Response:
        if number < 6:
            return web.Response(status=429, headers={"Retry-After": after}, text="too many")
        return completion("Fine.")

    said, began = Said(), time.monotonic()
    with serving(busy) as server:
        replies = ask(store, server.spec(longest_wait=0.4, concurrency=3), prompts(0, 10), said)
    assert {reply.status for reply in replies} == {"ok"}
    assert time.monotonic() - began < 8
    assert said.states == [("server", "waiting")]
    assert "wants fewer calls: they wait 0 s (it asks for" in said.lines[0]


@pytest.mark.parametrize("after", ["nan", "-5", "soon", ""])
def test_what_is_no_time_to_wait_is_read_as_none(store: CallStore, after: str) -> None:
    async def busy(request: web.Request, number: int) -> web.Response:
        return completion("Fine.") if number else web.Response(status=429, headers={"Retry-After": after})

    began = time.monotonic()
    with serving(busy) as server:
        (reply,) = ask(store, server.spec(), prompts(0, 1), Said())
    assert reply.status == "ok"
    assert time.monotonic() - began < 3


def test_a_server_that_refuses_all_calls_as_too_many_is_given_up_when_patience_ends(store: CallStore) -> None:
    async def busy(request: web.Request, number: int) -> web.Response:
        return web.Response(status=429, headers={"Retry-After": "86400"}, text="daily quota")

    said, began = Said(), time.monotonic()
    with serving(busy) as server:
        replies = ask(store, server.spec(longest_wait=0.1, patience=0.5), prompts(0, 200), said)
    assert time.monotonic() - began < 5
    assert {reply.status for reply in replies} == {"failed"}
    assert said.states == [("server", "given up")]
    assert "daily quota" in replies[-1].detail


@pytest.mark.parametrize("after", [{}, {"Retry-After": "0.3"}])
@pytest.mark.parametrize("concurrency", [1, 2, 16])
def test_prompts_that_are_refused_as_too_many_for_ever_are_their_own_failures_and_hold_nobody_up(
    store: CallStore, after: dict[str, str], concurrency: int
) -> None:
    async def respond(request: web.Request, number: int) -> web.Response:
        body = await request.json()
        if prompt_of(body) in ("q0", "q1"):
            return web.Response(status=429, headers=after, text="always too many")
        if body["max_tokens"] > 1:  # no probe
            ended["others"] = time.monotonic()
        return completion("Fine.")

    said, began, ended = Said(), time.monotonic(), dict[str, float]()
    with serving(respond) as server:
        spec = server.spec(concurrency=concurrency, patience=0.6, longest_wait=1)
        replies = ask(store, spec, prompts(0, 60), said)
    assert [reply.status for reply in replies] == ["failed"] * 2 + ["ok"] * 58
    assert "always too many" in replies[0].detail
    assert time.monotonic() - began < 8
    assert concurrency < 3 or ended["others"] - began < 0.6, "others wait for the first refusals only"
    assert said.lines == []


def test_an_empty_answer_is_asked_again_within_the_attempts_and_then_typed(store: CallStore) -> None:
    async def sometimes_silent(request: web.Request, number: int) -> web.Response:
        text = prompt_of(await request.json())
        return completion("Fine." if text == "q1" and number > 1 else [None, "", " "][number % 3])

    with serving(sometimes_silent) as server:
        spec = server.spec(attempts=3, concurrency=1, price_in=1000.0)
        never, later = ask(store, spec, prompts(0, 1), Said()) + ask(store, spec, prompts(1, 1), Said())
        assert (never.status, never.attempts) == ("empty", 3)
        assert never.cost == pytest.approx(0.3)
        assert (later.status, later.attempts) == ("ok", 1)
        ask(store, spec, prompts(0, 1), Said())
        assert len(server.bodies) == 7, "the next run asks again"


async def fine(request: web.Request, number: int) -> web.Response:
    await asyncio.sleep(0.01)
    return completion("Fine.")


def test_no_call_is_sent_beyond_the_ceiling_of_cost_and_a_higher_one_goes_on(store: CallStore) -> None:
    said = Said()
    with serving(fine) as server:
        spec = server.spec(price_in=10_000.0, concurrency=4)  # 1.0 a call
        replies = ask(store, spec, prompts(0, 100), said, cost=20.0)
        sent = len(server.bodies)
        assert 20 <= sent <= 24
        again = ask(store, spec, prompts(0, 100), Said(), cost=200.0)
        assert len(server.bodies) == 100
    assert [r.status for r in replies].count("failed") == 100 - sent
    assert replies[-1].detail.startswith("not sent: The ceiling of cost is reached: 2")
    assert said.states == [("ceilings", "reached")]
    assert {reply.status for reply in again} == {"ok"}
    assert store.calls == 100


def test_the_ceiling_of_time_ends_waiting_and_pauses_too(store: CallStore) -> None:
    sick, said = Sick(10, "503"), Said()
    began = time.monotonic()
    with serving(sick) as server:
        replies = ask(store, server.spec(), prompts(0, 100), said, seconds=1.0)
    assert 0.9 < time.monotonic() - began < 3
    assert [r.status for r in replies].count("failed") == 90
    assert said.states == [("server", "paused"), ("ceilings", "reached")]
    assert "minutes (`ceilings.minutes`) have passed" in replies[-1].detail


def test_an_empty_answer_of_local_weights_is_not_asked_for_again(store: CallStore) -> None:
    model = open_model(LocalSpec(name="mini", path="miniworld:base"))
    (call,) = plan(model, prompts(0, 1), sampling=Sampling())
    store.put(call.key, Reply("", status="empty"), call.canonical)
    with Engine(store) as engine:
        (reply,) = engine.complete(model, prompts(0, 1), sampling=Sampling())
    assert (reply.status, store.calls) == ("empty", 1)
