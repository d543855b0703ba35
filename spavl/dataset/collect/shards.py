"""Parquet and Arrow files whose rows hold pictures: labels row by row, and a picture by its file and row.

Neither is held as a whole. A Parquet file is read forward page by page (how large a page is was decided by who wrote
it), and the last few rows are kept, since pictures are asked for nearly in their order; an Arrow file, as `datasets`
writes it, is memory-mapped.
"""

from __future__ import annotations

import json
from bisect import bisect_right
from collections import OrderedDict, deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import accumulate
from pathlib import Path
from threading import Lock
from typing import Any, Protocol, final

import pyarrow as pa
import pyarrow.parquet as pq

from spavl.errors import DataError

TOGETHER = 8
"""Rows with pictures that are read at once."""
KEPT = 6
"""Times so many of them that are kept of a file."""
BUFFER = 2**20
"""Bytes of a Parquet file that are read at once, so that no row group is held as a whole."""
OPEN = 2
"""Files that are open at once: the readers of two neighbours overlap."""
LABEL_ROWS = 1024
"""Rows without pictures that are read at once."""


class _Cells(Protocol):
    """The cells of a column."""

    def cell(self, row: int) -> Any:
        """A cell, by the number of its row."""
        ...


@final
class Shards:
    """The pictures of several files, each by its file and row; may be asked by several threads.

    Args:
        column: that holds them.
    """

    def __init__(self, column: str) -> None:
        self._column = column
        self._open: OrderedDict[Path, _Cells] = OrderedDict()
        self._lock = Lock()

    def cell(self, file: Path, row: int) -> Any:
        """What a row holds as its picture.

        Args:
            file: a file.
            row: number of a row, from 0.

        Raises:
            DataError: the file is gone or damaged.
        """
        with self._lock, sentences(file):
            if file not in self._open:
                kind = _ParquetCells if is_parquet(file) else _ArrowCells
                self._open[file] = kind(file, self._column)
                if len(self._open) > OPEN:
                    self._open.popitem(last=False)
            self._open.move_to_end(file)
            return self._open[file].cell(row)


@final
class _ParquetCells:
    """The cells of a column of a Parquet file, read forward."""

    def __init__(self, file: Path, column: str) -> None:
        self._file = pq.ParquetFile(file, buffer_size=BUFFER, pre_buffer=False)
        self._column = column
        metadata = self._file.metadata
        groups = (metadata.row_group(number).num_rows for number in range(metadata.num_row_groups))
        self._starts = [0, *accumulate(groups)]
        self._read: deque[tuple[int, pa.Array]] = deque(maxlen=KEPT)
        self._seek(0)

    def _seek(self, row: int) -> None:
        """Go on reading at the beginning of the row group that holds a row."""
        group = bisect_right(self._starts, row) - 1
        self._read.clear()
        self._next = self._starts[group]
        self._batches = self._file.iter_batches(
            TOGETHER, row_groups=list(range(group, len(self._starts) - 1)), columns=[self._column], use_threads=False
        )

    def cell(self, row: int) -> Any:
        """A cell; what was read shortly before it is at hand."""
        oldest = self._read[0][0] if self._read else self._next
        group_ahead = self._starts[bisect_right(self._starts, row) - 1]
        if row < oldest or group_ahead > self._next:
            self._seek(row)
        while row >= self._next:
            values = next(self._batches).column(0)
            self._read.append((self._next, values))
            self._next += len(values)
        start, values = next(part for part in reversed(self._read) if part[0] <= row)
        return values[row - start].as_py()


@final
class _ArrowCells:
    """The cells of a column of a memory-mapped Arrow file."""

    def __init__(self, file: Path, column: str) -> None:
        self._parts = [batch.column(column) for batch in _arrow(file)]
        self._starts = [0, *accumulate(map(len, self._parts))]

    def cell(self, row: int) -> Any:
        """A cell."""
        part = bisect_right(self._starts, row) - 1
        return self._parts[part][row - self._starts[part]].as_py()


