"""What `spavl store` does beside mending: count calls, explain one, forget failures, make the file small, export it."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final, Literal

from spavl.atomic import atomic_write
from spavl.errors import DataError, RunError
from spavl.models.calls.files import SIDE_FILES, open_to_read, open_to_write, sqlite_errors
from spavl.models.calls.lock import lock_store
from spavl.models.calls.repair import StoredRow, rows_of
from spavl.models.calls.table import COLUMNS

Forgettable = Literal["failed", "empty", "invalid", "filtered"]
"""Statuses of calls without an answer, which may be forgotten; an answer never is."""
MODEL: Final = "CASE WHEN json_valid(request) THEN json_extract(request, '$.model') ELSE '(damaged)' END"
COUNT: Final = f"""
SELECT {MODEL} AS model, status, count(*), total(prompt_tokens), total(completion_tokens), total(cost)
FROM calls GROUP BY model, status ORDER BY model, count(*) DESC
"""
KEYS: Final = "SELECT key FROM calls WHERE key >= ? AND key < ? ORDER BY key LIMIT 6"
EXPORT_ROWS: Final = 1_000
"""Rows of an export that are held at once."""


@dataclass(frozen=True, slots=True)
class CallCount:
    """The calls of one model that ended alike."""

    model: str
    """Identity of the model."""
    status: str
    """What became of the calls."""
    calls: int
    """How many."""
    prompt_tokens: int
    """Tokens of their prompts, pictures included."""
    completion_tokens: int
    """Tokens of their answers."""
    cost: float
    """What they cost, in the currency of the model's prices."""


def count(path: Path) -> list[CallCount]:
    """Calls of a store by model and status.

    Args:
        path: the call store; another process may write into it.

    Raises:
        RunError: there is no call store, or it is damaged.
    """
    with closing(open_to_read(path)) as connection, sqlite_errors(path):
        rows = connection.execute(COUNT).fetchall()
    return [CallCount(row[0], row[1], row[2], int(row[3]), int(row[4]), row[5]) for row in rows]


def explain(path: Path, prefix: str) -> dict[str, Any]:
    """All that a store keeps of one call, by column; the request is a mapping, and `fault` says whether it is damaged.

    Args:
        path: the call store.
        prefix: the key, or as much of its beginning as no other key has.

    Raises:
        DataError: no key begins so, or several do.
        RunError: there is no call store, or it is damaged.
    """
    with closing(open_to_read(path)) as connection, sqlite_errors(path):
        found = [row[0] for row in connection.execute(KEYS, (prefix, f"{prefix}\U0010ffff"))]
        if prefix in found:
            found = [prefix]
        if len(found) != 1:
            raise _no_such_key(path, prefix, found)
        number = connection.execute("SELECT id FROM calls WHERE key = ?", (found[0],)).fetchone()[0]
        row = next(rows_of(connection, after=number - 1))
    known = {name: value for name, value in row.values.items() if name != "checksum"}
    return {**known, "request": _request_of(row), "fault": row.fault}


def _request_of(row: StoredRow) -> dict[str, Any]:
    try:
        return dict(json.loads(row.values["request"]))
    except (ValueError, TypeError):
        return {}


def _no_such_key(path: Path, prefix: str, found: list[str]) -> DataError:
    if not found:
        return DataError(f"No call has a key that begins with `{prefix}`", where=str(path),
                         try_="columns of the tables that end in `_call` hold keys of calls")  # fmt: skip
    more = " …" if len(found) > 5 else ""
    return DataError(f"Several keys begin with `{prefix}`: {', '.join(found[:5])}{more}", where=str(path),
                     try_="give more of the key")  # fmt: skip


