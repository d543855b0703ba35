"""A database that is derived from tables and kept beside them: made once, asked many times, deleted at any time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

from spavl.atomic import atomic_write, remove_abandoned
from spavl.errors import RunError
from spavl.tables.query import MEMORY

if TYPE_CHECKING:
    import numpy as np
    from duckdb import DuckDBPyConnection

KEPT: Final = 4
"""Answers of `columns` that are kept."""
GROUP: Final = 16_384
"""Rows of a row group: groups are read side by side, and those whose bounds leave a query out are not read."""


def make_database(path: Path, statements: Sequence[str], parameters: Mapping[str, Any]) -> None:
    """Write a database, atomically.

    Args:
        path: its file.
        statements: SQL that fills it, in order; `$name` stands for a parameter.
        parameters: values of these, by name. A statement is given those that it names.

    Raises:
        RunError: a table that it is made from is missing or damaged, or the disk is full.
    """
    import duckdb

    remove_abandoned(path)
    with atomic_write(path, what="The index of the tables") as tmp, TemporaryDirectory() as spill:
        try:
            with duckdb.connect(config={"memory_limit": MEMORY, "temp_directory": spill}) as database:
                database.execute("SET enable_progress_bar = false")
                file = str(tmp).replace("'", "''")
                database.execute(f"ATTACH '{file}' AS made (ROW_GROUP_SIZE {GROUP})")
                database.execute("USE made")
                for statement in statements:
                    named = {name: value for name, value in parameters.items() if f"${name}" in statement}
                    database.execute(statement, named or None)
        except duckdb.Error as error:
            raise RunError(
                f"The tables cannot be read: {str(error).splitlines()[0]}", where=str(path),
                try_="run `spavl build` again: tables are remade without any call",
            ) from error  # fmt: skip


class KeptDatabase:
    """A database that is open for reading, by any number of threads; a context manager that closes it.

    Args:
        path: its file, from `make_database`.

    Raises:
        RunError: it is missing or damaged.
    """

    def __init__(self, path: Path) -> None:
        import duckdb

        self._path = path
        self._spill = TemporaryDirectory(ignore_cleanup_errors=True)
        self.columns = lru_cache(KEPT)(self._columns)
        """What `_columns` gives; the database never changes, so that the last answers are kept."""
        try:
            self._database: DuckDBPyConnection = duckdb.connect(
                str(path), read_only=True, config={"memory_limit": MEMORY, "temp_directory": self._spill.name}
            )
        except duckdb.Error as error:
            self._spill.cleanup()
            raise self._damaged(error) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close it. Harmless when called again."""
        self._database.close()
        self._spill.cleanup()

    def rows(self, sql: str, parameters: Sequence[Any] = ()) -> list[dict[str, Any]]:
        """The rows that a query returns, by name of the column.

        Args:
            sql: the query; `?` stands for a parameter.
            parameters: values of its `?`, in order.

        Raises:
            RunError: the file is damaged.
        """
        import duckdb

        try:
            with self._database.cursor() as cursor:
                found = cursor.execute(sql, list(parameters))
                names = [one[0] for one in found.description or ()]
                return [dict(zip(names, row, strict=True)) for row in found.fetchall()]
        except duckdb.Error as error:
            raise self._damaged(error) from error

    def _columns(self, sql: str, parameters: tuple[Any, ...] = ()) -> tuple[np.ndarray[Any, Any], ...]:
        """The columns that a query returns, which nobody may write to.

        Args:
            sql: the query, of numbers alone; `?` stands for a parameter.
            parameters: values of its `?`, in order.

        Raises:
            RunError: the file is damaged.
        """
        import duckdb

        try:
            with self._database.cursor() as cursor:
                return tuple(cursor.execute(sql, list(parameters)).fetchnumpy().values())
        except duckdb.Error as error:
            raise self._damaged(error) from error

    def _damaged(self, error: Exception) -> RunError:
        return RunError(f"The index of the tables cannot be read: {str(error).splitlines()[0]}", where=str(self._path),
                        try_="delete it: it is made anew from the tables")  # fmt: skip
