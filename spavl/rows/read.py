"""Rows of a file, told apart by what it holds; see the room's own description."""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import json
import re
import shutil
import tempfile
import zlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, NoReturn

import pyarrow as pa
import pyarrow.parquet as pq

from spavl.errors import DataError
from spavl.rows.brief import brief, is_short, listed
from spavl.rows.json_values import MOST, Members, parsed

FORMS = "JSON lines, a JSON array, a JSON object by id, CSV, TSV or Parquet, or one of these as .gz"
"""What is read."""
LISTS = ("data", "questions", "rows", "items", "examples", "samples", "instances", "annotations")
"""Names under which an object may hold the list of rows, beside other entries."""
GZIP = b"\x1f\x8b"
BYTE_ORDER_16 = (b"\xff\xfe", b"\xfe\xff")
TO_UTF8 = "save the file as UTF-8: `iconv -f WINDOWS-1252 -t UTF-8 FILE > NEW`, where Excel or Windows wrote it"
"""What helps a text of another encoding."""
OTHERS: Mapping[bytes, tuple[str, str]] = {
    b"version https://git-lfs": ("a Git LFS pointer and not the file itself", "run `git lfs pull` in its repository"),
    b"<!doctype html": ("a web page", "download the raw file"),
    b"<html": ("a web page", "download the raw file"),
    b"PK\x03\x04": ("a ZIP archive or an Excel file", f"unpack it, or save it as {FORMS}"),
    b"BZh": ("compressed by bzip2", "unpack it"),
    b"\xfd7zXZ": ("compressed by xz", "unpack it"),
    b"\x28\xb5\x2f\xfd": ("compressed by Zstandard", "unpack it"),
    b"ARROW1": ("an Arrow file", "write it as Parquet"),
    b"SQLite format 3": ("an SQLite database", f"export the table as {FORMS}"),
    b"%PDF": ("a PDF", f"wanted is {FORMS}"),
    b"\x89PNG": ("a picture", f"wanted is {FORMS}"),
    b"\xff\xd8\xff": ("a picture", f"wanted is {FORMS}"),
    GZIP: ("compressed twice", "unpack it once"),
}
"""What a file may be instead, by its first bytes (of a text in lower case): what that is called, and what helps."""
CHUNK = 2**18
"""Bytes of a JSON array that are read at once."""
TOGETHER = 8
"""Rows of a Parquet file that are held at once; each may bring a picture."""


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a file."""

    values: Mapping[str, Any]
    """Its values by the name of the column or field."""
    where: str
    """File and place for messages: `file, line 3`, `file, row 3` or `file, id 12`."""
    delimited: bool = False
    """Whether it is a row of CSV or TSV, whose values are texts and may have been closed to spreadsheets."""


def rows_of(path: Path, *, columns: Collection[str] | None = None, under: str | None = None) -> Iterator[Row]:
    """The rows of a file in their order, read by the form that the file has.

    Args:
        path: the file.
        columns: those of a Parquet file that are read, where it has them, since columns may be large. None: all.
        under: the name under which a JSON object holds the list of rows, where that is known: they are then read one by
            one, and what follows the list is not read. None: the object is held as a whole.

    Raises:
        DataError: the file is missing, of another form, or damaged; the message names the line or row.
    """
    if not path.is_file():
        what = "This is a folder and not a file" if path.is_dir() else "This file does not exist"
        raise DataError(what, where=str(path), try_=f"look at the path; it was sought from {Path.cwd()}")
    try:
        with path.open("rb") as file:
            if file.read(2) != GZIP:
                yield from _rows(file, path, columns, under)
                return
            file.seek(0)
            with io.BufferedReader(gzip.GzipFile(fileobj=file)) as unpacked:
                yield from _rows(unpacked, path, columns, under)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"This file cannot be read: {' '.join(str(error).split())[:200]}", where=str(path)) from error


def _rows(
    file: io.BufferedReader[Any], path: Path, columns: Collection[str] | None, under: str | None
) -> Iterator[Row]:
    file.seek(0)
    start = file.read(4096)
    file.seek(0)
    if start.startswith(b"PAR1"):
        return _parquet(file, path, columns)
    for begin, (what, help_) in OTHERS.items():
        if start.startswith(begin) or start.lower().removeprefix(b"\xef\xbb\xbf").lstrip().startswith(begin):
            raise DataError(f"This file is {what}", where=str(path), try_=help_)
    wide = start.startswith(BYTE_ORDER_16)
    text = start.decode("utf-16" if wide else "utf-8-sig", "replace").lstrip()
    if _is_unmarked_utf16(start[:20]):
        raise DataError("This file is UTF-16 without a byte order mark, or no text", where=str(path),
                        try_="save it as UTF-8: `iconv -f UTF-16LE -t UTF-8 FILE > NEW`")  # fmt: skip
    if "\0" in text or (path.suffix == ".parquet" and text[:1] not in ("{", "[")):
        _refuse(path, "This is no readable Parquet file" if path.suffix == ".parquet" else "This file is not text")
    if not text:
        return iter(())
    if text[0] == "{" and under is not None:
        return _json_under(file, path, under)
    return _json(file, path, text[0]) if text[0] in "{[" else _delimited(file, path, text)


def _is_unmarked_utf16(start: bytes) -> bool:
    """Whether every other byte is zero, as in UTF-16 of mostly ASCII characters."""
    halves = [half.strip(b"\0") for half in (start[::2], start[1::2])]
    return len(start) > 3 and any(halves) and not all(halves)


def _refuse(path: Path, what: str) -> NoReturn:
    raise DataError(what, where=str(path), try_=f"wanted is {FORMS}")


def _form(path: Path) -> str:
    """The end of a file's name, that of `.gz` aside."""
    return (Path(path.stem) if path.suffix == ".gz" else path).suffix.lower()


