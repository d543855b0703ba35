"""What a long job tells the person who waits: bars and lines. The command line draws them; a test stays silent."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

OnProgress = Callable[[int, int], None]
"""(done, total) so far."""


class Progress(Protocol):
    """Someone who waits."""

    def bar(self, doing: str) -> AbstractContextManager[OnProgress]:
        """A progress bar for one piece of work."""
        ...

    def log(self, line: str) -> None:
        """A line worth keeping on the screen."""
        ...


class NoProgress:
    """Nobody waits: tests and notebooks."""

    @contextmanager
    def bar(self, doing: str) -> Iterator[OnProgress]:
        """No bar."""
        yield lambda done, total: None

    def log(self, line: str) -> None:
        """No line."""
