"""The languages that the world is asked and answers in: its closed one, and free English."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from spavl.config.benchmarks import WorldLanguage
from spavl.miniworld import language as closed
from spavl.miniworld.language import Answer, Question, QuestionKind, WordingSet
from spavl.miniworld.real import answers, english


@dataclass(frozen=True, slots=True)
class Language:
    """How questions are worded, and how questions and answers are read."""

    name: WorldLanguage
    """As the settings call it."""
    what: str
    """What its world is made of, as a report says it."""
    version: str
    """Part of the scorers' ids, and the version of guard and judge in the demo's settings, so that stored verdicts are
    not used again: changes with what is read, as with the readers of `spavl.judging`."""
    max_tokens: int
    """Longest answer that is asked for; no sentence that is taught is as long."""
    wordings: Callable[[QuestionKind, WordingSet], tuple[str, ...]]
    """(kind, set of wordings) → every question of the kind; `{thing}` stays open in presence questions."""
    about: Callable[[str, str], str]
    """(presence question, thing) → the question about the thing."""
    read_question: Callable[[str], Question | None]
    """Question → its kind and the thing it asks about; None for any other text."""
    read_answer: Callable[[str, Question | None], Answer | None]
    """(answer, its question) → what the answer does; None where that cannot be told."""


CLOSED: Final = Language(
    name="closed", what="drawings, a closed vocabulary, models of less than a million weights", version="1",
    max_tokens=24, wordings=closed.wordings,
    about=lambda question, thing: question.replace("{thing}", thing),
    read_question=closed.read_question, read_answer=lambda text, asked: closed.read_answer(text),
)  # fmt: skip
"""The closed language: a text is one of its sentences, word for word, or nothing."""
REAL: Final = Language(
    name="real", what="drawings, and a small language model that was taught to see them and to help with placeholders",
    version="real-1", max_tokens=48, wordings=english.wordings,
    about=lambda question, thing: english.an(question.replace("{thing}", thing)),
    read_question=english.read_question, read_answer=answers.read_answer,
)  # fmt: skip
"""Free English: questions are of a list, answers are anything that a language model writes."""
LANGUAGES: Final[Mapping[WorldLanguage, Language]] = MappingProxyType({one.name: one for one in (CLOSED, REAL)})
"""Every language by its name in the settings."""
