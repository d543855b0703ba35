"""Calls over a network: how many at once, when to wait, when to try again, when to give up. Used by `engine` only."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TypeVar, final

from spavl.errors import ModelError
from spavl.models.base import AsyncModel, Reply, Request, failed_reply

FIRST_PAUSE = 0.5
"""Seconds before the second attempt; doubled for each further one (exponential backoff), with random jitter."""
LONGEST_PAUSE = 60.0
"""Most seconds before another attempt, unless the server asks for more."""
THROTTLED_FACTOR = 10
"""Throttled attempts that a call may have for each attempt that may fail: a status 429 is no fault of the call."""
ATTEMPTS_BEFORE_FIRST_ANSWER = 2
"""Most attempts at a server that cannot be reached and has not answered yet."""

Handle = TypeVar("Handle")
"""What the caller of `send_all` knows a request by."""


class Retry(Exception):
    """An attempt failed and another may help.

    Args:
        detail: why it failed; kept in the failed reply once no attempt is left.
        after: seconds that the server asked to wait; 0 if it did not.
        throttled: the server refused because of too many requests (status 429).
        give_up: raised once no attempt is left, where the server as a whole is out of reach. None: the call is
            recorded as failed.
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
    model: AsyncModel, calls: Sequence[tuple[Request, Handle]], record: Callable[[Handle, Reply], None]
) -> None:
    """Send all requests, at most `model.concurrency` at once, and hand on each reply as it comes.

    The first exception that is not a Retry (a refused key, a full disk) cancels the rest and is raised.

    Args:
        model: the model behind a network.
        calls: requests in the order of sending, each with what `record` gets beside the reply.
        record: called once a request with its handle and its reply, in the event loop's thread.
    """
    import aiohttp

    limit = _ConcurrencyLimit(model.concurrency)
    unsent = iter(calls)
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, trust_env=True) as session:
        client = _Client(model, session, limit)
        workers = [
            asyncio.create_task(_work(client, unsent, record)) for _ in range(min(model.concurrency, len(calls)))
        ]
        try:
            await asyncio.gather(*workers)
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)


async def _work(
    client: _Client, unsent: Iterator[tuple[Request, Handle]], record: Callable[[Handle, Reply], None]
) -> None:
    for request, handle in unsent:
        record(handle, await client.call(request))


@final
class _ConcurrencyLimit:
    """How many calls may be in flight: halved when the server throttles, one more after a round of successes.

    Additive increase, multiplicative decrease, as in TCP (Jacobson 1988, "Congestion avoidance and control").
    """

    def __init__(self, concurrency: int) -> None:
        self._most = concurrency
        self._limit = float(concurrency)
        self._in_flight = 0
        self._paused_until = 0.0
        self._last_decrease = 0.0
        self._changed = asyncio.Condition()

    async def acquire(self) -> float:
        """Wait until a call may be sent; returns the time, for `throttle`."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._in_flight < max(1, int(self._limit)))
            self._in_flight += 1
        while (pause := self._paused_until - time.monotonic()) > 0:
            await asyncio.sleep(pause)
        return time.monotonic()

    async def release(self) -> None:
        """Let another call be sent."""
        async with self._changed:
            self._in_flight -= 1
            self._changed.notify_all()

    def increase(self) -> None:
        """Raise the limit after a success: by one for each round of as many successes as the limit."""
        self._limit = min(float(self._most), self._limit + 1 / self._limit)

    def throttle(self, acquired: float, pause: float) -> None:
        """Send nothing for `pause` seconds and halve the limit, once for all calls sent before the last decrease."""
        now = time.monotonic()
        self._paused_until = max(self._paused_until, now + pause)
        if acquired >= self._last_decrease:
            self._limit = max(1.0, self._limit / 2)
            self._last_decrease = now


@final
class _Client:
    """Calls one model, with retries and backoff, under its concurrency limit."""

    def __init__(self, model: AsyncModel, session: object, limit: _ConcurrencyLimit) -> None:
        self._model = model
        self._session = session
        self._limit = limit
        self._answered = False

    async def call(self, request: Request) -> Reply:
        """A reply, or a failed one once no attempt is left: `attempts` counts all of them, `latency` times the last."""
        errors = throttles = 0
        while True:
            acquired = await self._limit.acquire()
            try:
                reply = await self._model.send(self._session, request)
            except Retry as error:
                pause = self._pause(error, acquired, errors + throttles)
                throttles, errors = throttles + error.throttled, errors + (not error.throttled)
                last_error = error
            else:
                self._limit.increase()
                self._answered = True
                return _with_counts(reply, errors + throttles + 1, time.monotonic() - acquired)
            finally:
                await self._limit.release()
            if errors >= self._most_attempts(last_error) or throttles >= self._model.attempts * THROTTLED_FACTOR:
                if last_error.give_up is not None:
                    raise last_error.give_up
                return _with_counts(failed_reply(last_error.detail), errors + throttles, time.monotonic() - acquired)
            await asyncio.sleep(pause)

    def _most_attempts(self, error: Retry) -> int:
        if error.give_up is not None and not self._answered:
            return min(self._model.attempts, ATTEMPTS_BEFORE_FIRST_ANSWER)
        return self._model.attempts

    def _pause(self, error: Retry, acquired: float, attempts: int) -> float:
        """Seconds to wait: what the server asked for, or else exponential backoff with jitter."""
        pause = error.after or min(LONGEST_PAUSE, FIRST_PAUSE * 2**attempts) * random.uniform(0.5, 1.0)
        if error.throttled:
            self._limit.throttle(acquired, pause)
        return pause


def _with_counts(reply: Reply, attempts: int, latency: float) -> Reply:
    return replace(reply, attempts=attempts, latency=latency)
