"""Vectors of pictures on disk: appended to in batches, read through a memory map, tied to their encoder."""

from __future__ import annotations

import os
import sqlite3
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spavl.atomic import MAKE_ROOM
from spavl.errors import DataError, RunError
from spavl.locks import Lock

BLOCK_ROWS = 16_384
"""Rows that are compared with the queries at once: with 318 queries about 50 MB, whatever the table's length."""
BATCH_ROWS = 4096
"""Rows of SQLite that are held at once."""
_TABLES = """
CREATE TABLE IF NOT EXISTS about (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS rows (
    row INTEGER PRIMARY KEY, name BLOB NOT NULL, stamp TEXT NOT NULL, live INTEGER NOT NULL, UNIQUE (name, stamp));
CREATE INDEX IF NOT EXISTS hidden ON rows (row) WHERE NOT live;
CREATE TABLE IF NOT EXISTS refused (
    name BLOB, stamp TEXT, reason TEXT NOT NULL, PRIMARY KEY (name, stamp)) WITHOUT ROWID;
"""
_MISSING = (
    "NOT EXISTS (SELECT 1 FROM rows AS r WHERE r.name = p.name AND r.stamp = p.stamp) AND "
    "NOT EXISTS (SELECT 1 FROM refused AS r WHERE r.name = p.name AND r.stamp = p.stamp)"
)
_Found = tuple[NDArray[np.float32], NDArray[np.int64]]
"""Similarities and numbers of rows."""


class Entry(NamedTuple):
    """What a row is of."""

    name: str
    """Name, such as the path of a file."""
    stamp: str
    """Changes when what has that name may have changed."""


@dataclass(frozen=True, slots=True)
class Nearest:
    """The rows nearest to each of Q queries, nearest first."""

    rows: NDArray[np.int64]
    """[Q, k]: numbers of rows; -1 where fewer are similar enough."""
    similarities: NDArray[np.float32]
    """[Q, k]: products of row and query, -inf where there is no row."""


