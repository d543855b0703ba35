"""Tables of records: Parquet files with one row a record and every field side by side.

A record holds the one it came from and field names are unique along that chain, so flattening needs no prefixes:
`Response(query=Query(image=ImageRecord(topic=Topic(…))))` becomes a row with `class1 … image_id … question … response`.
Repeated text is dictionary-encoded by Parquet and costs almost nothing. Any tool reads the tables: pandas, DuckDB,
`datasets`.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import is_dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal, TypeVar, Union

import pyarrow as pa
import pyarrow.parquet as pq

from spavl.atomic import atomic_write
from spavl.errors import RunError

FORMAT = "2"
"""Version of the tables' meaning. A folder of another version is refused, never misread."""

Record = TypeVar("Record")
"""A record class of `spavl.records`."""


def write_table(path: Path, records: Iterable[Record], kind: type[Record]) -> int:
    """Write records as a Parquet table, atomically. Returns the number of rows.

    Args:
        path: the table.
        records: its rows, all of type `kind`.
        kind: the record class, which decides the columns.

    Raises:
        RunError: the disk is full or the folder cannot be written.
    """
    rows = [flat_row(record) for record in records]
    columns = {name: [r[name] for r in rows] for name, _ in columns_of(kind)}
    table = pa.table(columns, schema=schema_of(kind))
    return write_arrow(path, table)


def write_arrow(path: Path, table: pa.Table) -> int:
    """Write an Arrow table as Parquet, atomically. Returns the number of rows.

    Args:
        path: the table.
        table: its schema and rows.

    Raises:
        RunError: the disk is full or the folder cannot be written.
    """
    return write_batches(path, table.schema, [table])


def write_batches(path: Path, schema: pa.Schema, batches: Iterable[pa.Table]) -> int:
    """Write a table that need not fit into memory as Parquet, atomically. Returns the number of rows.

    Args:
        path: the table.
        schema: its columns.
        batches: pieces of that schema; each becomes one row group, with zstd compression and page checksums.

    Raises:
        RunError: the disk is full or the folder cannot be written.
    """
    rows = 0
    with (
        atomic_write(path, what="The table") as tmp,
        pq.ParquetWriter(tmp, schema, compression="zstd", write_page_checksum=True) as writer,
    ):
        for batch in batches:
            writer.write_table(batch)
            rows += batch.num_rows
    return rows


def read_table(path: Path, kind: type[Record]) -> list[Record]:
    """The records of a table, in the order of its rows.

    Args:
        path: a table that `write_table` wrote; page checksums are verified.
        kind: the record class to read: the table's own, or one that its records hold.

    Raises:
        RunError: the file is missing or damaged, lacks a column, or is of another format version.
    """
    if not path.exists():
        raise RunError("This table has not been made yet", where=str(path), try_="run `spavl build` first")
    try:
        table = pq.read_table(path, page_checksum_verification=True)
        _check_format(table, path, kind)
        schema = schema_of(kind)
        flat = table.select(schema.names).cast(schema).to_pylist()
    except (OSError, pa.ArrowException, UnicodeDecodeError) as error:
        raise RunError(
            f"This is not a readable table: {' '.join(str(error).split())[:200]}", where=str(path),
            try_="delete it; it is remade without any call",
        ) from error  # fmt: skip
    return [record_from_row(kind, r) for r in flat]


def flat_row(record: Any) -> dict[str, Any]:
    """A record and the records it holds, as one mapping of column to value.

    Args:
        record: an instance of a record class of `spavl.records`.
    """
    flat: dict[str, Any] = {}
    for name, _ in _hints(type(record)):
        value = getattr(record, name)
        if is_dataclass(value):
            flat.update(flat_row(value))
        else:
            flat[name] = value
    return flat


def record_from_row(kind: type[Record], flat: dict[str, Any]) -> Record:
    """The record that a flat row holds; the inverse of `flat_row`.

    Args:
        kind: the record class.
        flat: column to value, with all columns of `kind`; others are ignored.
    """
    return kind(
        **{
            name: record_from_row(hint, flat) if isinstance(hint, type) and is_dataclass(hint) else flat[name]
            for name, hint in _hints(kind)
        }
    )


def columns_of(kind: type[Any]) -> tuple[tuple[str, Any], ...]:
    """(name, type) of every column of a record's table, those of the earliest record first.

    Args:
        kind: the record class.
    """
    out: list[tuple[str, Any]] = []
    for name, hint in _hints(kind):
        out += columns_of(hint) if isinstance(hint, type) and is_dataclass(hint) else [(name, hint)]
    return tuple(out)


def schema_of(kind: type[Any]) -> pa.Schema:
    """The Arrow schema of a record's table, with the format version in its metadata.

    Args:
        kind: the record class.
    """
    columns = [pa.field(name, _arrow(hint)) for name, hint in columns_of(kind)]
    return pa.schema(columns, metadata={"spavl": FORMAT, "record": kind.__name__})


def _hints(kind: type[Any]) -> tuple[tuple[str, Any], ...]:
    return _hints_of(kind)  # type: ignore[arg-type]  # a class is hashable, which mypy doubts of type[Any]


@cache
def _hints_of(kind: Hashable) -> tuple[tuple[str, Any], ...]:
    return tuple(typing.get_type_hints(kind).items())


_ARROW = {str: pa.string(), int: pa.int64(), float: pa.float64(), bool: pa.bool_()}


def _arrow(hint: Any) -> pa.DataType:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is Literal:
        return pa.string()
    if origin in (Union, types.UnionType):
        return _arrow(next(a for a in arguments if a is not type(None)))
    if origin in (list, tuple, Sequence):
        return pa.list_(_arrow(arguments[0]))
    return _ARROW[hint]


def _check_format(table: pa.Table, path: Path, kind: type) -> None:
    metadata = table.schema.metadata or {}
    found = metadata.get(b"spavl", b"none").decode()
    if found != FORMAT:
        raise RunError(
            f"This table is of format version {found}; this spavl reads version {FORMAT}",
            where=str(path),
            try_="use a new run folder (`--out`); the call store is shared, so nothing is paid twice",
        )
    missing = [name for name, _ in columns_of(kind) if name not in table.column_names]
    if missing:
        raise RunError(f"Columns are missing from this table: {', '.join(missing)}", where=str(path))
