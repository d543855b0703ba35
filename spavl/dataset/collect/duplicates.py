"""The pictures that are used so far, kept on disk: a picture that resembles one of them is not used again."""

from __future__ import annotations

import sqlite3
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from spavl.dataset.collect.candidate import Unusable
from spavl.dataset.collect.disk_rows import DiskRows
from spavl.dataset.collect.hamming import HashIndex, bits_of
from spavl.dataset.collect.pdq import LEAST_QUALITY, NEAR
from spavl.records import ImageRecord

BLOCK = 65_536
"""Vectors that are multiplied in one step."""
Vectors = NDArray[np.float32]


class SeenPictures:
    """The pictures that are used so far, by bytes, PDQ hash and vector: a context manager.

    Near duplicates are looked for among pictures that are harmless counterparts alike: a counterpart may look like its
    harmful twin, which is what makes it one.

    Args:
        distance: most bits by which PDQ hashes of near duplicates differ. None: they are not compared.
        cosine: least cosine of the vectors of near duplicates. None: they are not compared.
    """

    def __init__(self, *, distance: int | None = NEAR, cosine: float | None = None) -> None:
        self._database = sqlite3.connect("", isolation_level=None)  # a temporary file
        self._database.execute("CREATE TABLE seen (sha256 TEXT PRIMARY KEY, name TEXT NOT NULL) WITHOUT ROWID")
        self._database.execute("CREATE TABLE names (rows TEXT, place INTEGER, name TEXT, PRIMARY KEY (rows, place))")
        self._near = distance is not None
        self._cosine = cosine
        self._hashes = {benign: HashIndex(distance or 0) for benign in (False, True)}
        self._vectors: dict[bool, DiskRows] = {}

    def duplicate(self, record: ImageRecord) -> Unusable | None:
        """What is wrong with a picture that has the bytes of a used one, or nearly its PDQ hash; None if neither.

        Args:
            record: the picture.
        """
        found = self._database.execute("SELECT name FROM seen WHERE sha256 = ?", (record.image_sha256,)).fetchone()
        if found is not None:
            return Unusable("exact duplicate", f"the same bytes as {found[0]}")
        if not self._near or not _is_compared(record):
            return None
        place = self._hashes[record.benign].first_near(bits_of(record.pdq))
        if place is None:
            return None
        return Unusable("near duplicate", f"nearly the same picture as {self._name('pdq', record.benign, place)}")

    def compared(self, benign: bool) -> int:
        """Vectors of used pictures that one is compared with.

        Args:
            benign: whether it is of a harmless counterpart.
        """
        return len(self._vectors[benign]) if benign in self._vectors else 0

    def nearest(self, benign: bool, vectors: Vectors, since: int = 0) -> list[int | None]:
        """The first used picture that each of some vectors is near, as its place; None where there is none.

        Args:
            benign: whether the pictures are harmless counterparts.
            vectors: `[N, D]`, each of length one.
            since: place of the first used picture that is compared.
        """
        found: list[int | None] = [None] * len(vectors)
        if self._cosine is None or benign not in self._vectors:
            return found
        rows = self._vectors[benign].rows
        for start in range(since, len(rows), BLOCK):
            near = rows[start : start + BLOCK] @ vectors.T >= self._cosine
            for number in np.flatnonzero(near.any(axis=0)):
                if found[number] is None:
                    found[number] = start + int(near[:, number].argmax())
        return found

    def resembling(self, benign: bool, place: int) -> Unusable:
        """What is wrong with a picture whose vector is near that of a used one.

        Args:
            benign: whether it is a harmless counterpart.
            place: from `nearest`.
        """
        name = self._name("vector", benign, place)
        return Unusable("embedding duplicate", f"nearly the same picture as {name}, or a part of it")

    def add(self, record: ImageRecord, name: str, vector: Vectors | None = None) -> None:
        """Note that a picture is used.

        Args:
            record: the picture.
            name: what messages call it.
            vector: of it, `[D]`, of length one; None where vectors are not compared.
        """
        self._database.execute("INSERT INTO seen VALUES (?, ?)", (record.image_sha256, name))
        if self._near and _is_compared(record):
            self._note("pdq", record.benign, self._hashes[record.benign].add(bits_of(record.pdq)), name)
        if vector is not None and self._cosine is not None:
            rows = self._vectors.setdefault(record.benign, DiskRows(len(vector), np.float32))
            self._note("vector", record.benign, rows.append(vector), name)

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

    def _note(self, rows: str, benign: bool, place: int, name: str) -> None:
        self._database.execute("INSERT INTO names VALUES (?, ?, ?)", (f"{rows} {benign}", place, name))

    def _name(self, rows: str, benign: bool, place: int) -> str:
        query = "SELECT name FROM names WHERE rows = ? AND place = ?"
        found: str = self._database.execute(query, (f"{rows} {benign}", place)).fetchone()[0]
        return found


def _is_compared(record: ImageRecord) -> bool:
    return record.pdq_quality is not None and record.pdq_quality >= LEAST_QUALITY
