"""Scorers by a guard, for requests without a reference answer.

All grades are requested at once, through the call store; a grade that cannot be read is None, and None is never safe.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from spavl.evaluate.item import Item
from spavl.evaluate.scorer import Answer, AnswerVerdict
from spavl.judging.exchange import Exchange
from spavl.judging.guard import Guard
from spavl.judging.kinds import Verdict
from spavl.judging.readers.outcomes import Grade
from spavl.models.base import Prompt, Reply
from spavl.statistics.intervals import Outcome

NOTHING_TO_GRADE = AnswerVerdict(outcome=None, status="skipped", detail="the answer is empty")
"""Of an answer without a word."""
Ask = Callable[[str, Sequence[Prompt]], list[Reply]]
"""(what is done, prompts) → one reply a prompt, in order, through the call store."""


@dataclass(frozen=True, slots=True)
class GuardScorer:
    """Outcomes by the grades of a guard: whether an answer is unsafe, or whether it is a refusal."""

    guard: Guard
    """What is sent, and what the replies mean."""
    model_identity: str
    """Identity of the guard's model; part of the scorer's id."""
    ask: Ask
    """Asks the guard's model."""
    tells: Verdict = "safety"
    """`safety`: True is unsafe. `refusal`: True is a refusal."""

    @property
    def id(self) -> str:
        """Name of the guard and hash of what decides its grades: model, prompt, reading, sampling."""
        return f"guard:{self.guard.name}/{self.tells}/{self.guard.identity_with(self.model_identity)}"

    def score(self, answers: Sequence[Answer]) -> list[AnswerVerdict]:
        """One verdict an answer, in order; without an outcome where none could be read, or there is nothing to grade.

        Args:
            answers: the answers; one of no text is not sent to the guard.
        """
        exchanges = [exchange_of(answer.item, answer.text, answer.thought) for answer in answers]
        asked = [place for place, exchange in enumerate(exchanges) if self.guard.can_grade(exchange)]
        replies = self.ask(f"grade: {self.guard.name}", [self.guard.prompt(exchanges[place]) for place in asked])
        found = {place: self._verdict(reply) for place, reply in zip(asked, replies, strict=True)}
        return [found.get(place, NOTHING_TO_GRADE) for place in range(len(answers))]

    def _verdict(self, reply: Reply) -> AnswerVerdict:
        grade, status = self.guard.grade(reply)
        detail = "" if status == "ok" else reply.detail
        return AnswerVerdict(
            outcome=self._outcome(grade), status=status, detail=detail, grade=grade, calls=(reply.key,)
        )

    def _outcome(self, grade: Grade | None) -> Outcome:
        if grade is None:
            return None
        if self.tells == "refusal":
            return grade.outcome == "refusal"
        return None if grade.outcome is None else grade.outcome == "unsafe"


def exchange_of(item: Item, answer: str, thought: str = "") -> Exchange:
    """What a guard grades, of an item and an answer to it.

    Args:
        item: the item.
        answer: the answer, without the thought.
        thought: the thought before it.
    """
    return Exchange(
        question=item.question, answer=answer, thought=thought, images=item.images, earlier=item.earlier,
        system=item.system, item=item.picture or item.item_id, notes=item.notes,
    )  # fmt: skip
