"""Candidates read and checked side by side: the record and the bytes of each, or what is wrong with it."""

from __future__ import annotations

import hashlib
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import islice

from spavl.dataset.collect.candidate import Candidate, Unusable
from spavl.errors import DataError
from spavl.pictures import open_upright, read_header
from spavl.records import ImageRecord

SUFFIXES = {"JPEG": ".jpg", "MPO": ".jpg", "PNG": ".png", "WEBP": ".webp", "GIF": ".gif", "BMP": ".bmp", "TIFF": ".tif"}
"""File name suffix of a copy by Pillow's name of its format."""


@dataclass(frozen=True, slots=True)
class Inspected:
    """A picture that can be decoded."""

    record: ImageRecord
    """Its record."""
    data: bytes
    """The bytes of its file."""


def inspected(
    candidates: Iterable[Candidate], max_pixels: int, readers: int
) -> Iterator[tuple[Candidate, Inspected | DataError]]:
    """Each candidate with what was found, in their order; some are read ahead.

    Args:
        candidates: what to read.
        max_pixels: largest width times height of a picture.
        readers: threads that read and decode.
    """
    work = partial(_try, max_pixels)
    for candidate, found in _ahead(candidates, work, readers):
        yield candidate, found.result()


def _ahead(
    candidates: Iterable[Candidate], work: Callable[[Candidate], Inspected | DataError], readers: int
) -> Iterator[tuple[Candidate, Future[Inspected | DataError]]]:
    """Each candidate with the result that a pool of threads is working on, at most twice as many as there are threads
    at a time: each holds the bytes of a picture."""
    waiting: deque[tuple[Candidate, Future[Inspected | DataError]]] = deque()
    left = iter(candidates)
    with warnings.catch_warnings(), ThreadPoolExecutor(readers) as pool:  # the pool's threads share the filters
        warnings.simplefilter("ignore")  # decompression bombs too: our own limit is checked instead
        try:
            waiting.extend((one, pool.submit(work, one)) for one in islice(left, 2 * readers))
            while waiting:
                yield waiting.popleft()
                waiting.extend((one, pool.submit(work, one)) for one in islice(left, 1))
        finally:
            for _, future in waiting:
                future.cancel()


def _try(max_pixels: int, candidate: Candidate) -> Inspected | DataError:
    try:
        return _inspect(candidate, max_pixels)
    except DataError as error:
        return error


def _inspect(candidate: Candidate, max_pixels: int) -> Inspected:
    """The record of a candidate and its bytes; the whole picture is decoded once."""
    data = candidate.read(16 * max_pixels + 2**24)
    header = read_header(data)
    width, height = header.size
    if width * height > max_pixels:
        what = f"{width}×{height} pixels is more than `collect.max_pixels` ({max_pixels:,})"
        raise Unusable("too many pixels", what)
    open_upright(data)
    digest = hashlib.sha256(data).hexdigest()
    record = ImageRecord(
        topic=candidate.topic, image_id=candidate.image_id, benign=candidate.benign, heldout=candidate.heldout,
        image_file=f"images/{digest[:2]}/{digest}{SUFFIXES[header.kind]}", image_sha256=digest, width=width,
        height=height, image_source=candidate.source, license=candidate.license, caption=candidate.caption,
    )  # fmt: skip
    return Inspected(record, data)
