"""The table of a call store: its columns, the statements that write and read them, and the checksum of a row."""

from __future__ import annotations

import sqlite3
from functools import cache
from operator import attrgetter
from typing import Any
from zlib import crc32

from spavl.models.base import Reply
from spavl.records import TRIED_AGAIN

FORMAT = 3
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
    status TEXT NOT NULL,               -- ok, refused, filtered, truncated, empty, invalid, failed
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
    engine TEXT NOT NULL,               -- version of the code that made the call
    checksum INTEGER NOT NULL DEFAULT 0 -- of key and reply; `request` is checked by its hash, the key
)
"""

COLUMNS = ("key", *STORED, "request", "time", "engine", "checksum")
"""Columns in the order of the insert statement."""

CHECKED = (*STORED, "key")
"""Columns that the checksum is of, in its order."""

_FORM = "\0".join("%r" if name in ("cost", "latency") else "%s" for name in CHECKED)


def checksum_of(row: tuple[Any, ...]) -> int:
    """The checksum of a row (CRC-32), by which damage is found; it is no protection against a forger.

    Args:
        row: values of `CHECKED`.
    """
    return crc32((_FORM % row).encode("utf-8", "surrogatepass"))


def _checksum_in_sql(*values: Any) -> int:
    """`checksum_of` for SQLite, which hands over text as bytes, since that of a damaged row need not be UTF-8."""
    return checksum_of(decoded(values))


def decoded(row: tuple[Any, ...]) -> tuple[Any, ...]:
    """A row whose text was read as bytes, with whatever is no UTF-8 replaced.

    Args:
        row: values of any columns.
    """
    return tuple([value.decode("utf-8", "replace") if isinstance(value, bytes) else value for value in row])


def checked_columns(table: str) -> str:
    """The columns that the checksum is of, as SQL that cannot fail over damaged text.

    Args:
        table: name of the table.
    """
    numbers = ("prompt_tokens", "completion_tokens", "cost", "latency", "attempts")
    return ", ".join(f"{table}.{name}" if name in numbers else f"CAST({table}.{name} AS BLOB)" for name in CHECKED)


IS_DAMAGED = f"calls.checksum IS NOT checksum_of({checked_columns('calls')})"
"""Whether a row is not what was written; for connections that `add_checksum` was called with."""

ON_CONFLICT = f"""
ON CONFLICT (key) DO UPDATE SET {", ".join(f"{name} = excluded.{name}" for name in COLUMNS if name != "key")}
WHERE calls.status IN ({", ".join(f"'{status}'" for status in TRIED_AGAIN)}) OR {IS_DAMAGED}
"""
"""A failure may be replaced, and so may a row that is damaged; a success never."""

MERGE = f"""
INSERT INTO calls ({", ".join(COLUMNS)}) SELECT {", ".join(COLUMNS)} FROM segment.calls WHERE true ORDER BY id
{ON_CONFLICT}
"""

SELECT = f"SELECT {', '.join(CHECKED)}, checksum FROM calls WHERE key IN (SELECT value FROM json_each(?))"

ADD_CHECKSUMS = f"""
BEGIN IMMEDIATE;
ALTER TABLE calls ADD COLUMN checksum INTEGER NOT NULL DEFAULT 0;
UPDATE calls SET checksum = checksum_of({checked_columns("calls")});
PRAGMA user_version = {FORMAT};
COMMIT;
"""
"""Makes a store of format 2 one of format 3: its keys are the same, and its rows were paid for."""


def add_checksum(connection: sqlite3.Connection) -> None:
    """Let a connection's SQL call `checksum_of`.

    Args:
        connection: to SQLite.
    """
    connection.create_function("checksum_of", len(CHECKED), _checksum_in_sql, deterministic=True)


@cache
def insert_statement(rows: int) -> str:
    """The statement that writes rows, given the values of `COLUMNS` for one after the other.

    Args:
        rows: how many.
    """
    row = f"({', '.join('?' * len(COLUMNS))})"
    return f"INSERT INTO calls ({', '.join(COLUMNS)}) VALUES {', '.join([row] * rows)} {ON_CONFLICT}"


_values_of = attrgetter(*STORED)


def row_of(reply: Reply, request: str, time: float) -> tuple[Any, ...]:
    """A row, the values of `COLUMNS`.

    Args:
        reply: what came back, with its key.
        request: canonical request.
        time: seconds since 1970.
    """
    stored = _values_of(reply)
    # As SQLite will give them back: a whole number comes out of a REAL column with a point.
    stored = (*stored[:5], float(stored[5]), float(stored[6]), *stored[7:])
    return (reply.key, *stored, request, time, ENGINE_VERSION, checksum_of((*stored, reply.key)))
