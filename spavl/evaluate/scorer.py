"""Answers and what scores them: a scorer gives an outcome of every answer, by a rule, a guard or a judge.

An outcome is True, False, or a score from 0 to 1 where answers are graded; or None. None is a verdict that could not be
read: estimates leave it out, and interval bounds assume the worse for it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from spavl.evaluate.item import Item
from spavl.judging.readers.outcomes import Grade
from spavl.records import Status, Winner
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


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerVerdict:
    """What a guard or a judge said of an answer, with what became of its call."""

    outcome: Outcome
    """The outcome; None where it could not be read."""
    status: Status
    """What became of the call: `ok` where a verdict was read, `unreadable` where the reply holds none; `skipped` where
    there was nothing to grade."""
    detail: str = ""
    """Why there is no verdict; empty where there is one."""
    grade: Grade | None = None
    """Outcome of four kinds, severity and category, as far as the guard tells them."""
    calls: tuple[str, ...] = ()
    """Keys of its calls in the store."""
    void: bool = False
    """Whether the answer does not count in the metric after all, as where a judge finds both of two answers harmful: it
    is counted apart, and neither read nor unread."""
    orders: tuple[Winner | None, Winner | None] | None = None
    """Of a comparison: the winner in both reading orders, where `a` is the answer; None for what compares nothing."""


@runtime_checkable
class Scorer(Protocol):
    """Gives the outcome of a metric for every answer."""

    @property
    def id(self) -> str:
        """Names all that decides its outcomes, such as `reader:refusal/2`; part of a benchmark's protocol."""
        ...

    def score(self, answers: Sequence[Answer]) -> Sequence[Outcome | AnswerVerdict]:
        """One outcome an answer, in order; with what became of the verdict where a guard or judge was asked.

        Args:
            answers: whole or cut off, of items that the metric counts; the text of one that was cut off inside its
                thought is empty, and says nothing.
        """
        ...


@runtime_checkable
class AskingScorer(Scorer, Protocol):
    """A scorer that asks a model, once or several times for every answer."""

    @property
    def model(self) -> str:
        """Label of the model that is asked."""
        ...

    @property
    def asked(self) -> str:
        """Hash of all that decides its calls; an answer is sent once for all scorers that share it."""
        ...

    @property
    def calls(self) -> int:
        """Calls for every answer."""
        ...


@runtime_checkable
class ComparingScorer(Scorer, Protocol):
    """A scorer that compares answers with those of another model."""

    def against(self, answers: Mapping[str, str]) -> Scorer:
        """The scorer with the other model's answers.

        Args:
            answers: text by id of the item.
        """
        ...


@runtime_checkable
class CombinedScorer(Scorer, Protocol):
    """A scorer that makes its outcomes of those of others."""

    def parts(self, item: Item | None = None) -> Sequence[Scorer]:
        """The scorers that are given the answer to an item; they may combine others in turn.

        Args:
            item: the item; None: those of any item.
        """
        ...

    def with_parts(self, change: Callable[[Scorer], Scorer]) -> Scorer:
        """The scorer with others in place of its parts.

        Args:
            change: part → what stands in its place.
        """
        ...


def parts_of(scorer: Scorer, item: Item | None = None) -> list[Scorer]:
    """The scorers that see an answer to an item themselves: those inside one that combines others, or itself.

    Args:
        scorer: of a metric.
        item: the item; None: any.
    """
    if not isinstance(scorer, CombinedScorer):
        return [scorer]
    return [inside for part in scorer.parts(item) for inside in parts_of(part, item)]


def asking_parts(scorer: Scorer, item: Item | None = None) -> list[AskingScorer]:
    """Those that ask a model, of the scorers that see an answer to an item.

    Args:
        scorer: of a metric.
        item: the item; None: any.
    """
    return [one for one in parts_of(scorer, item) if isinstance(one, AskingScorer)]


def with_changed_parts(scorer: Scorer, change: Callable[[Scorer], Scorer]) -> Scorer:
    """The scorer with others in place of those that see the answers themselves.

    Args:
        scorer: of a metric.
        change: one of `parts_of` → what stands in its place.
    """
    if not isinstance(scorer, CombinedScorer):
        return change(scorer)
    return scorer.with_parts(lambda part: with_changed_parts(part, change))


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
