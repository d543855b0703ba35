"""Damage in a call store: found row by row, and mended so that no readable answer is lost."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from spavl.atomic import atomic_write
from spavl.errors import RunError
from spavl.models.calls.files import SIDE_FILES, WITHOUT_CHECKSUMS, connect_to_read, open_to_write, sqlite_errors
from spavl.models.calls.keys import key_of
from spavl.models.calls.lock import lock_store
from spavl.models.calls.table import CHECKED, COLUMNS, FORMAT, checksum_of, decoded, insert_statement

ROW = f"SELECT id, {', '.join(COLUMNS)} FROM calls NOT INDEXED WHERE id > ? ORDER BY id"
ONE_ROW = f"SELECT id, {', '.join(COLUMNS)} FROM calls NOT INDEXED WHERE id = ?"
MOST_MISSING_IDS = 1_000_000
"""How far at most is looked for the next readable row where the file does not tell its last."""
BYTES_OF_AN_ID = 32
"""Bytes of the file for each id that is looked for: a row takes some 200 at least, and most ids may be dropped ones."""
MOST_NAMED = 20
"""Most damaged rows that are named one by one."""


class StoredRow(NamedTuple):
    """A row as it stands in the file, whole or not."""

    number: int
    """Its `id`."""
    values: dict[str, Any]
    """Values by column; text that is no UTF-8 has replacement characters."""
    fault: str
    """What is wrong with it, as part of a sentence; empty: it is whole."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreHealth:
    """What was found in a call store."""

    whole: int
    """Rows that are as they were written."""
    damaged: int
    """Rows that can be read and are not what was written."""
    unreadable: int | None
    """Rows that SQLite lists and cannot read; None where it cannot even count them."""
    named: tuple[str, ...]
    """Key and fault of the first damaged rows."""
    structure: str
    """What SQLite says of the file; empty: all is well."""
    kept: Path | None = None
    """Where `repair` has put what is damaged: lines of JSON, or the old file."""

    @property
    def is_whole(self) -> bool:
        """Whether there is no damage at all."""
        return not (self.damaged or self.unreadable or self.structure) and self.unreadable is not None


def check(path: Path) -> StoreHealth:
    """Look at every row of a call store; nothing is changed.

    Args:
        path: the call store; another process may write into it.

    Raises:
        RunError: there is no such file, or it is no call store.
    """
    with closing(_open(path)) as connection:
        return _health(connection)


def repair(path: Path) -> StoreHealth:
    """Take damaged rows out of a call store, so that their calls are made again; whole rows are all kept.

    Where single rows are damaged they move into `<store>.damaged-<time>.jsonl`. Where the file itself is, all whole
    rows are written into a new one, and the old one is kept as `<store>.damaged-<time>`.

    Args:
        path: the call store.

    Raises:
        RunError: another process writes into it, there is no such file, it is no call store, or the disk is full.
    """
    _open(path).close()  # what is no call store gets no lock file beside it
    lock = lock_store(path)
    try:
        with closing(_open(path)) as connection:
            found = _health(connection)
        if found.is_whole:
            return found
        aside = path.with_name(f"{path.name}.damaged-{time.strftime('%Y%m%dT%H%M%S')}")
        only_rows = not found.structure and found.unreadable == 0
        kept = _take_out(path, Path(f"{aside}.jsonl")) if only_rows else _salvage(path, aside)
        return StoreHealth(
            whole=found.whole, damaged=found.damaged, unreadable=found.unreadable, named=found.named,
            structure=found.structure, kept=kept,
        )  # fmt: skip
    finally:
        lock.release()


def rows_of(connection: sqlite3.Connection, *, after: int = 0) -> Iterator[StoredRow]:
    """All rows that can be read, in the order of writing; what stands on a damaged page is passed over.

    Args:
        connection: to the file; its text is read as bytes.
        after: only rows with a higher `id`.
    """
    connection.text_factory = bytes
    last, end, reach = after, _highest_id(connection), _reach(connection)
    found = after
    while last <= (found + reach if end is None else end):
        try:
            for number, *values in connection.execute(ROW, (last,)):
                last = found = number
                yield _stored(number, decoded(tuple(values)))
        except sqlite3.DatabaseError:
            # The next row may stand on a damaged page, or just before one: it is read alone, and then those after it.
            last += 1
            for row in _single(connection, last):
                found = row.number
                yield row
        else:
            return


def _single(connection: sqlite3.Connection, number: int) -> Iterator[StoredRow]:
    try:
        found = connection.execute(ONE_ROW, (number,)).fetchone()
    except sqlite3.DatabaseError:
        return
    if found:
        yield _stored(number, decoded(found[1:]))


