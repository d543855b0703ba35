"""Models of kind `python` for the tests of the engine; the child processes of the interruption tests build them too."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from spavl.errors import ModelError
from spavl.models.base import Reply, Request


class Echo:
    """Answers with item, prompt and sample number.

    `fails`: prompts that get a failed reply, or `*` for all; `log`: a file that gets a line for each prompt before it
    is answered; `pause`: seconds for each prompt.
    """

    def __init__(
        self,
        name: str = "echo",
        identity: str = "python:tests.models.python_models:Echo@1",
        batch_size: int = 4,
        *,
        log: str = "",
        pause: float = 0.0,
        fails: Sequence[str] = (),
    ) -> None:
        self.name = name
        self.identity = identity
        self.batch_size = batch_size
        self.batches: list[list[str]] = []
        self.closed = 0
        self._log = Path(log) if log else None
        self._pause = pause
        self._fails = fails

    def generate(self, requests: Sequence[Request]) -> list[Reply]:
        """One reply a request."""
        self.batches.append([request.prompt.text for request in requests])
        for request in requests:
            if self._log is not None:
                with self._log.open("a") as log:
                    log.write(request.prompt.text + "\n")
            time.sleep(self._pause)
        return [self._reply(request) for request in requests]

    def close(self) -> None:
        """Count the calls."""
        self.closed += 1

    def _reply(self, request: Request) -> Reply:
        if request.prompt.text in self._fails or "*" in self._fails:
            return Reply("", status="failed", detail=f"no answer to {request.prompt.text}")
        return Reply(f"{request.prompt.item}:{request.prompt.text}:{request.sample}")


class Faulty:
    """Fails in the way that `fault` names; has no `close`."""

    def __init__(self, name: str, identity: str, batch_size: int, *, fault: str) -> None:
        if fault == "constructor":
            raise ValueError("not today")
        self._fault = fault

    def generate(self, requests: Sequence[Request]) -> list[Reply]:
        """Fail."""
        match self._fault:
            case "no replies":
                return []
            case "user error":
                raise ModelError("The oracle is out.", try_="Come back.")
            case _:
                raise ZeroDivisionError("a bug of the user's")
