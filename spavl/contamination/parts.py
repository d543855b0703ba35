"""Pictures of which one is a part of another: their keypoints propose, their pixels decide."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, islice
from operator import attrgetter
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow.parquet as pq

from spavl.contamination.other_pictures import OtherPictures
from spavl.errors import DataError
from spavl.pictures import Picture
from spavl.progress import OnProgress
from spavl.similarity.keypoint_index import KeypointIndex, Placed
from spavl.similarity.keypoints import DTYPE
from spavl.similarity.overlap import overlap, small_copy

BLOCK: Final = 10_000
"""Pictures of the other whose keypoints are held at a time, in up to 320 MB, for a moment 1 GB."""
TOGETHER: Final = 256
"""Pictures of the dataset that are looked up at once."""
Found = tuple[str, str, str, float, int]
"""Key of a picture of the dataset, item of the other, kind, similarity, and items with that very picture."""


@dataclass(frozen=True, slots=True)
class _Block:
    """Some pictures of the other."""

    pictures: OtherPictures
    """All of them."""
    numbers: Sequence[int]
    """Of each of the block, its number among all."""
    index: KeypointIndex
    """Their keypoints."""


def matching_parts(
    picture_of: Callable[[int], Picture], keypoints: Path, into: OtherPictures, on_progress: OnProgress
) -> Iterator[Found]:
    """Each picture of a dataset with those of the other of which it is a part, or that are a part of it.

    Args:
        picture_of: gives a picture of the dataset by its place in the table.
        keypoints: of the dataset's pictures, from `picture_keypoints`.
        into: the pictures of the other.
        on_progress: called with the pictures that are done.
    """
    left = into.points()
    done = 0
    with pq.ParquetFile(keypoints) as file:
        total = file.metadata.num_rows * -(-max(into.copies, 1) // BLOCK)
        while block := list(islice(left, BLOCK)):
            numbers, points = zip(*block, strict=True)
            some, place = _Block(into, numbers, KeypointIndex(points)), 0
            for batch in file.iter_batches(TOGETHER, columns=["key", "keypoints"], use_threads=False):
                yield from _of_batch(batch.to_pydict(), place, picture_of, some)
                place, done = place + batch.num_rows, done + batch.num_rows
                on_progress(done, total)


def _of_batch(
    rows: dict[str, list[Any]], first: int, picture_of: Callable[[int], Picture], block: _Block
) -> Iterator[Found]:
    """What is found of some pictures of the dataset, of which the first is at a place."""
    asked = [np.frombuffer(points or b"", DTYPE) for points in rows["keypoints"]]
    for number, placed in groupby(block.index.placed(asked), attrgetter("asked")):
        yield from _confirmed(rows["key"][number], picture_of(first + number), placed, block)


def _confirmed(key: str, picture: Picture, placed: Iterable[Placed], block: _Block) -> Iterator[Found]:
    """The pictures of the other that one has a part in common with by its pixels too."""
    try:
        mine = small_copy(picture.load())
    except DataError:  # its file has gone since
        return
    for one in placed:
        other, copy = block.pictures.copy(block.numbers[one.place])
        if other == key:
            continue
        shared = overlap(mine, copy, one)
        if shared.same:
            item, times = block.pictures.shown(other)
            yield key, item, "picture_near" if shared.whole else "picture_cropped", shared.agreement, times
