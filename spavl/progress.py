"""Progress of long work: bars and log lines, shown by the command line, silent in tests and notebooks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

OnProgress = Callable[[int, int], None]
"""Called with (units done, units in all) while work goes on."""


class Progress(Protocol):
    """Where long work reports its progress."""

    def bar(self, doing: str) -> AbstractContextManager[OnProgress]:
        """A progress bar for one piece of work, shown while the block runs; it yields what to call with the progress.

        Args:
            doing: what is done, the bar's label.
        """
        ...

    def log(self, line: str) -> None:
        """Print a line that stays.

        Args:
            line: the text, without markup.
        """
        ...


class NoProgress:
    """Progress that shows nothing, for tests and notebooks."""

    @contextmanager
    def bar(self, doing: str) -> Iterator[OnProgress]:
        """No bar.

        Args:
            doing: ignored.
        """
        yield lambda done, total: None

    def log(self, line: str) -> None:
        """No line.

        Args:
            line: ignored.
        """
