"""Shares of pairs with intervals that count pictures: pairs of one picture are right or wrong together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from spavl.statistics.intervals import Rate, clustered_rate_of
from spavl.tables.query import query

PICTURES = "coalesce(image_id, nullif(array_to_string(images, ' '), ''), context, 'row ' || number)"
"""SQL: names the pictures of a pair; of one without pictures its question."""
WHOLE = "malformed = ''"
"""SQL: the row is a pair."""
_COUNTED = """
SELECT '{place}' AS place, grp, items, hits, 0, count(*) FROM (
    SELECT grp, count(*) AS items, count(*) FILTER (hit) AS hits
    FROM (SELECT {by} AS grp, {pictures} AS cluster, ({of})::BOOLEAN AS hit FROM pairs WHERE {where})
    WHERE hit IS NOT NULL AND grp IS NOT NULL GROUP BY grp, cluster
) GROUP BY ALL
"""


@dataclass(frozen=True, slots=True)
class Counted:
    """A share that is wanted."""

    of: str
    """SQL of what is counted; None where a pair does not say."""
    by: str = "''"
    """SQL of the group; None where a pair is in none."""
    where: str = WHOLE
    """SQL of the rows that count."""


def rates_of(rows: Path, wanted: Sequence[Counted], *, level: float, **tables: Path) -> list[dict[str, Rate]]:
    """Of every share that is wanted the rates of its groups, in order of their names.

    Args:
        rows: the table of an opened dataset.
        wanted: the shares.
        level: confidence level.
        tables: other Parquet files that the shares speak of.
    """
    parts = [
        _COUNTED.format(place=place, by=one.by, of=one.of, pictures=PICTURES, where=one.where)
        for place, one in enumerate(wanted)
    ]  # fmt: skip
    found: list[dict[str, Rate]] = [{} for _ in wanted]
    rows_found = query(f"{' UNION ALL '.join(parts)} ORDER BY ALL", None, pairs=rows, **tables) if parts else ()
    for (place, grp), own in groupby(rows_found, key=lambda row: (row[0], row[1])):
        found[int(place)][grp] = clustered_rate_of([row[2:] for row in own], level=level)
    return found
