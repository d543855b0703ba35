"""Near-duplicates among all questions of a run: found by MinHash, checked exactly, in little memory.

Two questions are compared where they are of one subcategory and type. Their similarity is Jaccard's, of the words and
the pairs of neighbouring words that each has. Of two near-duplicates the later one is found; a question is compared
with those alone that are kept.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import replace
from hashlib import blake2b
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import final

import pyarrow as pa

import spavl
from spavl.records import Query
from spavl.similarity.texts import PERMUTATIONS, rows_of, shingles, similarity
from spavl.tables import read_footer, slices_of, write_batches
from spavl.tables.query import query

MOST_MISSED = 0.001
"""Largest probability to miss a pair just as similar as the threshold."""
MOST_CHECKED = 100
"""Most questions that one is compared with exactly: those that share the most bands with it."""
CACHE_KIB = 64_000
"""Memory of the bands; the rest of them is on disk."""
SCHEMA = pa.schema([("query_id", pa.string()), ("duplicate_of", pa.string())])
"""Columns of the table of near-duplicates."""
SLICE = 10_000
"""Rows of it that are written at once."""


def find_near_duplicates(queries: Path, *, threshold: float, out: Path) -> int:
    """Write the table of near-duplicates, unless it is there and made from these questions. Returns its rows.

    Args:
        queries: table of the questions of the whole run, in their order.
        threshold: similarity from which the later question is a near-duplicate, above 0 and at most 1.
        out: the table: `query_id`, and the id of the earlier question as `duplicate_of`.

    Raises:
        RunError: the table of questions cannot be read, or the other cannot be written.
    """
    content = (read_footer(queries) or {}).get("content")
    made_from = f"{spavl.__version__} {threshold} {content}"
    footer = read_footer(out) if out.exists() else None
    if footer and content and footer.get("made_from") == made_from:
        return int(footer["rows"])
    out.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory() as spill:
        bands = Bands(Path(spill) / "bands.sqlite", threshold)
        try:
            found = _batched(bands.add(q) for batch in slices_of(queries, Query) for q in batch)
            return write_batches(out, SCHEMA, found, footer=lambda: {"made_from": made_from})
        finally:
            bands.close()


def mark_near_duplicates(queries: Sequence[Query], duplicates: Path) -> list[Query]:
    """The questions, with those `skipped` that are near-duplicates; their text stays.

    Args:
        queries: some of the questions.
        duplicates: from `find_near_duplicates`.
    """
    sql = "SELECT query_id, duplicate_of FROM duplicates WHERE list_contains(?, query_id)"
    earlier = dict(query(sql, [[q.query_id for q in queries]], duplicates=duplicates))
    return [
        replace(q, query_status="skipped", query_detail=f"near-duplicate of {earlier[q.query_id]}")
        if q.query_id in earlier else q
        for q in queries
    ]  # fmt: skip


@final
class Bands:
    """The questions that are kept, by the bands of their MinHashes, on disk.

    Args:
        path: a new SQLite file.
        threshold: similarity from which a later question is a near-duplicate.
    """

    def __init__(self, path: Path, threshold: float) -> None:
        from datasketch import MinHash

        self._empty = MinHash(num_perm=PERMUTATIONS, seed=1)
        self._threshold = threshold
        self._rows = rows_of(threshold, MOST_MISSED)
        self._database = sqlite3.connect(path, isolation_level=None)
        for line in ("journal_mode=OFF", "synchronous=OFF", f"cache_size=-{CACHE_KIB}"):
            self._database.execute(f"PRAGMA {line}")
        self._database.execute("CREATE TABLE kept (number INTEGER PRIMARY KEY, query_id TEXT, question TEXT)")
        columns = "band INTEGER, kept INTEGER, PRIMARY KEY (band, kept)"
        self._database.execute(f"CREATE TABLE bands ({columns}) WITHOUT ROWID")
        self._database.execute("BEGIN")

    def add(self, asked: Query) -> tuple[str, str] | None:
        """Keep a question, or find it a near-duplicate: its id and that of the earlier one.

        Args:
            asked: the next question; one that was not written is passed over.
        """
        found = shingles(asked.question)
        if asked.query_status != "ok" or not found:
            return None
        bands = self._bands(f"{asked.image.topic.class3}\0{asked.question_type}", found)
        earlier = self._earlier(bands, asked.question)
        if earlier is not None:
            return asked.query_id, earlier
        added = self._database.execute(
            "INSERT INTO kept (query_id, question) VALUES (?, ?)", (asked.query_id, asked.question)
        )
        self._database.executemany("INSERT INTO bands VALUES (?, ?)", [(band, added.lastrowid) for band in bands])
        return None

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def _bands(self, group: str, found: set[str]) -> list[int]:
        minhash = self._empty.copy()
        minhash.update_batch([shingle.encode() for shingle in found])
        values = minhash.hashvalues
        starts = range(0, PERMUTATIONS - self._rows + 1, self._rows)
        texts = [f"{group}\0{start}\0".encode() + values[start : start + self._rows].tobytes() for start in starts]
        return [int.from_bytes(blake2b(text, digest_size=8).digest(), "big", signed=True) for text in texts]

    def _earlier(self, bands: list[int], question: str) -> str | None:
        """The id of the first kept question that is similar enough."""
        marks = ",".join("?" * len(bands))
        candidates = self._database.execute(
            "SELECT number, query_id, question FROM kept JOIN (SELECT kept, count(*) AS shared FROM bands WHERE band "
            f"IN ({marks}) GROUP BY kept ORDER BY shared DESC, kept LIMIT {MOST_CHECKED}) ON number = kept "
            "ORDER BY number",
            bands,
        )
        near = (row[1] for row in candidates if similarity(row[2], question) >= self._threshold)
        return next(near, None)


def _batched(found: Iterator[tuple[str, str] | None]) -> Iterator[pa.Table]:
    rows: list[tuple[str, str]] = []
    for one in found:
        if one is not None:
            rows.append(one)
        if len(rows) == SLICE:
            yield _table(rows)
            rows = []
    yield _table(rows)


def _table(rows: list[tuple[str, str]]) -> pa.Table:
    return pa.table({"query_id": [row[0] for row in rows], "duplicate_of": [row[1] for row in rows]}, schema=SCHEMA)
