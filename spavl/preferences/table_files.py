"""The files of a table of pairs: how they are written from a source, and whether they still hold what it holds.

A folder has `pairs.arrow` (texts, and numbers of pictures), `pictures.arrow` (their keys and where they are),
`pictures.bin` (the bytes of those that a file brought inside, each once), `files.arrow` (every picture file that was
read, as it was then), `made-from.json` (the same of the source's own files) and `read-as.json` (their forms).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, final

import pyarrow as pa

from spavl.atomic import write_json
from spavl.errors import DataError, RunError
from spavl.pictures import Picture
from spavl.preferences.about import FIELDS
from spavl.preferences.forms import Form
from spavl.preferences.pairs import Pair, Reading, file_key, read_rows
from spavl.preferences.sources import PairSource

FORMAT = 7
"""Version of the folder."""
PAIRS, PICTURES, BYTES, FILES = "pairs.arrow", "pictures.arrow", "pictures.bin", "files.arrow"
NOTE, READ_AS = "made-from.json", "read-as.json"
"""Files of the folder."""
BATCH = 1024
"""Rows of a record batch: all batches of a file but the last have as many."""
_NUMBERS = pa.list_(pa.int32())
_TURN = pa.struct([("role", pa.string()), ("text", pa.string()), ("pictures", _NUMBERS)])
_PAIR_SCHEMA = pa.schema(
    [
        *(
            pa.field(name, pa.string())
            for name in ("pair_id", "question", "chosen", "rejected", "system", "context", "malformed")
        ),
        pa.field("pictures", _NUMBERS),
        pa.field("earlier", pa.list_(_TURN)),
        pa.field("weight", pa.float64()),
        pa.field("unpaired", pa.bool_()),
        pa.field("digest", pa.binary(32)),
        pa.field("swapped_digest", pa.binary(32)),
        *FIELDS,
    ]
)
_PICTURE_SCHEMA = pa.schema(
    [("key", pa.string()), ("path", pa.string()), ("start", pa.int64()), ("length", pa.int64())]
)
_FILE_SCHEMA = pa.schema([("path", pa.string()), ("size", pa.int64()), ("changed", pa.int64())])


def open_arrow(path: Path) -> Any:
    """An Arrow file, memory-mapped.

    Args:
        path: of the file.

    Raises:
        RunError: it cannot be read.
    """
    try:
        return pa.ipc.open_file(pa.memory_map(str(path)))
    except (OSError, pa.ArrowInvalid) as error:
        raise RunError(
            f"A file of the cache of pairs cannot be read: {error}",
            where=str(path),
            try_="delete its folder; it is made again from the pairs' own file",
        ) from error


def source_stamps(source: PairSource) -> dict[str, Any]:
    """What a table of the source's pairs is made from: its files as they are now, and the version of the table.

    Args:
        source: where the pairs are.
    """
    return {"format": FORMAT, "files": [[str(file), *_stamp(file)] for file in source.files]}


def is_current(folder: Path, made_from: Mapping[str, Any]) -> bool:
    """Whether a folder holds what the source's files hold now, and the pictures beside them are as they were.

    Args:
        folder: the folder of a table.
        made_from: `source_stamps` of now.

    Raises:
        RunError: a file of the folder is damaged.
    """
    note = folder / NOTE
    if not note.is_file() or json.loads(note.read_text("utf-8")) != made_from:
        return False
    files = open_arrow(folder / FILES)
    batches = (files.get_batch(number) for number in range(files.num_record_batches))
    rows = (row for batch in batches for row in batch.to_pylist())
    return all(_stamp(Path(row["path"])) == (row["size"], row["changed"]) for row in rows)


def _stamp(file: Path) -> tuple[int, int]:
    """Size and time of the last change; of a file that is not there -1 and 0."""
    if not file.is_file():
        return -1, 0
    found = file.stat()
    return found.st_size, found.st_mtime_ns


def write_table(
    source: PairSource, folder: Path, made_from: Mapping[str, Any], *, limit: int | None, reading: Reading, name: str
) -> None:
    """Write the files of a table; one pair is held at a time, and of pictures their keys.

    Args:
        source: where the pairs are.
        folder: an empty folder.
        made_from: `source_stamps` from before.
        limit: only the first so many pairs.
        reading: how rows are read.
        name: of the source, for errors.

    Raises:
        DataError: there are no pairs, or a file is not readable, or in none of the forms or in several.
    """
    forms: list[tuple[str, Form, Collection[str]]] = []

    def note_form(file: str, form: Form, unread: Collection[str]) -> None:
        forms.append((file, form, unread))

    with (
        (folder / BYTES).open("wb") as file,
        _writer(folder / FILES, _FILE_SCHEMA) as write_file,
        _writer(folder / PAIRS, _PAIR_SCHEMA) as write,
    ):
        pictures = _Pictures(file.write)
        key_of = _PictureFiles(write_file)
        for pair in read_rows(source, reading, limit=limit, key_of=key_of, on_form=note_form):
            write(_pair_row(pair, pictures))
    if not open_arrow(folder / PAIRS).num_record_batches:
        raise DataError("the file holds no pairs", where=name)
    with _writer(folder / PICTURES, _PICTURE_SCHEMA) as write:
        for row in pictures.rows():
            write(row)
    read_as = [{"file": file, "form": form.name, "unread": list(unread)} for file, form, unread in forms]
    write_json(folder / READ_AS, read_as)
    write_json(folder / NOTE, made_from)


def _pair_row(pair: Pair, pictures: _Pictures) -> dict[str, Any]:
    context, digest, swapped = pair.identity
    return {
        "pair_id": pair.pair_id,
        "question": pair.question,
        "chosen": pair.chosen,
        "rejected": pair.rejected,
        "system": pair.system,
        "context": context,
        "pictures": [pictures.number(picture) for picture in pair.pictures],
        "earlier": [
            {"role": turn.role, "text": turn.text, "pictures": [pictures.number(one) for one in turn.pictures]}
            for turn in pair.earlier
        ],
        "weight": pair.weight,
        "unpaired": pair.unpaired,
        "malformed": pair.malformed,
        "digest": digest,
        "swapped_digest": swapped,
        **pair.about,
    }


@final
class _PictureFiles:
    """The keys of picture files; each file is written down once, as it was before it was read.

    Two files of equal bytes are one picture, and both are looked at before the table is used again.
    """

    def __init__(self, write: Callable[[dict[str, Any]], None]) -> None:
        self._keys: dict[Path, str] = {}
        self._write = write

    def __call__(self, path: Path) -> str:
        if path not in self._keys:
            size, changed = _stamp(path)
            self._write({"path": str(path), "size": size, "changed": changed})
            self._keys[path] = file_key(path)
        return self._keys[path]


@final
class _Pictures:
    """Pictures while they are written, each once: the number of a picture, and where it lies."""

    def __init__(self, write: Callable[[bytes], int]) -> None:
        self.numbers: dict[str, int] = {}
        self._places: list[tuple[Path | None, int, int | None]] = []
        self._write = write
        self._end = 0

    def number(self, picture: Picture) -> int:
        """The picture's number, after its bytes are written if they are new."""
        if picture.key not in self.numbers:
            self.numbers[picture.key] = len(self.numbers)
            self._places.append(self._position(picture))
        return self.numbers[picture.key]

    def _position(self, picture: Picture) -> tuple[Path | None, int, int | None]:
        if isinstance(picture.source, bytes):
            self._write(picture.source)
            self._end += len(picture.source)
            return None, self._end - len(picture.source), len(picture.source)
        return (picture.source, 0, None) if isinstance(picture.source, Path) else (None, 0, None)

    def rows(self) -> Iterator[dict[str, Any]]:
        """Rows of `pictures.arrow`, in order of numbers."""
        for key, (path, start, length) in zip(self.numbers, self._places, strict=True):
            yield {"key": key, "path": str(path) if path else None, "start": start, "length": length}


def _batch(rows: list[dict[str, Any]], schema: pa.Schema) -> pa.RecordBatch:
    """Rows as a batch; a column that none of them has is null."""
    there = set().union(*rows)
    columns = [
        pa.array([row.get(field.name) for row in rows], field.type)
        if field.name in there
        else pa.nulls(len(rows), field.type)
        for field in schema
    ]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


@contextmanager
def _writer(path: Path, schema: pa.Schema) -> Iterator[Callable[[dict[str, Any]], None]]:
    """What writes a row to an Arrow file, in record batches of `BATCH` rows."""
    rows: list[dict[str, Any]] = []
    with pa.ipc.new_file(str(path), schema) as file:

        def write(row: dict[str, Any]) -> None:
            rows.append(row)
            if len(rows) == BATCH:
                flush()

        def flush() -> None:
            file.write_batch(_batch(rows, schema))
            rows.clear()
            pa.default_memory_pool().release_unused()  # or what pictures took stays with the process

        yield write
        if rows:
            flush()
