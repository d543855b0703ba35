"""What holds for all calls of one command, whoever makes them: ceilings, models that were given up, what is said."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import final


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


@final
class Oversight:
    """The ceilings of a command, and the models that it has given up. For any number of threads.

    Args:
        cost: most money to be spent, in the currency of the models' prices. None: no ceiling.
        seconds: most time from now on. None: no ceiling.
        tell: says what happens.
    """

    def __init__(
        self, *, cost: float | None = None, seconds: float | None = None, tell: Tell = lambda notice: None
    ) -> None:
        self.given_up: dict[str, str] = {}
        """Why a model is asked no more, by its name."""
        self.answered: set[str] = set()
        """Names of models that have answered a call of this command, in whichever process."""
        self.tell = tell
        """Says what happens."""
        self._most = math.inf if cost is None else cost
        self._seconds = math.inf if seconds is None else seconds
        self._until = time.monotonic() + self._seconds
        self.spent = 0.0
        """What the calls of this process cost so far."""
        self._others_spent = 0.0
        self._reached = ""
        self._guard = threading.Lock()

    def spend(self, cost: float) -> None:
        """Count what a call cost.

        Args:
            cost: in the currency of the models' prices.
        """
        if cost:
            with self._guard:
                self.spent += cost

    def heed(self, cost: float, answered: Iterable[str]) -> None:
        """Note what other processes of the command have spent so far, and who has answered them.

        Args:
            cost: all that they have spent.
            answered: names of models.
        """
        self._others_spent = cost
        self.answered.update(answered)

    def reached(self) -> str:
        """Which ceiling is reached, as a sentence; empty while none is."""
        if not self._reached and (self.spent + self._others_spent >= self._most or self.left <= 0):
            with self._guard:
                if not self._reached:
                    self._reached = self._sentence()
                    rest = (
                        "Calls that were not made are noted as failed; with a higher ceiling, run again to make them."
                    )
                    self.tell(Notice("ceilings", "reached", f"{self._reached} {rest}"))
        return self._reached

    @property
    def left(self) -> float:
        """Seconds until the ceiling of time; infinite where there is none."""
        return self._until - time.monotonic() if self._seconds < math.inf else math.inf

    def _sentence(self) -> str:
        spent = self.spent + self._others_spent
        if spent >= self._most:
            return f"The ceiling of cost is reached: {spent:.4g} of {self._most:.4g} (`ceilings.cost`) is spent."
        return f"The ceiling of time is reached: {self._seconds / 60:.4g} minutes (`ceilings.minutes`) have passed."
