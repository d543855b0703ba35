"""Parquet files of records, written and read slice by slice, so that no more than a slice is held at once.

A slice is one row group. In the tables of a run, slice n of every table is about the n-th group of pictures, so that
what came from what is found without a search; a slice may be empty.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from spavl.atomic import atomic_write, remove_abandoned
from spavl.errors import RunError
from spavl.tables.columns import FORMAT, Record, columns_of, records_of, to_arrow

Footer = dict[str, Any]
"""What a table says of itself beyond its rows, plain data; a tool that writes the table anew drops it."""
_FOOTER = "spavl.footer"
MOST_KEPT = 4 << 30
"""Bytes of a table up to which what it says of its slices is kept between questions: some thousandth of it."""


def write_table(path: Path, records: Iterable[Record], kind: type[Record]) -> int:
    """Write records as a Parquet table of one slice, atomically. Returns the number of rows.

    Args:
        path: the table.
        records: its rows, all of type `kind`.
        kind: the record class, which decides the columns.

    Raises:
        RunError: the disk is full or the folder cannot be written.
    """
    return write_arrow(path, to_arrow(list(records), kind))


def write_arrow(path: Path, table: pa.Table) -> int:
    """Write an Arrow table as Parquet, atomically. Returns the number of rows.

    Args:
        path: the table.
        table: its schema and rows.

    Raises:
        RunError: the disk is full or the folder cannot be written.
    """
    return write_batches(path, table.schema, [table])


def write_batches(
    path: Path,
    schema: pa.Schema,
    batches: Iterable[pa.Table],
    *,
    footer: Callable[[], Footer] | None = None,
    hashed: bool = False,
) -> int:
    """Write a table that need not fit into memory as Parquet, atomically. Returns the number of rows.

    Args:
        path: the table.
        schema: its columns.
        batches: its slices, of that schema; each becomes one row group, with zstd compression and page checksums.
        footer: called after the last slice; what the table says of itself.
        hashed: add `content` to the footer, a hash of the rows in their order.

    Raises:
        RunError: the disk is full or the folder cannot be written.
    """
    rows = 0
    content = blake2b(digest_size=16)
    remove_abandoned(path)
    with (
        atomic_write(path, what="The table") as tmp,
        pq.ParquetWriter(tmp, schema, compression="zstd", write_page_checksum=True) as writer,
    ):
        for batch in batches:
            writer.write_table(batch, row_group_size=max(1, batch.num_rows))
            rows += batch.num_rows
            if hashed:
                _hash_rows(content, batch)
        if footer is not None:
            said = footer() | ({"content": content.hexdigest()} if hashed else {})
            writer.add_key_value_metadata({_FOOTER: json.dumps(said, sort_keys=True)})
    return rows


def read_table(path: Path, kind: type[Record]) -> list[Record]:
    """All records of a table, in the order of its rows. They must fit into memory; `slices_of` needs less.

    Args:
        path: a table of records; page checksums are verified.
        kind: the record class to read: the table's own, or one that its records hold.

    Raises:
        RunError: the file is missing or damaged, lacks a column, or is of another format version.
    """
    return [record for records in slices_of(path, kind) for record in records]


def slices_of(path: Path, kind: type[Record]) -> Iterator[list[Record]]:
    """The records of a table, slice by slice.

    Args:
        path: a table of records; page checksums are verified.
        kind: the record class to read: the table's own, or one that its records hold.

    Raises:
        RunError: the file is missing or damaged, lacks a column, or is of another format version.
    """
    with _open(path, kind) as file:
        for number in range(file.num_row_groups):
            yield records_of(file.read_row_group(number, columns=_names(kind)), kind)


def read_slice(path: Path, kind: type[Record], number: int) -> list[Record]:
    """The records of one slice of a table.

    Args:
        path: a table of records; page checksums are verified.
        kind: the record class to read: the table's own, or one that its records hold.
        number: of the slice, from 0.

    Raises:
        RunError: the file is missing or damaged, lacks a column, or is of another format version.
    """
    with _open(path, kind) as file:
        return records_of(file.read_row_group(number, columns=_names(kind)), kind)


def read_rows(path: Path, kind: type[Record], column: str, value: str) -> list[Record]:
    """The records of a table whose column has a value, read without holding the others.

    Args:
        path: a table of records; page checksums are verified.
        kind: the record class to read.
        column: a column of text.
        value: what it must hold.

    Raises:
        RunError: the file is missing or damaged, lacks a column, or is of another format version.
    """
    found: list[Record] = []
    with _open(path, kind) as file:
        for number in range(file.num_row_groups):
            matching = pc.equal(file.read_row_group(number, columns=[column])[column], value)
            if pc.any(matching).as_py():
                found += records_of(file.read_row_group(number, columns=_names(kind)).filter(matching), kind)
    return found


def read_rows_near(
    path: Path, kind: type[Record], column: str, value: str, *, number: int, slices: int
) -> list[Record]:  # fmt: skip
    """The records of a table whose column has a value, looked for in one slice where the table has the same slices.

    For who asks often: what the file says of its slices is kept for the next question, so that a question costs the
    reading of one slice.

    Args:
        path: a table of records.
        kind: the record class to read.
        column: a column of text.
        value: what it must hold.
        number: of the slice in which the records are, in a table with as many slices as `slices`.
        slices: how many these are; a table that has another number is searched from its beginning.

    Raises:
        RunError: the file is missing or damaged, lacks a column, or is of another format version.
    """
    seen = path.stat() if path.exists() else None
    if seen is None or seen.st_size > MOST_KEPT:
        return read_rows(path, kind, column, value)
    with _readable(path):
        known = _metadata(path, seen.st_mtime_ns, seen.st_size)
    if known.num_row_groups != slices:
        return read_rows(path, kind, column, value)
    with _readable(path), pq.ParquetFile(path, metadata=known, page_checksum_verification=True) as file:
        _check_format(file.schema_arrow, path, kind)
        found = file.read_row_group(number, columns=_names(kind))
        return records_of(found.filter(pc.equal(found[column], value)), kind)


@lru_cache(maxsize=6)
def _metadata(path: Path, changed: int, size: int) -> pq.FileMetaData:
    """What a file says of its slices; one that has changed is another one."""
    with pq.ParquetFile(path) as file:
        return file.metadata


def read_footer(path: Path) -> Footer | None:
    """What a table says of itself; None where there is no table, or where another tool has written it.

    Args:
        path: the table.

    Raises:
        RunError: the file is damaged.
    """
    if not path.exists():
        return None
    with _readable(path), pq.ParquetFile(path) as file:
        said = (file.metadata.metadata or {}).get(_FOOTER.encode())
        footer: Footer | None = None if said is None else json.loads(said)
        return None if footer is None else {**footer, "slices": file.num_row_groups, "rows": file.metadata.num_rows}


def _hash_rows(content: Any, batch: pa.Table) -> None:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as stream:
        stream.write_table(batch.combine_chunks())
    content.update(sink.getvalue())


def _names(kind: type[Any]) -> list[str]:
    return [name for name, _ in columns_of(kind)]


@contextmanager
def _open(path: Path, kind: type[Any]) -> Iterator[pq.ParquetFile]:
    if not path.exists():
        raise RunError("This table has not been made yet", where=str(path), try_="run `spavl build` first")
    with _readable(path), pq.ParquetFile(path, page_checksum_verification=True) as file:
        _check_format(file.schema_arrow, path, kind)
        yield file


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Turn what a damaged file raises into a sentence."""
    try:
        yield
    except (OSError, pa.ArrowException, UnicodeDecodeError) as error:
        raise RunError(
            f"This is not a readable table: {' '.join(str(error).split())[:200]}", where=str(path),
            try_="delete it; it is remade without any call",
        ) from error  # fmt: skip


def _check_format(schema: pa.Schema, path: Path, kind: type) -> None:
    found = (schema.metadata or {}).get(b"spavl", b"none").decode()
    if found == "none":
        raise RunError(
            "This table was not written by spavl, or another tool has written it anew", where=str(path),
            try_="move it away if you need it, and run `spavl build` again: it is remade without any call",
        )  # fmt: skip
    if found != FORMAT:
        raise RunError(
            f"This table is of format version {found}; this spavl reads version {FORMAT}",
            where=str(path),
            try_="use a new run folder (`--out`); the old one is left as it is",
        )
    missing = [name for name in _names(kind) if name not in schema.names]
    if missing:
        raise RunError(f"Columns are missing from this table: {', '.join(missing)}", where=str(path))
