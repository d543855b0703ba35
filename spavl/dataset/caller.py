"""The interface by which a stage calls a model; the pipeline binds model, sampling and call store to it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from spavl.models.base import Prompt, Reply

NO_VERDICT = "the reply holds no verdict that can be read"
"""Why a grade or a comparison is `unreadable`."""


class Caller(Protocol):
    """A function that sends prompts to one model."""

    def __call__(self, prompts: Sequence[Prompt], /) -> list[Reply]:
        """One reply for every prompt, in order; a failed call is a reply with its status.

        Args:
            prompts: what is sent.
        """
        ...
