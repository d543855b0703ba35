"""Calls of an evaluation that gave no answer, counted by model, by what they were for, and by reason."""

from __future__ import annotations

from collections import Counter
from typing import Final, final

from spavl.records import TRIED_AGAIN, Status

LOST: Final[tuple[Status, ...]] = (*TRIED_AGAIN, "invalid", "skipped")
"""Statuses of calls without an answer."""
NAMED: Final = 3
"""Most reasons that a line names."""
REASON: Final = 120
"""Letters of a reason that are kept."""


@final
class Failures:
    """What was counted so far."""

    def __init__(self) -> None:
        self._reasons: dict[tuple[str, str, bool], Counter[str]] = {}

    def count(self, model: str, doing: str, status: Status, detail: str) -> None:
        """Count a call if it gave no answer.

        Args:
            model: name of the model.
            doing: what the call was for, such as a benchmark.
            status: what became of it.
            detail: why; its beginning is kept.
        """
        if status in LOST:
            reason = " ".join(detail.split())[:REASON] or status
            self._reasons.setdefault((model, doing, status in TRIED_AGAIN), Counter())[reason] += 1

    @property
    def failed(self) -> int:
        """Calls that failed and are made again next time."""
        return sum(counted.total() for (_, _, again), counted in self._reasons.items() if again)

    def lines(self) -> list[str]:
        """A line for every model and what it was asked, with the commonest reasons."""
        return [_line(*named, counted) for named, counted in self._reasons.items()]


def _line(model: str, doing: str, again: bool, counted: Counter[str]) -> str:
    named = "; ".join(f"{times:,} × {reason}" for reason, times in counted.most_common(NAMED))
    more = len(counted) - NAMED
    what = "calls failed and are made again next time" if again else "items cannot be asked, and stay unread"
    return f"{model}, {doing}: {counted.total():,} {what}: {named}" + (
        f"; and {more} other reasons" if more > 0 else ""
    )
