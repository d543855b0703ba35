"""How long somebody has labelled without a break: what looking at harm for long does to people is known."""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Lock
from typing import Final

PAUSE: Final = 5 * 60.0
"""Seconds without a label that count as a break."""
LONG: Final = 45 * 60.0
"""Seconds of labelling after which a break is proposed."""


class Breaks:
    """Times of labelling by annotator, since the server was started.

    Args:
        clock: seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = Lock()
        self._spans: dict[str, tuple[float, float]] = {}

    def note(self, annotator: str) -> None:
        """Somebody has labelled an item now.

        Args:
            annotator: the name.
        """
        now = self._clock()
        with self._lock:
            start, last = self._spans.get(annotator, (now, now))
            self._spans[annotator] = (now if now - last > PAUSE else start, now)

    def minutes(self, annotator: str) -> int | None:
        """Minutes since somebody's last break where it is time for one; None: it is not.

        Args:
            annotator: the name.
        """
        with self._lock:
            start, last = self._spans.get(annotator, (0.0, 0.0))
        return int((last - start) / 60) if last - start >= LONG and self._clock() - last <= PAUSE else None
