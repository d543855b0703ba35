"""The pictures that are used so far, kept on disk: a picture that resembles one of them is not used again."""

from __future__ import annotations

import heapq
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from spavl.dataset.collect.candidate import Unusable
from spavl.dataset.collect.inspect import Inspected
from spavl.pictures import open_upright
from spavl.records import ImageRecord
from spavl.similarity.alignment import AGREES, agreement, thumbnail
from spavl.similarity.disk_rows import DiskRows
from spavl.similarity.hamming import HashIndex, bits_of
from spavl.similarity.pdq import LEAST_QUALITY

BLOCK = 2048
"""Used pictures whose vectors are multiplied in one step."""
MOST_NEAR = 64
"""Most used pictures that a picture is compared with by pixels."""
MOST_THUMBNAILS = 2000
"""Thumbnails of used pictures that are kept: some 50 MB."""
Vectors = NDArray[np.float32]
Near = tuple[float, int]
"""Cosine, and the place of a used picture below zero, so that of equally near ones the first is the largest."""


class SeenPictures:
    """The pictures that are used so far, by bytes, PDQ hash and vector: a context manager.

    Near duplicates are looked for among pictures that are harmless counterparts alike: a counterpart may look like its
    harmful twin, which is what makes it one. Hashes and vectors propose, pixels decide: drawings of one symbol in other
    colours have near hashes, and are no duplicates.

    Args:
        folder: the run folder, which holds the copies.
        distance: most bits by which PDQ hashes of near duplicates differ. None: they are not compared.
        cosine: least cosine of the vectors of near duplicates. None: they are not compared.
    """

    def __init__(self, folder: Path, *, distance: int | None, cosine: float | None = None) -> None:
        self._folder = folder
        self._thumbnails: dict[str, Image.Image] = {}
        self._database = sqlite3.connect("", isolation_level=None)  # a temporary file
        self._database.execute("CREATE TABLE seen (sha256 TEXT PRIMARY KEY, name TEXT NOT NULL) WITHOUT ROWID")
        self._database.execute("CREATE TABLE names (rows TEXT, place INTEGER, name TEXT, file TEXT, "
                               "PRIMARY KEY (rows, place)) WITHOUT ROWID")  # fmt: skip
        self._near = distance is not None
        self._cosine = cosine
        self._hashes = {benign: HashIndex(distance or 0) for benign in (False, True)}
        self._vectors: dict[bool, DiskRows] = {}

    def duplicate(self, picture: Inspected) -> Unusable | None:
        """What is wrong with a picture that repeats a used one; None where nothing is.

        It repeats one that has its bytes, or nearly its PDQ hash and its pixels.

        Args:
            picture: that is compared.
        """
        record = picture.record
        found = self._database.execute("SELECT name FROM seen WHERE sha256 = ?", (record.image_sha256,)).fetchone()
        if found is not None:
            return Unusable("exact duplicate", f"the same bytes as {found[0]}")
        near = self._near_hashes(record)
        place = self._agreeing("pdq", record.benign, near, picture) if near else None
        if place is None:
            return None
        return Unusable("near duplicate", f"nearly the same picture as {self._name('pdq', record.benign, place)}")

    def may_be_duplicate(self, record: ImageRecord) -> bool:
        """Whether a picture has the bytes of a used one, or nearly its PDQ hash; its pixels are not compared.

        Args:
            record: the picture.
        """
        query = "SELECT 1 FROM seen WHERE sha256 = ?"
        same = self._database.execute(query, (record.image_sha256,)).fetchone()
        return same is not None or bool(self._near_hashes(record))

    def compared(self, benign: bool) -> int:
        """Vectors of used pictures that one is compared with.

        Args:
            benign: whether it is of a harmless counterpart.
        """
        return len(self._vectors[benign]) if benign in self._vectors else 0

    def near(self, benign: bool, vectors: Vectors, since: int = 0) -> list[list[Near]]:
        """The used pictures whose vectors are near, for each of some pictures: at most `MOST_NEAR`, the nearest first.

        A picture as a whole is compared with others and with their windows, and its windows with others as a whole.

        Args:
            benign: whether the pictures are harmless counterparts.
            vectors: of N pictures, `[N, vectors, D]`, each of length one, that of the whole picture first.
            since: place of the first used picture that is compared.
        """
        found: list[list[Near]] = [[] for _ in vectors]
        if self._cosine is None or benign not in self._vectors:
            return found
        rows = self._vectors[benign].rows
        for start in range(since, len(rows), BLOCK):
            scores = _scores(rows[start : start + BLOCK].reshape(-1, *vectors.shape[1:]), vectors)
            for number, place in np.argwhere(scores >= self._cosine):
                found[number].append((float(scores[number, place]), -(start + int(place))))
        return [heapq.nlargest(MOST_NEAR, one) for one in found]

    def part(self, picture: Inspected, near: Sequence[Near]) -> Unusable | None:
        """What is wrong with a picture that shows the same as a used one, or a part of it, or more of it; None if none.

        Args:
            picture: that is compared.
            near: the used pictures that it is compared with, from `near`.
        """
        benign = picture.record.benign
        place = self._agreeing("vector", benign, [-place for _, place in near], picture)
        if place is None:
            return None
        name = self._name("vector", benign, place)
        return Unusable("embedding duplicate", f"nearly the same picture as {name}, or a part of it")

    def add(self, record: ImageRecord, name: str, vector: Vectors | None = None) -> None:
        """Note that a picture is used.

        Args:
            record: the picture.
            name: what messages call it.
            vector: its vectors, `[vectors · D]`; None where they are not compared.
        """
        self._database.execute("INSERT INTO seen VALUES (?, ?)", (record.image_sha256, name))
        if self._near and _is_compared(record):
            self._note("pdq", self._hashes[record.benign].add(bits_of(record.pdq)), record, name)
        if vector is not None and self._cosine is not None:
            rows = self._vectors.setdefault(record.benign, DiskRows(len(vector), np.float32))
            self._note("vector", rows.append(vector), record, name)

    def __enter__(self) -> SeenPictures:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._database.close()
        for hashes in self._hashes.values():
            hashes.close()
        for vectors in self._vectors.values():
            vectors.close()

    def _near_hashes(self, record: ImageRecord) -> list[int]:
        if not self._near or not _is_compared(record):
            return []
        return self._hashes[record.benign].near(bits_of(record.pdq))[:MOST_NEAR]

    def _agreeing(self, rows: str, benign: bool, places: Sequence[int], picture: Inspected) -> int | None:
        """The first of some used pictures that agrees with a picture, or is part of it, or the other way round."""
        if not places:
            return None
        shown = thumbnail(open_upright(picture.data))
        agrees = (place for place in places if agreement(self._thumbnail(rows, benign, place), shown) >= AGREES)
        return next(agrees, None)

    def _note(self, rows: str, place: int, record: ImageRecord, name: str) -> None:
        row = (f"{rows} {record.benign}", place, name, record.image_file)
        self._database.execute("INSERT INTO names VALUES (?, ?, ?, ?)", row)

    def _name(self, rows: str, benign: bool, place: int) -> str:
        query = "SELECT name FROM names WHERE rows = ? AND place = ?"
        found: str = self._database.execute(query, (f"{rows} {benign}", place)).fetchone()[0]
        return found

    def _thumbnail(self, rows: str, benign: bool, place: int) -> Image.Image:
        """The thumbnail of a used picture, from its copy; those that were compared last are kept."""
        query = "SELECT file FROM names WHERE rows = ? AND place = ?"
        file: str = self._database.execute(query, (f"{rows} {benign}", place)).fetchone()[0]
        if file not in self._thumbnails:
            self._thumbnails[file] = thumbnail(open_upright(self._folder / file))
            if len(self._thumbnails) > MOST_THUMBNAILS:
                self._thumbnails.pop(next(iter(self._thumbnails)))
        return self._thumbnails[file]


def _scores(used: Vectors, new: Vectors) -> Vectors:
    """Largest cosine of each new picture `[N, vectors, D]` with each used one `[M, vectors, D]`: `[N, M]`."""
    whole: Vectors = new[:, 0] @ used.reshape(-1, used.shape[2]).T
    best: Vectors = whole.reshape(len(new), *used.shape[:2]).max(axis=2)
    if new.shape[1] == 1:
        return best
    windows: Vectors = new.reshape(-1, new.shape[2]) @ used[:, 0].T
    np.maximum(best, windows.reshape(*new.shape[:2], -1).max(axis=1), out=best)
    return best


def _is_compared(record: ImageRecord) -> bool:
    return record.pdq_quality is not None and record.pdq_quality >= LEAST_QUALITY
