"""The thread that writes into the call store, and the rows that are queued for it."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, final

from spavl.errors import RunError
from spavl.models.base import Reply
from spavl.records import TRIED_AGAIN

GROUP_ROWS = 32
"""Rows that are committed without waiting for others."""
GROUP_SECONDS = 0.05
"""Longest time a row waits for others before it is committed."""
MOST_ROWS = 256
"""Most rows in one transaction: all that came while the last one was written, which takes a disk some milliseconds."""
MOST_UNCOMMITTED = 64
"""Rows that may wait to be committed when another call is made: what a `kill -9` can lose beside what is in flight."""

Row = tuple[Any, ...]
"""Values of the insert statement; the first is the key."""


@final
class Writer:
    """Commits rows in groups on a thread of its own.

    Args:
        connection: SQLite connection of that thread, which closes it.
        insert: statement that writes so many rows.
        path: the file, for error messages.
    """

    def __init__(self, connection: sqlite3.Connection, insert: Callable[[int], str], path: Path) -> None:
        self._connection = connection
        self._insert = insert
        self._path = path
        self._in_use = threading.Lock()
        self._guard = threading.Lock()
        self._wake = threading.Condition(self._guard)
        self._committed = threading.Condition(self._guard)
        self._queue: list[tuple[Reply, Row]] = []
        self._replies: dict[str, Reply] = {}
        self._written = 0
        self._flushes = 0
        self._for_room: list[Callable[[], object]] = []
        self._failure: Exception | None = None
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="call-store-writer", daemon=True)
        self._thread.start()

    def put(self, reply: Reply, row: Row) -> None:
        """Queue a row; returns at once. Whoever puts many rows waits for room in between.

        Args:
            reply: what `queued` returns until the row is committed.
            row: values of the insert statement; the first is the key.

        Raises:
            RunError: an earlier group could not be written, or the writer is closed.
        """
        with self._guard:
            if self._closing:
                raise RunError("The call store is closed.", where=str(self._path))
            self._raise_failure()
            self._queue.append((reply, row))
            before = self._replies.get(row[0])
            if before is None or before.status in TRIED_AGAIN:
                self._replies[row[0]] = reply
            if len(self._queue) in (1, GROUP_ROWS):
                self._wake.notify()

    @property
    def has_room(self) -> bool:
        """Whether fewer rows wait than may; also where none can be written, for `put` says so."""
        return len(self._queue) < MOST_UNCOMMITTED or self._failure is not None

    def wait_for_room(self) -> None:
        """Wait until there is room."""
        with self._guard:
            self._committed.wait_for(lambda: self.has_room)

    def when_room(self, then: Callable[[], object]) -> None:
        """Call a function once there is room, on the writer's thread, or at once if there is.

        Args:
            then: must return quickly.
        """
        with self._guard:
            if not self.has_room:
                self._for_room.append(then)
                return
        then()

    def queued(self, keys: Sequence[str]) -> dict[str, Reply]:
        """Replies by key that were put but perhaps not yet committed.

        Args:
            keys: keys of calls; those that are not queued are left out of the result.
        """
        with self._guard:
            queued = list(self._replies.items())
        wanted = set(keys) if queued else ()
        return {key: reply for key, reply in queued if key in wanted}

    def flush(self) -> None:
        """Wait until all rows put so far are committed.

        Raises:
            RunError: they could not be written, or the writer is closed.
        """
        with self._guard:
            if self._closing:
                raise RunError("The call store is closed.", where=str(self._path))
            last = self._written + len(self._queue)
            self._failure = None  # tried again: the disk may have room by now
            self._flushes += 1
            self._wake.notify()
            try:
                self._committed.wait_for(lambda: self._written >= last or self._failure is not None)
            finally:
                self._flushes -= 1
            self._raise_failure()

    def run(self, work: Callable[[sqlite3.Connection], object]) -> None:
        """Do something with the writer's connection, between two groups, once all rows put so far are committed.

        Args:
            work: what to do; a transaction that it begins is its own to end.
        """
        self.flush()
        with self._in_use:
            work(self._connection)

    def close(self) -> None:
        """Commit what is queued, end the thread, close the connection. Harmless when called again.

        Raises:
            RunError: rows could not be written.
        """
        with self._guard:
            if self._closing:
                return
            self._closing, self._failure = True, None
            self._wake.notify()
        self._thread.join()
        self._raise_failure()

    def _run(self) -> None:
        while group := self._gather():
            error = self._commit([row for _, row in group])
            with self._guard:
                self._failure = error
                if error is None:
                    self._forget(len(group))
                self._committed.notify_all()
                waiting, self._for_room = self._for_room, []
            for then in waiting:
                then()
        self._connection.close()

    def _forget(self, rows: int) -> None:
        """Drop the first rows of the queue, which are on disk."""
        for reply, row in self._queue[:rows]:
            if self._replies.get(row[0]) is reply:  # a later row may hold the success after this failure
                del self._replies[row[0]]
        del self._queue[:rows]
        self._written += rows

    def _gather(self) -> list[tuple[Reply, Row]]:
        """The next group, once it is large enough or its first row has waited long enough; empty: the writer ends."""
        with self._guard:
            self._wake.wait_for(lambda: self._closing or (self._queue and self._failure is None))
            self._wake.wait_for(self._is_due, timeout=GROUP_SECONDS)
            return [] if self._failure is not None else self._queue[:MOST_ROWS]

    def _is_due(self) -> bool:
        return len(self._queue) >= GROUP_ROWS or self._flushes > 0 or self._closing

    def _commit(self, rows: list[Row]) -> Exception | None:
        """Write one group; if it cannot be written it stays queued, and the next caller is told."""
        with self._in_use:
            try:
                self._connection.execute("BEGIN IMMEDIATE")
                # One statement: at each, the thread would have to wait for its turn to run Python again.
                self._connection.execute(self._insert(len(rows)), [value for row in rows for value in row])
                self._connection.execute("COMMIT")
            except Exception as error:  # whatever it is, this thread must live on, or those that wait for it hang
                if self._connection.in_transaction:
                    self._connection.rollback()
                return error
        return None

    def _raise_failure(self) -> None:
        failure = self._failure
        if failure is None:
            return
        raise RunError(
            f"{len(self._queue)} answers could not be written to the call store: {failure}. Those before are safe.",
            where=str(self._path),
            try_="Make room on the disk and run the same command again; only the missing answers are asked for.",
        ) from failure
