"""Preference pairs on disk: converted once, memory-mapped, each pair and each picture read when its step comes.

    pairs = open_pairs("spa-vl/train.parquet", cache=Path(".spavl/pairs"))
    pairs[7]                    one pair; its pictures are places in a file
    pairs_fingerprint(pairs)    from hashes that are kept beside the pairs

A folder for each source holds the files that `table_files` writes, and arrays that were computed from them once
(`remembered`). When a file of the source has changed another folder is made: a training that runs keeps reading its
own. A folder may be deleted when no training reads it; older ones are removed when nobody has opened them for a month.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import astuple
from functools import lru_cache
from pathlib import Path
from typing import Any, final, overload

import numpy as np
import pyarrow as pa
from filelock import FileLock

from spavl.atomic import atomic_write, remove_abandoned
from spavl.errors import RunError
from spavl.models.chat import ChatTurn
from spavl.pictures import FileSlice, Picture
from spavl.preferences.pairs import Pair, Reading
from spavl.preferences.sources import find_pairs
from spavl.preferences.table_files import (
    BATCH,
    BYTES,
    PAIRS,
    PICTURES,
    READ_AS,
    is_current,
    open_arrow,
    source_stamps,
    write_table,
)

NO_ROOM = "make room on the disk, or name another folder with align.machine.pairs_cache"
"""What to do where the folder cannot be written."""
RECENT, TOGETHER = 4096, 256
"""Pairs that a table keeps in memory after they were asked for by number, and those that it reads at once."""
_PICTURE_COLUMNS = ("key", "path", "start", "length")
UNUSED = 30 * 24 * 3600
"""Seconds without being opened after which an older folder of a source is removed."""


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
        file = open_arrow(folder / PAIRS)
        self._batches = [file.get_batch(number) for number in range(file.num_record_batches)]
        self._length = int(sum(batch.num_rows for batch in self._batches))
        self._pictures = open_arrow(folder / PICTURES).read_all().combine_chunks()
        self._recent = lru_cache(maxsize=RECENT)(self._read)

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
        return self._recent(range(self._length)[number])

    def _read(self, number: int) -> Pair:
        (pair,) = self.pairs_at(np.array([number]))
        return pair

    def __iter__(self) -> Iterator[Pair]:
        for batch in self._batches:
            yield from map(self._pair, batch.to_pylist())

    def pairs_at(self, numbers: np.ndarray) -> Iterator[Pair]:
        """Some of the pairs, one by one: those of one stretch of the file are read together.

        Args:
            numbers: which, in order.
        """
        of_batch = numbers // BATCH
        for some in np.split(numbers, np.flatnonzero(np.diff(of_batch)) + 1):
            for at in range(0, len(some), TOGETHER):
                offsets = pa.array(some[at : at + TOGETHER] % BATCH)
                yield from map(self._pair, self._batches[some[0] // BATCH].take(offsets).to_pylist())

    def column(self, name: str) -> pa.ChunkedArray:
        """One column of `pairs.arrow`, still on disk.

        Args:
            name: of the column.
        """
        return pa.chunked_array([batch.column(name) for batch in self._batches])

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The rows of `pairs.arrow`, of which pictures are numbers, some at a time.

        They are read and not mapped, or the whole file would stay in the memory of the process.
        """
        with pa.OSFile(str(self.folder / PAIRS)) as file:
            reader = pa.ipc.open_file(file)
            for number in range(reader.num_record_batches):
                yield reader.get_batch(number)

    def picture_keys(self) -> pa.ChunkedArray:
        """The key of every distinct picture, by its number."""
        return self._pictures.column("key")

    def locked(self) -> AbstractContextManager[None]:
        """Held while files are added to the folder; another process waits for it."""
        return _lock(self.folder.parent, self.folder.name.partition("-")[0])

    def pictures(self) -> Iterator[Picture]:
        """Every distinct picture, one by one."""
        return map(self._picture, range(self._pictures.num_rows))

    def picture(self, number: int) -> Picture:
        """A distinct picture.

        Args:
            number: its place among `pictures`.
        """
        return self._picture(number)

    def read_as(self) -> list[dict[str, Any]]:
        """Of each file of the source its name, its `form`, and the columns that were `unread`."""
        return list(json.loads((self.folder / READ_AS).read_text("utf-8")))

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
            row["weight"],
            row["malformed"],
            unpaired=row["unpaired"],
        )

    def _several(self, numbers: Iterable[int]) -> tuple[Picture, ...]:
        return tuple(map(self._picture, numbers))

    def _picture(self, number: int) -> Picture:
        key, path, start, length = (self._pictures.column(name)[number].as_py() for name in _PICTURE_COLUMNS)
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

    def __iter__(self) -> Iterator[Pair]:
        return self.table.pairs_at(self.numbers)


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


