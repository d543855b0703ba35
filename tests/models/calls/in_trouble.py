"""Models in trouble, and what is said of them while they are asked."""

from __future__ import annotations

import asyncio
import threading
import time

from aiohttp import web

from spavl.config.models import EndpointSpec
from spavl.models import open_model
from spavl.models.base import Prompt, Reply, Sampling
from spavl.models.calls.engine import Engine
from spavl.models.calls.oversight import Notice, Oversight
from spavl.models.calls.store import CallStore
from tests.models.server import completion, prompt_of


class Said:
    """Keeps the notices; given to an `Oversight`."""

    def __init__(self) -> None:
        self.notices: list[Notice] = []
        self.news = threading.Event()

    def __call__(self, notice: Notice) -> None:
        """Keep a notice."""
        self.notices.append(notice)
        self.news.set()

    @property
    def states(self) -> list[tuple[str, str]]:
        """(about, state) of every notice."""
        return [(notice.about, notice.state) for notice in self.notices]

    @property
    def lines(self) -> list[str]:
        """The sentences."""
        return [notice.line for notice in self.notices]


def prompts(first: int, count: int) -> list[Prompt]:
    return [Prompt(f"q{number}") for number in range(first, first + count)]


def ask(store: CallStore, spec: EndpointSpec, wanted: list[Prompt], said: Said, **ceilings: float) -> list[Reply]:
    """Ask as a command does."""
    with Engine(store, oversight=Oversight(tell=said, **ceilings)) as engine:
        return engine.complete(open_model(spec), wanted, sampling=Sampling())


class Sick:
    """A server that is well until `falls_ill` requests have come, and again once `recovered` is set."""

    def __init__(self, falls_ill: int, how: str) -> None:
        self.falls_ill, self.how = falls_ill, how
        self.recovered = threading.Event()
        self.while_ill: list[float] = []

    async def __call__(self, request: web.Request, number: int) -> web.StreamResponse:
        """Respond."""
        await asyncio.sleep(0.005)
        if number < self.falls_ill or self.recovered.is_set():
            return completion(f"heard {prompt_of(await request.json())}")
        self.while_ill.append(time.monotonic())
        if self.how == "hangs":
            await asyncio.sleep(30)
        if self.how == "breaks":
            assert request.transport is not None
            request.transport.close()
        return web.Response(status=int(self.how) if self.how.isdigit() else 200)
