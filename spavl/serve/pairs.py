"""Pages of pairs: those that a filter leaves, so many at a time, from any place of their order at the same speed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from spavl.errors import DataError
from spavl.pipeline.report_tables import may_harm
from spavl.rows import brief
from spavl.serve.filters import Cursor, PairFilter
from spavl.tables.kept import KeptDatabase

ON_A_PAGE: Final = 24
"""Pairs on a page."""
_COLUMNS = (
    "number, pair_id, query_id, image_id, image_sha256, class1, class2, class3, question_type, harmful, benign, heldout, "
    "question, chosen, rejected, chosen_source, rejected_source, chosen_outcome, rejected_outcome, chosen_safe, "
    "rejected_safe, chosen_severity, rejected_severity, picture_outcome, judges_for, judges_against, verdict_ab, "
    "verdict_ba, labelled, people, findings, finding_count, severity_gap, length_of_both, length_gap, "
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
    where, values = wanted.where()
    back = before is not None
    beyond, place = wanted.after(before if back else after, back=back)
    rows = index.rows(
        f"SELECT {_COLUMNS} FROM pairs WHERE {where} AND {beyond} ORDER BY {wanted.order(back=back)} LIMIT {size + 1}",
        [*values, *place],
    )
    more, rows = len(rows) > size, rows[:size]
    if back:
        rows.reverse()
    earlier, first = wanted.after(wanted.cursor_of(rows[0]), back=True) if rows else ("false", [])
    ((counted,), (everything,)) = (
        index.rows(f"SELECT count(*) AS total, count(*) FILTER ({earlier}) AS before FROM pairs WHERE {where}",
                   [*first, *values]),
        index.rows("SELECT count(*) AS pairs FROM pairs"),
    )  # fmt: skip
    is_last = counted["before"] + len(rows) >= counted["total"]
    return PairPage(
        pairs=[PairShown.of(row) for row in rows], total=counted["total"], all_pairs=everything["pairs"],
        before=counted["before"], next=None if is_last or not (more or back) else wanted.cursor_of(rows[-1]),
        previous=wanted.cursor_of(rows[0]) if rows and counted["before"] else None,
    )  # fmt: skip


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
    where, values = wanted.where()
    found = []
    for back in (True, False):
        beyond, place = wanted.after(wanted.cursor_of(pair.row), back=back)
        rows = index.rows(
            f"SELECT pair_id FROM pairs WHERE {where} AND {beyond} ORDER BY {wanted.order(back=back)} LIMIT 1",
            [*values, *place],
        )
        found.append(rows[0]["pair_id"] if rows else None)
    return found[0], found[1]


def facets_of(index: KeptDatabase) -> dict[str, list[tuple[str, int]]]:
    """Values of each facet with how many pairs have it, the most frequent first.

    Args:
        index: of the run's pairs.
    """
    found: dict[str, list[tuple[str, int]]] = {}
    for row in index.rows("SELECT facet, value, pairs FROM facets ORDER BY facet, pairs DESC, value"):
        found.setdefault(row["facet"], []).append((row["value"], row["pairs"]))
    return found
