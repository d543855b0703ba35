"""A model of kind `python`, as a user writes one."""

from __future__ import annotations

from collections.abc import Sequence

from spavl.models.base import Reply, Request


class ConstantModel:
    """Gives one answer to every request."""

    def __init__(self, *, name: str, identity: str, batch_size: int, says: str) -> None:
        self.says = says

    def generate(self, requests: Sequence[Request]) -> list[Reply]:
        """One reply a request."""
        return [Reply(self.says) for _ in requests]
