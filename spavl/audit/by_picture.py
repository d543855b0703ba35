"""Shares of pairs with intervals that count pictures: pairs of one picture are right or wrong together."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path
from typing import Any

from spavl.statistics.intervals import Rate, clustered_rate_of
from spavl.tables.query import query

PICTURES = "coalesce(image_id, nullif(array_to_string(images, ' '), ''), context, 'row ' || number)"
"""SQL: names the pictures of a pair; of one without pictures its question."""
WHOLE = "malformed = ''"
"""SQL: the row is a pair."""
_COUNTED = """
SELECT grp, items, hits, 0, count(*) FROM (
    SELECT grp, count(*) AS items, count(*) FILTER (hit) AS hits
    FROM (SELECT {by} AS grp, {pictures} AS cluster, ({of})::BOOLEAN AS hit FROM pairs WHERE {where})
    WHERE hit IS NOT NULL AND grp IS NOT NULL GROUP BY grp, cluster
) GROUP BY ALL ORDER BY ALL
"""


def rates_by(
    rows: Path, of: str, by: str, *, level: float, where: str = WHOLE, **tables: Path
) -> dict[Any, Rate]:
    """A share of every group, in order of their names.

    Args:
        rows: the table of an opened dataset.
        of: SQL of what is counted; None where a pair does not say.
        by: SQL of the group; None where a pair is in none.
        level: confidence level.
        where: SQL of the rows that count.
        tables: other Parquet files that `of` speaks of.
    """
    sql = _COUNTED.format(by=by, of=of, pictures=PICTURES, where=where)
    counted = groupby(query(sql, None, pairs=rows, **tables), key=lambda row: row[0])
    return {grp: clustered_rate_of([row[1:] for row in own], level=level) for grp, own in counted}


def rate_by(rows: Path, of: str, *, level: float, where: str = WHOLE, **tables: Path) -> Rate | None:
    """A share of the whole dataset; None where no pair says.

    Args:
        rows: the table of an opened dataset.
        of: SQL of what is counted; None where a pair does not say.
        level: confidence level.
        where: SQL of the rows that count.
        tables: other Parquet files that `of` speaks of.
    """
    return rates_by(rows, of, "''", level=level, where=where, **tables).get("")
