"""What the actors of a run share: calls, money, pauses that servers ask for, and what is to be said to the user.

Every actor counts for itself in a `Tally` and exchanges it with the run's one `Counter` a few times a second. A server
that refuses one actor's calls is given the pause that it asked for by all of them, and what all have spent is held
against the ceiling of cost by each.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import final

from spavl.models.base import AsyncModel
from spavl.models.calls.oversight import NEWS_SECONDS, WHOLE, Notice, Oversight, Usage
from spavl.models.calls.rate_limit import ConcurrencyLimit

MARGIN = 0.5
"""Seconds by which the end of a pause must move to be another pause: what an exchange takes varies."""
ENDED = ("given up", "reached")
"""States after which nothing more is said of a model or ceiling."""


@dataclass(frozen=True, slots=True)
class Counts:
    """What an actor has done since it began, or what all actors have."""

    replies: int = 0
    """Replies that units of work were given, stored ones included."""
    models: Mapping[str, Usage] = field(default_factory=dict)
    """Calls by name of the model."""

    def __add__(self, other: Counts) -> Counts:
        names = dict.fromkeys([*self.models, *other.models])
        models = {name: self.models.get(name, Usage()) + other.models.get(name, Usage()) for name in names}
        return Counts(self.replies + other.replies, models)


@dataclass(frozen=True, slots=True)
class News:
    """What an actor hears of the others."""

    pauses: Mapping[str, float] = field(default_factory=dict)
    """Seconds, by model, that servers have asked them to wait."""
    costs: Mapping[str, float] = field(default_factory=dict)
    """What they have spent, by name of the model."""
    answered: frozenset[str] = frozenset()
    """Names of models that have answered one of them."""
    allowed: Mapping[str, float] = field(default_factory=dict)
    """What it may have spent before it hears of them again, by ceiling."""


@final
class Counter:
    """The one counter of a run: adds up what its actors have done, and tells each of the others.

    Args:
        ceilings: most money by name of the model; by `WHOLE` of all.
        actors: how many there are.
    """

    def __init__(self, ceilings: Mapping[str, float] | None = None, actors: int = 1) -> None:
        self._ceilings = dict(ceilings or {})
        self._actors = actors
        self._allowed: dict[str, tuple[float, dict[str, float]]] = {}
        self._counts: dict[str, Counts] = {}
        self._paused_until: dict[str, dict[str, float]] = {}
        self._heard: dict[str, int] = {}
        self._states: dict[str, str] = {}
        self._notices: list[Notice] = []

    def exchange(self, actor: str, counts: Counts, pauses: Mapping[str, float], notices: Sequence[Notice] = ()) -> News:
        """Take what an actor has done. Returns what it is to know of the other actors.

        Args:
            actor: name of the actor; one that was replaced has another name.
            counts: all it has done since it began, so that an exchange that is lost changes nothing.
            pauses: seconds by model that servers have asked it to wait since the exchange before.
            notices: all that it has had to say since it began.
        """
        now = time.monotonic()
        self._hear(actor, notices)
        self._counts[actor] = counts
        for model, seconds in pauses.items():
            self._paused_until.setdefault(model, {})[actor] = now + seconds
        others = {
            model: max((until for name, until in by_actor.items() if name != actor), default=now)
            for model, by_actor in self._paused_until.items()
        }
        rest = [counts for name, counts in self._counts.items() if name != actor]
        answered = frozenset(name for counts in rest for name, usage in counts.models.items() if usage.calls)
        pauses = {model: until - now for model, until in others.items() if until > now}
        costs = {name: usage.cost for name, usage in sum(rest, Counts()).models.items()}
        return News(pauses, costs, answered, self._allow(actor, now))

    def _allow(self, actor: str, now: float) -> dict[str, float]:
        """What an actor may spend until its next exchange: its share of what is neither spent nor allowed to others."""
        allowed = {}
        for ceiling, most in self._ceilings.items():
            own = _spent(self._counts[actor], ceiling)
            others = sum(self._bound(name, ceiling, now) for name in self._counts if name != actor)
            allowed[ceiling] = own + max(0.0, most - own - others) / self._actors
        self._allowed[actor] = (now, allowed)
        return allowed

    def _bound(self, actor: str, ceiling: str, now: float) -> float:
        """Most that an actor may have spent by now; of one that is heard of no more, what it had."""
        heard, allowed = self._allowed.get(actor, (now, {}))
        spent = _spent(self._counts[actor], ceiling)
        return spent if now - heard > NEWS_SECONDS else max(spent, allowed.get(ceiling, 0.0))

    def notices(self, after: int) -> list[Notice]:
        """What is to be said to the user: what several actors say of one model, once.

        Args:
            after: how many of all notices are known already.
        """
        return self._notices[after:]

    def _hear(self, actor: str, notices: Sequence[Notice]) -> None:
        """Keep the notices that say something new, from whichever actor they come first."""
        for notice in notices[self._heard.get(actor, 0) :]:
            before = self._states.get(notice.about)
            if before not in (notice.state, *ENDED):
                self._states[notice.about] = notice.state
                self._notices.append(notice)
        self._heard[actor] = len(notices)

    def total(self) -> Counts:
        """What all actors have done."""
        return sum(self._counts.values(), Counts())


@final
class Tally:
    """What one actor has done, and how long the servers of its models want no call. For any number of threads.

    Args:
        cost: most money that all actors may spend. None: no ceiling.
        seconds: most time from now on. None: no ceiling.
        models: most money that all actors may spend on single models, by their names.
        shared: whether there are other actors.
    """

    def __init__(
        self,
        *,
        cost: float | None = None,
        seconds: float | None = None,
        models: Mapping[str, float] | None = None,
        shared: bool = False,
    ) -> None:
        self._notices: list[Notice] = []
        self.oversight = Oversight(cost=cost, seconds=seconds, models=models, shared=shared, tell=self._notices.append)
        """What holds for all its calls, and counts them."""
        self._guard = threading.Lock()
        self._replies = 0
        self._pauses: dict[str, float] = {}
        self._others_paused_until: dict[str, float] = {}

    def add_replies(self, more: int) -> None:
        """Count further replies of units of work.

        Args:
            more: how many.
        """
        with self._guard:
            self._replies += more

    def pause(self, model: str, seconds: float) -> None:
        """Note that a server refused a call, for other actors to know.

        Args:
            model: name of the model.
            seconds: how long nothing is to be sent.
        """
        with self._guard:
            self._pauses[model] = max(seconds, self._pauses.get(model, 0.0))

    def take(self) -> tuple[Counts, dict[str, float], tuple[Notice, ...]]:
        """All that was counted, the pauses since the last time, and all notices, for `Counter.exchange`.

        Until `heed` nothing more is spent where there is a ceiling of money.
        """
        self.oversight.hold()
        with self._guard:
            pauses, self._pauses = self._pauses, {}
            return Counts(self._replies, self.oversight.usage()), pauses, tuple(self._notices)

    def heed(self, news: News) -> None:
        """Note what `Counter.exchange` returned.

        Args:
            news: of the other actors.
        """
        now = time.monotonic()
        self._others_paused_until = {model: now + seconds for model, seconds in news.pauses.items()}
        self.oversight.heed(news.costs, news.answered, news.allowed)

    def paused_until(self, model: str) -> float:
        """When a server that refused other actors' calls may be asked again, in the time of `time.monotonic`; 0: now.

        Args:
            model: name of the model.
        """
        return self._others_paused_until.get(model, 0.0)


def ceilings_of(cost: float | None, models: Mapping[str, float]) -> dict[str, float]:
    """Ceilings of money by name of the model, and by `WHOLE` that of all models.

    Args:
        cost: most money of the command. None: no ceiling.
        models: most money by name of the model.
    """
    return {**models, **({} if cost is None else {WHOLE: cost})}


def _spent(counts: Counts, ceiling: str) -> float:
    if ceiling == WHOLE:
        return sum(usage.cost for usage in counts.models.values())
    return counts.models.get(ceiling, Usage()).cost


@final
class SharedLimits:
    """The limits of a model in one actor: its own share of the calls in flight, and the pauses of all actors.

    Args:
        model: the model; its `concurrency` is this actor's share.
        tally: what this actor has done.
    """

    def __init__(self, model: AsyncModel, tally: Tally) -> None:
        self._name = model.name
        self._tally = tally
        self._own = ConcurrencyLimit(model.concurrency)
        self._heeded = 0.0

    async def acquire(self) -> float:
        """Wait until a call may be sent; returns the time, for `throttle`."""
        until = self._tally.paused_until(self._name)
        if until > max(self._heeded + MARGIN, now := time.monotonic()):
            self._heeded = until
            self._own.throttle(now, until - now)
        return await self._own.acquire()

    def release(self) -> None:
        """Let another call be sent."""
        self._own.release()

    def increase(self) -> None:
        """Note that a call was answered."""
        self._own.increase()

    def throttle(self, acquired: float, pause: float) -> None:
        """Note that the server refused a call, here and for the other actors.

        Args:
            acquired: what `acquire` returned for that call.
            pause: seconds to send nothing.
        """
        self._own.throttle(acquired, pause)
        self._tally.pause(self._name, pause)
