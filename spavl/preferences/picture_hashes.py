"""PDQ hashes of the pictures of a dataset, each picture hashed once, on as many threads as there are cores."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path

import pyarrow as pa

from spavl.errors import DataError
from spavl.pictures import Picture
from spavl.preferences.dataset import PreferenceDataset
from spavl.progress import OnProgress, Progress
from spavl.similarity.pdq import pdq
from spavl.tables import write_batches

HASHES = "hashes.parquet"
"""File that is added to the folder of a dataset."""
SCHEMA = pa.schema(
    [("key", pa.string()), ("width", pa.int64()), ("height", pa.int64()), ("pdq", pa.string()),
     ("quality", pa.int64()), ("fault", pa.string())]
)  # fmt: skip
"""Columns: the picture's key, size, hash and the hash's quality; or why it cannot be read, and None for them."""
TOGETHER = 1024
"""Pictures that are handed out at once; each is opened when its turn comes."""
Hashed = tuple[str, int | None, int | None, str | None, int | None, str | None]


def picture_hashes(dataset: PreferenceDataset, progress: Progress) -> Path:
    """The table of the hashes of all distinct pictures, made now unless it is there. Columns: `SCHEMA`.

    Args:
        dataset: an open dataset.
        progress: shows a bar.

    Raises:
        RunError: the disk is full or the folder cannot be written.
    """
    out = dataset.folder / HASHES
    with dataset.pairs.locked():
        if not out.is_file():
            with progress.bar("Hashing pictures") as on_progress:
                pictures = dataset.pairs.pictures()
                write_batches(out, SCHEMA, _tables(pictures, len(dataset.pairs.picture_keys()), on_progress))
    return out


def _tables(pictures: Iterable[Picture], total: int, on_progress: OnProgress) -> Iterator[pa.Table]:
    left, done = iter(pictures), 0
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        while some := list(islice(left, TOGETHER)):
            rows = list(threads.map(hash_of, some))
            done += len(rows)
            on_progress(done, total)
            yield pa.table([list(column) for column in zip(*rows, strict=True)], schema=SCHEMA)


def hash_of(picture: Picture) -> Hashed:
    """The row of a picture in the table of hashes.

    Args:
        picture: any picture.
    """
    if picture.source is None:
        return picture.key, None, None, None, None, "its bytes are not in the dataset"
    try:
        opened = picture.load()
    except DataError as error:
        return picture.key, None, None, None, None, str(error)
    return picture.key, *opened.size, *pdq(opened), None
