"""PDQ hashes and keypoints of the pictures of a dataset, each picture opened once, on as many threads as cores."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
from PIL import Image

from spavl.errors import DataError
from spavl.pictures import Picture
from spavl.preferences.dataset import PreferenceDataset
from spavl.progress import Progress
from spavl.similarity.keypoints import keypoints
from spavl.similarity.pdq import pdq
from spavl.tables import write_batches

HASHES, KEYPOINTS = "hashes.parquet", "keypoints-1.parquet"
"""Files that are added to the folder of a dataset: the second holds what the first does, and keypoints; its number is
that of how they are made."""
SCHEMA = pa.schema(
    [("key", pa.string()), ("width", pa.int64()), ("height", pa.int64()), ("pdq", pa.string()),
     ("quality", pa.int64()), ("fault", pa.string())]
)  # fmt: skip
"""Columns: the picture's key, size, hash and the hash's quality; or why it cannot be read, and None for them."""
KEYPOINT_SCHEMA = SCHEMA.append(pa.field("keypoints", pa.binary()))
"""Columns with keypoints too, as the bytes of `spavl.similarity.keypoints.DTYPE`."""
TOGETHER = 1024
"""Pictures that are handed out at once; each is opened when its turn comes."""
Hashed = tuple[str, int | None, int | None, str | None, int | None, str | None]


def picture_hashes(dataset: PreferenceDataset, progress: Progress) -> Path:
    """The table of the hashes of all distinct pictures, made now unless it is there. Columns: at least `SCHEMA`.

    Args:
        dataset: an open dataset.
        progress: shows a bar.

    Raises:
        RunError: the disk is full or the folder cannot be written.
    """
    return hashes_of(dataset) or _made(dataset, HASHES, SCHEMA, hash_of, progress)


def picture_keypoints(dataset: PreferenceDataset, progress: Progress) -> Path:
    """The table of hashes and keypoints of all distinct pictures, made now unless it is there, in their order.

    Args:
        dataset: an open dataset.
        progress: shows a bar.

    Raises:
        RunError: the disk is full or the folder cannot be written.
    """
    return _made(dataset, KEYPOINTS, KEYPOINT_SCHEMA, hash_and_keypoints_of, progress)


def hashes_of(dataset: PreferenceDataset) -> Path | None:
    """The table of hashes, where it is there.

    Args:
        dataset: an open dataset.
    """
    return next((path for path in (dataset.folder / KEYPOINTS, dataset.folder / HASHES) if path.is_file()), None)


def _made(
    dataset: PreferenceDataset, name: str, schema: pa.Schema, row_of: Callable[[Picture], tuple[Any, ...]],
    progress: Progress,
) -> Path:  # fmt: skip
    out = dataset.folder / name
    with dataset.pairs.locked():
        if not out.is_file():
            with progress.bar("Hashing pictures") as on_progress:
                left, total = dataset.pairs.pictures(), len(dataset.pairs.picture_keys())
                write_batches(out, schema, _tables(left, schema, row_of, lambda done: on_progress(done, total)))
    return out


def _tables(
    pictures: Iterable[Picture], schema: pa.Schema, row_of: Callable[[Picture], tuple[Any, ...]],
    on_done: Callable[[int], None],
) -> Iterator[pa.Table]:  # fmt: skip
    left, done = iter(pictures), 0
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        while some := list(islice(left, TOGETHER)):
            rows = list(threads.map(row_of, some))
            done += len(rows)
            on_done(done)
            yield pa.table([list(column) for column in zip(*rows, strict=True)], schema=schema)


def hash_of(picture: Picture) -> Hashed:
    """The row of a picture in the table of hashes.

    Args:
        picture: any picture.
    """
    return opened_and_hashed(picture)[0]


def hash_and_keypoints_of(picture: Picture) -> tuple[Any, ...]:
    """The row of a picture in the table of hashes and keypoints.

    Args:
        picture: any picture.
    """
    hashed, opened = opened_and_hashed(picture)
    return *hashed, None if opened is None else keypoints(opened).tobytes()


def opened_and_hashed(picture: Picture) -> tuple[Hashed, Image.Image | None]:
    """The row of a picture in the table of hashes, and the picture where it can be read.

    Args:
        picture: any picture.
    """
    if picture.source is None:
        return (picture.key, None, None, None, None, "its bytes are not in the dataset"), None
    try:
        opened = picture.load()
    except DataError as error:
        return (picture.key, None, None, None, None, str(error)), None
    return (picture.key, *opened.size, *pdq(opened), None), opened
