"""The thread that writes into the call store, and the rows that are queued for it."""

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
"""Values of the insert statement; the first is the key."""


@final
class Writer:
    """Commits rows in groups on a thread of its own.

    Args:
        connection: SQLite connection of that thread, which closes it.
        insert: statement that writes one row.
        path: the file, for error messages.
    """

    def __init__(self, connection: sqlite3.Connection, insert: str, path: Path) -> None:
        self._connection = connection
        self._insert = insert
        self._path = path
        self._queue: SimpleQueue[Row | threading.Event | None] = SimpleQueue()
        self._guard = threading.Lock()
        self._has_room = threading.Condition(self._guard)
        self._uncommitted = 0
        self._queued_replies: dict[str, Reply] = {}
        self._unwritten: list[Row] = []
        self._failure: sqlite3.Error | None = None
        self._thread = threading.Thread(target=self._run, name="call-store-writer", daemon=True)
        self._thread.start()

    def put(self, reply: Reply, row: Row) -> None:
        """Queue a row; waits while the queue is full.

        Args:
            reply: what `queued` returns until the row is committed.
            row: values of the insert statement; the first is the key.

        Raises:
            RunError: an earlier group could not be written.
        """
        with self._has_room:
            self._has_room.wait_for(lambda: self._uncommitted < GROUP_ROWS or self._failure is not None)
        self._raise_failure()
        with self._guard:
            self._uncommitted += 1
            before = self._queued_replies.get(row[0])
            if before is None or before.status == "failed":
                self._queued_replies[row[0]] = reply
        self._queue.put(row)

    def queued(self, keys: Sequence[str]) -> dict[str, Reply]:
        """Replies by key that were put but perhaps not yet committed.

        Args:
            keys: keys of calls; those that are not queued are left out of the result.
        """
        with self._guard:
            if len(self._queued_replies) < len(keys):
                wanted = set(keys)
                return {key: reply for key, reply in self._queued_replies.items() if key in wanted}
            return {key: self._queued_replies[key] for key in keys if key in self._queued_replies}

    def flush(self) -> None:
        """Wait until all rows put so far are committed.

        Raises:
            RunError: they could not be written, or the writer is closed.
        """
        done = threading.Event()
        self._queue.put(done)
        while not done.wait(1.0):
            if not self._thread.is_alive():
                raise RunError("The call store is closed.", where=str(self._path))
        self._raise_failure()

    def close(self) -> None:
        """Commit what is queued, end the thread, close the connection.

        Raises:
            RunError: rows could not be written.
        """
        if not self._thread.is_alive():
            return
        self._queue.put(None)
        self._thread.join()
        self._raise_failure()

    def _run(self) -> None:
        more = True
        while more:
            rows, flush_done, more = self._gather()
            self._commit(rows)
            if not more and self._unwritten:
                self._commit([])  # the disk may have room by now
            if flush_done is not None:
                flush_done.set()
        self._connection.close()

    def _gather(self) -> tuple[list[Row], threading.Event | None, bool]:
        """The next group: its rows, the event to set once it is committed, and whether more may follow."""
        rows: list[Row] = []
        deadline = float("inf")
        while len(rows) < GROUP_ROWS:
            try:
                item = self._queue.get(timeout=max(0.0, deadline - time.monotonic()) if rows else None)
            except Empty:
                break
            if not isinstance(item, tuple):
                return rows, item, item is not None
            if not rows:
                deadline = time.monotonic() + GROUP_SECONDS
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
            # Kept in memory and raised to the next caller; committed rows are untouched.
            if self._connection.in_transaction:
                self._connection.rollback()
            with self._has_room:
                self._unwritten, self._failure = group, error
                self._has_room.notify_all()
            return
        with self._has_room:
            self._unwritten, self._failure = [], None
            self._uncommitted -= len(group)
            for row in rows:
                self._queued_replies.pop(row[0], None)
            self._has_room.notify_all()

    def _raise_failure(self) -> None:
        failure = self._failure
        if failure is None:
            return
        raise RunError(
            f"{len(self._unwritten)} answers could not be written to the call store: {failure}. Those before are safe.",
            where=str(self._path),
            try_="Make room on the disk and run the same command again; only the missing answers are asked for.",
        ) from failure
