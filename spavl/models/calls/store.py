"""The call store: every answer that was ever paid for, kept once, found by its key. The only state that costs money.

SQLite in WAL mode. One thread writes, in groups of some 32 rows or 50 ms, each group one durable transaction; no call
is made while 64 rows wait, so that is what a `kill -9` can lose, beside what is in flight. One process at a time may
write (see `lock`); any number may read with `replay=True`. A success is never overwritten; a failure may be, by a later
attempt.
"""

from __future__ import annotations

import json
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from operator import attrgetter
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from spavl.errors import RunError
from spavl.models.base import Reply
from spavl.models.calls.lock import Lock, refuse_network_disk
from spavl.models.calls.writer import Writer
from spavl.records import TRIED_AGAIN

FORMAT = 2
"""Version of the table below, kept in the file's `user_version`."""

ENGINE_VERSION = "1"
"""Version of the code that made a row; raised when calls are made differently."""

# fmt: off
STORED = (
    "text", "status", "finish_reason", "prompt_tokens", "completion_tokens", "cost", "latency", "attempts",
    "fingerprint", "detail", "thought",
)
# fmt: on
"""Fields of a Reply that a row keeps: all but its key, in their order."""

TABLE = """
CREATE TABLE IF NOT EXISTS calls (
    id INTEGER PRIMARY KEY,             -- order of writing, which is about the order of looking up
    key TEXT NOT NULL UNIQUE,           -- hash of `request`
    text TEXT NOT NULL,                 -- the answer, without the thought
    status TEXT NOT NULL,               -- ok, refused, filtered, truncated, failed
    finish_reason TEXT NOT NULL,
    prompt_tokens INTEGER NOT NULL,
    completion_tokens INTEGER NOT NULL,
    cost REAL NOT NULL,                 -- in the currency of the model's prices
    latency REAL NOT NULL,              -- seconds
    attempts INTEGER NOT NULL,
    fingerprint TEXT NOT NULL,          -- what the provider calls its build
    detail TEXT NOT NULL,               -- why it failed
    thought TEXT NOT NULL,              -- the model's reasoning before its answer
    request TEXT NOT NULL,              -- canonical request, JSON; holds the model's identity
    time REAL NOT NULL,                 -- seconds since 1970 when the reply came
    engine TEXT NOT NULL                -- version of the code that made the call
)
"""

COLUMNS = ("key", *STORED, "request", "time", "engine")
"""Columns in the order of the insert statement."""

ON_CONFLICT = f"""
ON CONFLICT (key) DO UPDATE SET {", ".join(f"{name} = excluded.{name}" for name in COLUMNS if name != "key")}
WHERE calls.status IN ('failed', 'empty')
"""
"""A failure may be replaced, a success never."""

MERGE = f"""
INSERT INTO calls ({", ".join(COLUMNS)}) SELECT {", ".join(COLUMNS)} FROM segment.calls WHERE true ORDER BY id
{ON_CONFLICT}
"""

SELECT = f"SELECT {', '.join(STORED)}, key FROM calls WHERE key IN (SELECT value FROM json_each(?))"

ANSWER_OF = """
SELECT 1 FROM (SELECT status, request FROM calls ORDER BY id DESC LIMIT 20000)
WHERE status NOT IN ('failed', 'empty') AND instr(request, ?) LIMIT 1
"""

KEYS_AT_ONCE = 10_000
"""Most keys in one look-up; bounds the memory that SQLite needs for their list."""


@cache
def insert_statement(rows: int) -> str:
    """The statement that writes rows, given the values of `COLUMNS` for one after the other.

    Args:
        rows: how many.
    """
    row = f"({', '.join('?' * len(COLUMNS))})"
    return f"INSERT INTO calls ({', '.join(COLUMNS)}) VALUES {', '.join([row] * rows)} {ON_CONFLICT}"


