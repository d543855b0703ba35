"""Which pairs or answers are reviewed: drawn by strata, the same for the same seed, each with its probability.

Rows lie in the order of their strata, inside a stratum by a hash of their ids, and are drawn at even steps along it
(systematic sampling): a stratum gets its expected number of draws, rounded up or down, and a row is drawn with exactly
the probability that is noted.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Literal

from spavl.errors import DataError
from spavl.statistics.allocation import bounds, equal, neyman, proportional
from spavl.tables.query import query

Order = Literal["proportional", "equal", "doubtful", "active"]
"""`proportional`: each stratum by its size. `equal`: equally many of each. `doubtful`: the most doubtful first, which
is no random sample. `active`: as narrows the interval most, given the labels so far."""
NOT_RANDOM = 0.0
"""Probability of what was not drawn at random: estimates of the whole refuse it."""
_STRATA = "SELECT stratum, count(*) FROM ({rows}) GROUP BY stratum ORDER BY stratum"
_DRAWN = """
WITH bounds AS (
    SELECT unnest(?::VARCHAR[]) AS stratum, unnest(?::DOUBLE[]) AS before, unnest(?::DOUBLE[]) AS share
), placed AS (
    SELECT key, stratum, row_number() OVER (PARTITION BY stratum ORDER BY md5('{seed}/' || key), key) AS place
    FROM ({rows})
)
SELECT key, stratum, share FROM placed JOIN bounds USING (stratum)
WHERE floor(before + place * share + ?) > floor(before + (place - 1) * share + ?)
ORDER BY md5('{seed}/order/' || key), key
"""
_DOUBTFUL = "SELECT key, stratum FROM ({rows}) ORDER BY doubt DESC, md5('{seed}/' || key), key LIMIT ?"


@dataclass(frozen=True, slots=True)
class Drawn:
    """A row that is reviewed."""

    key: str
    """Its id among the rows."""
    stratum: str
    """The stratum that it was drawn for."""
    probability: float
    """With what probability it was drawn; `NOT_RANDOM`: it was not drawn at random."""


def draw(
    rows: str, n: int, *, order: Order, seed: int, errors: Mapping[str, tuple[int, int]] | None = None, **tables: Path
) -> list[Drawn]:
    """The rows that are reviewed, in the order in which they are shown.

    Args:
        rows: query for `key`, `stratum` and `doubt` of all rows.
        n: how many are wanted; fewer where there are no more.
        order: how they are drawn.
        seed: of the draw.
        errors: for `active`: of each stratum the labels so far that say otherwise than the judge, and all labels.
        tables: Parquet files by the names that `rows` knows them by.

    Raises:
        DataError: there are no rows.
        RunError: a table cannot be read.
    """
    if order == "doubtful":
        found = query(_DOUBTFUL.format(rows=rows, seed=seed), [n], **tables)
        return [Drawn(key, stratum, NOT_RANDOM) for key, stratum in found]
    sizes: dict[str, int] = dict(query(_STRATA.format(rows=rows), None, **tables))
    if not sizes:
        raise DataError("There is nothing to draw from", try_="build pairs, or evaluate models, first")
    draws = dict(zip(sizes, _allocation(order, errors or {}, list(sizes))(list(sizes.values()), n), strict=True))
    limits = bounds(draws, sizes)
    columns = [list(column) for column in zip(*limits, strict=True)]
    start = _start(seed)
    drawn = query(_DRAWN.format(rows=rows, seed=seed), [*columns, start, start], **tables)
    return [Drawn(*row) for row in drawn]


def _allocation(
    order: Order, errors: Mapping[str, tuple[int, int]], strata: list[str]
) -> Callable[[list[int], int], list[float]]:
    if order == "active":
        return lambda sizes, n: neyman(sizes, n, [errors.get(name, (0, 0)) for name in strata])
    return equal if order == "equal" else proportional


def _start(seed: int) -> float:
    """A number from 0 to 1 that a seed decides, and that no sum of whole numbers comes near."""
    found = int.from_bytes(sha256(f"start/{seed}".encode()).digest()[:6], "big") / 2**48
    return math.nextafter(0.001 + 0.998 * found, 1)
