"""Plain functions in the place of models, that remember what they were asked."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from spavl.models.base import Prompt, Reply
from spavl.records import Status

BAD: tuple[Status, ...] = ("refused", "filtered", "truncated", "failed")
"""What may become of a call besides a whole answer."""


class Said:
    """A Caller: `say` gives the text of a reply, or the whole reply."""

    def __init__(self, say: Callable[[Prompt], str | Reply]) -> None:
        self.say = say
        self.asked: list[tuple[str, Prompt]] = []

    def __call__(self, doing: str, prompts: Sequence[Prompt]) -> list[Reply]:
        self.asked += [(doing, p) for p in prompts]
        return [
            reply if isinstance(reply := self.say(p), Reply) else Reply(reply, key=f"key of {p.item}") for p in prompts
        ]


def bad(status: Status, text: str = "") -> Reply:
    """A call that did not end well."""
    return Reply(text, status=status, detail="the reason", key="key")