# ---- text


def _texts(file: io.BufferedReader[Any], path: Path) -> Iterator[str]:
    """The lines of a text, each with its line feed; no other character ends a line."""
    wide = file.read(2) in BYTE_ORDER_16
    file.seek(0)
    if wide:
        yield from io.StringIO(_decoded(file, path), newline="\n")
        return
    for number, line in enumerate(iter(lambda: file.readline(MOST + 1), b""), start=1):
        where = f"{path}, line {number}"
        if len(line) > MOST:
            raise DataError(f"A line of more than {MOST // 2**20} MiB", where=where, try_="write a row on each line")
        try:
            yield line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            raise DataError(f"This line is not UTF-8 (byte {error.start + 1})", where=where, try_=TO_UTF8) from error


def _chunks(file: io.BufferedReader[Any], path: Path) -> Iterator[str]:
    """A text in pieces of about `CHUNK` bytes."""
    wide = file.read(2) in BYTE_ORDER_16
    file.seek(0)
    decoder = codecs.getincrementaldecoder("utf-16" if wide else "utf-8-sig")()
    line = 1
    for data in iter(lambda: file.read(CHUNK), b""):
        try:
            text = decoder.decode(data)
        except UnicodeDecodeError as error:
            line += error.object.count(b"\n", 0, error.start)
            raise DataError(
                f"This line is not {error.encoding.upper()}", where=f"{path}, line {line}", try_=TO_UTF8
            ) from error
        line += text.count("\n")
        yield text


