"""Pictures of a dataset that show the same: other bytes, but nearly equal PDQ hashes."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from spavl.audit.finding import Finding, percent
from spavl.audit.suspects import write_kind
from spavl.config import AuditSettings
from spavl.progress import Progress
from spavl.similarity.hamming import HashIndex, bits_of
from spavl.similarity.pdq import LEAST_QUALITY, NEAR
from spavl.statistics.intervals import rate_of
from spavl.tables import write_batches
from spavl.tables.query import query

KIND = "duplicate_pictures"
TOGETHER = 1000
"""Pictures that are read at once, and after which the bar moves."""
_NEAR_SCHEMA = pa.schema([("place", pa.int64()), ("earlier", pa.int64()), ("bits", pa.int64())])
_PAIRS = """
WITH placed AS (SELECT key, row_number() OVER () - 1 AS place FROM hashes),
keys AS (
    SELECT one.key, other.key AS first, bits FROM near JOIN placed one USING (place)
    JOIN placed other ON other.place = near.earlier
)
SELECT number, pair_id, 'as picture ' || left(first, 12), 1 - bits / 256 FROM pairs JOIN keys ON pairs.images[1] = key
WHERE malformed = ''
"""


def duplicate_pictures(
    rows: Path, hashes: Path, path: Path, progress: Progress, settings: AuditSettings
) -> Finding | None:
    """The share of pictures that show what an earlier one shows; None where no pair shows a picture.

    Args:
        rows: the table of an opened dataset.
        hashes: of its pictures; a hash that holds too little is compared with no other.
        path: table of the pairs that are about such a picture, which is written.
        progress: shows a bar.
        settings: of the audit.
    """
    with pq.ParquetFile(hashes) as file:
        total = file.metadata.num_rows
    near = path.with_name("near_pictures.parquet")
    with progress.bar("Comparing pictures") as on_progress:
        done = 0

        def tables() -> Iterator[pa.Table]:
            nonlocal done
            for some, read in _compared(hashes):
                done += read
                on_progress(done, total)
                yield pa.table(
                    [list(column) for column in zip(*some, strict=True)] or [[], [], []], schema=_NEAR_SCHEMA
                )

        alike = write_batches(near, _NEAR_SCHEMA, tables())
    write_kind(KIND, _PAIRS, path, pairs=rows, hashes=hashes, near=near)
    if not total:
        return None
    rate = rate_of(alike, total, level=settings.level)
    (pairs,) = query("SELECT count(*) FROM found", found=path)[0]
    return Finding(
        kind=KIND, rate=rate, limit=settings.limits.duplicate_pictures, pairs=pairs,
        what=f"{percent(rate)} of pictures show what another shows ({alike:,} of {total:,}).",
        try_="clean with `--drop duplicate_pictures`, or raise `build.collect.filters.near_duplicate_distance`",
    )  # fmt: skip


def _compared(hashes: Path) -> Iterator[tuple[list[tuple[int, int, int]], int]]:
    """Of every thousand pictures those near an earlier one: (place, place of that, bits), and how many were read."""
    known = array("q")
    with closing(HashIndex(NEAR)) as index, pq.ParquetFile(hashes) as file:
        start = 0
        for batch in file.iter_batches(TOGETHER, columns=["pdq", "quality"], use_threads=False):
            found = []
            for place, (pdq, quality) in enumerate(zip(*(c.to_pylist() for c in batch.columns), strict=True), start):
                if pdq is None or quality < LEAST_QUALITY:
                    continue
                bands = bits_of(pdq)
                if near := index.near(bands):
                    found.append((place, known[near[0]], index.distance(near[0], bands)))
                else:
                    index.add(bands)
                    known.append(place)
            start += batch.num_rows
            yield found, batch.num_rows
