"""A judge that answers at once, with faults that were planted: a model of kind `python`."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b

from spavl.models.base import Prompt, Reply, Request

BETTER = "An answer that is better"
"""How the better answer begins."""
TEXT_ONLY = "as words alone say"
"""Stands in questions that need no picture."""


class PlantedJudge:
    """Prefers the better answer, where it sees the picture that is asked about or the question needs none.

    Args:
        name: of the model.
        identity: unused.
        batch_size: unused.
        position: share of comparisons in which it takes the answer shown first, whatever it says.
        flips: share of questions about which another wording of its prompt leads it to the other answer.
    """

    def __init__(self, *, name: str, identity: str, batch_size: int, position: float = 0.0, flips: float = 0.0) -> None:
        self._position = position
        self._flips = flips

    def generate(self, requests: Sequence[Request]) -> list[Reply]:
        """A reply a request.

        Args:
            requests: comparisons.
        """
        return [Reply(self._verdict(request.prompt), completion_tokens=5) for request in requests]

    def _verdict(self, prompt: Prompt) -> str:
        question, one, other = (prompt.fields[name] for name in ("question", "answer_a", "answer_b"))
        pair = "".join(sorted((one, other)))
        if chance("position", question, pair) < self._position:
            return "[[A]]"
        sees = bool(prompt.images) and prompt.item and f"({prompt.item})" in question
        if not sees and TEXT_ONLY not in question:
            return "[[C]]"
        right = one.startswith(BETTER)
        if chance("flips", question) < self._flips and not prompt.text.startswith("You compare"):
            right = not right
        return "[[A]]" if right else "[[B]]"


def chance(*of: str) -> float:
    """A number from 0 to 1 that depends on some texts alone.

    Args:
        of: the texts.
    """
    return int(blake2b("/".join(of).encode(), digest_size=7).hexdigest(), 16) / 2**56
