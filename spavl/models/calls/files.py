"""The SQLite file of a call store: opened to write or to read, its format checked, its errors told as sentences."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from spavl.errors import RunError
from spavl.models.calls.table import ADD_CHECKSUMS, FORMAT, TABLE, add_checksum

WITHOUT_CHECKSUMS = 2
"""Format version before the rows had checksums; opening to write adds them."""
SIDE_FILES = ("", "-wal", "-shm")
"""Suffixes of the files that together are a store: the file, and what SQLite keeps beside it while it is in use."""


def open_to_write(path: Path) -> sqlite3.Connection:
    """A connection that writes; the file is made where it is missing.

    Args:
        path: the call store.

    Raises:
        RunError: the file is no call store, has another format version, is damaged or cannot be written.
    """
    _refuse_folder(path)
    with sqlite_errors(path):
        connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=10)
        try:
            _prepare(connection, path)
        except (sqlite3.Error, RunError):
            connection.close()
            raise
        return connection


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    new = not connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    old = not new and _format_of(connection) == WITHOUT_CHECKSUMS
    if not new and not old:
        check_format(connection, path)
    add_checksum(connection)
    connection.execute("PRAGMA journal_mode = WAL")
    # FULL: a committed group outlives a power cut, not only a killed process.
    connection.execute("PRAGMA synchronous = FULL")
    # The log is folded into the file rarely: keys are random, and a page that many rows touched is then written once.
    connection.execute("PRAGMA wal_autocheckpoint = 8000")
    if new:
        # All or nothing: a file that is killed in between is still an empty one.
        connection.executescript(f"BEGIN IMMEDIATE; {TABLE}; PRAGMA user_version = {FORMAT}; COMMIT;")
    if old:
        connection.executescript(ADD_CHECKSUMS)


def open_to_read(path: Path) -> sqlite3.Connection:
    """A connection that reads.

    Args:
        path: the call store.

    Raises:
        RunError: there is no such file, it is no call store, has another format version or is damaged.
    """
    with sqlite_errors(path):
        connection = connect_to_read(path)
        try:
            check_format(connection, path)
        except (sqlite3.Error, RunError):
            connection.close()
            raise
        return connection


def connect_to_read(path: Path) -> sqlite3.Connection:
    """A connection that reads a file of whatever format, which may be damaged; the file itself is not looked at yet.

    Args:
        path: the call store.

    Raises:
        RunError: there is no such file, or it is a folder.
        sqlite3.Error: it cannot be opened.
    """
    _refuse_folder(path)
    if not os.path.exists(path):  # noqa: PTH110 - `Path.exists` raises where a folder above may not be entered
        raise RunError("There is no call store here.", where=str(path),
                       try_="Name the file of one; a run without `--replay` makes it.")  # fmt: skip
    # A file that nobody can write has no write-ahead log to heed, and SQLite could not make its side files there.
    mode = "mode=ro" if os.access(path.parent, os.W_OK) else "mode=ro&immutable=1"
    return sqlite3.connect(
        f"{path.absolute().as_uri()}?{mode}", uri=True, isolation_level=None, check_same_thread=False, timeout=10
    )


def make_folder(path: Path) -> None:
    """Make the folder of a call store that is about to be made.

    Args:
        path: the call store.

    Raises:
        RunError: the folder cannot be made, or the call store is a folder itself.
    """
    _refuse_folder(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"The folder of the call store cannot be made: {error.strerror}.", where=str(path),
                       try_="Name a file in a folder that can be written: `store=FILE`.") from error  # fmt: skip


def _refuse_folder(path: Path) -> None:
    if os.path.isdir(path):  # noqa: PTH112 - `Path.is_dir` raises where a folder above may not be entered
        raise RunError("This is a folder; a call store is a file.", where=str(path),
                       try_="Name the file, as the setting `store=FILE` does.")  # fmt: skip


def is_read_only(path: Path) -> bool:
    """Whether a call store is there and cannot be written, by its rights or those of its folder.

    Args:
        path: the call store.
    """
    return path.exists() and not (os.access(path, os.W_OK) and os.access(path.parent, os.W_OK))


def check_format(connection: sqlite3.Connection, path: Path) -> None:
    """Refuse a file of another format version.

    Args:
        connection: to the file.
        path: the file, for the message.

    Raises:
        RunError: it has another format version.
    """
    found = _format_of(connection)
    if not found and not path.stat().st_size:
        raise RunError("This file is empty; no call store was begun in it.", where=str(path),
                       try_="A run that may make calls begins one there.")  # fmt: skip
    if found == WITHOUT_CHECKSUMS:
        raise RunError(
            f"The call store has format {found}, whose rows have no checksums; reading alone does not add them.",
            where=str(path), try_="Open it once to write, as `spavl build` without `--replay` does; no answer is lost.",
        )  # fmt: skip
    if found != FORMAT:
        raise RunError(
            f"The call store has format {found}; this spavl reads and writes format {FORMAT}, whose keys are others.",
            where=str(path),
            try_="Use the spavl that made it, or name another file: `store=FILE`. The old file is left as it is.",
        )


def _format_of(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


@contextmanager
def sqlite_errors(path: Path) -> Iterator[None]:
    """Turn an error of SQLite into one that the user can mend.

    Args:
        path: the file.

    Raises:
        RunError: SQLite raised an error in the block.
    """
    try:
        yield
    except sqlite3.Error as error:
        raise RunError(
            f"The call store cannot be used: {error}.",
            where=str(path),
            try_=_advice(error),
        ) from error


def _advice(error: sqlite3.Error) -> str:
    if is_damage(error):
        return "`spavl store check FILE --repair` saves what can be read of a damaged file"
    if "not a database" in str(error):
        return "Name another file: `store=FILE`. Nothing can be read here; moved away, the next run starts a new one."
    return "Check that the path names a call store and that disk and rights allow writing; or use `store=FILE`."


def is_damage(error: sqlite3.Error) -> bool:
    """Whether an error of SQLite tells of damaged bytes in the file.

    Args:
        error: what SQLite raised.
    """
    said = str(error)
    return "malformed" in said or "Could not decode" in said
