"""Preference pairs on disk: converted once, memory-mapped, each pair and each picture read when its step comes.

    pairs = open_pairs("spa-vl/train.parquet", cache=Path(".spavl/pairs"))
    pairs[7]                    one pair; its pictures are places in a file
    pairs_fingerprint(pairs)    from hashes that are kept beside the pairs

A folder for each source holds `pairs.arrow` (texts, and numbers of pictures), `pictures.arrow` (their keys and where
they are), `pictures.bin` (the bytes of those that a file brought inside, each once), and arrays that were computed from
all this once (`remembered`). It is made again when a file of the source has changed, and may be deleted at any time.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, final, overload

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from filelock import FileLock

from spavl.align.data.pairs import Pair, Thought, find_pairs, read_rows
from spavl.atomic import atomic_write, remove_abandoned, write_json
from spavl.errors import DataError, RunError
from spavl.models.families import ChatTurn
from spavl.pictures import FileSlice, Picture

FORMAT = 1
"""Version of the folder."""
PAIRS, PICTURES, BYTES, NOTE = "pairs.arrow", "pictures.arrow", "pictures.bin", "made-from.json"
"""Files of the folder."""
BATCH = 1024
"""Rows of a record batch: all batches of a file but the last have as many."""
NO_ROOM = "make room on the disk, or name another folder with align.machine.pairs_cache"
"""What to do where the folder cannot be written."""
_NUMBERS = pa.list_(pa.int32())
_TURN = pa.struct([("role", pa.string()), ("text", pa.string()), ("pictures", _NUMBERS)])
_PAIR_SCHEMA = pa.schema(
    [
        *(pa.field(name, pa.string()) for name in ("pair_id", "question", "chosen", "rejected", "system", "context")),
        pa.field("pictures", _NUMBERS),
        pa.field("earlier", pa.list_(_TURN)),
        pa.field("digest", pa.binary(32)),
    ]
)
_PICTURE_SCHEMA = pa.schema(
    [
        ("key", pa.string()), ("path", pa.string()), ("start", pa.int64()), ("length", pa.int64()),
        ("changed", pa.int64()),
    ]
)  # fmt: skip


@final
class PairTable(Sequence[Pair]):
    """The pairs of a folder that `open_pairs` made, memory-mapped.

    Args:
        folder: the folder.

    Raises:
        RunError: a file of the folder is damaged.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        file = _open(folder / PAIRS)
        self._batches = [file.get_batch(number) for number in range(file.num_record_batches)]
        self._length = int(sum(batch.num_rows for batch in self._batches))
        self._pictures = _open(folder / PICTURES).read_all().combine_chunks()

    def __reduce__(self) -> tuple[type[PairTable], tuple[Path]]:
        return PairTable, (self.folder,)

    def __len__(self) -> int:
        return self._length

    @overload
    def __getitem__(self, number: int) -> Pair: ...
    @overload
    def __getitem__(self, number: slice) -> Sequence[Pair]: ...
    def __getitem__(self, number: int | slice) -> Pair | Sequence[Pair]:
        if isinstance(number, slice):
            return select(self, range(*number.indices(len(self))))
        batch, offset = divmod(range(self._length)[number], BATCH)
        (row,) = self._batches[batch].slice(offset, 1).to_pylist()
        return self._pair(row)

    def __iter__(self) -> Iterator[Pair]:
        for batch in self._batches:
            yield from map(self._pair, batch.to_pylist())

    def column(self, name: str) -> pa.ChunkedArray:
        """One column of `pairs.arrow`, still on disk.

        Args:
            name: of the column.
        """
        return pa.chunked_array([batch.column(name) for batch in self._batches])

    def pictures(self) -> Iterator[Picture]:
        """Every distinct picture, one by one."""
        return map(self._picture, range(self._pictures.num_rows))

    def _pair(self, row: Mapping[str, Any]) -> Pair:
        turns = tuple(ChatTurn(turn["role"], turn["text"], self._several(turn["pictures"])) for turn in row["earlier"])
        return Pair(
            row["pair_id"],
            self._several(row["pictures"]),
            row["question"],
            row["chosen"],
            row["rejected"],
            turns,
            row["system"],
        )

    def _several(self, numbers: Iterable[int]) -> tuple[Picture, ...]:
        return tuple(map(self._picture, numbers))

    def _picture(self, number: int) -> Picture:
        key, path, start, length = (self._pictures.column(name)[number].as_py() for name in _PICTURE_SCHEMA.names[:4])
        if path is not None:
            return Picture(key, Path(path))
        return Picture(key, None if length is None else FileSlice(self.folder / BYTES, start, length))


