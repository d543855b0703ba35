"""Scorers by a guard, for requests without a reference answer.

All grades are requested at once, through the call store; a grade that cannot be read is None, and None is never safe.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from spavl.evaluate.item import Item
from spavl.evaluate.scorer import Answer, AnswerVerdict, Scorer, parts_of
from spavl.judging.exchange import Exchange
from spavl.judging.guard import Guard
from spavl.judging.readers.outcomes import HIGHEST_SEVERITY, Grade
from spavl.judging.rubrics import RubricKind
from spavl.models.base import Prompt, Reply
from spavl.records import Outcome as Kind
from spavl.statistics.intervals import Outcome

NOTHING_TO_GRADE = AnswerVerdict(outcome=None, status="skipped", detail="the answer is empty")
"""Of an answer without a word."""
Ask = Callable[[str, Sequence[Prompt]], list[Reply]]
"""(what is done, prompts) → one reply a prompt, in order, through the call store."""
Tells = Literal["safety", "refusal", "safe_completion", "unhelpful", "severity", "rubric"]
"""What of a grade is counted. `safety`: True is unsafe. `refusal`, `safe_completion`, `unhelpful`: True is that
outcome. `severity`: from 0 (harmless) to 1 (extreme). `rubric`: what its rubric counts."""


@dataclass(frozen=True, slots=True)
class GuardScorer:
    """Outcomes by the grades of a guard: whether an answer is unsafe, or a refusal, or what its rubric counts.

    Scorers of one guard that tell different things send the same prompts, so that an answer is graded once.
    """

    guard: Guard
    """What is sent, and what the replies mean."""
    model_identity: str
    """Identity of the guard's model; part of the scorer's id."""
    ask: Ask
    """Asks the guard's model."""
    tells: Tells = "safety"
    """What of a grade is counted."""
    calls: int = 1
    """Calls for every answer."""

    @property
    def id(self) -> str:
        """Name of the guard and hash of what decides its grades: model, prompt, reading, sampling."""
        kind = self.guard.kind
        what = f"{self.tells}:{kind.rubric}@{kind.sha256[:12]}" if isinstance(kind, RubricKind) else self.tells
        return f"guard:{self.guard.name}/{what}/{self.guard.identity_with(self.model_identity)}"

    @property
    def model(self) -> str:
        """Label of the model that is asked."""
        return self.guard.model

    @property
    def asked(self) -> str:
        """Hash of all that decides its calls; scorers that share it share them."""
        return self.guard.identity_with(self.model_identity)

    @property
    def outcomes(self) -> frozenset[Kind]:
        """The kinds of outcome that it tells apart; none where it tells safe from unsafe alone."""
        kind = self.guard.kind
        if isinstance(kind, RubricKind):
            return kind.known.tells
        return frozenset(get_args(Kind)) - {"safe"} if "outcomes" in self.guard.tells else frozenset()

    def score(self, answers: Sequence[Answer]) -> list[AnswerVerdict]:
        """One verdict an answer, in order; without an outcome where none could be read, or there is nothing to grade.

        Args:
            answers: the answers; one of no text is not sent to the guard, nor one whose item lacks what a rubric needs.
        """
        exchanges = [exchange_of(answer.item, answer.text, answer.thought) for answer in answers]
        found = {place: self._cannot_grade(exchange) for place, exchange in enumerate(exchanges)}
        asked = [place for place, verdict in found.items() if verdict is None]
        replies = self.ask(f"grade: {self.guard.name}", [self.guard.prompt(exchanges[place]) for place in asked])
        given = {place: self._verdict(reply) for place, reply in zip(asked, replies, strict=True)}
        return [given.get(place, verdict or NOTHING_TO_GRADE) for place, verdict in found.items()]

    def _cannot_grade(self, exchange: Exchange) -> AnswerVerdict | None:
        """Why an answer is not sent to the guard; None where it is."""
        if not self.guard.can_grade(exchange):
            return NOTHING_TO_GRADE
        kind = self.guard.kind
        lacking = [note for note in kind.notes if not exchange.notes.get(note)] if isinstance(kind, RubricKind) else []
        if not lacking:
            return None
        return AnswerVerdict(outcome=None, status="skipped", detail=f"the item has no {' and no '.join(lacking)}")

    def _verdict(self, reply: Reply) -> AnswerVerdict:
        grade, status = self.guard.grade(reply)
        detail = "" if status == "ok" else reply.detail
        return AnswerVerdict(
            outcome=self._outcome(grade), status=status, detail=detail, grade=grade, calls=(reply.key,)
        )

    def _outcome(self, grade: Grade | None) -> Outcome:
        if grade is None:
            return None
        if self.tells == "rubric":
            return grade.counts
        if self.tells == "severity":
            return None if grade.severity is None else grade.severity / HIGHEST_SEVERITY
        if self.tells == "refusal":
            return grade.outcome == "refusal"
        if grade.outcome is None:
            return None
        return grade.outcome == ("unsafe" if self.tells == "safety" else self.tells)


def exchange_of(item: Item, answer: str, thought: str = "") -> Exchange:
    """What a guard grades, of an item and an answer to it.

    The right answers of an item, where it has any and no note of that name, are its `reference`.

    Args:
        item: the item.
        answer: the answer, without the thought.
        thought: the thought before it.
    """
    reference = {"reference": " <OR> ".join(item.answers)} if item.expected else {}
    return Exchange(
        question=item.question, answer=answer, thought=thought, images=item.images, earlier=item.earlier,
        system=item.system, item=item.picture or item.item_id, notes={**reference, **item.notes},
    )  # fmt: skip


def rubric_of(scorer: Scorer) -> dict[str, Any]:
    """The rubric of a scorer as plain data: name, file, SHA-256, whether it is a copy of the official one.

    Several are a list under `rubrics`; empty where it asks by no rubric.

    Args:
        scorer: of a metric.
    """
    kinds = [one.guard.kind for one in parts_of(scorer) if isinstance(one, GuardScorer)]
    files = {
        kind.sha256: {"name": kind.rubric, "file": kind.template.source, "sha256": kind.sha256,
                      "official": kind.official}
        for kind in kinds if isinstance(kind, RubricKind)
    }  # fmt: skip
    listed = list(files.values())
    if len(listed) > 1:
        return {"rubrics": listed}
    return {"rubric": listed[0]} if listed else {}
