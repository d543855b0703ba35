"""Reading of local files, shared by the loaders: rows of a table, and pictures by path or inside a table."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from spavl.errors import DataError
from spavl.evaluate.pictures import store_picture
from spavl.pictures import file_sha256
from spavl.records import ImageRef

Row = dict[str, Any]
"""A row by column or field."""


def rows_of(path: Path) -> list[Row]:
    """The rows of a JSON-lines or Parquet file.

    Args:
        path: the file.

    Raises:
        DataError: it is missing, of another kind, or broken; the message names the line.
    """
    if not path.is_file():
        raise DataError("This file does not exist", where=str(path))
    if path.suffix == ".parquet":
        return _parquet(path)
    if path.suffix in (".jsonl", ".json"):
        return _json_lines(path)
    raise DataError(f"A benchmark file ends in .jsonl or .parquet, not `{path.suffix}`", where=str(path))


def _parquet(path: Path) -> list[Row]:
    try:
        rows: list[Row] = pq.read_table(path).to_pylist()
    except (OSError, pa.ArrowInvalid) as error:
        raise DataError(f"This is not a readable Parquet file: {error}", where=str(path)) from error
    return rows


def _json_lines(path: Path) -> list[Row]:
    rows = []
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise DataError(f"This line is not JSON: {error}", where=f"{path}:{number}") from error
        if not isinstance(row, dict):
            raise DataError("This line is no JSON object", where=f"{path}:{number}")
        rows.append(row)
    return rows


def read_text(path: Path) -> str:
    """The text of a UTF-8 file.

    Args:
        path: the file.

    Raises:
        DataError: it cannot be read.
    """
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"This file cannot be read: {error}", where=str(path)) from error


def require(row: Row, names: Iterable[str], where: str) -> None:
    """Check that a row has these fields.

    Args:
        row: the row.
        names: fields that must be there and not null.
        where: file and place of the row, for the message.

    Raises:
        DataError: a field is missing; the message names those that are there.
    """
    missing = [name for name in names if row.get(name) is None]
    if missing:
        raise DataError(f"The field `{missing[0]}` is missing; the row has {', '.join(sorted(row))}", where=where)


def picture_at(folder: Path, name: str) -> ImageRef:
    """A picture by its path relative to a folder.

    Args:
        folder: folder of the benchmark's pictures.
        name: the path; a URL is no path.

    Raises:
        DataError: the path leads out of the folder, or the file cannot be read.
    """
    path = (folder / name).resolve()
    if not path.is_relative_to(folder.resolve()):
        raise DataError(f"The picture `{name}` lies outside its folder", where=str(folder))
    try:
        return ImageRef(path, file_sha256(path))
    except OSError as error:
        raise DataError(f"The picture `{name}` cannot be read: {error.strerror}", where=str(folder)) from error


def picture_in(cell: Any, pictures: Path, where: str) -> ImageRef:
    """A picture inside a table as the Hub stores them, written to a file named by its hash.

    Args:
        cell: `{"bytes", "path"}`, or the bytes.
        pictures: folder for the file.
        where: file and place of the row, for the message.

    Raises:
        DataError: the cell has no bytes.
        RunError: the picture cannot be written.
    """
    data = cell.get("bytes") if isinstance(cell, dict) else cell
    if not isinstance(data, bytes):
        raise DataError(
            "The picture's bytes are not in the table", where=where, try_="use the Parquet files of the Hub"
        )
    return store_picture(data, pictures)
