"""A model of kind `python` whose process dies, as it does when the system has no memory left."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Sequence

from spavl.models.base import Reply, Request


class DyingModel:
    """Answers, but its process is killed when it is asked about one of the pictures."""

    def __init__(self, *, name: str, identity: str, batch_size: int) -> None:
        pass

    def generate(self, requests: Sequence[Request]) -> list[Reply]:
        """One reply a request."""
        time.sleep(0.1)  # what was answered before is on disk by now
        if any("p03" in request.prompt.item for request in requests):
            os.kill(os.getpid(), signal.SIGKILL)
        return [Reply(f"An answer about {request.prompt.item}.") for request in requests]
