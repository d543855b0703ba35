"""Calls over a network: how many at once, when to pause, and what an attempt may fail of."""

from __future__ import annotations

import asyncio
import random
import time
from collections import deque
from typing import TYPE_CHECKING, Literal, Protocol, final

if TYPE_CHECKING:
    import aiohttp

FIRST_PAUSE = 0.5
"""Seconds before the second attempt; doubled for each further one (exponential backoff), with random jitter."""
LONGEST_PAUSE = 60.0
"""Most seconds before another attempt, unless the server asks for more."""
KEEP_ALIVE = 4.0
"""Seconds that a connection stays open unused: less than the 5 s after which uvicorn, and so vLLM, closes it."""
Trouble = Literal[
    "unreachable", "no answer", "unauthorised", "out of credit", "unknown model", "refused parameter", "wrong address",
    "unexpected",
]  # fmt: skip
"""What may be wrong with a model as a whole, and not with one request. `unreachable`: no connection could be made.
`no answer`: a time limit, a connection that broke, a gateway without a server (502, 503, 504). `unauthorised`: 401, or
403 without a word of moderation. `out of credit`: 402, or a used-up quota. `unknown model`, `refused parameter`: the
server says so by name. `wrong address`: a web page, a redirect. `unexpected`: an exception of the model's own code."""
# fmt: off
LASTING: frozenset[Trouble | None] = frozenset(
    ["unauthorised", "out of credit", "unknown model", "refused parameter", "unexpected"]
)
# fmt: on
"""Troubles of which no further attempt is made at the same call: waiting does not mend them."""


class Retry(Exception):
    """An attempt failed and another may help; or, with a `kind` of `LASTING`, every call will fail until it is mended.

    Args:
        detail: why it failed; kept in the failed reply once no attempt is left.
        after: seconds that the server asked to wait, as it said them; 0 if it did not.
        throttled: the server refused because of too many requests (status 429).
        kind: what may be wrong with the model as a whole. None: it is this request's own failure.
        try_: what mends it, said where the model is given up.
    """

    def __init__(
        self, detail: str, *, after: float = 0.0, throttled: bool = False, kind: Trouble | None = None, try_: str = ""
    ) -> None:
        self.detail = detail
        self.after = after
        self.throttled = throttled
        self.kind = kind
        self.try_ = try_
        super().__init__(detail)


class Limits(Protocol):
    """What calls of one model may take: how many at once, when to pause.

    An engine makes one for each endpoint; several processes can share counters by giving it another class.
    """

    async def acquire(self) -> float:
        """Wait until a call may be sent; returns the time, for `throttle`."""
        ...

    def release(self) -> None:
        """Let another call be sent."""
        ...

    def increase(self) -> None:
        """Note that a call was answered."""
        ...

    def throttle(self, acquired: float, pause: float) -> None:
        """Note that the server refused a call because of too many requests.

        Args:
            acquired: what `acquire` returned for that call.
            pause: seconds to send nothing.
        """
        ...


@final
class ConcurrencyLimit:
    """How many calls may be in flight: halved when the server throttles, one more after a round of successes.

    Additive increase, multiplicative decrease, as in TCP (Jacobson 1988, "Congestion avoidance and control"). Used by
    the event loop's thread only.

    Args:
        concurrency: most calls in flight at once.
    """

    def __init__(self, concurrency: int) -> None:
        self._most = concurrency
        self._limit = float(concurrency)
        self._in_flight = 0
        self._paused_until = 0.0
        self._last_decrease = 0.0
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def acquire(self) -> float:
        """Wait until a call may be sent; returns the time, for `throttle`."""
        while self._in_flight >= max(1, int(self._limit)):
            turn = asyncio.get_running_loop().create_future()
            self._waiting.append(turn)
            try:
                await turn
            except asyncio.CancelledError:
                self._wake_one()  # this turn may have come already
                raise
        self._in_flight += 1
        try:
            while (pause := self._paused_until - time.monotonic()) > 0:
                await asyncio.sleep(pause)
        except asyncio.CancelledError:
            self.release()
            raise
        return time.monotonic()

    def release(self) -> None:
        """Let another call be sent."""
        self._in_flight -= 1
        self._wake_one()

    def increase(self) -> None:
        """Raise the limit after a success: by one for each round of as many successes as the limit."""
        if self._limit < self._most:
            self._limit = min(float(self._most), self._limit + 1 / self._limit)
            self._wake_one()

    def throttle(self, acquired: float, pause: float) -> None:
        """Send nothing for `pause` seconds and halve the limit, once for all calls sent before the last decrease.

        Args:
            acquired: what `acquire` returned for the call that was refused.
            pause: seconds to send nothing.
        """
        now = time.monotonic()
        self._paused_until = max(self._paused_until, now + pause)
        if acquired >= self._last_decrease:
            self._limit = max(1.0, self._limit / 2)
            self._last_decrease = now

    def _wake_one(self) -> None:
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return


def backoff(tried: int) -> float:
    """Seconds to wait before another attempt: twice as many after each, with jitter.

    Args:
        tried: attempts before the one that has just failed.
    """
    return min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(tried, 60)) * random.uniform(0.5, 1.0)


def open_session() -> aiohttp.ClientSession:
    """The session of all calls of an engine, to be made in its event loop: one pool of connections, without cookies.

    Variables that name proxies are read once a model, not by the session, which would ask for them at every request on
    another thread, and would read `.netrc`.
    """
    import aiohttp

    connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=KEEP_ALIVE)
    return aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())