def is_parquet(file: Path) -> bool:
    """Whether a file is Parquet, and not Arrow, by its first bytes.

    Args:
        file: one of them.
    """
    with file.open("rb") as opened:
        return opened.read(4) == b"PAR1"


def schema_of(file: Path) -> pa.Schema:
    """Columns and their types.

    Args:
        file: Parquet or Arrow.

    Raises:
        DataError: it is missing, damaged, or neither.
    """
    with sentences(file):
        return pq.read_schema(file) if is_parquet(file) else _arrow(file).schema


def label_rows(file: Path, columns: Sequence[str]) -> Iterator[dict[str, Any]]:
    """The rows of a file, of some columns; names stand in place of the numbers of a `ClassLabel`.

    Args:
        file: Parquet or Arrow.
        columns: those that are read; without any, rows are empty.

    Raises:
        DataError: it is missing, damaged, or neither.
    """
    with sentences(file):
        names = _class_names(schema_of(file), columns)
        for batch in _label_batches(file, list(columns)):
            for row in batch.to_pylist() if columns else [{} for _ in range(batch.num_rows)]:
                yield {**row, **{name: _named(row[name], classes) for name, classes in names.items()}}


def _label_batches(file: Path, columns: list[str]) -> Iterator[pa.RecordBatch]:
    if is_parquet(file):
        opened = pq.ParquetFile(file, pre_buffer=False)
        yield from opened.iter_batches(LABEL_ROWS, columns=columns, use_threads=False)
        return
    for batch in _arrow(file):
        for start in range(0, batch.num_rows, LABEL_ROWS):
            yield batch.slice(start, LABEL_ROWS).select(columns)


def _class_names(schema: pa.Schema, columns: Sequence[str]) -> dict[str, list[str]]:
    """Names of the classes by column, where `datasets` stores their numbers."""
    try:
        features = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))["info"]["features"]
        found = {name: features[name] for name in columns if name in features}
        return {name: one["names"] for name, one in found.items() if one.get("_type") == "ClassLabel"}
    except (KeyError, TypeError, AttributeError, RecursionError, ValueError):  # another tool's note
        return {}


def _named(cell: Any, classes: Sequence[str]) -> Any:
    return classes[cell] if isinstance(cell, int) and 0 <= cell < len(classes) else None


def _arrow(file: Path) -> Any:
    """A reader of an Arrow file in either of its formats."""
    mapped = pa.memory_map(str(file))
    if mapped.read(6) == b"ARROW1":
        opened = pa.ipc.open_file(mapped)
        batches = [opened.get_batch(number) for number in range(opened.num_record_batches)]
        return pa.RecordBatchReader.from_batches(opened.schema, batches)
    mapped.seek(0)
    return pa.ipc.open_stream(mapped)


@contextmanager
def sentences(file: Path) -> Iterator[None]:
    """Turn what a reader raises over a file into a sentence.

    Args:
        file: that is read.

    Raises:
        DataError: that sentence.
    """
    try:
        yield
    except (pa.ArrowException, OSError, EOFError) as error:
        what = " ".join(str(error).split())[:160]
        raise DataError(
            f"This file cannot be read as Parquet or Arrow: {what}", where=str(file),
            try_="is it whole? A pointer of Git LFS is fetched by `git lfs pull`",
        ) from error  # fmt: skip


def picture_columns(schema: pa.Schema) -> list[str]:
    """Columns whose type is that of pictures: bytes, or a struct with bytes.

    Args:
        schema: columns and their types.
    """
    return [field.name for field in schema if holds_pictures(field.type) and not pa.types.is_string(field.type)]


def holds_pictures(kind: pa.DataType) -> bool:
    """Whether a column of this type may hold pictures: bytes, a struct with bytes, or paths.

    Args:
        kind: type of the column.
    """
    if pa.types.is_struct(kind):
        return bool(kind.get_field_index("bytes") >= 0)
    texts = pa.types.is_string(kind) or pa.types.is_large_string(kind)
    return bool(texts or pa.types.is_binary(kind) or pa.types.is_large_binary(kind))
