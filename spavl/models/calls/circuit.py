"""A circuit breaker for each model behind a network: its calls wait while its server is out of reach.

A model is asked, paused or given up. An attempt that fails as it does when a whole server is away is a suspicion: if no
other call is answered meanwhile, a request that is known to be answered is sent again (a probe). If that is answered,
the failure was the call's own. Otherwise the model is paused, which is said once: its calls wait without losing
attempts, and probes go on at growing intervals until one is answered, or `patience` ends and the model is given up for
this run.

A refused key or an unknown model is no matter of patience: it is the call's own failure where others are answered, and
the model is given up where every call says so. See docs/methods/pay-once.md.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import final

from spavl.models.base import AsyncModel, Reply, Request
from spavl.models.calls.oversight import Notice, Oversight
from spavl.models.calls.rate_limit import Retry, Trouble
from spavl.records import TRIED_AGAIN

DOWN: frozenset[Trouble | None] = frozenset(["unreachable", "no answer"])
"""Troubles that pass when the server comes back."""
MOST_REFUSALS = 20
"""Calls in a row that are refused in a way that waiting does not mend, after which a model is given up."""
FIRST_INTERVAL = 1.0
"""Seconds between the first two probes; doubled for each further one."""
LONGEST_INTERVAL = 15.0
"""Most seconds between two probes."""
SAID_AFTER = 10.0
"""Seconds of waiting that are not worth a line."""
MOST_SPOKEN = 366 * 86400.0
"""Seconds beyond which no number is said."""
SAID_AGAIN_AFTER = 600.0
"""Seconds before it is said again that a server makes its calls wait."""


@final
class Circuit:
    """Whether one model may be asked. Used by the event loop's thread only.

    Args:
        model: the model behind a network.
        probe: makes one attempt; returns why the server is out of reach, or None if it is not.
        waiting: requests of some calls that were not sent yet, the last of them first.
        answered_before: whether an earlier run has an answer of the model; called on another thread, when need be.
        oversight: the command's.
    """

    def __init__(
        self,
        model: AsyncModel,
        probe: Callable[[Request], Awaitable[Retry | None]],
        waiting: Callable[[], Sequence[Request]],
        answered_before: Callable[[], bool],
        oversight: Oversight,
    ) -> None:
        self.paused = False
        """Whether calls wait for the server to come back."""
        self.answers = 0
        """How many attempts the server has answered in this run, whatever it said."""
        self._model = model
        self._probe = probe
        self._waiting = waiting
        self._answered_before = answered_before
        self._oversight = oversight
        self._good: Request | None = None
        self._suspects: dict[str, Request] = {}
        self._refused: set[str] = set()
        self._since = 0.0
        self._throttled_since = 0.0
        self._quiet_until = 0.0
        self._announced = False
        self._prober: asyncio.Task[bool] | None = None

    @property
    def stopped(self) -> str:
        """Why no call may be sent any more, in this run; empty if calls may be."""
        return self._oversight.stopped(self._model.name)

    def answered(self, request: Request, reply: Reply) -> None:
        """Note that the server answered.

        Args:
            request: what was asked.
            reply: what came back; one that failed shows that the server is there.
        """
        if not self.answers:
            self._oversight.answered.add(self._model.name)
        self.answers += 1
        self._throttled_since = 0.0
        if reply.status not in TRIED_AGAIN:
            self._good = request
        if self._suspects or self._refused:
            self._suspects.clear()
            self._refused.clear()

    async def wait(self) -> None:
        """Wait while the model is paused."""
        while self.paused and self._prober is not None:
            await asyncio.shield(self._prober)

    async def settle(self, request: Request, error: Retry, pause: float) -> bool:
        """Wait before another attempt, and find out whether the server is out of reach or only this call fails.

        Args:
            request: what was asked.
            error: why the attempt failed, of a kind of `DOWN`.
            pause: seconds to wait at least.

        Returns:
            Whether the attempt counts against the call.
        """
        answers, since = self.answers, time.monotonic()
        self._suspects[request.key] = request
        await asyncio.sleep(pause)
        if self.answers > answers or (error.kind == "no answer" and self._is_alone(request)):
            return True
        if self._prober is None:
            self._since = since
            self._prober = asyncio.get_running_loop().create_task(self._probe_until_settled(error))
        return not await asyncio.shield(self._prober)

    async def refused(self, request: Request, error: Retry) -> None:
        """Note a call that was refused in a way that waiting does not mend; give the model up where all are.

        Args:
            request: what was asked.
            error: why it was refused.
        """
        self._refused.add(request.key)
        if len(self._refused) < MOST_REFUSALS:
            return
        self._refused.clear()
        if not await self._another_is_answered():
            self._give_up(f"each of the last {MOST_REFUSALS} calls was refused ({error.kind}): {error.detail}", error)

    async def throttled(self, error: Retry, pause: float) -> None:
        """Note that the server refused a call as one too many; it is given up where it does so to all for too long.

        Args:
            error: what the server said.
            pause: seconds that all calls will wait.
        """
        now = time.monotonic()
        self._throttled_since = self._throttled_since or now
        if now - self._throttled_since > self._model.patience:
            self._throttled_since = now  # one call finds out, whoever is refused meanwhile
            if not await self._another_is_answered():
                self._give_up(f"it has refused all calls for {spoken(self._model.patience)}: {error.detail}", error)
        elif pause > SAID_AFTER and now > self._quiet_until:
            self._quiet_until = now + SAID_AGAIN_AFTER
            asked = f" (it asks for {spoken(error.after)})" if error.after > pause else ""
            self._tell("waiting", f"wants fewer calls: they wait {spoken(pause)}{asked}", error.detail)

    async def close(self) -> None:
        """Probe no more."""
        if self._prober is not None:
            self._prober.cancel()
            await asyncio.gather(self._prober, return_exceptions=True)

    def _is_alone(self, request: Request) -> bool:
        """Whether nothing but this call could show if the server is there."""
        return self._good is None and self._suspects.keys() <= {request.key} and not self._waiting()

    async def _another_is_answered(self) -> bool:
        """Whether a request is answered that was before, or else one that was not sent yet."""
        answers = self.answers
        others = [self._good] if self._good is not None else self._waiting()
        if others:
            await self._probe(_shortened(others[0]))
        return self.answers > answers

    async def _probe_until_settled(self, error: Retry) -> bool:
        """Ask until the server answers or is given up. Returns whether it was out of reach."""
        answers, number = self.answers, 0
        try:
            # Another call may be answered while one waits, and during a probe.
            while self.answers == answers and not self.stopped and (found := await self._probed(number, error)):
                if self.answers > answers:
                    break
                error = found
                self.paused = True
                if number:  # one failed probe may be chance
                    self._announce(error)
                if left := await self._patience_left(error):
                    interval = min(LONGEST_INTERVAL, FIRST_INTERVAL * 2**number, left, self._oversight.left)
                    await asyncio.sleep(max(0.0, interval))
                number += 1
            if self._announced and not self.stopped:
                away = spoken(time.monotonic() - self._since)
                self._tell("asking", f"answers again after {away}; its calls go on")
            return self.paused
        finally:
            self.paused = self._announced = False
            self._prober = None

    async def _probed(self, number: int, error: Retry) -> Retry | None:
        """Why the server is out of reach, by another attempt, or None. One that takes long is announced."""
        announcing = asyncio.get_running_loop().call_later(SAID_AFTER, self._announce, error)
        try:
            return await self._probe(_shortened(self._request(number)))
        finally:
            announcing.cancel()

    def _request(self, number: int) -> Request:
        """What to probe with: a request that was answered, or else another one each time."""
        if self._good is not None:
            return self._good
        known = [*self._waiting(), *self._suspects.values()]
        return known[number % len(known)]

    async def _patience_left(self, error: Retry) -> float:
        """Seconds until the model is given up; 0 once it is."""
        known = self._model.name in self._oversight.answered or await asyncio.to_thread(self._answered_before)
        away = time.monotonic() - self._since
        if known and away < self._model.patience:
            return self._model.patience - away
        why = f"out of reach for {spoken(away)}" if known else "it has never answered"
        self._give_up(f"{why}: {error.detail}", error)
        return 0.0

    def _announce(self, error: Retry) -> None:
        if not self._announced:
            self.paused = self._announced = True
            away = time.strftime("%H:%M:%S", time.localtime(time.time() - (time.monotonic() - self._since)))
            tried = f"is tried again for up to {spoken(self._model.patience)}"
            self._tell("paused", f"is out of reach since {away}; its calls wait, and it {tried}", error.detail)

    def _give_up(self, why: str, error: Retry) -> None:
        if self._model.name not in self._oversight.given_up:
            self._oversight.given_up[self._model.name] = f"`{self._model.name}` was given up for this run: {why}"
            rest = "Its other calls are noted as failed without being sent; run again to make them."
            self._tell("given up", f"is given up for this run: {why}", error.try_, rest)

    def _tell(self, state: str, *sentences: str) -> None:
        said = " ".join(f"{sentence.rstrip('.')}." for sentence in sentences if sentence)
        self._oversight.tell(Notice(self._model.name, state, f"`{self._model.name}` {said}"))


def _shortened(request: Request) -> Request:
    return replace(request, sampling=replace(request.sampling, max_tokens=1))


def spoken(seconds: float) -> str:
    """A length of time as people say it, such as `9 s`, `10 minutes`.

    Args:
        seconds: how long; may be infinite.
    """
    if seconds > MOST_SPOKEN:
        return "more than a year"
    if seconds < 120:
        return f"{seconds:.0f} s"
    minutes = seconds / 60
    return f"{minutes:.0f} minutes" if minutes < 120 else f"{minutes / 60:,.0f} hours"
