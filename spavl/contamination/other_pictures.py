"""The pictures of what a dataset is compared with, hashed and kept on disk while it is."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from io import BytesIO
from itertools import islice
from types import TracebackType
from typing import Final, final

import numpy as np
from PIL import Image

from spavl.contamination.other import Other
from spavl.contamination.table import MOST
from spavl.pictures import Picture, open_upright
from spavl.preferences.picture_hashes import Hashed, opened_and_hashed
from spavl.progress import OnProgress
from spavl.similarity.hamming import HashIndex, bits_of
from spavl.similarity.keypoints import DTYPE, Keypoints, keypoints
from spavl.similarity.overlap import small_copy
from spavl.similarity.pdq import LEAST_QUALITY, NEAR

BITS: Final = 256
"""Of a hash."""
TOGETHER: Final = 256
"""Pictures that are handed out at once."""
QUALITY: Final = 95
"""Of the JPEG files that small copies are kept as."""


@final
class OtherPictures:
    """The distinct pictures of an other, hashed, and the items that show them: a context manager.

    Args:
        distance: most bits of 256 by which hashes of nearly equal pictures differ.
    """

    def __init__(self, distance: int = NEAR) -> None:
        self._database = sqlite3.connect("", isolation_level=None)  # a temporary file
        self._database.execute("CREATE TABLE shown (key TEXT PRIMARY KEY, item TEXT, times INTEGER) WITHOUT ROWID")
        self._database.execute("CREATE TABLE hashed (place INTEGER PRIMARY KEY, key TEXT)")
        self._database.execute("CREATE TABLE copies (number INTEGER PRIMARY KEY, key TEXT, points BLOB, file BLOB)")
        self._index = HashIndex(distance)
        self.unread = 0
        """Pictures that cannot be read."""

    def __len__(self) -> int:
        return int(self._database.execute("SELECT count(*) FROM shown").fetchone()[0])

    @property
    def copies(self) -> int:
        """Pictures that parts are looked for in."""
        return int(self._database.execute("SELECT count(*) FROM copies").fetchone()[0])

    def add(self, hashed: Hashed, item: str = "") -> None:
        """Add a picture that is hashed.

        Args:
            hashed: from `hash_of`.
            item: the item that shows it; empty: `note` has said so.
        """
        key, _, _, pdq, quality, fault = hashed
        if item:
            self.note(key, item)
        self.unread += fault is not None
        if pdq is not None and quality is not None and quality >= LEAST_QUALITY:
            self._database.execute("INSERT INTO hashed VALUES (?, ?)", (self._index.add(bits_of(pdq)), key))

    def add_copy(self, key: str, points: Keypoints, copy: Image.Image) -> None:
        """Add what a picture is looked for as a part by.

        Args:
            key: of the picture.
            points: its keypoints.
            copy: its small copy.
        """
        file = BytesIO()
        copy.save(file, "JPEG", quality=QUALITY)
        row = (key, points.tobytes(), file.getvalue())
        self._database.execute("INSERT INTO copies (key, points, file) VALUES (?, ?, ?)", row)

    def points(self) -> Iterator[tuple[int, Keypoints]]:
        """Number of the copy and keypoints of each picture that can be read."""
        for number, points in self._database.execute("SELECT number, points FROM copies ORDER BY number"):
            yield number, np.frombuffer(points, DTYPE)

    def copy(self, number: int) -> tuple[str, Image.Image]:
        """Key and small copy of a picture.

        Args:
            number: from `points`.
        """
        key, file = self._database.execute("SELECT key, file FROM copies WHERE number = ?", (number,)).fetchone()
        return key, open_upright(file)

    def note(self, key: str, item: str) -> bool:
        """Note that an item shows a picture; returns whether it is the first.

        Args:
            key: of the picture.
            item: its name.
        """
        self._database.execute(
            "INSERT INTO shown VALUES (?, ?, 1) ON CONFLICT (key) DO UPDATE SET times = times + 1", (key, item)
        )
        return self.shown(key)[1] == 1

    def shown(self, key: str) -> tuple[str, int]:
        """The first item that shows a picture and how many do; none where it is no picture of the other.

        Args:
            key: of the picture.
        """
        found = self._database.execute("SELECT item, times FROM shown WHERE key = ?", (key,)).fetchone()
        return found if found is not None else ("", 0)

    def near(self, pdq: str) -> list[tuple[str, float]]:
        """Keys of the pictures that are nearly the same, the nearest first, each with the share of equal bits.

        Args:
            pdq: hash of a picture.
        """
        bands = bits_of(pdq)
        found = []
        for place in self._index.near(bands)[:MOST]:
            (key,) = self._database.execute("SELECT key FROM hashed WHERE place = ?", (place,)).fetchone()
            found.append((str(key), 1 - self._index.distance(place, bands) / BITS))
        return found

    def __enter__(self) -> OtherPictures:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._database.close()
        self._index.close()


def hashed_pictures(other: Other, into: OtherPictures, on_progress: OnProgress, *, parts: bool = True) -> int:
    """Hash the distinct pictures of an other, on as many threads as there are cores. Returns its items.

    Args:
        other: what a dataset is compared with.
        into: gets its pictures.
        on_progress: called with the pictures that are done.
        parts: whether parts of pictures are looked for, so that keypoints are needed too.
    """
    items = done = 0

    def distinct() -> Iterator[Picture]:
        nonlocal items
        for item in other.items():
            items += 1
            for picture in {one.key: one for one in item.pictures}.values():
                if into.note(picture.key, item.name):
                    yield picture

    left = distinct()
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        while some := list(islice(left, TOGETHER)):
            for hashed, found in threads.map(partial(_looked_at, parts=parts), some):
                into.add(hashed)
                if found is not None:
                    into.add_copy(hashed[0], *found)
            done += len(some)
            on_progress(done, done)
    return items


def _looked_at(picture: Picture, parts: bool) -> tuple[Hashed, tuple[Keypoints, Image.Image] | None]:
    hashed, opened = opened_and_hashed(picture)
    return hashed, None if opened is None or not parts else (keypoints(opened), small_copy(opened))
