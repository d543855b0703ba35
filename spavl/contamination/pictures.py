"""Pictures that a dataset shares with another: the same bytes, or nearly the same PDQ hash."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Final, final

import pyarrow.parquet as pq

from spavl.contamination.other import Other
from spavl.contamination.table import MOST, Shared
from spavl.pictures import Picture
from spavl.preferences.dataset import PreferenceDataset
from spavl.preferences.picture_hashes import Hashed, hash_of
from spavl.progress import OnProgress
from spavl.similarity.hamming import HashIndex, bits_of
from spavl.similarity.pdq import LEAST_QUALITY, NEAR

BITS: Final = 256
"""Of a hash."""
TOGETHER: Final = 256
"""Pictures that are handed out at once."""
Row = tuple[int, str, str]
"""Number and id of a pair, and the key of a picture that it shows."""


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
        self._index = HashIndex(distance)
        self.unread = 0
        """Pictures that cannot be read."""

    def __len__(self) -> int:
        return int(self._database.execute("SELECT count(*) FROM shown").fetchone()[0])

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


def hashed_pictures(other: Other, into: OtherPictures, on_progress: OnProgress) -> int:
    """Hash the distinct pictures of an other, on as many threads as there are cores. Returns its items.

    Args:
        other: what a dataset is compared with.
        into: gets its pictures.
        on_progress: called with the pictures that are done.
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
            for hashed in threads.map(hash_of, some):
                into.add(hashed)
            done += len(some)
            on_progress(done, done)
    return items


def shared_pictures(
    dataset: PreferenceDataset, hashes: Path, other: str, into: OtherPictures, on_progress: OnProgress
) -> Iterator[Shared]:
    """What the pictures of a dataset share with those of another.

    Args:
        dataset: an open dataset.
        hashes: of its pictures, from `picture_hashes`.
        other: name of what it is compared with.
        into: the pictures of that.
        on_progress: called with the pictures that are done.
    """
    with sqlite3.connect("", isolation_level=None) as found:
        found.execute("CREATE TABLE found (key TEXT, item TEXT, kind TEXT, similarity REAL, items INTEGER)")
        found.executemany("INSERT INTO found VALUES (?, ?, ?, ?, ?)", matches(hashes, into, on_progress))
        found.execute("CREATE INDEX by_key ON found (key)")
        if found.execute("SELECT count(*) FROM found").fetchone()[0]:
            for number, pair_id, key in pictures_of_pairs(dataset):
                rows = found.execute("SELECT item, kind, similarity, items FROM found WHERE key = ?", (key,))
                yield from (Shared(number, pair_id, other, *row) for row in rows.fetchall())
    found.close()


def matches(hashes: Path, into: OtherPictures, on_progress: OnProgress) -> Iterator[tuple[str, str, str, float, int]]:
    """Key, item, kind, similarity and items for each picture of a dataset that the other has.

    Args:
        hashes: of the dataset's pictures, from `picture_hashes`.
        into: the pictures of the other.
        on_progress: called with the pictures that are done.
    """
    done = 0
    with pq.ParquetFile(hashes) as file:
        total = file.metadata.num_rows
        for batch in file.iter_batches(TOGETHER, columns=["key", "pdq", "quality"], use_threads=False):
            columns = (column.to_pylist() for column in batch.columns)
            for key, pdq, quality in zip(*columns, strict=True):
                yield from _of_picture(key, pdq, quality, into)
            done += batch.num_rows
            on_progress(done, total)


def _of_picture(
    key: str, pdq: str | None, quality: int | None, into: OtherPictures
) -> Iterable[tuple[str, str, str, float, int]]:
    item, times = into.shown(key)
    if times:
        yield key, item, "picture_same", 1.0, times
    if pdq is None or quality is None or quality < LEAST_QUALITY:
        return
    for near, share in into.near(pdq):
        if near != key:
            yield key, into.shown(near)[0], "picture_near", share, into.shown(near)[1]


def pictures_of_pairs(dataset: PreferenceDataset) -> Iterator[Row]:
    """Every pair with each distinct picture that it shows, in order.

    Args:
        dataset: an open dataset.
    """
    columns = ["number", "pair_id", "images", "earlier"]
    with pq.ParquetFile(dataset.rows) as file:
        for batch in file.iter_batches(TOGETHER, columns=columns, use_threads=False):
            for row in batch.to_pylist():
                earlier = (key for turn in row["earlier"] or () for key in turn["images"] or ())
                for key in dict.fromkeys((*(row["images"] or ()), *earlier)):
                    yield row["number"], row["pair_id"], key
