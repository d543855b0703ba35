"""Pairs and answers labelled by simulated annotators, whose errors and leanings are known."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from spavl.labels.record import Answer, Item, Label
from spavl.pipeline.people import People, gathered

DOMAINS = ("tea", "cups", "water")
TYPES = ("plain", "hypothetical")
SOURCES = ("amber", "birch", "maple")


def pair(number: int, random: np.random.Generator, **more: Any) -> Item:
    """A pair about a teapot; the first answer is longer in half of them."""
    sources = random.permutation(SOURCES)[:2]
    lengths = random.permutation([20, 60])
    answers = tuple(Answer(text="x" * int(n), source=str(of), outcome="safe")
                    for n, of in zip(lengths, sources, strict=True))  # fmt: skip
    about = {"class1": DOMAINS[number % 3], "question_type": TYPES[number % 2], "winner": "first"}
    known = {"about": about, "answers": answers, "images": (f"picture-{number // 2}",), **more}
    return Item(item_id=f"pair-{number}", kind="pair", stratum="", question=f"request {number}", **known)


def judgement(
    item: Item, annotator: str, random: np.random.Generator, *, agrees: float = 0.9, left: float = 0.0,
    longer: float = 0.0, unsafe: tuple[float, float] = (0.05, 0.3),
) -> Label:  # fmt: skip
    """An annotator's label: `left` and `longer` are the shares decided by position and by length."""
    shown = "first" if random.random() < 0.5 else "second"
    said = "first" if random.random() < agrees else "second"
    decided = random.random()
    if decided < left:
        said = shown
    elif decided < left + longer:
        said = "first" if len(item.answers[0].text) > len(item.answers[1].text) else "second"
    outcomes = tuple("unsafe" if random.random() < share else "safe_completion" for share in unsafe)
    return Label(item_id=item.item_id, annotator=annotator, preference=said, shown_first=shown,  # type: ignore[arg-type]
                 outcomes=outcomes, picture_needed=bool(random.random() < 0.5),  # type: ignore[arg-type]
                 severities=tuple(int(random.integers(1, 5)) if o == "unsafe" else None for o in outcomes))  # fmt: skip


def labelled_pairs(
    count: int, annotators: Mapping[str, Mapping[str, Any]], seed: int = 0, **more: Any
) -> People:  # fmt: skip
    """Pairs that every annotator judged, each with errors and leanings of its own."""
    random = np.random.default_rng(seed)
    items = [pair(number, random, **more) for number in range(count)]
    return gathered(items, [judgement(one, who, random, **how) for one in items for who, how in annotators.items()])
