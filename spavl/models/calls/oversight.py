"""What holds for all calls of one command, whoever makes them: ceilings, models given up, what is counted and said."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import astuple, dataclass
from operator import add
from typing import final


@dataclass(frozen=True, slots=True)
class Usage:
    """The calls of one model."""

    calls: int = 0
    """Calls that were answered, repeated attempts among them."""
    in_flight: int = 0
    """Calls in flight now."""
    prompt_tokens: int = 0
    """Tokens of their prompts."""
    completion_tokens: int = 0
    """Tokens of their answers."""
    cost: float = 0.0
    """What they cost, in the currency of the model's prices."""
    throttled: int = 0
    """Calls that the server refused because of too many requests."""
    found: int = 0
    """Replies that were found in the call store."""
    ended: int = 0
    """Calls that have ended, however they ended."""
    failed: int = 0
    """Of these, those that brought no answer; the next run makes them again."""

    def __add__(self, other: Usage) -> Usage:
        return Usage(*map(add, astuple(self), astuple(other)))


@dataclass(frozen=True, slots=True)
class Notice:
    """Something that happened to a model or to the command, to be said to the user once."""

    about: str
    """Name of the model; `ceilings` where it is about the command."""
    state: str
    """What it is in now: `paused`, `asking`, `waiting`, `given up`, `reached`. Several processes may tell the same."""
    line: str
    """The sentence."""


Tell = Callable[[Notice], None]
"""Says a notice to the user; called from any thread."""
NEWS_SECONDS = 10.0
"""A process that has heard nothing of the others for so long goes on without: they are gone, or all is stuck."""
WHOLE = ""
"""Stands for the whole command, where ceilings are listed by models' names."""
LEFT_OUT = "Calls that were not made are noted as failed; with a higher ceiling, run again to make them."
"""What becomes of the calls beyond a ceiling."""


@final
class Oversight:
    """The ceilings of a command, what its calls have used, and models that it has given up. For any number of threads.

    Args:
        cost: most money to be spent, in the currency of the models' prices. None: no ceiling.
        seconds: most time from now on. None: no ceiling.
        models: most money to be spent on single models, by their names.
        shared: whether other processes make calls of the command too, and share what may be spent (`hold`, `heed`).
        tell: says what happens.
    """

    def __init__(
        self,
        *,
        cost: float | None = None,
        seconds: float | None = None,
        models: Mapping[str, float] | None = None,
        shared: bool = False,
        tell: Tell = lambda notice: None,
    ) -> None:
        self.given_up: dict[str, str] = {}
        """Why a model is asked no more, by its name, where its server is the reason."""
        self.at_ceiling: dict[str, str] = {}
        """Why a model is asked no more, by its name, where it has reached its own ceiling of cost."""
        self.answered: set[str] = set()
        """Names of models that have answered a call of this command, in whichever process."""
        self.tell = tell
        """Says what happens."""
        self._most = math.inf if cost is None else cost
        self._most_of = dict(models or {})
        self._seconds = math.inf if seconds is None else seconds
        self._until = time.monotonic() + self._seconds
        self.spent = 0.0
        """What the calls of this process cost so far."""
        self._used: dict[str, dict[str, float]] = {}
        self._others_spent = 0.0
        self._others_spent_on: Mapping[str, float] = {}
        self._shared = shared and (cost is not None or bool(models))
        self._allowed: Mapping[str, float] = {}
        self._heard = time.monotonic()
        self._reached = ""
        self._guard = threading.Lock()

    def count(self, model: str, **more: float) -> None:
        """Count what became of calls.

        Args:
            model: name of the model.
            more: what to add to fields of its `Usage`.
        """
        with self._guard:
            used = self._used.get(model)
            if used is None:
                used = self._used[model] = {}
            for name, value in more.items():
                used[name] = used.get(name, 0) + value
            self.spent += more.get("cost", 0.0)

    def usage(self) -> dict[str, Usage]:
        """What the calls of this process have used so far, by name of the model."""
        with self._guard:
            return {model: Usage(**used) for model, used in self._used.items()}  # type: ignore[arg-type]

    def hold(self) -> None:
        """Spend nothing more until the next `heed`: what this process was allowed goes back to all of them."""
        with self._guard:
            self._allowed = {}

    def heed(self, costs: Mapping[str, float], answered: Iterable[str], allowed: Mapping[str, float]) -> None:
        """Note what other processes of the command have spent so far, and who has answered them.

        Args:
            costs: all that they have spent, by name of the model.
            answered: names of models.
            allowed: all that this process may have spent before it hears of them again, by name of the model; by
                `WHOLE` of all models.
        """
        self.answered.update(answered)
        with self._guard:
            self._others_spent_on = costs
            self._others_spent = sum(costs.values())
            self._allowed = allowed
            self._heard = time.monotonic()

    def must_wait(self, model: str) -> bool:
        """Whether a call must wait until this process has heard of the others, so that all keep within a ceiling.

        Args:
            model: its name.
        """
        if not self._shared or time.monotonic() - self._heard > NEWS_SECONDS:
            return False
        with self._guard:
            in_all = sum([used.get("cost", 0.0) for used in self._used.values()])  # added up as `usage` is elsewhere
            of_run = self._most < math.inf and in_all >= self._allowed.get(WHOLE, 0.0)
            return of_run or (model in self._most_of and self._spent_on(model) >= self._allowed.get(model, 0.0))

    def stopped(self, model: str) -> str:
        """Why a model is asked no more in this run, as a sentence; empty while it may be asked.

        Args:
            model: its name.
        """
        return self.given_up.get(model, "") or self.reached() or self._reached_by(model)

    def reached(self) -> str:
        """Which ceiling of the whole command is reached, as a sentence; empty while none is."""
        if not self._reached and (self.spent + self._others_spent >= self._most or self.left <= 0):
            with self._guard:
                if not self._reached:
                    self._reached = self._sentence()
                    self.tell(Notice("ceilings", "reached", f"{self._reached} {LEFT_OUT}"))
        return self._reached

    @property
    def left(self) -> float:
        """Seconds until the ceiling of time; infinite where there is none."""
        return self._until - time.monotonic() if self._seconds < math.inf else math.inf

    def _reached_by(self, model: str) -> str:
        most = self._most_of.get(model)
        if most is None:
            return ""
        with self._guard:
            spent = self._spent_on(model) + self._others_spent_on.get(model, 0.0)
            if spent >= most and model not in self.at_ceiling:
                said = f"{spent:.4g} of {most:.4g} (`ceilings.models.{model}`) is spent"
                self.at_ceiling[model] = f"`{model}` has reached its ceiling of cost: {said}."
                rest = "It is asked no more in this run, and the other models go on."
                self.tell(Notice(model, "reached", f"{self.at_ceiling[model]} {rest} {LEFT_OUT}"))
            return self.at_ceiling.get(model, "")

    def _spent_on(self, model: str) -> float:
        return self._used.get(model, {}).get("cost", 0.0)

    def _sentence(self) -> str:
        spent = self.spent + self._others_spent
        if spent >= self._most:
            return f"The ceiling of cost is reached: {spent:.4g} of {self._most:.4g} (`ceilings.cost`) is spent."
        return f"The ceiling of time is reached: {self._seconds / 60:.4g} minutes (`ceilings.minutes`) have passed."
