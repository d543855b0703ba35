"""Answers and what scores them: a scorer gives an outcome of every answer, by a rule or by a guard.

An outcome is True, False or None. None is a verdict that could not be read: estimates leave it out, and interval bounds
assume the worse for it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from spavl.evaluate.item import Item
from spavl.records import Status
from spavl.statistics.intervals import Outcome

DECLINED: tuple[Status, ...] = ("refused", "filtered")
"""Statuses of a call that the service itself refused or filtered."""
FAILED: tuple[Status, ...] = ("failed", "empty", "invalid", "unreadable", "skipped")
"""Statuses of a call without an answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A model's answer to an item."""

    item: Item
    """The item that was asked."""
    benchmark: str
    """Name of its benchmark."""
    model: str
    """Name of the model."""
    text: str
    """The answer, without the thought; empty where the call gave none."""
    thought: str = ""
    """The model's reasoning before its answer; scorers do not read it."""
    status: Status
    """What became of the call."""
    detail: str = ""
    """Why there is no whole answer; empty where there is one."""
    call: str
    """Key of the call in the store; empty where the item was never asked."""
    tokens: int
    """Length of the answer in tokens."""


@runtime_checkable
class Scorer(Protocol):
    """Gives the outcome of a metric for every answer."""

    @property
    def id(self) -> str:
        """Names all that decides its outcomes, such as `reader:refusal/2`; part of a benchmark's protocol."""
        ...

    def score(self, answers: Sequence[Answer]) -> Sequence[Outcome]:
        """One outcome an answer, in order.

        Args:
            answers: whole or cut off, of items that the metric counts; the text of one that was cut off inside its
                thought is empty, and says nothing.
        """
        ...


@dataclass(frozen=True, slots=True)
class Rule:
    """A scorer that looks at each answer alone, with what is known of its item."""

    id: str
    """Name and version of the rule."""
    outcome: Callable[[Item, str], Outcome]
    """(item, text of the answer) → outcome."""

    def score(self, answers: Sequence[Answer]) -> list[Outcome]:
        """One outcome an answer, in order; None where there is not a word of one.

        Args:
            answers: the answers.
        """
        return [self.outcome(a.item, a.text) if a.text.strip() else None for a in answers]
