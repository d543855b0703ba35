"""Files of rows: Parquet with the features that `datasets` reads, JSON lines, a JSON array, CSV. One batch is held."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from spavl.interchange.writers.forms import INSIDE, Kind
from spavl.interchange.writers.layouts import Values

Write = Callable[[Values], None]
"""Adds a row."""
INSIDE_ROWS, ROWS = 100, 4096
"""Most rows of a row group, with the bytes of pictures inside and without: what the Hub's viewer recommends."""
GROUP_BYTES = 64 * 2**20
"""Bytes of pictures after which a row group ends."""


def with_features(schema: pa.Schema) -> pa.Schema:
    """The schema with the metadata by which `datasets` knows the pictures.

    Args:
        schema: of a file.
    """
    features = {one.name: _feature(one.type) for one in schema}
    return schema.with_metadata({"huggingface": json.dumps({"info": {"features": features}})})


def _feature(kind: pa.DataType) -> Any:
    if kind == INSIDE:
        return {"_type": "Image"}
    if pa.types.is_list(kind):
        return [_feature(kind.value_type)]
    if pa.types.is_struct(kind):
        return {one.name: _feature(one.type) for one in kind}
    return {"dtype": "float64" if kind == pa.float64() else str(kind), "_type": "Value"}


@contextmanager
def table_writer(path: Path, kind: Kind, schema: pa.Schema) -> Iterator[Write]:
    """What adds rows to a file.

    Args:
        path: the file; its folder is made.
        kind: of the file.
        schema: its columns; other values of a row are left out.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with _WRITERS[kind](path, schema) as write:
        yield write


@contextmanager
def _parquet(path: Path, schema: pa.Schema) -> Iterator[Write]:
    schema = with_features(schema)
    rows: list[Values] = []
    size = 0
    most = INSIDE_ROWS if any(_holds_bytes(one.type) for one in schema) else ROWS
    with pq.ParquetWriter(path, schema, compression="zstd", write_page_checksum=True) as writer:

        def flush() -> None:
            nonlocal size
            writer.write_table(pa.Table.from_pylist(rows, schema=schema), row_group_size=max(1, len(rows)))
            rows.clear()
            size = 0

        def write(values: Values) -> None:
            nonlocal size
            rows.append(values)
            size += sum(map(_bytes_in, values.values()))
            if len(rows) == most or size >= GROUP_BYTES:
                flush()

        yield write
        if rows:
            flush()


def _holds_bytes(kind: pa.DataType) -> bool:
    return kind == INSIDE or (pa.types.is_list(kind) and _holds_bytes(kind.value_type))


def _bytes_in(value: Any) -> int:
    """Bytes of the pictures in a cell."""
    if isinstance(value, dict):
        data = value.get("bytes")
        return len(data) if data is not None else sum(map(_bytes_in, value.values()))
    return sum(map(_bytes_in, value)) if isinstance(value, list) else 0


@contextmanager
def _json_lines(path: Path, schema: pa.Schema) -> Iterator[Write]:
    with path.open("w", encoding="utf-8", newline="\n") as file:
        yield lambda values: _line(file.write, values, schema, "\n")


@contextmanager
def _json_array(path: Path, schema: pa.Schema) -> Iterator[Write]:
    with path.open("w", encoding="utf-8", newline="\n") as file:
        before = "["

        def write(values: Values) -> None:
            nonlocal before
            file.write(before)
            _line(file.write, values, schema, "")
            before = ",\n"

        yield write
        file.write("]\n")


def _line(write: Callable[[str], Any], values: Values, schema: pa.Schema, end: str) -> None:
    write(json.dumps({name: values.get(name) for name in schema.names}, ensure_ascii=False) + end)


@contextmanager
def _csv(path: Path, schema: pa.Schema) -> Iterator[Write]:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\r\n")
        writer.writerow(schema.names)
        yield lambda values: writer.writerow([as_text(values.get(name)) for name in schema.names])


_WRITERS = {"parquet": _parquet, "jsonl": _json_lines, "json": _json_array, "csv": _csv}


def as_text(value: Any) -> str:
    """A value as a cell of CSV: flags as true and false, lists as JSON, nothing for None.

    Args:
        value: of a row.
    """
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False)


def as_read(values: Mapping[str, Any], kind: Kind, schema: pa.Schema) -> Values:
    """The values of a row as a reader of the file gets them.

    Args:
        values: of the row.
        kind: of the file.
        schema: its columns.
    """
    kept = {name: values.get(name) for name in schema.names}
    return {name: as_text(value) or None for name, value in kept.items()} if kind == "csv" else kept