def _stored(number: int, values: tuple[Any, ...]) -> StoredRow:
    row = dict(zip(COLUMNS, values, strict=True))
    if checksum_of(tuple([row[name] for name in CHECKED])) != row["checksum"]:
        return StoredRow(number, row, "the answer is not what was written")
    request = str(row["request"])
    if not request.isascii() or key_of(request) != row["key"]:
        return StoredRow(number, row, "the request is not the one of its key")
    return StoredRow(number, row, "")


def _highest_id(connection: sqlite3.Connection) -> int | None:
    """Id of the last row; None where the file does not tell it."""
    for query in ("SELECT max(id) FROM calls", "SELECT max(id) FROM (SELECT id FROM calls ORDER BY key)"):
        try:
            return int(connection.execute(query).fetchone()[0] or 0)
        except sqlite3.DatabaseError:
            continue
    return None


def _reach(connection: sqlite3.Connection) -> int:
    """How many ids are looked for after the last row that could be read."""
    if _is_cut_off(connection):
        return 0
    pages, size = [connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "page_size")]
    return min(MOST_MISSING_IDS, int(pages * size) // BYTES_OF_AN_ID)


def _is_cut_off(connection: sqlite3.Connection) -> bool:
    """Whether the file ends before the first page of the table, so that none of its rows can be found."""
    try:
        root = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'calls'").fetchone()
        return root is None or root[0] > connection.execute("PRAGMA page_count").fetchone()[0]
    except sqlite3.DatabaseError:
        return True


def _health(connection: sqlite3.Connection) -> StoreHealth:
    whole, damaged = 0, 0
    named: list[str] = []
    for row in rows_of(connection):
        whole += not row.fault
        damaged += bool(row.fault)
        if row.fault and len(named) < MOST_NAMED:
            named.append(f"{row.values['key'] or f'row {row.number}'}: {row.fault}")
    listed = _listed(connection)
    return StoreHealth(
        whole=whole, damaged=damaged, named=tuple(named), structure=_structure(connection),
        unreadable=None if listed is None else max(0, listed - whole - damaged),
    )  # fmt: skip


def _listed(connection: sqlite3.Connection) -> int | None:
    """Rows that the index of keys lists; None where it cannot be read."""
    try:
        return int(connection.execute("SELECT count(*) FROM (SELECT key FROM calls ORDER BY key)").fetchone()[0])
    except sqlite3.DatabaseError:
        return None


def _structure(connection: sqlite3.Connection) -> str:
    try:
        lines = [decoded(row)[0] for row in connection.execute("PRAGMA integrity_check(3)")]
    except sqlite3.DatabaseError as error:
        return str(error)
    return "" if lines == ["ok"] else "; ".join(" ".join(str(line).split()) for line in lines)


def _open(path: Path) -> sqlite3.Connection:
    """A connection to a file that may be damaged."""
    with sqlite_errors(path):
        connection = connect_to_read(path)
        try:
            # With it alone SQLite opens a file that is shorter than its header says: one that was cut off.
            connection.execute("PRAGMA writable_schema = ON")
            found = connection.execute("PRAGMA user_version").fetchone()[0]
        except sqlite3.Error:
            connection.close()
            raise
    if found != FORMAT:
        connection.close()
        why = "its rows have no checksums yet" if found == WITHOUT_CHECKSUMS else f"this spavl checks format {FORMAT}"
        raise RunError(f"The call store has format {found}; {why}.", where=str(path),
                       try_="open it once with `spavl build`, or use the spavl that made it")  # fmt: skip
    return connection


def _take_out(path: Path, side: Path) -> Path:
    """Move the damaged rows of a file whose structure is whole into lines of JSON."""
    numbers = []
    with (
        atomic_write(side, what="The file of damaged rows") as tmp,
        tmp.open("w", encoding="utf-8") as lines,
        closing(_open(path)) as connection,
    ):
        for row in rows_of(connection):
            if row.fault:
                numbers.append(row.number)
                lines.write(f"{json.dumps({'fault': row.fault, **row.values}, default=repr)}\n")
    with closing(open_to_write(path)) as connection, sqlite_errors(path):
        connection.executemany("DELETE FROM calls WHERE id = ?", [(number,) for number in numbers])
    return side


def _salvage(path: Path, aside: Path) -> Path:
    """Write all whole rows into a new file, which takes the place of the old one."""
    new = path.with_name(f"{path.name}.new")
    _remove(new)
    with closing(_open(path)) as old, closing(open_to_write(new)) as connection, sqlite_errors(new):
        connection.execute("BEGIN IMMEDIATE")
        for row in rows_of(old):
            if not row.fault:
                connection.execute(insert_statement(1), [row.values[name] for name in COLUMNS])
        connection.execute("COMMIT")
    for suffix in SIDE_FILES:
        file = Path(f"{path}{suffix}")
        if file.exists():
            file.rename(f"{aside}{suffix}")
    new.rename(path)
    return aside


def _remove(path: Path) -> None:
    for suffix in SIDE_FILES:
        Path(f"{path}{suffix}").unlink(missing_ok=True)