@final
class PairSelection(Sequence[Pair]):
    """Some pairs of a table, by their numbers.

    Args:
        table: all pairs.
        numbers: which of them, in order.
    """

    def __init__(self, table: PairTable, numbers: np.ndarray) -> None:
        self.table = table
        self.numbers = numbers

    def __len__(self) -> int:
        return len(self.numbers)

    @overload
    def __getitem__(self, number: int) -> Pair: ...
    @overload
    def __getitem__(self, number: slice) -> Sequence[Pair]: ...
    def __getitem__(self, number: int | slice) -> Pair | Sequence[Pair]:
        if isinstance(number, slice):
            return PairSelection(self.table, self.numbers[number])
        return self.table[int(self.numbers[number])]


def select(pairs: Sequence[Pair], numbers: Iterable[int]) -> Sequence[Pair]:
    """Some of the pairs; of a table their numbers are kept, and nothing else.

    Args:
        pairs: a table, some pairs of one, or pairs in memory.
        numbers: which, in order.
    """
    table = table_of(pairs)
    if table is None:
        return [pairs[number] for number in numbers]
    chosen = np.fromiter(numbers, dtype=np.int64)
    return PairSelection(table, pairs.numbers[chosen] if isinstance(pairs, PairSelection) else chosen)


def table_of(pairs: Sequence[Pair]) -> PairTable | None:
    """The table that pairs are from; None for pairs in memory.

    Args:
        pairs: any pairs.
    """
    if isinstance(pairs, PairSelection):
        return pairs.table
    return pairs if isinstance(pairs, PairTable) else None


def contexts(pairs: Sequence[Pair]) -> list[str]:
    """`Pair.context` of every pair.

    Args:
        pairs: any pairs.
    """
    table = table_of(pairs)
    return [pair.context for pair in pairs] if table is None else _column(pairs, table, "context").to_pylist()


def pairs_fingerprint(pairs: Sequence[Pair]) -> str:
    """Hash of the content and the order of pairs: equal only where training reads the same. Ids decide nothing.

    Args:
        pairs: the pairs, in their order.
    """
    digest, table = hashlib.sha256(), table_of(pairs)
    if table is None:
        for pair in pairs:
            digest.update(pair.digest)
        return digest.hexdigest()
    for chunk in _column(pairs, table, "digest").chunks:
        digest.update(b"".join(chunk.to_pylist()))
    return digest.hexdigest()


def _column(pairs: Sequence[Pair], table: PairTable, name: str) -> pa.ChunkedArray:
    column = table.column(name)
    return column.take(pairs.numbers) if isinstance(pairs, PairSelection) else column


def remembered(pairs: Sequence[Pair], name: str, make: Callable[[], np.ndarray]) -> np.ndarray:
    """An array [...] that is computed from pairs once and kept beside them; for pairs in memory it is computed anew.

    Args:
        pairs: any pairs.
        name: what the array is and depends on, beside the content of the table.
        make: computes it.
    """
    table = table_of(pairs)
    if table is None:
        return make()
    path = table.folder / f"{name}.npy"
    with _lock(table.folder):
        if not path.is_file():
            with atomic_write(path, what="The cache of pairs", try_=NO_ROOM) as tmp, tmp.open("wb") as file:
                np.save(file, make())
    found: np.ndarray = np.load(path, mmap_mode="r", allow_pickle=False)
    return found


