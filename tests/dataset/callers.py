"""Fake models for the dataset's stages: plain functions that record their prompts."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from spavl.models.base import Prompt, Reply
from spavl.records import Status

BAD: tuple[Status, ...] = ("refused", "filtered", "truncated", "failed")
"""Statuses of a call without a complete answer."""


class FakeCaller:
    """A Caller: `answer` gives the text of a reply, or the whole reply."""

    def __init__(self, answer: Callable[[Prompt], str | Reply]) -> None:
        self.answer = answer
        self.asked: list[Prompt] = []

    def __call__(self, prompts: Sequence[Prompt], /) -> list[Reply]:
        self.asked += prompts
        return [
            reply if isinstance(reply := self.answer(p), Reply) else Reply(reply, key=f"key of {p.item}")
            for p in prompts
        ]


def bad(status: Status, text: str = "") -> Reply:
    """Reply of a call without a complete answer."""
    return Reply(text, status=status, detail="the reason", key="key")
