"""Models of kind `python` for the tests of the engine; the child processes of the kill tests build them too."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from spavl.errors import ModelError
from spavl.models.base import Reply, Request


class Echo:
    """Says what it was asked and about which item; writes every question into a diary before it answers.

    `fails`: questions that get a failed reply; `refuses`: how many words it takes before it raises.
    """

    def __init__(
        self,
        name: str = "echo",
        identity: str = "python:tests.models.voices:Echo@1",
        batch_size: int = 4,
        *,
        diary: str = "",
        pause: float = 0.0,
        fails: Sequence[str] = (),
    ) -> None:
        self.name = name
        self.identity = identity
        self.batch_size = batch_size
        self.asked: list[list[str]] = []
        self.closed = 0
        self._diary = Path(diary) if diary else None
        self._pause = pause
        self._fails = fails

    def generate(self, requests: Sequence[Request]) -> list[Reply]:
        """One reply a request."""
        self.asked.append([request.prompt.text for request in requests])
        for request in requests:
            if self._diary is not None:
                with self._diary.open("a") as diary:
                    diary.write(request.prompt.text + "\n")
            time.sleep(self._pause)
        return [self._reply(request) for request in requests]

    def close(self) -> None:
        """Count."""
        self.closed += 1

    def _reply(self, request: Request) -> Reply:
        if request.prompt.text in self._fails or "*" in self._fails:
            return Reply("", status="failed", detail=f"no answer to {request.prompt.text}")
        return Reply(f"{request.prompt.item}:{request.prompt.text}:{request.sample}")


class Rude:
    """Raises, or says too little, as its options tell; has no `close`."""

    def __init__(self, name: str, identity: str, batch_size: int, *, manner: str) -> None:
        if manner == "at birth":
            raise ValueError("not today")
        self._manner = manner

    def generate(self, requests: Sequence[Request]) -> list[Reply]:
        """Misbehave."""
        match self._manner:
            case "mute":
                return []
            case "sentence":
                raise ModelError("The oracle is out.", try_="Come back.")
            case _:
                raise ZeroDivisionError("a slip of the user's")
