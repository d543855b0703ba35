"""The SQLite file of a review: its tables, how it is opened, and errors of SQLite as sentences."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from threading import RLock
from types import TracebackType
from typing import Any, Final, Literal, Self

from spavl.errors import DataError, RunError

MARK: Final = 0x73706C62
"""`application_id` of the file, by which it is known as ours."""
FORMAT: Final = 1
"""`user_version` of the file: the version of these tables."""
EVERYBODY: Final = 1_000_000
"""How many annotators an item is for that all are to label."""
PATIENCE: Final = 30.0
"""Seconds that one process waits for another that writes."""
TABLES = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE items (
    position INTEGER PRIMARY KEY,          -- order in which they are shown
    item_id TEXT NOT NULL UNIQUE,
    kind TEXT NOT NULL,
    stratum TEXT NOT NULL,
    class1 TEXT NOT NULL,                  -- subjects, by which annotators opt out
    class2 TEXT NOT NULL,
    class3 TEXT NOT NULL,
    wanted INTEGER NOT NULL,               -- annotators that it is for
    given INTEGER NOT NULL DEFAULT 0       -- annotators whose last label judges it
);
CREATE INDEX open_items ON items (position) WHERE given < wanted;
CREATE TABLE contents (position INTEGER PRIMARY KEY, payload TEXT NOT NULL);
CREATE TABLE labels (
    number INTEGER PRIMARY KEY AUTOINCREMENT,   -- order in which they were given; rows are never changed
    item_id TEXT NOT NULL,
    annotator TEXT NOT NULL,
    status TEXT NOT NULL,
    key TEXT,                                   -- made by who sends it: sent twice, it is written once
    payload TEXT NOT NULL,
    UNIQUE (annotator, key)
);
CREATE TABLE last_labels (                 -- of every annotator and item, from `labels`
    annotator TEXT NOT NULL,
    item_id TEXT NOT NULL,
    number INTEGER NOT NULL,
    status TEXT NOT NULL,
    PRIMARY KEY (annotator, item_id)
) WITHOUT ROWID;
CREATE INDEX last_numbers ON last_labels (annotator, number);
CREATE TABLE annotators (
    name TEXT PRIMARY KEY,
    token_hash TEXT NOT NULL DEFAULT '',
    created TEXT NOT NULL,
    start INTEGER NOT NULL DEFAULT 0       -- no item before this position is open to them
) WITHOUT ROWID;
CREATE TABLE opted_out (
    annotator TEXT NOT NULL, category TEXT NOT NULL, PRIMARY KEY (annotator, category)
) WITHOUT ROWID;
CREATE TABLE leases (
    item_id TEXT NOT NULL,
    annotator TEXT NOT NULL,
    until REAL NOT NULL,                   -- seconds since 1970
    PRIMARY KEY (item_id, annotator)
) WITHOUT ROWID;
CREATE INDEX leases_of ON leases (annotator);
"""
_NAMES = {"meta", "items", "contents", "labels", "last_labels", "annotators", "opted_out", "leases"}
AGAIN = "export the labels of a copy that is whole by `spavl labels export`, or draw the review anew"
"""What helps with a damaged file."""
_TROUBLES: Final = {
    "full": ("The labels cannot be written", "free space"),
    "locked": ("Another program writes to the review", "end it, or wait for it"),
    "readonly": ("The review can be read here and not written", "check the rights to its folder, or copy the review"),
    "unable to open": ("The review cannot be opened", "check the rights to its folder, or copy the review"),
}
"""What SQLite cannot do, by a word that it says: what that means for labels, and what helps."""
_OTHER: Final = ("The review cannot be used now", "free space, or end the other program that keeps the file")


@contextmanager
def errors_named(path: Path) -> Iterator[None]:
    """Turn what SQLite says into a sentence.

    Args:
        path: the database.

    Raises:
        RunError: the disk is full, or another process keeps the file.
        DataError: the file is damaged.
    """
    try:
        yield
    except sqlite3.OperationalError as error:
        what, try_ = next((known for word, known in _TROUBLES.items() if word in str(error)), _OTHER)
        raise RunError(f"{what}: {error}", where=str(path), try_=f"{try_}; nothing given before is lost") from error
    except sqlite3.DatabaseError as error:
        raise DataError(f"The database of this review is damaged: {error}", where=str(path), try_=AGAIN) from error


