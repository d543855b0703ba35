"""A model of kind `python` that takes a moment for an answer, and notes every call that it is sent."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from hashlib import blake2b
from pathlib import Path

from spavl.models.base import Reply, Request


class NotingModel:
    """Answers yes or no.

    Args:
        name: of the model; answers of two models differ.
        identity: unused.
        batch_size: unused.
        notes: file to which the key of every call is appended before it is answered.
        seconds: how long a batch takes.
    """

    def __init__(self, *, name: str, identity: str, batch_size: int, notes: str, seconds: float) -> None:
        self._name = name
        self._notes = Path(notes)
        self._seconds = seconds

    def generate(self, requests: Sequence[Request]) -> list[Reply]:
        """One reply a request.

        Args:
            requests: any prompts.
        """
        with self._notes.open("a", encoding="utf-8") as notes:
            notes.writelines([f"{request.key}\n" for request in requests])
            notes.flush()
            os.fsync(notes.fileno())
        time.sleep(self._seconds)
        return [Reply(self._answer(request.prompt.text), completion_tokens=2) for request in requests]

    def _answer(self, question: str) -> str:
        return ("Yes", "No")[blake2b(f"{self._name} {question}".encode()).digest()[0] % 2]
