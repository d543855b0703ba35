"""A real HTTP server on loopback that answers like an OpenAI-compatible one, or as badly as a test needs."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from spavl.config.models import EndpointSpec
from tests.closing import close

Respond = Callable[[web.Request, int], Awaitable[web.StreamResponse]]
"""Responds to a request, given its number from 0."""


@dataclass
class Server:
    """What the server got."""

    url: str = ""
    bodies: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    in_flight: int = 0
    most_in_flight: int = 0

    def spec(self, **more: object) -> EndpointSpec:
        """An entry of the settings for this server."""
        return EndpointSpec.model_validate(
            {"name": "server", "url": self.url, "model": "mini", "identity": "test/mini/1", "timeout": 5, **more}
        )


def completion(text: str | None, reason: str = "stop", **message: object) -> web.Response:
    """A chat completion."""
    choice = {"index": 0, "message": {"role": "assistant", "content": text, **message}, "finish_reason": reason}
    usage = {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110}
    return web.json_response({"choices": [choice], "usage": usage, "model": "mini", "system_fingerprint": "fp_7"})


def prompt_of(body: dict[str, Any]) -> str:
    """The text of the user's turn."""
    content = body["messages"][-1]["content"]
    return str(content if isinstance(content, str) else content[-1]["text"])


@contextmanager
def serving(respond: Respond, port: int = 0) -> Iterator[Server]:
    """Serve on a port, a free one unless it is given, in a thread, until the block ends."""
    server = Server()
    loop = asyncio.new_event_loop()
    stop = asyncio.Event()
    ready = threading.Event()

    async def handle(request: web.Request) -> web.StreamResponse:
        number = len(server.bodies)
        server.bodies.append(await request.json())
        server.headers.append(dict(request.headers))
        server.in_flight += 1
        server.most_in_flight = max(server.most_in_flight, server.in_flight)
        try:
            return await respond(request, number)
        finally:
            server.in_flight -= 1

    async def run() -> None:
        app = web.Application(client_max_size=50_000_000)
        app.router.add_post("/v1/chat/completions", handle)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", port)
        await site.start()
        server.url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
        ready.set()
        await stop.wait()
        await close(runner)

    thread = threading.Thread(target=loop.run_until_complete, args=(run(),))
    thread.start()
    ready.wait()
    try:
        yield server
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        loop.close()
