"""Questions to tables in SQL, answered by DuckDB on disk: what needs all rows of a table, in little memory."""

from __future__ import annotations

import glob
import os
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from spavl.errors import RunError

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

MEMORY = "1GB"
"""Most memory of a database; beyond it DuckDB writes to a temporary folder."""
SMALL = 16 << 20
"""Bytes of tables up to which a query goes to the database that stays open. Larger ones get one of their own, whose
memory is given back when they are answered."""
_OPENING = threading.Lock()


def query(sql: str, parameters: list[Any] | None = None, **tables: Path) -> list[tuple[Any, ...]]:
    """The rows that a query returns.

    Args:
        sql: the query; `?` stands for a parameter.
        parameters: values of its `?`, in order.
        tables: Parquet files by the names that the query knows them by.

    Raises:
        RunError: a table is missing, is damaged or lacks a column.
    """
    import duckdb

    with _connection(tables.values()) as connection:
        try:
            for name, path in tables.items():
                found = f"read_parquet({literal(glob.escape(str(path)))})"
                connection.execute(f"CREATE TEMP VIEW {quoted(name)} AS SELECT * FROM {found}")
            rows: list[tuple[Any, ...]] = connection.execute(sql, parameters).fetchall()
            return rows
        except duckdb.Error as error:
            raise RunError(
                f"The tables cannot be read: {str(error).splitlines()[0]}",
                where=", ".join(str(path) for path in tables.values()),
                try_="delete them and run `spavl build`; they are remade without any call",
            ) from error


@contextmanager
def _connection(tables: Iterable[Path]) -> Iterator[DuckDBPyConnection]:
    if sum(path.stat().st_size for path in tables if path.is_file()) <= SMALL:
        with _OPENING:
            opened = _kept_database(os.getpid())[0].cursor()
        with opened:
            yield opened
    else:
        with TemporaryDirectory() as spill, _database(spill) as opened:
            yield opened


@cache
def _kept_database(process: int) -> tuple[DuckDBPyConnection, TemporaryDirectory[str]]:
    """The database of this process that stays open, with the folder that it may write to.

    Opening one takes longer than most queries. A process that was forked from another has its own: the threads of a
    database do not live on in it.
    """
    spill = TemporaryDirectory(ignore_cleanup_errors=True)
    return _database(spill.name), spill


def _database(spill: str) -> DuckDBPyConnection:
    import duckdb

    database = duckdb.connect(config={"memory_limit": MEMORY, "temp_directory": spill})
    database.execute("SET enable_progress_bar = false")  # commands have their own
    database.execute("SET enable_external_file_cache = false")  # tables are replaced between queries
    return database


def quoted(name: str) -> str:
    """A name as SQL writes that of a column.

    Args:
        name: any text.
    """
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """A text as SQL writes it.

    Args:
        text: any text.
    """
    return "'" + text.replace("'", "''") + "'"
