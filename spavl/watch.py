"""What a long job tells the person who waits: bars and lines. The command line draws them; a test stays silent."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

Progress = Callable[[int, int], None]
"""(done, total) so far."""


class Watch(Protocol):
    """Someone who waits."""

    def bar(self, doing: str) -> AbstractContextManager[Progress]:
        """A progress bar for one piece of work."""
        ...

    def say(self, line: str) -> None:
        """A line worth keeping on the screen."""
        ...


class Silent:
    """Nobody waits: tests and notebooks."""

    @contextmanager
    def bar(self, doing: str) -> Iterator[Progress]:
        """No bar."""
        yield lambda done, total: None

    def say(self, line: str) -> None:
        """No line."""
