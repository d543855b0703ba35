"""The call store: every answer that was ever paid for, kept once, found by its key. The only state that costs money.

SQLite in WAL mode. One thread writes, in groups of at most 64 rows or 50 ms, each group one durable transaction; so a
`kill -9` loses at most the last group. One process at a time may write (see `lock`); any number may read with
`replay=True`. A success is never overwritten; a failure may be, by a later attempt.
"""

from __future__ import annotations

import json
import os
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from operator import attrgetter
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from spavl.errors import RunError
from spavl.models.base import Reply
from spavl.models.calls.lock import Lock, refuse_network_disk
from spavl.models.calls.writer import Writer

FORMAT = 2
"""Version of the table below, kept in the file's `user_version`."""

ENGINE_VERSION = "1"
"""Version of the code that made a row; raised when calls are made differently."""

# fmt: off
STORED = (
    "status", "text", "finish_reason", "prompt_tokens", "completion_tokens", "cost", "latency", "attempts",
    "fingerprint", "detail", "thought",
)
# fmt: on
"""Fields of a Reply that a row keeps, in the order of the columns."""

TABLE = """
CREATE TABLE IF NOT EXISTS calls (
    key TEXT PRIMARY KEY NOT NULL,      -- hash of `request`
    status TEXT NOT NULL,               -- ok, refused, filtered, truncated, failed
    text TEXT NOT NULL,                 -- the answer, without the thought
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
) WITHOUT ROWID
"""

INSERT = f"""
INSERT INTO calls (key, {", ".join(STORED)}, request, time, engine) VALUES ({", ".join("?" * (len(STORED) + 4))})
ON CONFLICT (key) DO UPDATE SET
    {", ".join(f"{name} = excluded.{name}" for name in [*STORED, "request", "time", "engine"])}
WHERE calls.status = 'failed'
"""

SELECT = f"SELECT calls.key, {', '.join(STORED)} FROM json_each(?) AS wanted JOIN calls ON calls.key = wanted.value"

KEYS_AT_ONCE = 50_000
"""Most keys in one look-up; bounds the memory that SQLite needs for their list."""


class CallStore:
    """Answers of models, by the keys of the calls. A context manager; otherwise call `close`.

    Args:
        path: the SQLite file; it and its folder are made if need be.
        replay: open for reading only: nothing is locked, nothing is written, and `complete` makes no call.

    Raises:
        RunError: the disk is a network file system, another process writes into the store, there is no store to
            replay, the file is no call store, or it has another format version.
    """

    def __init__(self, path: Path | str, *, replay: bool = False) -> None:
        self.path = Path(path)
        self.replay = replay
        self.hits = 0
        """Stored successes returned so far."""
        self.calls = 0
        """Replies put in so far."""
        self.cost = 0.0
        """Cost of the replies put in so far, in the currency of the models' prices."""
        self._guard = threading.Lock()
        self._lock: Lock | None = None
        self._writer: Writer | None = None
        if replay:
            self._reader = _open_to_read(self.path)
            return
        refuse_network_disk(self.path)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = Lock(self.path)
        try:
            self._writer = Writer(_open_to_write(self.path), INSERT, self.path)
            self._reader = _open_to_read(self.path)
        except RunError:
            self._lock.release()
            raise

    def get_many(self, keys: Sequence[str]) -> dict[str, Reply]:
        """The stored replies by key, failures included. Successes are counted in `hits`; 19,000 take some 0.1 s.

        Args:
            keys: keys of calls; those that are not stored are left out of the result.
        """
        found = self._look_up(keys)
        self.hits += sum(reply.status != "failed" for reply in found.values())
        return found

    def known(self, keys: Sequence[str]) -> set[str]:
        """The keys that need no call, because a success is stored. Counts nothing as a hit: for estimates.

        Args:
            keys: keys of calls.
        """
        return {key for key, reply in self._look_up(keys).items() if reply.status != "failed"}

    def put(self, key: str, reply: Reply, request: str) -> None:
        """Queue a reply to be written; returns before it is on disk.

        Args:
            key: key of the call.
            reply: what came back; replaces a stored failure, never a stored success.
            request: canonical request, the JSON that `key` is the hash of.

        Raises:
            RunError: the store is open for replay, or an earlier row could not be written (full disk).
        """
        if self._writer is None:
            raise RunError("A call store opened for replay takes no new answers.", where=str(self.path))
        self._writer.put(replace(reply, key=key), (key, *_columns(reply), request, time.time(), ENGINE_VERSION))
        self.calls += 1
        self.cost += reply.cost

    def request(self, key: str) -> dict[str, object] | None:
        """The canonical request of a call, or None if the call is not stored.

        Args:
            key: key of the call.
        """
        self.flush()
        with self._guard, _user_errors(self.path):
            row = self._reader.execute("SELECT request FROM calls WHERE key = ?", (key,)).fetchone()
        return json.loads(row[0]) if row else None

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
        self._reader.close()
        try:
            if self._writer is not None:
                self._writer.close()
        finally:
            if self._lock is not None:
                self._lock.release()

    def __len__(self) -> int:
        """Rows on disk."""
        self.flush()
        with self._guard, _user_errors(self.path):
            return int(self._reader.execute("SELECT count(*) FROM calls").fetchone()[0])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _look_up(self, keys: Sequence[str]) -> dict[str, Reply]:
        # Queued rows are read first: a row that is committed in between is then seen twice, never not at all.
        queued = self._writer.queued(keys) if self._writer is not None else {}
        wanted = list(dict.fromkeys(keys))
        rows: list[tuple[Any, ...]] = []
        for start in range(0, len(wanted), KEYS_AT_ONCE):
            with self._guard, _user_errors(self.path):
                rows += self._reader.execute(SELECT, (json.dumps(wanted[start : start + KEYS_AT_ONCE]),)).fetchall()
        stored = {row[0]: Reply(**dict(zip(STORED, row[1:], strict=True)), key=row[0]) for row in rows}
        return queued | {key: reply for key, reply in stored.items() if reply.status != "failed" or key not in queued}


def _columns(reply: Reply) -> tuple[Any, ...]:
    return tuple(attrgetter(*STORED)(reply))


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
    if new:
        connection.execute(TABLE)
        connection.execute(f"PRAGMA user_version = {FORMAT}")


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
