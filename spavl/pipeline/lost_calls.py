"""Calls of an evaluation that gave no answer, counted by model, by what they were for, and by reason."""

from __future__ import annotations

from collections import Counter
from typing import Final, final

from spavl.config import ModelSpec
from spavl.models.identity import tried_again
from spavl.plural import plural
from spavl.records import TRIED_AGAIN, Status

LOST: Final[tuple[Status, ...]] = (*TRIED_AGAIN, "invalid", "skipped")
"""Statuses of calls without an answer."""
NAMED: Final = 3
"""Most reasons that a line names."""
REASON: Final = 120
"""Letters of a reason that are kept."""


@final
class LostCalls:
    """What was counted so far."""

    def __init__(self) -> None:
        self._reasons: dict[tuple[str, str, bool], Counter[str]] = {}

    def count(self, model: ModelSpec, doing: str, status: Status, detail: str) -> None:
        """Count a call if it gave no answer.

        Args:
            model: the settings entry of the model.
            doing: what the call was for, such as a benchmark.
            status: what became of it.
            detail: why; its beginning is kept.
        """
        if status in LOST:
            again = status in tried_again(model)
            reason = " ".join(detail.split())[:REASON] or status
            self._reasons.setdefault((model.name, doing, again), Counter())[reason] += 1

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
    what, then = ("call", "failed, asked again next time") if again else ("item", "without an answer, unread for good")
    line = f"{model}, {doing}: {plural(counted.total(), what)} {then}: {named}"
    return line + (f"; and {plural(more, 'other reason')}" if more > 0 else "")