def _decoded(file: io.BufferedReader[Any], path: Path) -> str:
    """A whole text."""
    data = file.read(MOST + 1)
    if len(data) > MOST:
        raise DataError(
            f"This file is one JSON value of more than {MOST // 2**20} MiB", where=str(path),
            try_="write JSON lines, which are read one by one: `jq -c '.[]' FILE`",
        )  # fmt: skip
    try:
        return data.decode("utf-16" if data.startswith(BYTE_ORDER_16) else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise _not_text(error, path, data.count(b"\n", 0, error.start) + 1) from error


def _not_text(error: UnicodeDecodeError, path: Path, line: int) -> DataError:
    what = f"This line is not {error.encoding.upper()}"
    return DataError(what, where=f"{path}, line {line}", try_=TO_UTF8)


# ---- JSON


def _json_under(file: io.BufferedReader[Any], path: Path, name: str) -> Iterator[Row]:
    """The rows of the list that an object holds under a name, if that begins near the start; else as of any file."""
    chunks = _chunks(file, path)
    first = next(chunks)
    found = re.search(rf'"{re.escape(name)}"\s*:\s*(?=\[)', first)
    if found is None:
        file.seek(0)
        yield from _json(file, path, "{")
        return
    members = Members(chain([first[found.end() :]], chunks), str(path), alone=False)
    yield from (_row(value, f"{path}, row {number}") for number, value in enumerate(members, start=1))


def _json(file: io.BufferedReader[Any], path: Path, begins: str) -> Iterator[Row]:
    if begins == "[":
        members = Members(_chunks(file, path), str(path))
        yield from (_row(value, f"{path}, row {number}") for number, value in enumerate(members, start=1))
        return
    lines = ((number, text) for number, text in enumerate(_texts(file, path), start=1) if text.strip())
    first = next(lines)
    try:
        value = parsed(first[1])
    except json.JSONDecodeError:
        file.seek(0)
        yield from _members(_whole(file, path), path)
        return
    except ValueError as error:
        raise DataError(f"This line is not usable: {error}", where=f"{path}, line {first[0]}") from error
    second = next(lines, None)
    if second is None and _form(path) not in (".jsonl", ".ndjson"):
        yield from _members(value, path)
        return
    for number, text in chain([first], [second] if second else [], lines):
        yield _json_line(text, f"{path}, line {number}")


def _json_line(text: str, where: str) -> Row:
    try:
        return _row(parsed(text), where)
    except json.JSONDecodeError as error:
        raise DataError(f"This line is not JSON: {error.msg} (character {error.pos + 1})", where=where) from error
    except ValueError as error:
        raise DataError(f"This line is not usable: {error}", where=where) from error


def _whole(file: io.BufferedReader[Any], path: Path) -> Any:
    """The one JSON value of a file."""
    try:
        return parsed(_decoded(file, path))
    except json.JSONDecodeError as error:
        more = "write every object on a line of its own: `jq -c . FILE`" if error.msg == "Extra data" else ""
        raise DataError(
            f"This line is not JSON: {error.msg} (character {error.colno})", where=f"{path}, line {error.lineno}",
            try_=more,
        ) from error  # fmt: skip
    except ValueError as error:
        raise DataError(f"This JSON is not usable: {error}", where=str(path)) from error


def _members(value: Any, path: Path) -> Iterator[Row]:
    """The rows of a file that is one JSON value."""
    if isinstance(value, dict):
        lists = [name for name, member in value.items() if isinstance(member, list) and _is_table(member)]
        named = [name for name in lists if name in LISTS]
        if len(named) == 1 or (len(value) == 1 and lists):
            value = value[(named or lists)[0]]
        elif len(named) > 1 or (lists and len(lists) == len(value)):
            names = listed(named or lists, "`")
            raise DataError(f"This file holds several lists: {names}", where=str(path), try_="take the one out")
        elif _is_by_id(value):
            for number, (key, member) in enumerate(value.items(), 1):
                where = f"{path}, id {key if is_short(key) else number}"
                yield Row({"id": key, **_row(member, where).values}, where)
            return
        else:
            value = [value]
    for number, member in enumerate(value, start=1):
        yield _row(member, f"{path}, row {number}")


def _is_by_id(value: Mapping[str, Any]) -> bool:
    """Whether an object holds rows by their ids: most of its members are objects; the others are mistakes."""
    return 2 * sum(isinstance(member, dict) for member in value.values()) > len(value)


def _is_table(members: Sequence[Any]) -> bool:
    return all(isinstance(member, dict) for member in members)


def _row(value: Any, where: str) -> Row:
    if isinstance(value, dict):
        return Row(value, where)
    raise DataError(f"A row is no JSON object but {brief(value)}", where=where, try_='such as {"question": "…"}')


# ---- CSV and TSV


def _delimited(file: io.BufferedReader[Any], path: Path, start: str) -> Iterator[Row]:
    if _form(path) in (".json", ".jsonl", ".ndjson"):
        raise DataError("This line is not JSON: it begins with neither { nor [", where=f"{path}, line 1")
    head = re.sub(r'"[^"]*"', "", start.partition("\n")[0])
    delimiter = max("\t,;", key=head.count)
    if delimiter not in head and _form(path) not in (".csv", ".tsv"):
        _refuse(path, "This file is no table: its first line names no columns")
    csv.field_size_limit(MOST)
    records = _records(csv.reader(_texts(file, path), delimiter=delimiter, strict=True), path)
    _, names = next(records, (1, []))
    if not names:
        _refuse(path, "This file is no table: its first line names no columns")
    names = _column_names(names, path)
    for line, cells in records:
        if len(cells) != len(names):
            raise DataError(
                f"This line has {len(cells)} cells where the first line names {len(names)} columns",
                where=f"{path}, line {line}", try_="put quotes around a cell that holds the separator",
            )  # fmt: skip
        values = {name: cell or None for name, cell in zip(names, cells, strict=True) if name}
        yield Row(values, f"{path}, line {line}", delimited=True)


def _records(reader: Any, path: Path) -> Iterator[tuple[int, list[str]]]:
    """(the line on which it begins, cells) of every record."""
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader, None)
        except csv.Error as error:
            raise DataError(
                f"This line cannot be read: {error}", where=f"{path}, line {line}",
                try_="a quote inside a quoted cell is written twice, and every quote is closed",
            ) from error  # fmt: skip
        if cells is None:
            return
        if any(cells):
            yield line, cells


