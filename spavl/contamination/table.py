"""The table of what a dataset shares with others: one row for each pair of the dataset and each item that it shares."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import astuple, dataclass
from itertools import islice
from pathlib import Path
from typing import Final

import pyarrow as pa

from spavl.tables.query import query

SCHEMA: Final = pa.schema(
    [("number", pa.int64()), ("pair_id", pa.string()), ("against", pa.string()), ("item", pa.string()),
     ("kind", pa.string()), ("similarity", pa.float64()), ("items", pa.int64())]
)  # fmt: skip
"""Columns: those of `Shared`."""
KINDS: Final = ("exact", "near", "picture_same", "picture_near", "picture_cropped")
"""What may be shared: the text but for case and punctuation, most of the text, a picture's bytes, nearly the same
picture, or a picture of which one is a part of the other."""
MOST: Final = 20
"""Most items that are named for one text or picture of a dataset: the most similar ones."""
SLICE: Final = 10_000
"""Rows that are written at once."""


@dataclass(frozen=True, slots=True)
class Shared:
    """Something that a pair shares with an item."""

    number: int
    """Place of the pair in the dataset, from 0."""
    pair_id: str
    """Its id."""
    against: str
    """Name of what it was compared with."""
    item: str
    """The item, the first of those that have this very text or picture."""
    kind: str
    """One of `KINDS`."""
    similarity: float
    """From 0 to 1: Jaccard's of texts, the share of equal bits of two hashes, or of the variation of equal pixels."""
    items: int
    """Items that have this very text or picture."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """What a dataset shares with one other."""

    against: str
    """Its name."""
    items: int
    """Its items."""
    pairs: int
    """Pairs of the dataset that share something with it."""
    pairs_by_kind: dict[str, int]
    """Pairs by what they share."""
    pairs_both: int
    """Pairs that share text and picture with one and the same item."""
    items_shared: int
    """Items that a pair shares its text with, or those that it shares a picture with: whichever are more, so that no
    item counts twice; there may be others. Of those with one text or picture all count that have exactly it."""
    unread: int
    """Pictures of it that cannot be read."""
    licence: str = ""
    """Its licence as published; empty: not known."""
    note: str = ""
    """What its licence says of training; empty: nothing."""


def tables_of(found: Iterable[Shared]) -> Iterator[pa.Table]:
    """The rows as tables, for `spavl.tables.write_batches`.

    Args:
        found: what is shared.
    """
    left = iter(found)
    while some := list(islice(left, SLICE)):
        yield pa.table([list(column) for column in zip(*map(astuple, some), strict=True)], schema=SCHEMA)


def counted(table: Path, against: str) -> dict[str, int]:
    """Pairs that share something with one other: by kind, as `pairs`, as `both`, and its items as `items`.

    Args:
        table: of what is shared.
        against: name of the other.
    """
    rows = query("SELECT kind, count(DISTINCT number) FROM shared WHERE against = ? GROUP BY kind", [against],
                 shared=table)  # fmt: skip
    ((pairs,),) = query("SELECT count(DISTINCT number) FROM shared WHERE against = ?", [against], shared=table)
    is_text = "kind IN ('exact', 'near')"
    ((both,),) = query(
        "SELECT count(DISTINCT number) FROM (SELECT number FROM shared WHERE against = ? GROUP BY number, item "
        f"HAVING bool_or({is_text}) AND bool_or(NOT ({is_text})))", [against], shared=table,
    )  # fmt: skip
    ((items,),) = query(
        "SELECT coalesce(max(total), 0)::BIGINT FROM (SELECT sum(most) AS total FROM (SELECT max(items) AS most, "
        f"{is_text} AS by_text FROM shared WHERE against = ? GROUP BY item, by_text) GROUP BY by_text)", [against],
        shared=table,
    )  # fmt: skip
    return {**dict(rows), "pairs": pairs, "both": both, "items": items}


def flagged(table: Path, kinds: Sequence[str] = KINDS) -> list[int]:
    """Numbers of the pairs that share something of some kinds with any other, in order.

    Args:
        table: of what is shared.
        kinds: some of `KINDS`.
    """
    found = "SELECT DISTINCT number FROM shared WHERE list_contains(?, kind) ORDER BY number"
    return [number for (number,) in query(found, [list(kinds)], shared=table)]
