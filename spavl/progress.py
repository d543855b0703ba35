"""Progress of long work: bars and log lines in a terminal, or nothing at all."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Protocol

from spavl.visible_text import visible

if TYPE_CHECKING:
    from rich.console import Console

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


class TerminalProgress:
    """Progress as Rich bars; where the output is no terminal, one line for each finished piece of work.

    Args:
        console: where it is printed; standard output unless given.
    """

    def __init__(self, console: Console | None = None) -> None:
        from rich.console import Console

        self._console = console or Console(highlight=False)

    @contextmanager
    def bar(self, doing: str) -> Iterator[OnProgress]:
        """A bar that stays on the screen with its end state; yields what to call with the progress.

        Args:
            doing: what is done, the bar's label.
        """
        if not self._console.is_terminal:
            yield from self._plain(doing)
            return
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            SpinnerColumn,
            TextColumn,
            TimeRemainingColumn,
        )

        columns = (
            SpinnerColumn(finished_text="✓"), TextColumn("{task.description:<34}", markup=False),
            BarColumn(bar_width=28), MofNCompleteColumn(),
            TimeRemainingColumn(elapsed_when_finished=True, compact=True),
        )  # fmt: skip
        with Progress(*columns, console=self._console) as progress:
            task = progress.add_task(visible(doing), total=None)
            yield lambda done, total: progress.update(task, completed=done, total=total)

    def log(self, line: str) -> None:
        """Print a line as it is.

        Args:
            line: the text; no markup is read in it.
        """
        self._console.print(visible(line), markup=False, soft_wrap=True)

    def _plain(self, doing: str) -> Iterator[OnProgress]:
        last = [0, 0]

        def keep(done: int, total: int) -> None:
            last[:] = [done, total]

        yield keep
        found = f"{last[0]:,}" + (f" of {last[1]:,}" if last[0] != last[1] else "")
        self._console.print(f"  {visible(doing):<34} {found}", markup=False)
