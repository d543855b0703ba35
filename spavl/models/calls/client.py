"""Calls of one model over a network: attempts, pauses between them, and what becomes of a call. Used by `dispatch`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import final

from spavl.models.base import AsyncModel, Reply, Request, failed_reply
from spavl.models.calls.circuit import DOWN, Circuit
from spavl.models.calls.echo import without_echo
from spavl.models.calls.oversight import Oversight
from spavl.models.calls.rate_limit import LASTING, Limits, Retry, backoff
from spavl.models.thought import split_thought
from spavl.records import TRIED_AGAIN

THROTTLED_FACTOR = 10
"""Throttled attempts that a call may have for each attempt that may fail: a status 429 is no fault of the call."""
NEWS_PAUSE = 0.005
"""Seconds between two looks for news of other processes, while a call waits for it."""
ATTEMPTS_BEFORE_FIRST_ANSWER = 2
"""Most attempts of a call at an address that seems to be a wrong one, and has not answered yet."""


@dataclass(slots=True)
class Attempts:
    """The attempts of one call so far."""

    sent: int = 0
    """All of them."""
    failed: int = 0
    """Those that count against the call."""
    throttled: int = 0
    """Those that the server refused as too many."""
    throttled_since: float = 0.0
    """When it did so first."""
    answers_then: int = 0
    """How many attempts of all calls had been answered when it did so last."""
    cost: float = 0.0
    """What empty answers before the last one cost."""


@final
class Client:
    """Calls one model, with retries and backoff, under its limits and its circuit breaker.

    Args:
        model: the model behind a network.
        session: `aiohttp.ClientSession` that all calls share.
        limits: how many calls may be in flight.
        oversight: the command's.
        waiting: requests of some calls that were not sent yet.
        answered_before: whether an earlier run has an answer of the model.
    """

    def __init__(
        self,
        model: AsyncModel,
        session: object,
        limits: Limits,
        oversight: Oversight,
        *,
        waiting: Callable[[], Sequence[Request]],
        answered_before: Callable[[], bool],
    ) -> None:
        self._model = model
        self._session = session
        self._limits = limits
        self._oversight = oversight
        self._circuit = Circuit(model, self._probe, waiting, answered_before, oversight)

    async def call(self, request: Request) -> Reply:
        """A reply, or a failed one: `attempts` counts all of them, `latency` times the last.

        A reply with no attempts was never sent, because the model is given up or a ceiling is reached.

        Args:
            request: what to send.
        """
        reply = await self._call(request)
        self._oversight.count(self._model.name, ended=1, failed=reply.status in TRIED_AGAIN)
        return reply

    async def close(self) -> None:
        """Probe no more; no call may be under way."""
        await self._circuit.close()

    async def _call(self, request: Request) -> Reply:
        attempts = Attempts()
        while not (why := await self._why_stopped()):
            acquired = await self._limits.acquire()
            try:
                if self._circuit.paused or self._circuit.stopped or self._oversight.must_wait(self._model.name):
                    continue  # since this call began to wait for its turn
                found = await self._attempt(request, attempts)
            finally:
                self._limits.release()
            reply = found if isinstance(found, Reply) else await self._after(request, found, attempts, acquired)
            if reply is not None:
                latency = time.monotonic() - acquired
                return replace(reply, attempts=attempts.sent, latency=latency, cost=reply.cost + attempts.cost)
        detail = why if attempts.sent else f"not sent: {why}"
        return replace(failed_reply(detail), attempts=attempts.sent, cost=attempts.cost)

    async def _why_stopped(self) -> str:
        if self._circuit.paused:
            await self._circuit.wait()
        while not (why := self._circuit.stopped) and self._oversight.must_wait(self._model.name):
            await asyncio.sleep(NEWS_PAUSE)
        return why

    async def _attempt(self, request: Request, attempts: Attempts) -> Reply | Retry:
        """One attempt: the reply, or why there is to be another. An empty answer is one until no attempt is left."""
        attempts.sent += 1
        self._oversight.count(self._model.name, in_flight=1)
        try:
            found = await self._send(request)
        finally:
            self._oversight.count(self._model.name, in_flight=-1)
        if isinstance(found, Reply) and is_empty(found) and attempts.failed + 1 < self._model.attempts:
            attempts.cost += found.cost
            return Retry("the answer is empty")
        return found

    async def _send(self, request: Request) -> Reply | Retry:
        try:
            reply = await self._model.send(self._session, request)
        except Retry as error:
            error.detail = without_echo(error.detail, request.prompt)
            return error
        except Exception as error:  # whatever one odd reply does to the code that reads it must not end a build
            what = without_echo(f"unexpected {type(error).__name__}: {error}", request.prompt)
            return Retry(what, kind="unexpected")
        self._limits.increase()
        self._oversight.count(
            self._model.name, calls=1, prompt_tokens=reply.prompt_tokens, completion_tokens=reply.completion_tokens,
            cost=reply.cost,
        )  # fmt: skip
        self._circuit.answered(request, reply)
        return reply

    async def _probe(self, request: Request) -> Retry | None:
        found = await self._send(request)
        return found if isinstance(found, Retry) and found.kind in DOWN else None

    async def _after(self, request: Request, error: Retry, attempts: Attempts, acquired: float) -> Reply | None:
        """What to do after an attempt failed: the failed reply where none is left, else None after a pause."""
        pause = self._pause(error, attempts)
        if error.throttled:
            await self._throttle(error, attempts, acquired, pause)
        elif error.kind in DOWN:
            attempts.failed += await self._circuit.settle(request, error, pause)
            pause = 0.0
        else:
            attempts.failed += 1
        if error.kind not in LASTING and not self._is_last(error, attempts):
            await asyncio.sleep(pause)
            return None
        if error.kind is not None and error.kind not in DOWN:
            await self._circuit.refused(request, error)
        return failed_reply(error.detail)

    def _is_last(self, error: Retry, attempts: Attempts) -> bool:
        most = self._model.attempts
        if error.kind == "wrong address" and not self._circuit.answers:
            most = min(most, ATTEMPTS_BEFORE_FIRST_ANSWER)
        if error.throttled and time.monotonic() - attempts.throttled_since > self._model.patience:
            return True
        return attempts.failed >= most or attempts.throttled >= self._model.attempts * THROTTLED_FACTOR

    async def _throttle(self, error: Retry, attempts: Attempts, acquired: float, pause: float) -> None:
        """Make all calls of the model wait; but a call that is refused again while others are answered waits alone."""
        alone = attempts.throttled > 0 and self._circuit.answers > attempts.answers_then
        for_all = 0.0 if alone else pause
        attempts.throttled += 1
        attempts.throttled_since = attempts.throttled_since or time.monotonic()
        attempts.answers_then = self._circuit.answers
        self._limits.throttle(acquired, for_all)
        self._oversight.count(self._model.name, throttled=1)
        await self._circuit.throttled(error, for_all)

    def _pause(self, error: Retry, attempts: Attempts) -> float:
        """Seconds to wait, at most until a ceiling: what the server asked for, or exponential backoff with jitter."""
        tried = attempts.failed + attempts.throttled
        asked = min(error.after, self._model.longest_wait) if error.after > 0 else 0.0  # NaN is not above 0
        return max(0.0, min(asked or backoff(tried), self._oversight.left))


def is_empty(reply: Reply) -> bool:
    """Whether a model ended its answer without a word of it; one that is cut or declined is not empty.

    Args:
        reply: what came back, with or without its thought in the text.
    """
    return reply.status == "ok" and not split_thought(reply.text)[1].strip()