def open_pairs(source: str | Path, *, cache: Path, limit: int | None = None, thought: Thought = "drop") -> PairTable:
    """The pairs of a source, converted now unless they have been and no file has changed since.

    Processes that open the same pairs at the same time wait for the first of them.

    Args:
        source: a Parquet file, a folder of them, a `datasets` folder, or a dataset on the Hub.
        cache: folder of all converted pairs.
        limit: only the first so many pairs.
        thought: what becomes of the reasoning before an answer.

    Raises:
        DataError: there are no pairs, or a file is not readable Parquet with the columns of SPA-VL.
        RunError: the disk is full or the folder cannot be written.
    """
    found = find_pairs(source)
    asked = [str(Path(source).resolve()), limit, thought]
    folder = cache / hashlib.sha256(json.dumps(asked).encode()).hexdigest()[:16]
    made_from = {"format": FORMAT, "files": [[str(file), *_stamp(file)] for file in found.files]}
    with _lock(folder):
        if not _is_current(folder, made_from):
            remove_abandoned(folder)
            with atomic_write(folder, what="The cache of pairs", try_=NO_ROOM) as tmp:
                tmp.mkdir()
                _convert(read_rows(found, limit=limit, thought=thought), tmp, str(source))
                write_json(tmp / NOTE, made_from)
    return PairTable(folder)


@contextmanager
def _lock(folder: Path) -> Iterator[None]:
    """Held while a folder of pairs is made or added to; another process waits for it."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder.with_suffix(".lock"))
        lock.acquire()
    except OSError as error:
        raise RunError(
            f"The cache of pairs cannot be written: {error.strerror}", where=str(folder.parent), try_=NO_ROOM
        ) from error
    try:
        yield
    finally:
        lock.release()


def _is_current(folder: Path, made_from: Mapping[str, Any]) -> bool:
    """Whether the folder holds what the source's files hold now, and the pictures beside them are as they were."""
    note = folder / NOTE
    if not note.is_file() or json.loads(note.read_text("utf-8")) != made_from:
        return False
    pictures = _open(folder / PICTURES).read_all()
    paths = pictures.filter(pc.is_valid(pictures["path"]))
    columns = (paths[name].to_pylist() for name in ("path", "length", "changed"))
    return all(_stamp(Path(path)) == (length, changed) for path, length, changed in zip(*columns, strict=True))


def _open(path: Path) -> Any:
    """An Arrow file, memory-mapped."""
    try:
        return pa.ipc.open_file(pa.memory_map(str(path)))
    except (OSError, pa.ArrowInvalid) as error:
        raise RunError(
            f"A file of the cache of pairs cannot be read: {error}",
            where=str(path),
            try_="delete its folder; it is made again from the pairs' own file",
        ) from error


def _stamp(file: Path) -> tuple[int, int]:
    """Size and time of the last change; of a file that is not there -1 and 0."""
    if not file.is_file():
        return -1, 0
    found = file.stat()
    return found.st_size, found.st_mtime_ns


def _convert(pairs: Iterable[Pair], folder: Path, source: str) -> None:
    """Write the files of a table; one pair is held at a time, and of pictures their keys."""
    with (folder / BYTES).open("wb") as file, _writer(folder / PAIRS, _PAIR_SCHEMA) as write:
        pictures = _Pictures(file.write)
        for pair in pairs:
            write(_pair_row(pair, pictures))
    if not _open(folder / PAIRS).num_record_batches:
        raise DataError("the file holds no pairs", where=source)
    with _writer(folder / PICTURES, _PICTURE_SCHEMA) as write:
        for row in pictures.rows():
            write(row)


def _pair_row(pair: Pair, pictures: _Pictures) -> dict[str, Any]:
    return {
        "pair_id": pair.pair_id,
        "question": pair.question,
        "chosen": pair.chosen,
        "rejected": pair.rejected,
        "system": pair.system,
        "context": pair.context,
        "pictures": [pictures.number(picture) for picture in pair.pictures],
        "earlier": [
            {"role": turn.role, "text": turn.text, "pictures": [pictures.number(one) for one in turn.pictures]}
            for turn in pair.earlier
        ],
        "digest": pair.digest,
    }


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
            size, changed = (length, None) if path is None else _stamp(path)
            yield {"key": key, "path": str(path) if path else None, "start": start, "length": size, "changed": changed}


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
            file.write_batch(pa.RecordBatch.from_pylist(rows, schema=schema))
            rows.clear()
            pa.default_memory_pool().release_unused()  # or what pictures took stays with the process

        yield write
        if rows:
            flush()
