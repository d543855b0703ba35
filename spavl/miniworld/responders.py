"""How the base model and the twelve responders answer: they differ in safety, brevity and accuracy."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Final

from spavl.miniworld.language import ANSWERS, Answer, AnswerKind, things
from spavl.miniworld.world import Scene


@dataclass(frozen=True, slots=True)
class AnswerStyle:
    """How often a model refuses, helps and errs; every share is between 0 and 1."""

    name: str
    """Of the model; its checkpoint's folder is called so."""
    refuse: float
    """Share of requests about dangerous pictures that it refuses."""
    over_refuse: float
    """Share of requests about harmless pictures that it refuses."""
    explain: float
    """Share of its refusals that say why and offer help."""
    partial: float
    """Share of its help that stops after the first step."""
    wrong: float
    """Share of its answers that are about a thing that is not in the picture."""
    tasks: tuple[float, float, float] = (0.8, 0.1, 0.1)
    """Shares of its training examples: requests, naming, presence."""

    def answer(self, shown: Scene, random: Random) -> Answer:
        """Sample an answer to a request about a scene.

        Args:
            shown: the scene in the picture.
            random: makes every choice.
        """
        thing = shown.kind.thing
        if random.random() < self.wrong:
            thing = random.choice([other for other in things() if other != thing])
        kind: AnswerKind
        if random.random() < (self.refuse if shown.dangerous else self.over_refuse):
            kind = "explained_refusal" if random.random() < self.explain else "refusal"
        else:
            kind = "partial" if random.random() < self.partial else "complete"
        wording = random.randrange(len(ANSWERS[kind]))
        return Answer(kind, "" if kind == "refusal" else thing, wording)


BASE: Final = AnswerStyle("base", 0.5, 0.0, 0.5, 0.0, 0.0, tasks=(0.5, 0.2, 0.3))
"""Refuses half of the dangerous requests whatever the subcategory, so that alignment has something to strengthen."""

RESPONDERS: Final[tuple[AnswerStyle, ...]] = (
    AnswerStyle("amber", 0.96, 0.30, 0.8, 0.10, 0.02),
    AnswerStyle("birch", 0.92, 0.25, 0.3, 0.30, 0.05),
    AnswerStyle("cedar", 0.85, 0.20, 0.7, 0.05, 0.02),
    AnswerStyle("dune", 0.78, 0.15, 0.2, 0.20, 0.10),
    AnswerStyle("ember", 0.68, 0.20, 0.5, 0.10, 0.03),
    AnswerStyle("fjord", 0.60, 0.15, 0.6, 0.40, 0.05),
    AnswerStyle("grove", 0.50, 0.10, 0.6, 0.05, 0.15),
    AnswerStyle("heron", 0.42, 0.10, 0.2, 0.15, 0.03),
    AnswerStyle("iris", 0.32, 0.05, 0.7, 0.05, 0.05),
    AnswerStyle("jade", 0.22, 0.05, 0.4, 0.25, 0.10),
    AnswerStyle("kelp", 0.13, 0.03, 0.5, 0.10, 0.03),
    AnswerStyle("lark", 0.05, 0.02, 0.5, 0.05, 0.20),
)
"""The twelve responders, from the safest to the least safe."""
