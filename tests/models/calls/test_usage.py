"""What the calls of a command have used, counted in one place: over a network, of a class, and of what was stored."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest
from aiohttp import web

from spavl.models.backends.endpoint import EndpointModel
from spavl.models.base import Prompt, Reply, Request, Sampling, failed_reply
from spavl.models.calls.engine import Engine
from spavl.models.calls.oversight import Oversight, Usage
from spavl.models.calls.store import CallStore
from tests.models.server import completion, prompt_of, serving

PROMPTS = [Prompt(f"Placeholder {number}") for number in range(20)]


async def respond(request: web.Request, number: int) -> web.Response:
    """An answer; one prompt is always refused as too long, and another is throttled at first."""
    text = prompt_of(await request.json())
    await asyncio.sleep(0.01)
    if text == PROMPTS[3].text:
        return web.json_response({"error": {"message": "boom"}}, status=500)
    if number == 0:
        return web.json_response({"error": {"message": "busy"}}, status=429, headers={"Retry-After": "0.05"})
    return completion("yes")


def test_calls_over_a_network_are_counted_with_tokens_money_failures_and_what_was_found(tmp_path: Path) -> None:
    oversight, in_flight = Oversight(), []
    with serving(respond) as server, CallStore(tmp_path / "calls.sqlite") as store:
        model = EndpointModel(server.spec(name="amber", concurrency=4, attempts=2, price_in=1.0, price_out=2.0))
        with Engine(store, oversight=oversight) as engine:

            def look(done: int, wanted: int) -> None:
                in_flight.append(oversight.usage()["amber"].in_flight if done else 0)

            for _ in range(2):
                engine.complete(model, PROMPTS, sampling=Sampling(), on_progress=look)
            used = oversight.usage()["amber"]
    assert 1 <= max(in_flight) <= 4 and used.in_flight == 0
    assert (used.calls, used.prompt_tokens, used.completion_tokens) == (19, 1_900, 190)
    assert used.cost == pytest.approx(19 * 120 / 1e6) == pytest.approx(oversight.spent)
    assert (used.ended, used.failed, used.throttled) == (21, 2, 1), "the call that fails is made again"
    assert used.found == 19


class Class:
    """Answers a list at once, and fails at one of them."""

    name, identity, batch_size = "own", "python:own@1", 7

    def generate(self, requests: Sequence[Request]) -> list[Reply]:
        """One reply a request."""
        return [
            failed_reply("no") if one.prompt == PROMPTS[3] else Reply("yes", prompt_tokens=3, cost=0.25)
            for one in requests
        ]

    def close(self) -> None:
        """Nothing is held."""


def test_a_class_is_counted_alike_and_stops_at_its_ceiling_after_the_list_that_reaches_it(tmp_path: Path) -> None:
    oversight = Oversight(models={"own": 2.0})
    with CallStore(tmp_path / "calls.sqlite") as store, Engine(store, oversight=oversight) as engine:
        replies = engine.complete(Class(), PROMPTS, sampling=Sampling())
    sent = [reply for reply in replies if reply.attempts]
    assert len(sent) == 14, "two lists: the first cost 1.5, the second all that is left and more"
    assert oversight.usage()["own"] == Usage(calls=14, prompt_tokens=39, cost=3.25, ended=20, failed=7)
    why = "not sent: `own` has reached its ceiling of cost: 3.25 of 2"
    assert all(reply.detail.startswith(why) for reply in replies[14:])
    assert oversight.stopped("own") and not oversight.stopped("another")
