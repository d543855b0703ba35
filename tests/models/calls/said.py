"""What is said of models while they are asked."""

from __future__ import annotations

import threading

from spavl.models.calls.oversight import Notice


class Said:
    """Keeps the notices; given to an `Oversight`."""

    def __init__(self) -> None:
        self.notices: list[Notice] = []
        self.news = threading.Event()

    def __call__(self, notice: Notice) -> None:
        """Keep a notice."""
        self.notices.append(notice)
        self.news.set()

    @property
    def states(self) -> list[tuple[str, str]]:
        """(about, state) of every notice."""
        return [(notice.about, notice.state) for notice in self.notices]

    @property
    def lines(self) -> list[str]:
        """The sentences."""
        return [notice.line for notice in self.notices]
