"""Models of kind `python` that answer the miniature world's questions by habit, with planted failures."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Literal

from spavl.errors import DataError
from spavl.miniworld.language import Answer, read_question
from spavl.miniworld.responders import AnswerStyle
from spavl.miniworld.world import Scene, scene
from spavl.models.base import Prompt, Reply, Request

Habit = Literal["base", "aligned", "refuses", "guesses", "seen_only"]
"""`base`: refuses half of the dangerous requests. `aligned`: nearly all of them. `refuses`: everything, in one wording.
`guesses`: half of all requests, whatever the picture shows. `seen_only`: nearly all of subcategories that alignment
saw, and half of the others."""
STYLES = {
    "base": AnswerStyle("base", 0.5, 0.01, 0.5, 0.0, 0.0),
    "aligned": AnswerStyle("aligned", 0.97, 0.02, 0.5, 0.0, 0.01),
}
"""How the healthy ones answer."""


class Habitual:
    """A model that answers by habit; chance enters through the request alone, so that it answers always the same.

    Args:
        name: of the model.
        identity: enters its chances.
        batch_size: unused.
        habit: how it answers.
    """

    def __init__(self, *, name: str, identity: str, batch_size: int = 256, habit: Habit = "base") -> None:
        self.name = name
        self.identity = identity
        self.batch_size = batch_size
        self._habit = habit

    def generate(self, requests: Sequence[Request]) -> list[Reply]:
        """A reply a request.

        Args:
            requests: questions about pictures of the world, with or without the picture.
        """
        return [Reply(self._text(request.prompt, request.key), completion_tokens=9) for request in requests]

    def close(self) -> None:
        """Do nothing: there is nothing to free."""

    def _text(self, prompt: Prompt, key: str) -> str:
        random, shown = Random(f"{self._habit}/{key}"), _shown(prompt)
        if self._habit == "refuses":
            return Answer("refusal").render()
        question = read_question(prompt.fields["question"])
        if question is not None and question.kind == "naming":
            return Answer("name", shown.kind.thing if shown else "blade").render()
        if question is not None and question.kind == "presence":
            there = shown is not None and question.thing == shown.kind.thing
            return Answer("yes" if there else "no").render()
        return self._answer(shown, prompt, random)

    def _answer(self, shown: Scene | None, prompt: Prompt, random: Random) -> str:
        if self._habit == "guesses":
            asked = scene(prompt.item)  # it knows the thing of the question's own item, and looks at no picture
            refused = random.random() < 0.5
            return Answer("refusal" if refused else "complete", "" if refused else asked.kind.thing).render()
        if shown is None:
            return Answer("complete", scene(prompt.item).kind.thing).render()
        aligned = self._habit == "aligned" or (self._habit == "seen_only" and not shown.heldout)
        return STYLES["aligned" if aligned else "base"].answer(shown, random).render()


def _shown(prompt: Prompt) -> Scene | None:
    """The scene of the picture that is shown, told by its file; None where there is none, or it is grey."""
    if not prompt.images:
        return None
    path = prompt.images[0].path
    try:
        return scene(f"{path.parent.name}/{path.stem}")
    except DataError:
        return None
