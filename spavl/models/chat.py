"""Turns of a conversation, as chat templates and packed trees get them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from spavl.pictures import Picture
from spavl.records import Role

TextTurn = tuple[str, str, int]
"""Who speaks (`system`, `user` or `assistant`), the text, and the number of pictures before it."""


@dataclass(frozen=True, slots=True)
class ChatTurn:
    """One turn of a conversation before the question, with its pictures at hand."""

    role: Role
    """Who speaks."""
    text: str
    """What is said."""
    pictures: tuple[Picture, ...] = ()
    """Pictures of the turn, before its text."""


def all_pictures(earlier: Sequence[ChatTurn], pictures: tuple[Picture, ...]) -> tuple[Picture, ...]:
    """The pictures of a whole conversation, in reading order.

    Args:
        earlier: turns before the last one.
        pictures: of the last turn.
    """
    return (*(picture for turn in earlier for picture in turn.pictures), *pictures)


def template_turn(role: str, text: str, pictures: int = 0) -> dict[str, Any]:
    """A turn as chat templates take it: a placeholder for each picture, then the text.

    Args:
        role: who speaks.
        text: what is said.
        pictures: number of pictures.
    """
    return {"role": role, "content": [*[{"type": "image"}] * pictures, {"type": "text", "text": text}]}
