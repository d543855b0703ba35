"""The one thread that writes into the call store, and the rows that still wait for it."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, final

from spavl.errors import RunError
from spavl.models.base import Reply

GROUP_ROWS = 64
"""Most rows in one transaction, and most that wait to be committed: what a `kill -9` can lose."""
GROUP_SECONDS = 0.05
"""Longest time a row waits for others before it is committed."""

Row = tuple[Any, ...]
"""Values of `insert`; the first is the key."""


@final
class Writer:
    """Commits rows in groups on a thread of its own, which owns `connection`."""

    def __init__(self, connection: sqlite3.Connection, insert: str, path: Path) -> None:
        self._connection = connection
        self._insert = insert
        self._path = path
        self._queue: SimpleQueue[Row | threading.Event | None] = SimpleQueue()
        self._guard = threading.Lock()
        self._room = threading.Condition(self._guard)
        self._uncommitted = 0
        self._waiting: dict[str, Reply] = {}
        self._unwritten: list[Row] = []
        self._failure: sqlite3.Error | None = None
        self._thread = threading.Thread(target=self._run, name="call-store-writer", daemon=True)
        self._thread.start()

    def put(self, reply: Reply, row: Row) -> None:
        """Queue a row, once there is room. Raises RunError once a group could not be written."""
        with self._room:
            self._room.wait_for(lambda: self._uncommitted < GROUP_ROWS or self._failure is not None)
        self._check()
        with self._guard:
            self._uncommitted += 1
            before = self._waiting.get(row[0])
            if before is None or before.status == "failed":
                self._waiting[row[0]] = reply
        self._queue.put(row)

    def waiting(self, keys: Sequence[str]) -> dict[str, Reply]:
        """Replies among `keys` that were put but perhaps not yet committed."""
        with self._guard:
            if len(self._waiting) < len(keys):
                wanted = set(keys)
                return {key: reply for key, reply in self._waiting.items() if key in wanted}
            return {key: self._waiting[key] for key in keys if key in self._waiting}

    def flush(self) -> None:
        """Return when all rows put so far are committed. Raises RunError if they could not be."""
        done = threading.Event()
        self._queue.put(done)
        while not done.wait(1.0):
            if not self._thread.is_alive():
                raise RunError("The call store is closed.", where=str(self._path))
        self._check()

    def close(self) -> None:
        """Commit what waits, end the thread, close the connection. Raises RunError if rows could not be written."""
        if not self._thread.is_alive():
            return
        self._queue.put(None)
        self._thread.join()
        self._check()

    def _run(self) -> None:
        open_ = True
        while open_:
            rows, flushed, open_ = self._gather()
            self._commit(rows)
            if not open_ and self._unwritten:
                self._commit([])  # room may have been made since
            if flushed is not None:
                flushed.set()
        self._connection.close()

    def _gather(self) -> tuple[list[Row], threading.Event | None, bool]:
        """The next group: its rows, who waits for it, and whether more may follow."""
        rows: list[Row] = []
        until = float("inf")
        while len(rows) < GROUP_ROWS:
            try:
                item = self._queue.get(timeout=max(0.0, until - time.monotonic()) if rows else None)
            except Empty:
                break
            if not isinstance(item, tuple):
                return rows, item, item is not None
            if not rows:
                until = time.monotonic() + GROUP_SECONDS
            rows.append(item)
        return rows, None, True

    def _commit(self, rows: list[Row]) -> None:
        group = [*self._unwritten, *rows]
        try:
            if group:
                self._connection.execute("BEGIN IMMEDIATE")
                self._connection.executemany(self._insert, group)
                self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            # Kept in memory and told to the next caller; committed rows are untouched.
            if self._connection.in_transaction:
                self._connection.rollback()
            with self._room:
                self._unwritten, self._failure = group, error
                self._room.notify_all()
            return
        with self._room:
            self._unwritten, self._failure = [], None
            self._uncommitted -= len(group)
            for row in rows:
                self._waiting.pop(row[0], None)
            self._room.notify_all()

    def _check(self) -> None:
        failure = self._failure
        if failure is None:
            return
        raise RunError(
            f"{len(self._unwritten)} answers could not be written to the call store: {failure}. Those before are safe.",
            where=str(self._path),
            try_="Make room on the disk and run the same command again; only the missing answers are asked for.",
        ) from failure
