"""Pages of pairs: those that a filter leaves, so many at a time, from any place of their order at the same speed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

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
    back = before is not None
    where, values = wanted.where()
    beyond, place = wanted.after(before if back else after, back=back)
    columns = ", ".join(dict.fromkeys(("number", SORTS[wanted.sort][1])))
    hits = index.rows(  # one look at every pair: the filter is the dear part
        f"WITH hits AS MATERIALIZED (SELECT {columns} FROM pairs WHERE {where}) "
        "SELECT number, total, count(*) OVER () AS ahead FROM hits, (SELECT count(*) AS total FROM hits) "
        f"WHERE {beyond} ORDER BY {wanted.order(back=back)} LIMIT {size}",
        [*values, *place],
    )
    if not hits and place:  # the place lies beyond the end
        return page_of(index, wanted, size=size)
    if not hits:
        return PairPage(pairs=[], total=0, all_pairs=_all(index), before=0, next=None, previous=None)
    total, ahead = hits[0]["total"], hits[0]["ahead"]
    pairs = _pairs(index, [row["number"] for row in (reversed(hits) if back else hits)])
    earlier = ahead - len(pairs) if back else total - ahead
    return PairPage(
        pairs=pairs, total=total, all_pairs=_all(index), before=earlier,
        next=wanted.cursor_of(pairs[-1].row) if earlier + len(pairs) < total else None,
        previous=wanted.cursor_of(pairs[0].row) if earlier else None,
    )  # fmt: skip


def _pairs(index: KeptDatabase, numbers: Sequence[int]) -> list[PairShown]:
    """Pairs by their numbers, in this order."""
    listed = ", ".join(map(str, numbers))
    rows = index.rows(  # by the bounds DuckDB passes over what lies outside of them
        f"SELECT {_COLUMNS} FROM pairs WHERE number BETWEEN {min(numbers)} AND {max(numbers)} AND number IN ({listed})"
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
