"""Items and labels as JSON texts, and back."""

from __future__ import annotations

import json
from dataclasses import asdict, is_dataclass
from typing import Any

from spavl.labels.record import Answer, EarlierTurn, Item, Label


def json_of(value: Any) -> str:
    """An item, a label or plain data as JSON.

    Args:
        value: a dataclass, or plain data.
    """
    plain = asdict(value) if is_dataclass(value) and not isinstance(value, type) else value
    return json.dumps(plain, ensure_ascii=False)


def item_of(text: str) -> Item:
    """The item that a text holds.

    Args:
        text: from `json_of`.
    """
    found = json.loads(text)
    earlier = tuple(EarlierTurn(**{**turn, "images": tuple(turn["images"])}) for turn in found.pop("earlier"))
    answers = tuple(Answer(**answer) for answer in found.pop("answers"))
    return Item(**{**found, "answers": answers, "earlier": earlier, "images": tuple(found["images"])})


def label_of(text: str) -> Label:
    """The label that a text holds.

    Args:
        text: from `json_of`.
    """
    found = json.loads(text)
    lists = {name: tuple(found[name]) for name in ("outcomes", "categories", "severities")}
    return Label(**{**found, **lists})
