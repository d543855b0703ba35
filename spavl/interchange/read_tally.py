"""What an import read and what it left out: counted by reason, each with the first places where it stands."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, final

from spavl.preferences.hub_file import unwritable
from spavl.preferences.pairs import Pair
from spavl.preferences.reasons import bounded

PLACES = 3
"""Places that are named for a reason."""


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Rows that were left out for one reason."""

    reason: str
    """Why, in a few words."""
    rows: int
    """How many."""
    places: tuple[str, ...]
    """The first of them: file and line or row."""

    def as_json(self) -> dict[str, Any]:
        """Plain data."""
        return {"reason": self.reason, "rows": self.rows, "places": list(self.places)}


@final
class Tally:
    """Counts rows while they are read."""

    def __init__(self) -> None:
        self.read = 0
        self.kept = 0
        self._places: dict[str, list[str]] = {}
        self._rows: dict[str, int] = {}

    def leave_out(self, reason: str, where: str) -> None:
        """Count a row that is left out.

        Args:
            reason: why, in words that are the same for all such rows.
            where: file and line or row.
        """
        reason = bounded(reason, self._rows)
        self._rows[reason] = self._rows.get(reason, 0) + 1
        places = self._places.setdefault(reason, [])
        if len(places) < PLACES:
            places.append(where)

    def left_out(self) -> tuple[LeftOut, ...]:
        """What was left out, the commonest reason first."""
        ranked = sorted(self._rows.items(), key=lambda one: -one[1])
        return tuple(LeftOut(reason, rows, tuple(self._places[reason])) for reason, rows in ranked)

    def usable(self, pairs: Iterable[Pair]) -> Iterator[Pair]:
        """Those of some pairs that can be written: well formed, with all their pictures, and with two answers.

        Args:
            pairs: as they are read.
        """
        for pair in pairs:
            self.read += 1
            reason = unwritable(pair)
            if not reason and pair.chosen == pair.rejected:
                reason = "the chosen and the rejected answer are the same"
            if reason:
                self.leave_out(reason, pair.where or pair.pair_id)
                continue
            self.kept += 1
            yield pair
