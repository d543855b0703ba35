"""Preference pairs of the miniature world with the world's own labels, and with faults put into them.

Nothing is asked: answers come from the responders' habits (`AnswerStyle`), labels from the truth. So a dataset takes a
second, and what is wrong with it is known.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

from spavl.config import LocalSpec
from spavl.config.align import AlignSettings
from spavl.config.load import merge
from spavl.miniworld import pictures
from spavl.miniworld.language import REQUESTS
from spavl.miniworld.languages import CLOSED
from spavl.miniworld.oracle import ask, truth
from spavl.miniworld.responders import RESPONDERS
from spavl.miniworld.world import Scene, scenes
from spavl.models.identity import find_checkpoint
from spavl.pictures import Picture
from spavl.preferences.pairs import Pair

PER_SUBCATEGORY, BENIGN = 8, 0.48
"""Pictures of a subcategory, and the share of benign ones."""
ALIGN: dict[str, Any] = {
    "loss": {"beta": 0.1, "sft_anchor": 2.0},
    "freeze": {"vision": "frozen", "projector": "train", "language": "full"},
    "optimiser": {"learning_rate": 5e-4, "epochs": 3, "warmup": 0.1},
    "batching": {"pairs": 16, "token_budget": 16384},
    "validation": {"measure_every": None},
    "saving": {"keep": 1},
}
"""Settings of every training: those of the demo with more epochs and a higher rate, for there are fewer pairs."""


def settings(seed: int, folder: Path, **changed: Any) -> AlignSettings:
    """Settings of a training of the miniature world's base model.

    Args:
        seed: of the training.
        folder: for what is cached.
        changed: sections of the settings.
    """
    base = find_checkpoint(LocalSpec(name="base", path="miniworld:base"))
    caches = {name: {"cache": str(folder / name)} for name in ("reference", "features")}
    own = {"model": str(base.folder), "seed": seed, **caches}
    return AlignSettings.model_validate(merge(merge(ALIGN, own), changed))


def pairs(
    seed: int, folder: Path, *, longer_chosen: bool = False, flipped: float = 0.0, limit: int | None = None
) -> list[Pair]:  # fmt: skip
    """Pairs of one seed.

    Args:
        seed: of pictures, questions and answers.
        folder: what the pictures are drawn into.
        longer_chosen: the fault: of two answers the longer one is always the chosen one, whatever the truth.
        flipped: share of pairs, by chance, whose answers are the other way round.
        limit: most pairs.
    """
    shown = [scene for scene in scenes("build", seed, PER_SUBCATEGORY, BENIGN) if not scene.heldout]
    Random(f"{seed}/order").shuffle(shown)
    files = dict(zip((scene.id for scene in shown), pictures.write(shown, folder), strict=True))
    made = [
        pair
        for scene in shown
        for kind in range(len(REQUESTS))
        if (pair := _pair(scene, kind, files[scene.id], seed, longer_chosen=longer_chosen)) is not None
    ]
    random = Random(f"{seed}/flipped")
    turned = [
        replace(one, chosen=one.rejected, rejected=one.chosen) if random.random() < flipped else one for one in made
    ]
    return turned[:limit]


def _pair(scene: Scene, kind: int, file: Path, seed: int, *, longer_chosen: bool) -> Pair | None:
    """A pair about a picture; None where neither answer is better, or neither is longer."""
    random = Random(f"{seed}/{scene.id}/{kind}")
    question = ask(scene, REQUESTS[kind], "build", CLOSED)
    styles = random.sample(RESPONDERS, 2)
    first, second = (style.answer(scene, random).render() for style in styles)
    worth = [len(one.split()) if longer_chosen else truth(scene.id, question, one).utility for one in (first, second)]
    if worth[0] == worth[1]:
        return None
    chosen, rejected = (first, second) if worth[0] > worth[1] else (second, first)
    picture = Picture(scene.id, file)
    return Pair(f"{scene.id}/{kind}", (picture,), question, chosen, rejected)