def connect(path: Path) -> sqlite3.Connection:
    """A connection that several threads may use in turn, to a file that is there.

    Args:
        path: the database.

    Raises:
        DataError: the file is missing, of another program or version, or damaged.
        RunError: it cannot be opened.
    """
    if not path.is_file():
        raise DataError("There is no review here", where=str(path), try_="`spavl review RUN --n 500` makes one")
    with errors_named(path):
        may_write = all(os.access(one, os.W_OK) for one in (path, path.parent))
        address = address_of(path, may_write=may_write)
        made = sqlite3.connect(address, uri=True, timeout=PATIENCE, isolation_level=None, check_same_thread=False)
        try:
            _check(made, path)
            if may_write:
                made.execute("PRAGMA journal_mode = WAL")
        except BaseException:
            made.close()
            raise
    return made


def address_of(path: Path, *, may_write: bool) -> str:
    """The file as SQLite opens it; where nothing can be written beside it, as one that nobody else changes either.

    Args:
        path: the file.
        may_write: whether it is opened to be written to.
    """
    log = path.with_name(f"{path.name}-wal")
    unchanged = not may_write and not (log.is_file() and log.stat().st_size)
    return path.resolve().as_uri() + ("" if may_write else "?immutable=1" if unchanged else "?mode=ro")


def _check(connection: sqlite3.Connection, path: Path) -> None:
    """Refuse what is no whole review of this version."""
    try:
        mark, version = (
            connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("application_id", "user_version")
        )
    except sqlite3.OperationalError:
        raise
    except sqlite3.DatabaseError as error:
        with path.open("rb") as file:
            is_database = file.read(15) == b"SQLite format 3"
        if is_database:
            raise DataError("The database of this review is damaged or cut off", where=str(path), try_=AGAIN) from error
        raise DataError("This file is no database", where=str(path),
                        try_="wanted is a `review.sqlite` that `spavl review` made") from error  # fmt: skip
    if mark != MARK:
        raise DataError("This database is of another program, and holds no review", where=str(path),
                        try_="wanted is a `review.sqlite` that `spavl review` made")  # fmt: skip
    if version != FORMAT:
        raise DataError(
            f"This review is of version {version} of its tables, and this spavl reads version {FORMAT}",
            where=str(path),
            try_="open it with the spavl that made it, and export its labels: `spavl labels export`",
        )  # fmt: skip
    there = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    is_whole = path.stat().st_size % connection.execute("PRAGMA page_size").fetchone()[0] == 0
    if found != "ok" or not is_whole or not there >= _NAMES:
        raise DataError("The database of this review is damaged", where=str(path), try_=AGAIN)


def lay_out(path: Path) -> None:
    """Make the empty tables of a review in a new file.

    Args:
        path: the file.
    """
    with closing(sqlite3.connect(path)) as made:
        made.executescript(TABLES)
        made.execute(f"PRAGMA application_id = {MARK}")
        made.execute(f"PRAGMA user_version = {FORMAT}")


class Database:
    """The file of a review that is open, used by several threads in turn; a context manager.

    Args:
        path: the database.

    Raises:
        DataError: it is missing, of another program or version, or damaged.
        RunError: it cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = RLock()
        self._db = connect(path)

    def close(self) -> None:
        """Close the file."""
        with self._lock, suppress(sqlite3.Error):
            self._db.close()

    def __enter__(self) -> Self:
        """The store itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the file."""
        self.close()

    @contextmanager
    def _writing(self, synchronous: Literal["FULL", "NORMAL"] = "FULL") -> Iterator[None]:
        """A transaction; after one that is FULL all that was written before is durable too."""
        with self._lock, errors_named(self.path):
            self._db.execute(f"PRAGMA synchronous = {synchronous}")
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:
                with suppress(sqlite3.Error):
                    self._db.execute("ROLLBACK")
                raise

    def _rows(self, sql: str, *values: Any, **named: Any) -> list[tuple[Any, ...]]:
        with self._lock, errors_named(self.path):
            return self._db.execute(sql, named or values).fetchall()

    def _row(self, sql: str, *values: Any) -> tuple[Any, ...] | None:
        return next(iter(self._rows(sql, *values)), None)

    def _one(self, sql: str, *values: Any, **named: Any) -> Any:
        return self._rows(sql, *values, **named)[0][0]
