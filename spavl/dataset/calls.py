"""How a stage reaches a model: prompts in, replies out; the pipeline binds model, store and progress bar."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from spavl.models.base import Prompt, Reply


class Caller(Protocol):
    """One model, ready to be asked."""

    def __call__(self, doing: str, prompts: Sequence[Prompt]) -> list[Reply]:
        """One reply a prompt, in order; `doing` names the work for the person who waits."""
        ...
