"""Questions to tables in SQL, answered by DuckDB on disk: what needs all rows of a table, in little memory."""

from __future__ import annotations

import glob
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from spavl.errors import RunError

MEMORY = "1GB"
"""Most memory of a query; beyond it DuckDB writes to a temporary folder."""


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

    with TemporaryDirectory() as spill, duckdb.connect(config=_config(spill)) as database:
        try:
            database.execute("SET enable_progress_bar = false")  # commands have their own
            for name, path in tables.items():
                database.from_parquet(glob.escape(str(path))).create_view(name)
            rows: list[tuple[Any, ...]] = database.execute(sql, parameters).fetchall()
            return rows
        except duckdb.Error as error:
            raise RunError(
                f"The tables cannot be read: {str(error).splitlines()[0]}",
                where=", ".join(str(path) for path in tables.values()),
                try_="delete them and run `spavl build`; they are remade without any call",
            ) from error


def _config(spill: str) -> dict[str, Any]:
    return {"memory_limit": MEMORY, "temp_directory": spill}


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
