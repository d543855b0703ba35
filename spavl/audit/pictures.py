"""Pictures of a dataset that show the same: other bytes, but nearly equal PDQ hashes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from spavl.audit.finding import Finding
from spavl.progress import Progress
from spavl.similarity.hamming import HashIndex, bits_of
from spavl.similarity.pdq import LEAST_QUALITY, NEAR
from spavl.statistics.intervals import LEVEL, rate_of
from spavl.tables.query import query

KIND = "duplicate_pictures"
LIMIT = 0.01
"""From which share of the pictures on it is a fault."""
REPORTED = 1000
"""Pictures after which the bar moves."""
Row = tuple[int, str, str, str, float]
"""A row of the table of findings."""


def duplicate_pictures(
    rows: Path, hashes: Path, progress: Progress, *, level: float = LEVEL
) -> tuple[Finding, list[Row]]:
    """The share of pictures that show what an earlier one shows, and the pairs that are about such a picture.

    Args:
        rows: the table of an opened dataset.
        hashes: of its pictures; a hash that holds too little is compared with no other.
        progress: shows a bar.
        level: confidence level.
    """
    (total,) = query("SELECT count(*) FROM hashes", hashes=hashes)[0]
    with progress.bar("Comparing pictures") as on_progress:
        earlier: dict[str, tuple[str, int]] = {}
        for done, (key, other, bits) in enumerate(_compared(hashes), start=1):
            if other:
                earlier[key] = (other, bits)
            if done % REPORTED == 0 or done == total:
                on_progress(done, total)
    rate = rate_of(len(earlier), total, level=level)
    fault = rate.low > LIMIT
    sql = "SELECT number, pair_id, images FROM pairs WHERE malformed = '' AND list_has_any(images, ?) ORDER BY number"
    found = [
        (number, pair_id, KIND, f"as picture {earlier[key][0][:12]}", 1 - earlier[key][1] / 256)
        for number, pair_id, images in (query(sql, [list(earlier)], pairs=rows) if earlier else ())
        for key in images[:1] if key in earlier
    ]  # fmt: skip
    finding = Finding(
        kind=KIND, weight="fault" if fault else "note", rate=rate, limit=LIMIT, pairs=len(found),
        what=f"{100 * (rate.value or 0):.1f} % of pictures show what another shows ({len(earlier):,} of {total:,}).",
        try_="clean with `--drop duplicate_pictures`, or build with `build.collect.near_duplicates`" if fault else "",
    )  # fmt: skip
    return finding, found


def _compared(hashes: Path) -> Iterator[tuple[str, str, int]]:
    """Every picture with the earlier one that it is near, or an empty text, and the bits by which they differ."""
    known: list[tuple[str, str]] = []
    with closing(HashIndex(NEAR)) as index:
        for key, pdq, quality in query("SELECT key, pdq, quality FROM hashes", hashes=hashes):
            if pdq is None or quality < LEAST_QUALITY:
                yield key, "", 0
                continue
            bands = bits_of(pdq)
            if near := index.near(bands):
                other, bits = known[near[0]]
                yield key, other, (int(pdq, 16) ^ int(bits, 16)).bit_count()
                continue
            index.add(bands)
            known.append((key, pdq))
            yield key, "", 0