class CallStore:
    """Answers of models, by the keys of the calls. A context manager; otherwise call `close`. Threads may share it.

    Args:
        path: the SQLite file; it and its folder are made if need be.
        replay: open for reading only: nothing is locked, nothing is written, and `complete` makes no call.
        also_read: further stores, in which answers are looked up that are not in this one, and never written.

    Raises:
        RunError: the disk is a network file system, another process writes into the store, there is no store to
            replay or to read beside it, a file is no call store, or it has another format version.
    """

    def __init__(self, path: Path | str, *, replay: bool = False, also_read: Sequence[Path | str] = ()) -> None:
        self.path = Path(path)
        self.replay = replay
        self.hits = 0
        """Stored successes returned so far."""
        self.calls = 0
        """Replies put in so far."""
        self.cost = 0.0
        """Cost of the replies put in so far, in the currency of the models' prices."""
        self._reading = threading.Lock()
        self._counting = threading.Lock()
        self._lock: Lock | None = None
        self._writer: Writer | None = None
        self._readers: list[sqlite3.Connection] = []
        if not replay:
            refuse_network_disk(self.path)
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._lock = Lock(self.path)
        try:
            if not replay:
                self._writer = Writer(_open_to_write(self.path), insert_statement, self.path)
            for file in (self.path, *map(Path, also_read)):
                self._readers.append(_open_to_read(file))
        except RunError:
            self.close()
            raise

    def get_many(self, keys: Sequence[str]) -> dict[str, Reply]:
        """The stored replies by key, failures included. Successes are counted in `hits`; a million take some 6 s.

        Args:
            keys: keys of calls; those that are not stored are left out of the result.
        """
        found = self._look_up(keys)
        hits = sum([reply.status not in TRIED_AGAIN for reply in found.values()])
        with self._counting:
            self.hits += hits
        return found

    def known(self, keys: Sequence[str]) -> set[str]:
        """The keys that need no call, because a success is stored. Counts nothing as a hit: for estimates.

        Args:
            keys: keys of calls.
        """
        return {key for key, reply in self._look_up(keys).items() if reply.status not in TRIED_AGAIN}

    def put(self, key: str, reply: Reply, request: str) -> None:
        """Queue a reply to be written; returns at once, before it is on disk.

        Whoever puts many calls `wait_for_room` or `when_room` in between: what is queued is lost if the process dies.

        Args:
            key: key of the call.
            reply: what came back; replaces a stored failure, never a stored success.
            request: canonical request, the JSON that `key` is the hash of.

        Raises:
            RunError: the store is open for replay, or an earlier row could not be written (full disk).
        """
        if self._writer is None:
            raise RunError("A call store opened for replay takes no new answers.", where=str(self.path))
        if reply.key != key:
            reply = replace(reply, key=key)
        self._writer.put(reply, (key, *_columns(reply), request, time.time(), ENGINE_VERSION))
        with self._counting:
            self.calls += 1
            self.cost += reply.cost

    def has_answer_of(self, identity: str) -> bool:
        """Whether a model's answer is among the newest rows; looks at some thousands and not at all.

        Args:
            identity: the model's.
        """
        self.flush()
        for reader in self._readers:
            with self._reading, _user_errors(self.path):
                if reader.execute(ANSWER_OF, (json.dumps(identity),)).fetchone():
                    return True
        return False

    @property
    def has_room(self) -> bool:
        """Whether the queue of replies to be written is not full."""
        return self._writer is None or self._writer.has_room

    def wait_for_room(self) -> None:
        """Wait until the queue is not full."""
        if self._writer is not None:
            self._writer.wait_for_room()

    def when_room(self, then: Callable[[], object]) -> None:
        """Call a function once the queue is not full: at once, or later on the thread that writes.

        Args:
            then: what to call; must return quickly.
        """
        if self._writer is None:
            then()
        else:
            self._writer.when_room(then)

    def merge(self, segment: Path | str) -> None:
        """Take in all rows of another store, which no process writes into; it is left as it is.

        Rows are taken as `put` takes them: no success is replaced, and merging again changes nothing.

        Args:
            segment: the other store.

        Raises:
            RunError: this store is open for replay, another process writes into the segment, it is no call store or
                has another format version, or the rows could not be written.
        """
        if self._writer is None:
            raise RunError("A call store opened for replay takes no new answers.", where=str(self.path))
        path = Path(segment)
        _open_to_read(path).close()
        lock = Lock(path)
        try:
            with _user_errors(path):
                self._writer.run(lambda connection: _merge(connection, path))
        finally:
            lock.release()

    def request(self, key: str) -> dict[str, object] | None:
        """The canonical request of a call, or None if the call is not stored.

        Args:
            key: key of the call.
        """
        self.flush()
        for reader in self._readers:
            with self._reading, _user_errors(self.path):
                row = reader.execute("SELECT request FROM calls WHERE key = ?", (key,)).fetchone()
            if row:
                return dict(json.loads(row[0]))
        return None

    def flush(self) -> None:
        """Wait until everything put so far is on disk.

        Raises:
            RunError: something could not be written.
        """
        if self._writer is not None:
            self._writer.flush()

    def close(self) -> None:
        """Write what is queued, close the file and release the lock.

        Raises:
            RunError: something could not be written.
        """
        # The writer last: only a connection that may write folds the log into the file when it is the last to close.
        for reader in self._readers:
            reader.close()
        try:
            if self._writer is not None:
                self._writer.close()
        finally:
            if self._lock is not None:
                self._lock.release()

    def __len__(self) -> int:
        """Rows on disk, without those of stores that are read beside."""
        self.flush()
        with self._reading, _user_errors(self.path):
            return int(self._readers[0].execute("SELECT count(*) FROM calls").fetchone()[0])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _look_up(self, keys: Sequence[str]) -> dict[str, Reply]:
        # Queued rows are read first: a row that is committed in between is then seen twice, never not at all.
        found = self._writer.queued(keys) if self._writer is not None else {}
        own, *others = self._readers
        # A stored success wins over a queued row, which will not replace it; so queued keys are looked up too.
        self._read(own, keys, found)
        for reader in others:
            self._read(reader, [key for key in keys if key not in found or found[key].status in TRIED_AGAIN], found)
        return found

    def _read(self, reader: sqlite3.Connection, keys: Sequence[str], found: dict[str, Reply]) -> None:
        """Add the replies of one file, unless it is a failure and there is a reply already."""
        for start in range(0, len(keys), KEYS_AT_ONCE):
            with self._reading, _user_errors(self.path):
                rows = reader.execute(SELECT, (json.dumps(keys[start : start + KEYS_AT_ONCE]),)).fetchall()
            for row in rows:
                reply = Reply(*row)
                if reply.status not in TRIED_AGAIN or reply.key not in found:
                    found[reply.key] = reply


