"""A database that is derived from tables and kept beside them: made once, asked many times, deleted at any time."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
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


class DamagedDatabase(RunError):
    """A database holds what no database holds: made anew, it is whole."""


class KeptDatabase:
    """A database that is open for reading, by any number of threads; a context manager that closes it.

    It closes as soon as nobody holds it, since nothing in it refers to it.

    Args:
        path: its file, from `make_database`.
        spill: folder for what does not fit into memory; of this file alone, and the same whenever a process opens it,
            because DuckDB opens a file a second time only with the same settings.

    Raises:
        DamagedDatabase: it is missing or damaged.
        RunError: this process has it open with other settings.
    """

    def __init__(self, path: Path, *, spill: Path) -> None:
        import duckdb

        self._path = path
        self._answers: OrderedDict[tuple[str, tuple[Any, ...]], tuple[np.ndarray[Any, Any], ...]] = OrderedDict()
        self._guard = threading.Lock()
        try:
            self._database: DuckDBPyConnection = duckdb.connect(
                str(path), read_only=True, config={"memory_limit": MEMORY, "temp_directory": str(spill)}
            )
        except duckdb.ConnectionException as error:
            raise RunError("The index of the tables is open in another way", where=str(path),
                           try_="close what has it open, and ask again") from error  # fmt: skip
        except duckdb.Error as error:
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

    def rows(self, sql: str, parameters: Sequence[Any] = ()) -> list[dict[str, Any]]:
        """The rows that a query returns, by name of the column.

        Args:
            sql: the query; `?` stands for a parameter.
            parameters: values of its `?`, in order.

        Raises:
            DamagedDatabase: the file is damaged.
        """
        import duckdb

        try:
            with self._database.cursor() as cursor:
                found = cursor.execute(sql, list(parameters))
                names = [one[0] for one in found.description or ()]
                return [dict(zip(names, row, strict=True)) for row in found.fetchall()]
        except duckdb.Error as error:
            raise self._damaged(error) from error

    def columns(self, sql: str, parameters: tuple[Any, ...] = ()) -> tuple[np.ndarray[Any, Any], ...]:
        """The columns that a query returns, which nobody may write to; the last `KEPT` answers are kept.

        Args:
            sql: the query, of numbers alone; `?` stands for a parameter.
            parameters: values of its `?`, in order.

        Raises:
            DamagedDatabase: the file is damaged.
        """
        with self._guard:
            if (sql, parameters) in self._answers:
                self._answers.move_to_end((sql, parameters))
                return self._answers[sql, parameters]
        found = self._asked(sql, parameters)
        with self._guard:
            self._answers[sql, parameters] = found
            while len(self._answers) > KEPT:
                self._answers.popitem(last=False)
        return found

    def _asked(self, sql: str, parameters: tuple[Any, ...]) -> tuple[np.ndarray[Any, Any], ...]:
        import duckdb

        try:
            with self._database.cursor() as cursor:
                return tuple(cursor.execute(sql, list(parameters)).fetchnumpy().values())
        except duckdb.Error as error:
            raise self._damaged(error) from error

    def _damaged(self, error: Exception) -> DamagedDatabase:
        said = f"The index of the tables cannot be read: {str(error).splitlines()[0]}"
        return DamagedDatabase(said, where=str(self._path), try_="delete it: it is made anew from the tables")
