"""The call store: every answer that was ever paid for, kept once, found by its key. The only state that costs money.

SQLite in WAL mode. One thread writes, in groups of some 32 rows or 50 ms, each group one durable transaction; no call
is made while 64 rows wait, so that is what a `kill -9` can lose, beside what is in flight. One process at a time may
write (see `lock`); any number may read with `replay=True`. A success is never overwritten; a failure may be, by a later
attempt. Every row has a checksum: one that is damaged counts as missing, and its call is made again.
"""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from spavl.errors import RunError
from spavl.locks import Lock
from spavl.models.base import Reply
from spavl.models.calls.files import is_damage, make_folder, open_to_read, open_to_write, sqlite_errors
from spavl.models.calls.lock import lock_store, refuse_network_disk
from spavl.models.calls.table import ANSWER_OF, MERGE, SELECT, checksum_of, decoded, insert_statement, row_of
from spavl.models.calls.writer import Writer
from spavl.records import TRIED_AGAIN

KEYS_AT_ONCE = 10_000
"""Most keys in one look-up; bounds the memory that SQLite needs for their list."""


class CallStore:
    """Answers of models, by the keys of the calls. A context manager; otherwise call `close`. Threads may share it.

    Args:
        path: the SQLite file; it and its folder are made if need be.
        replay: open for reading only: nothing is locked, nothing is written, and `complete` makes no call.
        also_read: further stores, in which answers are looked up that are not in this one, and never written.
        on_damage: called once with a line to show, at the first damaged row that is looked up.

    Raises:
        RunError: the folder cannot be made, the disk is a network file system, another process writes into the store,
            there is no store to replay or to read beside it, a file is no call store, or it has another format version.
    """

    seconds = 0.0
    """Seconds of all replies put in or returned so far, one after the other, whoever asked for them first."""

    def __init__(
        self,
        path: Path | str,
        *,
        replay: bool = False,
        also_read: Sequence[Path | str] = (),
        on_damage: Callable[[str], object] = lambda line: None,
    ) -> None:
        self.path = Path(path)
        self.replay = replay
        self.hits = 0
        """Stored successes returned so far."""
        self.calls = 0
        """Replies put in so far."""
        self.cost = 0.0
        """Cost of the replies put in so far, in the currency of the models' prices."""
        self.tokens = 0
        """Tokens of the prompts and answers put in so far."""
        self.found_cost = 0.0
        """What the stored successes returned so far have cost whoever asked for them first."""
        self.found_tokens = 0
        """Tokens of the stored successes returned so far."""
        self._damaged: set[str] = set()
        self._on_damage = on_damage
        self._reading = threading.Lock()
        self._counting = threading.Lock()
        self._lock: Lock | None = None
        self._writer: Writer | None = None
        self._readers: list[sqlite3.Connection] = []
        if not replay:
            refuse_network_disk(self.path)
            make_folder(self.path)
            self._lock = lock_store(self.path)
        try:
            self._open(also_read)
        except RunError:
            self.close()
            raise

    def _open(self, also_read: Sequence[Path | str]) -> None:
        if not self.replay:
            self._writer = Writer(open_to_write(self.path), insert_statement, self.path)
        for file in (self.path, *map(Path, also_read)):
            self._readers.append(open_to_read(file))

    def get_many(self, keys: Sequence[str]) -> dict[str, Reply]:
        """The stored replies by key, failures included. Successes are counted in `hits`; a million take some 6 s.

        Args:
            keys: keys of calls; those that are not stored are left out of the result.
        """
        found = self._look_up(keys)
        hits = [reply for reply in found.values() if reply.status not in TRIED_AGAIN]
        with self._counting:
            self.hits += len(hits)
            self.found_cost += sum([reply.cost for reply in hits])
            self.found_tokens += sum(map(_tokens, hits))
            self.seconds += sum(map(_seconds, hits))
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
        self._writer.put(reply, row_of(reply, request, time.time()))
        with self._counting:
            self.calls += 1
            self.cost += reply.cost
            self.tokens += _tokens(reply)
            self.seconds += _seconds(reply)

    def has_answer_of(self, identity: str) -> bool:
        """Whether a model's answer is among the newest rows; looks at some thousands and not at all.

        Args:
            identity: the model's.
        """
        self.flush()
        for reader in self._readers:
            with self._reading, sqlite_errors(self.path):
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
        open_to_read(path).close()
        lock = lock_store(path)
        try:
            with sqlite_errors(path):
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
            with self._reading, sqlite_errors(self.path):
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
        with self._reading, sqlite_errors(self.path):
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
            for row in self._rows(reader, keys[start : start + KEYS_AT_ONCE]):
                if checksum_of(row[:-1]) != row[-1]:
                    self._note_damage(str(row[-2]))
                    continue
                reply = Reply(*row[:-1])
                if reply.status not in TRIED_AGAIN or reply.key not in found:
                    found[reply.key] = reply

    def _rows(self, reader: sqlite3.Connection, keys: Sequence[str]) -> list[tuple[Any, ...]]:
        """The rows of some keys; where one of them cannot be read, each is read for itself, as far as it can be."""
        with self._reading, sqlite_errors(self.path):
            try:
                return reader.execute(SELECT, (json.dumps(keys),)).fetchall()
            except sqlite3.DatabaseError as error:
                if not is_damage(error):
                    raise
            reader.text_factory = bytes
            try:
                return [row for key in keys for row in self._row(reader, key)]
            finally:
                reader.text_factory = str

    def _row(self, reader: sqlite3.Connection, key: str) -> list[tuple[Any, ...]]:
        try:
            return [decoded(row) for row in reader.execute(SELECT, (json.dumps([key]),))]
        except sqlite3.DatabaseError:
            self._note_damage(key)
            return []

    def _note_damage(self, key: str) -> None:
        first = not self._damaged
        self._damaged.add(key)
        if first:
            self._on_damage(
                f"A row of the call store {self.path} is damaged. Such rows count as missing, and their calls are made "
                f"again; `spavl store check {self.path}` names them."
            )


def _tokens(reply: Reply) -> int:
    return reply.prompt_tokens + reply.completion_tokens


def _seconds(reply: Reply) -> float:
    return reply.latency * max(1, reply.attempts)


def _merge(connection: sqlite3.Connection, segment: Path) -> None:
    connection.execute("ATTACH ? AS segment", (str(segment),))
    try:
        connection.execute(MERGE)
    finally:
        connection.execute("DETACH segment")