def forget(path: Path, *, status: Forgettable, model: str = "") -> int:
    """Drop calls that brought no answer, so that they are made again. Returns how many.

    Args:
        path: the call store.
        status: what became of the calls.
        model: part of the identity of the models whose calls are meant; empty: of all.

    Raises:
        DataError: no model has such an identity.
        RunError: another process writes into the store, there is none, or it is damaged.
    """
    known = {one.model for one in count(path)}
    if model and not any(model in name for name in known):
        raise DataError(f"No model whose calls are stored has `{model}` in its identity", where=str(path),
                        try_=f"there are: {', '.join(sorted(known)) or 'none'}")  # fmt: skip
    with closing(_Writing(path)) as writing, sqlite_errors(path):
        dropped = writing.connection.execute(
            f"DELETE FROM calls WHERE status = ? AND instr({MODEL}, ?) > 0 RETURNING id", (status, model)
        )
        return len(dropped.fetchall())


def compact(path: Path) -> tuple[int, int]:
    """Write the file anew without the room of rows that were dropped or replaced. Returns its bytes before and after.

    Args:
        path: the call store.

    Raises:
        RunError: another process writes into it, there is none, it is damaged, or the disk is full.
    """
    open_to_read(path).close()
    before = _bytes(path)
    with closing(_Writing(path)) as writing, sqlite_errors(path):
        writing.connection.execute("VACUUM")
    return before, _bytes(path)


class _Writing:
    """A store that this process alone writes into."""

    def __init__(self, path: Path) -> None:
        self._lock = lock_store(path)
        try:
            self.connection = open_to_write(path)
        except RunError:
            self._lock.release()
            raise

    def close(self) -> None:
        """Close the file and release the lock."""
        self.connection.close()
        self._lock.release()


def _bytes(path: Path) -> int:
    return sum(file.stat().st_size for suffix in SIDE_FILES if (file := Path(f"{path}{suffix}")).exists())


def export(path: Path, out: Path, *, force: bool = False) -> int:
    """Write all whole rows of a store as JSON lines or Parquet, by the suffix of the file. Returns how many.

    Args:
        path: the call store; another process may write into it.
        out: a `.jsonl` or `.parquet` file.
        force: replace a file that is there.

    Raises:
        DataError: the file has another suffix, or is there and `force` is off.
        RunError: there is no call store, it is damaged, or the file cannot be written.
    """
    writers = {".jsonl": _write_lines, ".parquet": _write_parquet}
    if out.suffix.lower() not in writers:
        raise DataError("A store is exported as JSON lines or Parquet", where=str(out),
                        try_="end the name in .jsonl or .parquet")  # fmt: skip
    if out.exists() and not force:
        raise DataError("The file to export to is there already", where=str(out),
                        try_="name another file, or `--force` to replace it")  # fmt: skip
    with closing(open_to_read(path)) as connection, sqlite_errors(path):
        return writers[out.suffix.lower()](out, _exported(connection))


def _exported(connection: sqlite3.Connection) -> Iterator[dict[str, Any]]:
    for row in rows_of(connection):
        if not row.fault:
            yield {name: row.values[name] for name in COLUMNS if name != "checksum"}


def _write_lines(out: Path, rows: Iterator[dict[str, Any]]) -> int:
    written = 0
    with atomic_write(out, what="The export") as tmp, tmp.open("w", encoding="utf-8") as lines:
        for row in rows:
            row["request"] = json.loads(row["request"])
            lines.write(f"{json.dumps(row, ensure_ascii=False)}\n")
            written += 1
    return written


def _write_parquet(out: Path, rows: Iterator[dict[str, Any]]) -> int:
    import pyarrow as pa

    from spavl.tables import write_batches

    whole = ("prompt_tokens", "completion_tokens", "attempts")
    kinds = {**dict.fromkeys(whole, pa.int64()), **dict.fromkeys(("cost", "latency", "time"), pa.float64())}
    schema = pa.schema([pa.field(name, kinds.get(name, pa.string())) for name in COLUMNS if name != "checksum"])
    slices = iter(lambda: list(islice(rows, EXPORT_ROWS)), [])
    return write_batches(out, schema, (pa.Table.from_pylist(some, schema=schema) for some in slices))
