"""What a guard grades, and what a kind of guard does with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from spavl.judging.readers.outcomes import Grade
from spavl.models.base import Prompt
from spavl.records import ImageRef, Turn


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """What a guard grades: a question with its pictures, and the answer to it."""

    question: str
    """The last question."""
    answer: str
    """The answer, without the thought."""
    thought: str = ""
    """The thought before the answer."""
    images: tuple[ImageRef, ...] = ()
    """Pictures of the last question."""
    earlier: tuple[Turn, ...] = ()
    """Turns before the question."""
    system: str = ""
    """Text of the system turn."""
    item: str = ""
    """Name of what is asked about, by which a model of kind `python` knows it."""
    notes: Mapping[str, str] = field(default_factory=dict)
    """What else is known of the question by name, such as `reference` or `warning`; fills a template's placeholders."""

    @property
    def conversation(self) -> str:
        """The question; where turns came before it, all of them, each under who speaks."""
        if not self.earlier and not self.system:
            return self.question
        system = [f"system: {self.system}"] if self.system else []
        return "\n\n".join([*system, *(f"{t.role}: {t.text}" for t in self.earlier), f"user: {self.question}"])

    @property
    def fields(self) -> Mapping[str, str]:
        """Question and answer by name, for models of kind `python`."""
        return {"question": self.question, "answer": self.answer}


@runtime_checkable
class GuardKind(Protocol):
    """How a kind of guard asks and reads. A class of your own is built with the settings entry's `options`."""

    @property
    def version(self) -> str:
        """Part of the scorer's id; change it when prompt or reading change."""
        ...

    def prompt(self, exchange: Exchange) -> Prompt:
        """What is sent to the guard's model.

        Args:
            exchange: what is graded; without pictures and thought where the settings keep them from the guard.
        """
        ...

    def read(self, text: str) -> Grade | None:
        """The grade in a reply; None where there is none.

        Args:
            text: the guard's reply, without its thought.
        """
        ...