class VectorTable:
    """A table of vectors in a folder; a context manager that closes it.

    Vectors lie one after the other in a file that only grows. What each row is of, and with it the number of rows, is
    noted in SQLite after its vectors are on the disk: what a killed process wrote beyond that is written over.

    Args:
        folder: made if it is not there.
        encoder: identity of the encoder that makes the vectors.
        dtype: of a new table: `float16` halves its size, at an error of the similarities of about 0.0002.
        writes: open it for one writer; else it is only read, beside others.

    Raises:
        DataError: the table holds vectors of another encoder, or is to be read and is not there.
        RunError: another process writes into it, it is damaged, or the folder cannot be written.
    """

    def __init__(
        self, folder: Path, encoder: str, *, dtype: Literal["float16", "float32"] = "float16", writes: bool = True
    ) -> None:
        self.folder = folder
        self.writes = writes
        """Whether it is open for writing."""
        self._file = folder / "vectors.bin"
        database = folder / "rows.sqlite"
        self._lock: Lock | None = None
        if writes:
            _make(folder)
            self._lock = Lock(database, what="The vectors of pictures are being written by", where=str(folder),
                              try_="wait until it is done, and run again")  # fmt: skip
        elif not database.is_file():
            raise DataError("There are no vectors of pictures here", where=str(folder))
        try:
            mode = "rwc" if writes else "ro"
            address = f"{database.resolve().as_uri()}?mode={mode}"
            self._database = sqlite3.connect(address, uri=True, timeout=60, isolation_level=None)
            self._open(encoder, dtype, writes)
        except BaseException as error:
            self.close()
            if isinstance(error, sqlite3.DatabaseError):
                raise _damaged(folder, str(error)) from error
            raise

    def _open(self, encoder: str, dtype: str, writes: bool) -> None:
        if writes:
            self._database.executescript(_TABLES)
            self._database.executemany(
                "INSERT OR IGNORE INTO about VALUES (?, ?)",
                [("encoder", encoder), ("dtype", dtype), ("width", "0"), ("token", uuid.uuid4().hex[:8])],
            )
        about = dict(self._database.execute("SELECT key, value FROM about"))
        if about["encoder"] != encoder:
            raise DataError(
                f"These vectors are of another encoder ({about['encoder']}), and cannot be compared with those of "
                f"{encoder}",
                where=str(self.folder), try_="use that encoder, or another folder for the vectors",
            )  # fmt: skip
        self.token = about["token"]
        """Differs from that of every other table, and is part of the names of files that are made from this one."""
        self.dtype = np.dtype(about["dtype"])
        """Number format of the vectors."""
        self.width = int(about["width"])
        """Numbers in a vector; 0 while there are none."""
        self._length = self._counted()
        size = self._file.stat().st_size if self._file.exists() else 0
        if size < self._length * self._row_bytes:
            raise _damaged(self.folder, "vectors are missing")

    # ---- writing

    def append(self, entries: Sequence[Entry], vectors: NDArray[Any]) -> None:
        """Add rows; when it returns they are on the disk.

        Args:
            entries: what the rows are of; each is new.
            vectors: [entries, width].

        Raises:
            DataError: their width is not that of the table.
            RunError: the disk is full.
        """
        if not entries:
            return
        if vectors.shape != (len(entries), self.width or vectors.shape[-1]):
            raise DataError(
                f"Vectors of {vectors.shape[-1]} numbers in a table of {self.width}", where=str(self.folder)
            )
        self.width = vectors.shape[-1]
        try:
            with self._file.open("r+b" if self._file.exists() else "x+b") as file:
                file.seek(self._length * self._row_bytes)
                file.truncate()
                file.write(np.ascontiguousarray(vectors, dtype=self.dtype).data)
                file.flush()
                os.fsync(file.fileno())
            self._note(entries)
        except (OSError, sqlite3.OperationalError) as error:
            raise RunError(f"Vectors cannot be written: {error}", where=str(self.folder), try_=MAKE_ROOM) from error
        self._length += len(entries)

    def _note(self, entries: Sequence[Entry]) -> None:
        rows = [(self._length + n, os.fsencode(one.name), one.stamp) for n, one in enumerate(entries)]
        with self._database:
            self._database.execute("BEGIN")
            self._database.execute("UPDATE about SET value = ? WHERE key = 'width'", (str(self.width),))
            self._database.executemany("INSERT INTO rows VALUES (?, ?, ?, 1)", rows)

    def refuse(self, entry: Entry, reason: str) -> None:
        """Note that there is no vector of something, so that it is not tried again until it changes.

        Args:
            entry: what there is no vector of.
            reason: why.
        """
        found = (os.fsencode(entry.name), entry.stamp, reason)
        self._database.execute("INSERT OR REPLACE INTO refused VALUES (?, ?, ?)", found)

    def keep_only(self, present: Iterable[Entry]) -> None:
        """Hide the rows of what is gone or has changed; nothing is deleted: what comes back is shown again.

        Args:
            present: all that there is, names only once.
        """
        database = self._database
        database.execute("CREATE TEMP TABLE IF NOT EXISTS present (number INTEGER PRIMARY KEY, name BLOB, stamp TEXT, "
                         "UNIQUE (name, stamp))")  # fmt: skip
        with database:
            database.execute("BEGIN")
            database.execute("DELETE FROM present")
            database.executemany(
                "INSERT OR IGNORE INTO present (name, stamp) VALUES (?, ?)",
                ((os.fsencode(name), stamp) for name, stamp in present),
            )
            there = "EXISTS (SELECT 1 FROM present AS p WHERE p.name = rows.name AND p.stamp = rows.stamp)"
            database.execute(f"UPDATE rows SET live = {there} WHERE live != {there}")

    def missing_count(self) -> int:
        """How many `missing` gives."""
        return int(self._database.execute(f"SELECT COUNT(*) FROM present AS p WHERE {_MISSING}").fetchone()[0])

    def missing(self, most: int = BATCH_ROWS) -> Iterator[list[Entry]]:
        """What `keep_only` was given and has neither a row nor a reason not to have one, in batches.

        Args:
            most: entries in a batch. Each batch may be appended before the next one is asked for.
        """
        last = 0
        while found := self._database.execute(
            f"SELECT number, name, stamp FROM present AS p WHERE number > ? AND {_MISSING} ORDER BY number LIMIT ?",
            (last, most),
        ).fetchall():
            last = found[-1][0]
            yield [Entry(os.fsdecode(name), stamp) for _, name, stamp in found]

    def refused(self) -> Iterator[tuple[Entry, str]]:
        """What `keep_only` was given and `refuse` noted, with the reason of each."""
        with closing(self._database.execute(
            "SELECT name, stamp, reason FROM refused WHERE EXISTS (SELECT 1 FROM present AS p "
            "WHERE p.name = refused.name AND p.stamp = refused.stamp) ORDER BY name"
        )) as found:  # fmt: skip
            yield from ((Entry(os.fsdecode(name), stamp), reason) for name, stamp, reason in found)

    # ---- reading

    def __len__(self) -> int:
        return self._length

    @property
    def hidden(self) -> int:
        """Number of rows that are of what is gone or has changed."""
        return int(self._database.execute("SELECT COUNT(*) FROM rows WHERE NOT live").fetchone()[0])

    def hidden_rows(self, start: int, stop: int) -> NDArray[np.int64]:
        """Numbers of the hidden rows of a stretch of the table.

        Args:
            start: its first row.
            stop: the row after its last.
        """
        found = self._database.execute(
            "SELECT row FROM rows WHERE NOT live AND row >= ? AND row < ? ORDER BY row", (start, stop)
        )
        return np.fromiter((row for (row,) in found), np.int64)

    def vectors(self) -> NDArray[Any]:
        """All vectors, [rows, width], mapped from the file and read when touched; also those of hidden rows."""
        if not self._length:
            return np.zeros((0, self.width), self.dtype)
        return np.memmap(self._file, dtype=self.dtype, mode="r", shape=(self._length, self.width))

    def entries(self, rows: Sequence[int]) -> list[Entry]:
        """What rows are of.

        Args:
            rows: their numbers.
        """
        numbers, found = iter(rows), []
        while batch := list(islice(numbers, BATCH_ROWS)):
            marks = ", ".join("?" * len(batch))
            lines = self._database.execute(f"SELECT row, name, stamp FROM rows WHERE row IN ({marks})", batch)
            by_row = {row: Entry(os.fsdecode(name), stamp) for row, name, stamp in lines}
            found += [by_row[row] for row in batch]
        return found

    def nearest(self, queries: NDArray[np.float32], k: int, *, threshold: float = -1.0) -> Nearest:
        """The rows most similar to each query, found exactly: block by block, the best so far kept for each query.

        Of equally similar rows the one with the smaller number is taken.

        Args:
            queries: [Q, width], of length one.
            k: most rows for a query.
            threshold: least similarity.
        """
        best, vectors = _Best(queries, k, threshold), self.vectors()
        for start in range(0, self._length, BLOCK_ROWS):
            block = vectors[start : start + BLOCK_ROWS]
            best.improve(block, start, self.hidden_rows(start, start + len(block)))
        return self.measured(queries, best.rows())

    def measured(self, queries: NDArray[np.float32], rows: NDArray[np.int64]) -> Nearest:
        """Rows with their similarities, nearest first, computed alike however the rows were found.

        Args:
            queries: [Q, width].
            rows: [Q, k], -1 where there is none.
        """
        vectors, found = self.vectors(), np.full(rows.shape, -np.inf, np.float32)
        for query, (vector, own) in enumerate(zip(queries, rows, strict=True)):
            there = own >= 0
            found[query, there] = np.einsum("kd,d->k", np.asarray(vectors[own[there]], np.float32), vector)
        order = np.lexsort((rows, -found), axis=1)
        return Nearest(np.take_along_axis(rows, order, 1), np.take_along_axis(found, order, 1))

    # ---- opening and closing

    @property
    def _row_bytes(self) -> int:
        return self.width * int(self.dtype.itemsize)

    def _counted(self) -> int:
        return int(self._database.execute("SELECT COALESCE(MAX(row) + 1, 0) FROM rows").fetchone()[0])

    def close(self) -> None:
        """Close it, and let others write. Harmless when called again."""
        if "_database" in vars(self):
            self._database.close()
        if self._lock is not None:
            self._lock.release()

    def __enter__(self) -> VectorTable:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _Best:
    """The k rows most similar to each of Q queries so far."""

    def __init__(self, queries: NDArray[np.float32], k: int, threshold: float) -> None:
        self._queries = queries
        self._k = k
        self._found: list[_Found] = [(np.zeros(0, np.float32), np.zeros(0, np.int64)) for _ in queries]
        below = np.nextafter(np.float32(threshold), np.float32(-np.inf))
        self._exceed = np.full(len(queries), below, np.float32)  # what a row's similarity has to

    def improve(self, block: NDArray[Any], start: int, hidden: NDArray[np.int64]) -> None:
        """Put better rows of a block in their places; all that this needs is freed before the next block."""
        products = self._queries @ np.asarray(block, dtype=np.float32).T
        products[:, hidden - start] = -np.inf
        better = products > self._exceed[:, None]
        for query in np.flatnonzero(better.any(axis=1)):
            rows = np.flatnonzero(better[query])
            self._merge(int(query), products[query, rows], rows + start)

    def _merge(self, query: int, products: NDArray[np.float32], rows: NDArray[np.int64]) -> None:
        """Best first; of equal ones the smaller row."""
        k, (earlier, own) = self._k, self._found[query]
        if len(products) > k:  # only those can stay that are no worse than the k-th of them
            able = products >= products[np.argpartition(products, -k)[-k]]
            products, rows = products[able], rows[able]
        products, rows = np.concatenate((earlier, products)), np.concatenate((own, rows))
        order = np.lexsort((rows, -products))[:k]
        self._found[query] = products[order], rows[order]
        if len(order) == k:
            self._exceed[query] = products[order[-1]]

    def rows(self) -> NDArray[np.int64]:
        """[Q, k], best first, -1 where there are fewer."""
        out = np.full((len(self._queries), self._k), -1, np.int64)
        for query, (_, rows) in enumerate(self._found):
            out[query, : len(rows)] = rows
        return out


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"The folder of the vectors cannot be made: {error.strerror}", where=str(folder)) from error


def _damaged(folder: Path, why: str) -> RunError:
    return RunError(f"The vectors of pictures are damaged: {why}", where=str(folder),
                    try_="delete this folder; the pictures are then encoded anew")  # fmt: skip
