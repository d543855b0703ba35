"""The interface by which a stage calls a model; the pipeline binds model, call store and progress bar to it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from spavl.models.base import Prompt, Reply


class Caller(Protocol):
    """A function that sends prompts to one model."""

    def __call__(self, doing: str, prompts: Sequence[Prompt]) -> list[Reply]:
        """One reply for every prompt, in order; a failed call is a reply with its status.

        Args:
            doing: label of the progress bar.
            prompts: what is sent.
        """
        ...
