"""Calls over a network: how many at once, when to wait, when to try again, when to give up. Used by `engine` only."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TypeVar, final

from spavl.errors import ModelError
from spavl.models.base import AsyncModel, Reply, Request

FIRST_PAUSE = 0.5
"""Seconds before the second attempt; doubled for each further one, and varied so that calls do not return in step."""
LONGEST_PAUSE = 60.0
THROTTLED_TRIES = 10
"""Being told to wait (429) is no fault of the call: it may happen this many times as often as other errors."""
TRIES_WITHOUT_ANY_ANSWER = 2
"""Attempts at a server that cannot be reached and has not answered yet."""

Ticket = TypeVar("Ticket")


class Retry(Exception):
    """An attempt failed and another may help.

    `after` is the number of seconds the server asked to wait; `throttled` says that it did so because of too many
    requests; `give_up`, if given, is raised once no attempt is left (the server as a whole is out of reach), otherwise
    the call is recorded as failed with `detail`.
    """

    def __init__(
        self, detail: str, *, after: float = 0.0, throttled: bool = False, give_up: ModelError | None = None
    ) -> None:
        self.detail = detail
        self.after = after
        self.throttled = throttled
        self.give_up = give_up
        super().__init__(detail)


async def send_all(
    model: AsyncModel, calls: Sequence[tuple[Request, Ticket]], record: Callable[[Ticket, Reply], None]
) -> None:
    """Send all requests, at most `model.concurrency` at once, and hand each reply to `record` as it comes.

    The first exception that is not a Retry (a refused key, a full disk) cancels the rest and is raised.
    """
    import aiohttp

    gate = _ConcurrencyLimit(model.concurrency)
    waiting = iter(calls)
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, trust_env=True) as session:
        line = _Client(model, session, gate)
        workers = [asyncio.create_task(_work(line, waiting, record)) for _ in range(min(model.concurrency, len(calls)))]
        try:
            await asyncio.gather(*workers)
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)


async def _work(
    line: _Client, waiting: Iterator[tuple[Request, Ticket]], record: Callable[[Ticket, Reply], None]
) -> None:
    for request, ticket in waiting:
        record(ticket, await line.ask(request))


@final
class _ConcurrencyLimit:
    """How many calls may be in flight: halved when the server says "too many", grown by one a round of successes.

    Additive increase, multiplicative decrease, as in TCP (Jacobson 1988).
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._limit = float(most)
        self._inside = 0
        self._shut_until = 0.0
        self._last_cut = 0.0
        self._moved = asyncio.Condition()

    async def enter(self) -> float:
        """Wait for room; returns the time of entry, for `throttle`."""
        async with self._moved:
            await self._moved.wait_for(lambda: self._inside < max(1, int(self._limit)))
            self._inside += 1
        while (shut := self._shut_until - time.monotonic()) > 0:
            await asyncio.sleep(shut)
        return time.monotonic()

    async def leave(self) -> None:
        """Make room."""
        async with self._moved:
            self._inside -= 1
            self._moved.notify_all()

    def succeed(self) -> None:
        """Widen a little."""
        self._limit = min(float(self._most), self._limit + 1 / self._limit)

    def throttle(self, entered: float, after: float) -> None:
        """Narrow and stay shut for `after` seconds. Calls that entered before the last cut tell nothing new."""
        now = time.monotonic()
        self._shut_until = max(self._shut_until, now + after)
        if entered >= self._last_cut:
            self._limit = max(1.0, self._limit / 2)
            self._last_cut = now


@final
class _Client:
    """One model's line to its server."""

    def __init__(self, model: AsyncModel, session: object, gate: _ConcurrencyLimit) -> None:
        self._model = model
        self._session = session
        self._gate = gate
        self._answered = False

    async def ask(self, request: Request) -> Reply:
        """Try until there is a reply or no attempt is left; `Reply.attempts` counts all tries, `latency` the last."""
        errors = throttles = 0
        while True:
            entered = await self._gate.enter()
            try:
                reply = await self._model.send(self._session, request)
            except Retry as error:
                pause = self._pause(error, entered, errors + throttles)
                throttles, errors = throttles + error.throttled, errors + (not error.throttled)
                trouble = error
            else:
                self._gate.succeed()
                self._answered = True
                return _counted(reply, errors + throttles + 1, time.monotonic() - entered)
            finally:
                await self._gate.leave()
            if errors >= self._tries(trouble) or throttles >= self._model.attempts * THROTTLED_TRIES:
                if trouble.give_up is not None:
                    raise trouble.give_up
                failed = Reply("", status="failed", finish_reason="error", detail=trouble.detail)
                return _counted(failed, errors + throttles, time.monotonic() - entered)
            await asyncio.sleep(pause)

    def _tries(self, error: Retry) -> int:
        if error.give_up is not None and not self._answered:
            return min(self._model.attempts, TRIES_WITHOUT_ANY_ANSWER)
        return self._model.attempts

    def _pause(self, error: Retry, entered: float, tries: int) -> float:
        """Seconds to wait: what the server asked for, or else longer after each try."""
        pause = error.after or min(LONGEST_PAUSE, FIRST_PAUSE * 2**tries) * random.uniform(0.5, 1.0)
        if error.throttled:
            self._gate.throttle(entered, pause)
        return pause


def _counted(reply: Reply, attempts: int, latency: float) -> Reply:
    return replace(reply, attempts=attempts, latency=latency)