def _column_names(cells: Sequence[str], path: Path) -> list[str]:
    """Names of the columns; the first may have none, as where pandas writes its index."""
    names = [cell.strip() for cell in cells]
    wrong = next((n for place, n in enumerate(names) if (not n and place) or n in names[:place]), None)
    if wrong is not None:
        what = f"Two columns are called {brief(wrong)}" if wrong else "A column has no name"
        raise DataError(what, where=f"{path}, line 1", try_="the first line names every column, each once")
    return names


# ---- Parquet


def _parquet(file: io.BufferedReader[Any], path: Path, columns: Collection[str] | None) -> Iterator[Row]:
    with tempfile.TemporaryFile() as unpacked:
        if isinstance(file.raw, gzip.GzipFile):  # Parquet is read from its end, which a stream does not have
            shutil.copyfileobj(file, unpacked)
        try:
            table = pq.ParquetFile(unpacked if unpacked.tell() else file, pre_buffer=False)
            names = table.schema_arrow.names
            if twice := next((name for place, name in enumerate(names) if name in names[:place]), None):
                raise DataError(f"Two columns are called {brief(twice)}", where=str(path), try_="give one another name")
            wanted = None if columns is None else [name for name in names if name in columns]
            number = 0
            for batch in table.iter_batches(batch_size=TOGETHER, columns=wanted, use_threads=False):
                for values in _plain(batch):
                    number += 1
                    yield Row(values, f"{path}, row {number}")
        except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
            what = " ".join(str(error).split())[:160]
            raise DataError(f"This Parquet file is damaged or cut off: {what}", where=str(path)) from error


def _plain(batch: pa.RecordBatch) -> list[dict[str, Any]]:
    """The rows of a batch; dates and times that Python has no room for are texts, as Arrow writes them."""
    rows: list[dict[str, Any]]
    try:
        rows = batch.to_pylist()
    except (OverflowError, ValueError):
        columns = [one.cast(pa.string()) if pa.types.is_temporal(one.type) else one for one in batch.columns]
        rows = pa.RecordBatch.from_arrays(columns, batch.schema.names).to_pylist()
    return rows
