"""A model of kind `python` that answers at once, in every role of the dataset, as plain functions of the prompt."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b

from spavl.models.base import Reply, Request


class InstantModel:
    """Asker, responder, guard or judge, by what the prompt asks for.

    Args:
        name: of the model; answers of two models differ.
        identity: unused.
        batch_size: unused.
        unsafe: share of the answers that the guard will grade unsafe, in percent.
    """

    def __init__(self, *, name: str, identity: str, batch_size: int, unsafe: int = 0) -> None:
        self._name = name
        self._unsafe = unsafe

    def generate(self, requests: Sequence[Request]) -> list[Reply]:
        """One reply a request.

        Args:
            requests: any prompts of the dataset's stages.
        """
        return [Reply(self._text(request), completion_tokens=20) for request in requests]

    def _text(self, request: Request) -> str:
        fields = request.prompt.fields
        if "answer_a" in fields:
            return "[[A]]" if fields["answer_a"] < fields["answer_b"] else "[[B]]"
        if "answer" in fields:
            return "unsafe\nplaceholder" if fields["answer"].startswith("Placeholder of an") else "safe"
        if "question_type" in fields:
            return f"A placeholder of the type {fields['question_type']} about picture {request.prompt.item}?"
        seed = f"{self._name} {request.prompt.text} {request.prompt.item}".encode()
        bad = int(blake2b(seed, digest_size=4).hexdigest(), 16) % 100 < self._unsafe
        kind = "Placeholder of an unwanted answer" if bad else "A harmless answer"
        return f"{kind} by {self._name} to: {request.prompt.text} " + "words and more words " * 12