def _columns(reply: Reply) -> tuple[Any, ...]:
    return tuple(attrgetter(*STORED)(reply))


def _merge(connection: sqlite3.Connection, segment: Path) -> None:
    connection.execute("ATTACH ? AS segment", (str(segment),))
    try:
        connection.execute(MERGE)
    finally:
        connection.execute("DETACH segment")


def _open_to_write(path: Path) -> sqlite3.Connection:
    with _user_errors(path):
        connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=10)
        try:
            _prepare(connection, path)
        except (sqlite3.Error, RunError):
            connection.close()
            raise
        return connection


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    new = not connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    if not new:
        _check_format(connection, path)
    connection.execute("PRAGMA journal_mode = WAL")
    # FULL: a committed group outlives a power cut, not only a killed process.
    connection.execute("PRAGMA synchronous = FULL")
    # The log is folded into the file rarely: keys are random, and a page that many rows touched is then written once.
    connection.execute("PRAGMA wal_autocheckpoint = 8000")
    if new:
        # All or nothing: a file that is killed in between is still an empty one.
        connection.executescript(f"BEGIN IMMEDIATE; {TABLE}; PRAGMA user_version = {FORMAT}; COMMIT;")


def _open_to_read(path: Path) -> sqlite3.Connection:
    if not path.exists():
        raise RunError(
            "There is no call store to replay.",
            where=str(path),
            try_="Run without replay first, or name another `store`.",
        )
    # A file that nobody can write has no write-ahead log to heed, and SQLite could not make its side files there.
    mode = "mode=ro" if os.access(path.parent, os.W_OK) else "mode=ro&immutable=1"
    with _user_errors(path):
        connection = sqlite3.connect(
            f"{path.absolute().as_uri()}?{mode}", uri=True, isolation_level=None, check_same_thread=False, timeout=10
        )
        try:
            _check_format(connection, path)
        except (sqlite3.Error, RunError):
            connection.close()
            raise
        return connection


def _check_format(connection: sqlite3.Connection, path: Path) -> None:
    found = connection.execute("PRAGMA user_version").fetchone()[0]
    if found != FORMAT:
        raise RunError(
            f"The call store has format {found}; this spavl reads and writes format {FORMAT}, whose keys are others.",
            where=str(path),
            try_="Use the spavl that made it, or name another file: `store=FILE`. The old file is left as it is.",
        )


@contextmanager
def _user_errors(path: Path) -> Iterator[None]:
    """Turn an error of SQLite into one that the user can mend."""
    try:
        yield
    except sqlite3.Error as error:
        raise RunError(
            f"The call store cannot be used: {error}.",
            where=str(path),
            try_="Check that the path names a call store and that disk and rights allow writing; or use `store=FILE`.",
        ) from error
