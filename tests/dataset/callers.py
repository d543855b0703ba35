"""Fake models for the dataset's stages: plain functions that record their prompts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from spavl.models.base import Prompt, Reply
from spavl.records import Status

BAD: tuple[Status, ...] = ("refused", "filtered", "truncated", "failed")
"""Statuses of a call without a complete answer."""


class FakeCaller:
    """A Caller: `answer` gives the text of a reply, or the whole reply."""

    def __init__(self, answer: Callable[[Prompt], str | Reply]) -> None:
        self.answer = answer
        self.asked: list[Prompt] = []
        self.schemas: list[Mapping[str, Any] | None] = []

    def __call__(
        self, prompts: Sequence[Prompt], /, *, schema: Mapping[str, Any] | None = None, samples: int = 1
    ) -> list[Reply]:
        self.asked += prompts
        self.schemas.append(schema)
        return [
            reply if isinstance(reply := self.answer(p), Reply) else Reply(reply, key=f"key of {p.item}")
            for p in prompts
            for _ in range(samples)
        ]


def bad(status: Status, text: str = "") -> Reply:
    """Reply of a call without a complete answer."""
    return Reply(text, status=status, detail="the reason", key="key")
