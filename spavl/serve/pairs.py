"""Pages of pairs: those that a filter leaves, so many at a time, from any place of their order at the same speed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from spavl.errors import DataError
from spavl.pipeline.report_tables import may_harm
from spavl.rows import brief
from spavl.serve.filters import SORTS, Cursor, PairFilter
from spavl.tables.kept import KeptDatabase

ON_A_PAGE: Final = 24
"""Pairs on a page."""
_COLUMNS = (
    "number, pair_id, query_id, image_id, image_sha256, class1, class2, class3, question_type, harmful, benign, "
    "heldout, question, chosen, rejected, chosen_source, rejected_source, chosen_outcome, rejected_outcome, "
    "chosen_safe, rejected_safe, chosen_severity, rejected_severity, picture_outcome, judges_for, judges_against, "
    "verdict_ab, verdict_ba, labelled, people, findings, finding_count, severity_gap, length_of_both, length_gap, "
    "pictures"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PairShown:
    """A pair in the list: the row of the index, and what of it is closed."""

    row: Mapping[str, Any]
    """The row."""
    chosen_closed: bool
    """Whether the chosen answer may do harm."""
    rejected_closed: bool
    """Whether the rejected answer may do harm."""

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> PairShown:
        """A pair of the index.

        Args:
            row: of the index.
        """
        harm = {"question": row["question"], "harmful": row["harmful"]}
        return cls(row=row, chosen_closed=may_harm(row["chosen"], row["chosen_safe"], **harm),
                   rejected_closed=may_harm(row["rejected"], row["rejected_safe"], **harm))  # fmt: skip

    @property
    def question_closed(self) -> bool:
        """Whether question and pictures may do harm."""
        return bool(self.row["harmful"] or self.row["picture_outcome"] == "unsafe")

    @property
    def is_closed(self) -> bool:
        """Whether anything of it is closed."""
        return self.question_closed or self.chosen_closed or self.rejected_closed


@dataclass(frozen=True, slots=True, kw_only=True)
class PairPage:
    """A page of pairs."""

    pairs: Sequence[PairShown]
    """In order."""
    total: int
    """How many the filter leaves."""
    all_pairs: int
    """How many there are."""
    before: int
    """How many of those come before this page."""
    next: Cursor | None
    """Where the next page begins; None: this is the last."""
    previous: Cursor | None
    """Before what the previous page ends; None: this is the first."""


def page_of(
    index: KeptDatabase, wanted: PairFilter, *, after: Cursor | None = None, before: Cursor | None = None,
    size: int = ON_A_PAGE,
) -> PairPage:  # fmt: skip
    """A page of the pairs that a filter leaves.

    Args:
        index: of the run's pairs.
        wanted: the filter.
        after: the place that it begins after; None: the beginning.
        before: the place that it ends before, in place of `after`; None: none.
        size: most pairs.
    """
    found = _Hits.of(index, wanted)
    total = len(found.numbers)
    if before is not None:
        end = found.place(before)
        start = max(end - size, 0)
    else:
        start = 0 if after is None else found.place(after, beyond=True)
        end = start + size
    if not start < min(end, total):  # the place lies beyond the end
        start, end = 0, size
    pairs = _pairs(index, found.numbers[start:end].tolist())
    return PairPage(
        pairs=pairs, total=total, all_pairs=_all(index), before=start,
        next=wanted.cursor_of(pairs[-1].row) if start + len(pairs) < total else None,
        previous=wanted.cursor_of(pairs[0].row) if start else None,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Hits:
    """The pairs that a filter leaves, in order: two numbers each, of which the index keeps those of the last filters.

    All pages of a filter, and the neighbours of its pairs, are found by one look at every pair.
    """

    keys: np.ndarray[Any, Any]
    numbers: np.ndarray[Any, Any]
    direction: int

    @classmethod
    def of(cls, index: KeptDatabase, wanted: PairFilter) -> _Hits:
        where, values = wanted.where()
        _, column, direction = SORTS[wanted.sort]
        order = f"{column} {'ASC' if direction > 0 else 'DESC'}, number"
        found = index.columns(
            f"SELECT {column} AS key, number FROM pairs WHERE {where} ORDER BY {order}", tuple(values)
        )
        return cls(found[0] * direction, found[1], direction)

    def place(self, at: Cursor, *, beyond: bool = False) -> int:
        """How many come before a place; with `beyond` also that which is at it."""
        first, last = (int(np.searchsorted(self.keys, at.value * self.direction, side)) for side in ("left", "right"))
        return first + int(np.searchsorted(self.numbers[first:last], at.number, "right" if beyond else "left"))


def _pairs(index: KeptDatabase, numbers: Sequence[int]) -> list[PairShown]:
    """Pairs by their numbers, in this order."""
    if not numbers:
        return []
    rows = index.rows(  # a join reads the texts of these rows alone, where `IN` reads those of all rows between them
        f"SELECT {_COLUMNS} FROM pairs SEMI JOIN (SELECT unnest(?::BIGINT[]) AS number) USING (number)", [list(numbers)]
    )
    by_number = {row["number"]: row for row in rows}
    return [PairShown.of(by_number[number]) for number in numbers]


def _all(index: KeptDatabase) -> int:
    (found,) = index.rows("SELECT count(*) AS pairs FROM pairs")
    return int(found["pairs"])


def pair_at(index: KeptDatabase, pair_id: str) -> PairShown:
    """A pair by its id.

    Args:
        index: of the run's pairs.
        pair_id: its id.

    Raises:
        DataError: the run has no such pair.
    """
    rows = index.rows(f"SELECT {_COLUMNS} FROM pairs WHERE pair_id = ?", [pair_id])
    if not rows:
        raise DataError(f"This run has no pair {brief(pair_id)}")
    return PairShown.of(rows[0])


def neighbours(index: KeptDatabase, wanted: PairFilter, pair: PairShown) -> tuple[str | None, str | None]:
    """Ids of the pairs before and after one, among those that a filter leaves; None where there is none.

    Args:
        index: of the run's pairs.
        wanted: the filter.
        pair: need not be among them.
    """
    found, at = _Hits.of(index, wanted), wanted.cursor_of(pair.row)
    before, after = found.place(at) - 1, found.place(at, beyond=True)
    ids = [_id(index, int(found.numbers[n])) if 0 <= n < len(found.numbers) else None for n in (before, after)]
    return ids[0], ids[1]


def _id(index: KeptDatabase, number: int) -> str:
    (found,) = index.rows("SELECT pair_id FROM pairs WHERE number = ?", [number])
    return str(found["pair_id"])


def facets_of(index: KeptDatabase) -> dict[str, list[tuple[str, int]]]:
    """Values of each facet with how many pairs have it, the most frequent first.

    Args:
        index: of the run's pairs.
    """
    found: dict[str, list[tuple[str, int]]] = {}
    for row in index.rows("SELECT facet, value, pairs FROM facets ORDER BY facet, pairs DESC, value"):
        found.setdefault(row["facet"], []).append((row["value"], row["pairs"]))
    return found
