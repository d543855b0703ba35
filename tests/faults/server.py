"""The server: takes a call, asks the plan, answers or fails, and notes what was asked."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

from aiohttp import web

from spavl.config.models import EndpointSpec
from tests.closing import close
from tests.faults.benign import answer, prompt_of
from tests.faults.kinds import FAULTS, Call, completion
from tests.faults.plan import Plan

LARGEST = 100_000_000
"""Most bytes of a request."""


class Asked(NamedTuple):
    """An attempt of a call, as the server saw it."""

    call: str
    """Hash of model and messages."""
    model: str
    """The model that was asked for."""
    fault: str | None
    """Name of the fault that it met; None where it was answered."""
    attempt: int
    """Number of the attempt of this call, from 0."""
    seconds: float
    """When it came, after the server's start."""
    probe: bool
    """Whether it asks for one token only, which is how a client finds out if the server is there."""


class FaultServer:
    """What is served, and what was asked.

    Args:
        plans: what happens to the calls of each model; `*` is for all that are not named.
        log: a file that every attempt is written to, one line of JSON each. None: none.
    """

    def __init__(self, plans: Mapping[str, Plan], log: Path | None = None) -> None:
        self.url = ""
        self.asked: list[Asked] = []
        self.bodies: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.queries: list[str] = []
        self._plans = plans
        self._log = log
        self._attempts: Counter[str] = Counter()
        self._calls: Counter[str] = Counter()
        self._started = time.monotonic()

    def spec(self, **more: object) -> EndpointSpec:
        """An entry of the settings for this server.

        Args:
            more: other values of it.
        """
        return EndpointSpec.model_validate(
            {"name": "server", "url": self.url, "model": "mini", "identity": "test/mini/1", "timeout": 5, **more}
        )

    def app(self) -> web.Application:
        """The application, to be run on a loop."""
        app = web.Application(client_max_size=LARGEST)
        app.router.add_post("/{path:.*}", self._handle)
        return app

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        call = Call(request, body, sha256(json.dumps([body["model"], body["messages"]]).encode()).hexdigest())
        plan = self._plans.get(body["model"]) or self._plans.get("*", Plan())
        fault = self._note(call, plan)
        if plan.delay:
            await asyncio.sleep(plan.delay)
        if fault is None:
            return completion(answer(call.id, body), model=body["model"])
        try:
            return await FAULTS[fault].respond(call)
        except ConnectionError:  # the client has gone, which is what it should do
            return web.Response()

    def _note(self, call: Call, plan: Plan) -> str | None:
        """Count and keep the attempt; returns the fault that it meets."""
        model, seconds = call.body["model"], time.monotonic() - self._started
        attempt, calls = self._attempts[call.id], self._calls[model]
        fault = plan.fault(call.id, prompt_of(call.body), attempt=attempt, calls=calls, seconds=seconds)
        self._attempts[call.id] += 1
        self._calls[model] += 1
        probe = 1 in (call.body.get("max_tokens"), call.body.get("max_completion_tokens"))
        asked = Asked(call.id, model, fault, attempt, seconds, probe)
        if self._log is not None:
            with self._log.open("a") as file:
                file.write(json.dumps(asked) + "\n")
            return fault
        self.asked.append(asked)
        self.bodies.append(call.body)
        self.headers.append(dict(call.request.headers))
        self.queries.append(call.request.path_qs)
        return fault


async def serve(server: FaultServer, port: int, ready: Callable[[int], object], stop: asyncio.Event) -> None:
    """Serve until told to stop.

    Args:
        server: what is served.
        port: the port; 0 for a free one.
        ready: called with the port once it is open.
        stop: ends it.
    """
    runner = web.AppRunner(server.app(), shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port, reuse_address=True).start()
    opened = runner.addresses[0][1]
    server.url = f"http://127.0.0.1:{opened}/v1"
    ready(opened)
    await stop.wait()
    await close(runner)


@contextmanager
def serving(plans: Mapping[str, Plan], port: int = 0) -> Iterator[FaultServer]:
    """Serve in a thread until the block ends; the port is closed then.

    Args:
        plans: what happens to the calls of each model; `*` is for all that are not named.
        port: the port; 0 for a free one.
    """
    server, loop, ready = FaultServer(plans), asyncio.new_event_loop(), threading.Event()
    stop = asyncio.Event()
    work = serve(server, port, lambda port: ready.set(), stop)
    thread = threading.Thread(target=loop.run_until_complete, args=(work,))
    thread.start()
    ready.wait()
    try:
        yield server
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        loop.close()
