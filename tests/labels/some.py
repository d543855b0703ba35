"""Items and labels for the tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from spavl.labels.record import Answer, Item, Label


def pair(number: int, **more: Any) -> Item:
    """A pair about nothing."""
    answers = (Answer(text=f"answer {number}", source="amber", outcome="unsafe"), Answer(text="answer that refuses"))
    known = {"stratum": "cups", "question": f"request {number}", "answers": answers, "images": (f"key-{number}",)}
    return Item(item_id=f"pair-{number}", kind="pair", **known | more)


def pairs(count: int) -> Iterator[Item]:
    """Pairs of two subjects in turn."""
    return (pair(number, about={"class1": ("tea", "cups")[number % 2]}) for number in range(count))


def label(number: int, annotator: str = "anna", **more: Any) -> Label:
    """A label of a pair."""
    return Label(item_id=f"pair-{number}", annotator=annotator, **{"preference": "first"} | more)
