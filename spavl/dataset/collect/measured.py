"""What costly tools measure of pictures, kept in the run folder: a picture that was measured is not measured again."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from types import TracebackType
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from spavl.dataset.collect.inspect import Inspected
from spavl.errors import RunError
from spavl.pictures import open_upright

FILE = "measured.sqlite"
"""Its name in the run folder. It may be deleted: what it held is measured again."""
MOST_PIXELS = 2**25
"""Pixels of pictures that are decoded at the same time for a tool: some 100 MB."""
Numbers = NDArray[np.float32]


class Tool(Protocol):
    """Measures pictures: text in them, labels, vectors."""

    @property
    def identity(self) -> str:
        """What its numbers depend on beside the picture."""
        ...

    def measure(self, pictures: Sequence[Image.Image]) -> Numbers:
        """Numbers of each picture, `[N, K]`.

        Args:
            pictures: N of them, upright and in RGB.
        """
        ...


class Measured:
    """What was measured of pictures, by their bytes and the tool: a context manager. Without tools there is no file.

    Args:
        folder: the run folder.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE
        self._opened: sqlite3.Connection | None = None

    def of(self, tool: Tool, pictures: Sequence[Inspected]) -> list[Numbers]:
        """Numbers of each picture: those that are kept, and the others measured now, together.

        Args:
            tool: what measures.
            pictures: those that are asked for.

        Raises:
            RunError: the numbers cannot be kept.
        """
        identity = tool.identity
        kept = {one.record.image_sha256: found for one in pictures if (found := self._kept(identity, one)) is not None}
        new = {one.record.image_sha256: one for one in pictures if one.record.image_sha256 not in kept}
        for some in _together(list(new.values())):
            numbers = np.asarray(tool.measure([open_upright(one.data) for one in some]), np.float32)
            kept |= {one.record.image_sha256: row for one, row in zip(some, numbers, strict=True)}
            self._keep([(one.record.image_sha256, identity, kept[one.record.image_sha256].tobytes()) for one in some])
        return [kept[one.record.image_sha256] for one in pictures]

    def __enter__(self) -> Measured:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._opened is not None:
            self._opened.close()

    def _kept(self, identity: str, picture: Inspected) -> Numbers | None:
        query = "SELECT numbers FROM measured WHERE sha256 = ? AND tool = ?"
        row = self._database.execute(query, (picture.record.image_sha256, identity)).fetchone()
        return None if row is None else np.frombuffer(row[0], np.float32)

    def _keep(self, rows: Sequence[tuple[str, str, bytes]]) -> None:
        try:
            with self._database:
                self._database.executemany("INSERT OR REPLACE INTO measured VALUES (?, ?, ?)", rows)
        except sqlite3.Error as error:
            raise RunError(f"What was measured of pictures cannot be kept: {error}", where=str(self._path),
                           try_="make room on the disk, and run the same command again") from error  # fmt: skip

    @property
    def _database(self) -> sqlite3.Connection:
        if self._opened is None:
            try:
                self._opened = _connected(self._path)
            except sqlite3.DatabaseError:  # damaged, or no database: it holds nothing that cannot be measured again
                self._path.unlink(missing_ok=True)
                self._opened = _connected(self._path)
        return self._opened


def _together(pictures: Sequence[Inspected]) -> Iterator[list[Inspected]]:
    """Pictures in groups that are decoded at the same time: one, or several of not too many pixels."""
    group: list[Inspected] = []
    pixels = 0
    for one in pictures:
        size = one.record.width * one.record.height
        if group and pixels + size > MOST_PIXELS:
            yield group
            group, pixels = [], 0
        group.append(one)
        pixels += size
    if group:
        yield group


def _connected(path: Path) -> sqlite3.Connection:
    path.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("CREATE TABLE IF NOT EXISTS measured (sha256 TEXT, tool TEXT, numbers BLOB NOT NULL, "
                         "PRIMARY KEY (sha256, tool)) WITHOUT ROWID")  # fmt: skip
    return sqlite3.connect(path)
