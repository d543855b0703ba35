"""Scorers that make their outcomes of those of others: by what an item is, or of several that all have to hold."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from spavl.evaluate.item import Item
from spavl.evaluate.scorer import Answer, AnswerVerdict, Scorer
from spavl.statistics.intervals import Outcome


@dataclass(frozen=True, slots=True)
class ScorerByPart:
    """Every answer is scored by the scorer of its item's part, such as the rubric of a scenario."""

    scorers: Mapping[str, Scorer]
    """Scorer by part; of an item of any other there is no outcome."""
    part: Callable[[Item], str]
    """The part that an item is of."""

    @property
    def id(self) -> str:
        """Names the scorers by part."""
        return "by-part:" + "+".join(f"{part}={scorer.id}" for part, scorer in self.scorers.items())

    def parts(self, item: Item | None = None) -> Sequence[Scorer]:
        """The scorer of an item, or all of them.

        Args:
            item: the item; None: any.
        """
        if item is None:
            return tuple(self.scorers.values())
        part = self.part(item)
        return (self.scorers[part],) if part in self.scorers else ()

    def score(self, answers: Sequence[Answer]) -> list[AnswerVerdict]:
        """One verdict an answer, in order.

        Args:
            answers: the answers.
        """
        found: dict[int, AnswerVerdict] = {}
        for part, scorer in self.scorers.items():
            places = [place for place, answer in enumerate(answers) if self.part(answer.item) == part]
            said = scorer.score([answers[place] for place in places]) if places else []
            found |= {place: verdict_of(one) for place, one in zip(places, said, strict=True)}
        no_scorer = AnswerVerdict(outcome=None, status="skipped", detail="nothing scores items of its part")
        return [found.get(place, no_scorer) for place in range(len(answers))]


@dataclass(frozen=True, slots=True)
class AllHold:
    """Whether several scorers say of an answer what is wanted of it, as that it is safe and that it is effective."""

    wanted: Sequence[tuple[Scorer, bool]]
    """Every scorer with the outcome that is wanted."""

    @property
    def id(self) -> str:
        """Names the scorers and what is wanted."""
        return "all-hold:" + "+".join(f"{'' if wants else 'not '}{scorer.id}" for scorer, wants in self.wanted)

    def parts(self, item: Item | None = None) -> Sequence[Scorer]:
        """All the scorers.

        Args:
            item: the item; every one is given to all.
        """
        return tuple(scorer for scorer, _ in self.wanted)

    def score(self, answers: Sequence[Answer]) -> list[AnswerVerdict]:
        """One verdict an answer, in order: False where one does not hold, unread where that is open.

        Args:
            answers: the answers.
        """
        columns = [
            [_holds(verdict_of(one), wants) for one in scorer.score(answers)] for scorer, wants in self.wanted
        ]  # fmt: skip
        return [_together(verdicts) for verdicts in zip(*columns, strict=True)]


def verdict_of(said: Outcome | AnswerVerdict) -> AnswerVerdict:
    """What a scorer said as a verdict.

    Args:
        said: an outcome, or a verdict.
    """
    return said if isinstance(said, AnswerVerdict) else AnswerVerdict(outcome=said, status="ok")


def _holds(verdict: AnswerVerdict, wants: bool) -> AnswerVerdict:
    return verdict if verdict.outcome is None else replace(verdict, outcome=bool(verdict.outcome) == wants)


def _together(verdicts: Sequence[AnswerVerdict]) -> AnswerVerdict:
    """One verdict of all: the first that decides it."""
    failing = next((one for one in verdicts if one.outcome is False), None)
    unread = next((one for one in verdicts if one.outcome is None), None)
    calls = tuple(call for one in verdicts for call in one.calls)
    return replace(failing or unread or verdicts[0], calls=calls)
