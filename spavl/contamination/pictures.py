"""Pictures that a dataset shares with another: the same bytes, nearly the same PDQ hash, or one a part of the other."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import pyarrow.parquet as pq

from spavl.contamination.other_pictures import OtherPictures
from spavl.contamination.parts import Found, matching_parts
from spavl.contamination.table import Shared
from spavl.preferences.dataset import PreferenceDataset
from spavl.progress import OnProgress
from spavl.similarity.pdq import LEAST_QUALITY

TOGETHER: Final = 256
"""Pictures, or pairs, that are read at once."""
Row = tuple[int, str, str]
"""Number and id of a pair, and the key of a picture that it shows."""


def shared_pictures(
    dataset: PreferenceDataset, hashes: Path, other: str, into: OtherPictures, on_progress: OnProgress,
    *, parts: bool = True,
) -> Iterator[Shared]:  # fmt: skip
    """What the pictures of a dataset share with those of another.

    Args:
        dataset: an open dataset.
        hashes: of its pictures, from `picture_hashes`; with parts, from `picture_keypoints`.
        other: name of what it is compared with.
        into: the pictures of that.
        on_progress: called with the pictures that are done.
        parts: whether parts of pictures are looked for.
    """
    with sqlite3.connect("", isolation_level=None) as found:
        found.execute("CREATE TABLE found (key TEXT, item TEXT, kind TEXT, similarity REAL, items INTEGER)")
        found.execute("CREATE INDEX by_key ON found (key)")
        found.executemany("INSERT INTO found VALUES (?, ?, ?, ?, ?)", matches(hashes, into, on_progress))
        if parts:
            for row in matching_parts(dataset.pairs.picture, hashes, into, on_progress):
                if not found.execute("SELECT 1 FROM found WHERE key = ? AND item = ?", row[:2]).fetchone():
                    found.execute("INSERT INTO found VALUES (?, ?, ?, ?, ?)", row)
        if found.execute("SELECT count(*) FROM found").fetchone()[0]:
            for number, pair_id, key in pictures_of_pairs(dataset):
                rows = found.execute("SELECT item, kind, similarity, items FROM found WHERE key = ?", (key,))
                yield from (Shared(number, pair_id, other, *row) for row in rows.fetchall())
    found.close()


def matches(hashes: Path, into: OtherPictures, on_progress: OnProgress) -> Iterator[Found]:
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


def _of_picture(key: str, pdq: str | None, quality: int | None, into: OtherPictures) -> Iterable[Found]:
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