def pair_weights(pairs: Sequence[Pair]) -> np.ndarray:
    """`Pair.weight` of every pair, float32.

    Args:
        pairs: any pairs.
    """
    table = table_of(pairs)
    if table is None:
        return np.fromiter((pair.weight for pair in pairs), dtype=np.float32, count=len(pairs))
    found: np.ndarray = _column(pairs, table, "weight").to_numpy().astype(np.float32)
    return found


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


def short_digests(pairs: Sequence[Pair], *, swapped: bool = False) -> np.ndarray:
    """The first 8 bytes of every pair's digest, uint64 [P]: equal ones among two million by chance once in 10^7 files.

    Args:
        pairs: any pairs.
        swapped: of the pairs with their answers the other way round.
    """
    table = table_of(pairs)
    if table is None:
        every = (pair.swapped_digest if swapped else pair.digest for pair in pairs)
        return np.frombuffer(b"".join(digest[:8] for digest in every), dtype=np.uint64)
    chunks = _column(pairs, table, "swapped_digest" if swapped else "digest").chunks
    return np.concatenate([_first_eight(chunk) for chunk in chunks] or [np.zeros(0, dtype=np.uint64)])


def _first_eight(chunk: pa.Array) -> np.ndarray:
    size = chunk.type.byte_width
    values = np.frombuffer(chunk.buffers()[1], dtype=np.uint8)[chunk.offset * size :][: len(chunk) * size]
    return np.ascontiguousarray(values.reshape(-1, size)[:, :8]).view(np.uint64)[:, 0]


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
    with table.locked():
        if not path.is_file():
            with atomic_write(path, what="The cache of pairs", try_=NO_ROOM) as tmp, tmp.open("wb") as file:
                np.save(file, make())
    found: np.ndarray = np.load(path, mmap_mode="r", allow_pickle=False)
    return found


def open_pairs(source: str | Path, *, cache: Path, limit: int | None = None, reading: Reading = Reading()) -> PairTable:
    """The pairs of a source, converted now unless they have been and no file has changed since.

    Processes that open the same pairs at the same time wait for the first of them.

    Args:
        source: a file in one of the public forms, a folder of them, a `datasets` folder, or a dataset on the Hub.
        cache: folder of all converted pairs.
        limit: only the first so many pairs.
        reading: how rows are read.

    Raises:
        DataError: there are no pairs, or a file is not readable, or in none of the forms or in several.
        RunError: the disk is full or the folder cannot be written.
    """
    found = find_pairs(source)
    origin = str(Path(source).resolve()) if Path(source).exists() else str(source)
    name = hashlib.sha256(json.dumps([origin, limit, *astuple(reading)]).encode()).hexdigest()[:16]
    made_from = source_stamps(found)
    with _lock(cache, name):
        made = _made(cache, name)
        if not made or not is_current(made[-1], made_from):
            made.append(cache / f"{name}-{_number(made[-1]) + 1 if made else 1}")
            remove_abandoned(made[-1])
            with atomic_write(made[-1], what="The cache of pairs", try_=NO_ROOM) as tmp:
                tmp.mkdir()
                write_table(found, tmp, made_from, limit=limit, reading=reading, name=str(source))
        with suppress(OSError):
            os.utime(made[-1])
        _remove_unused(made[:-1])
        return PairTable(made[-1])


def _made(cache: Path, name: str) -> list[Path]:
    """The folders that were made of a source, the newest last: none is ever changed into another."""
    return sorted((one for one in cache.glob(f"{name}-*") if _number(one)), key=_number)


def _number(folder: Path) -> int:
    """Which of the folders of its source a folder is, from 1; 0: something else."""
    number = folder.name.partition("-")[2]
    return int(number) if number.isdecimal() else 0


def _remove_unused(folders: Iterable[Path]) -> None:
    """Remove those of some older folders that nobody has opened for long."""
    for folder in folders:
        with suppress(OSError):
            if time.time() - folder.stat().st_mtime > UNUSED:
                shutil.rmtree(folder)


@contextmanager
def _lock(cache: Path, name: str) -> Iterator[None]:
    """Held while a folder of a source is made or added to; another process waits for it."""
    try:
        cache.mkdir(parents=True, exist_ok=True)
        lock = FileLock(cache / f"{name}.lock")
        lock.acquire()
    except OSError as error:
        raise RunError(
            f"The cache of pairs cannot be written: {error.strerror}", where=str(cache), try_=NO_ROOM
        ) from error
    try:
        yield
    finally:
        lock.release()
