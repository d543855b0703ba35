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
from threading import BoundedSemaphore

from spavl.dataset.collect.candidate import FILE_READERS, Candidate, Unusable
from spavl.dataset.collect.hash_list import HashList
from spavl.errors import DataError
from spavl.pictures import open_upright, read_header
from spavl.records import ImageRecord
from spavl.similarity.pdq import pdq

SUFFIXES = {"JPEG": ".jpg", "MPO": ".jpg", "PNG": ".png", "WEBP": ".webp", "GIF": ".gif", "BMP": ".bmp", "TIFF": ".tif"}
"""File name suffix of a copy by Pillow's name of its format."""
DECODING = BoundedSemaphore(FILE_READERS)
"""Lets as few pictures be decoded at once as files are, however many threads wait for a network."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checks:
    """What a picture is checked for by itself, without a tool."""

    max_pixels: int
    """Largest width times height."""
    min_width: int = 1
    """Least width in pixels."""
    min_height: int = 1
    """Least height in pixels."""
    max_aspect: float | None = None
    """Most times that the longer side may be as long as the shorter one; None: any number."""
    hash_list: HashList | None = None
    """Pictures that must not be used; None: there is no list."""


@dataclass(frozen=True, slots=True)
class Inspected:
    """A picture that can be decoded."""

    record: ImageRecord
    """Its record."""
    data: bytes
    """The bytes of its file."""


def inspected(
    candidates: Iterable[Candidate], checks: Checks, readers: int, on_stop: Callable[[], None] = lambda: None
) -> Iterator[tuple[Candidate, Inspected | DataError]]:
    """Each candidate with what was found, in their order; some are read ahead.

    Args:
        candidates: what to read.
        checks: what they are checked for.
        readers: threads that read and decode.
        on_stop: called where nobody wants the rest, so that who waits for a picture need not.
    """
    work = partial(_try, checks)
    for candidate, found in _ahead(candidates, work, readers, on_stop):
        yield candidate, found.result()


def _ahead(
    candidates: Iterable[Candidate],
    work: Callable[[Candidate], Inspected | DataError],
    readers: int,
    on_stop: Callable[[], None],
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
        except BaseException:  # an interrupt too: the pool waits for its threads, and they for a network
            on_stop()
            raise
        finally:
            for _, future in waiting:
                future.cancel()


def _try(checks: Checks, candidate: Candidate) -> Inspected | DataError:
    try:
        data = candidate.read(16 * checks.max_pixels + 2**24)
        with DECODING:
            return _inspect(candidate, data, checks)
    except DataError as error:
        return error


def _inspect(candidate: Candidate, data: bytes, checks: Checks) -> Inspected:
    """The record of a candidate and its bytes; the whole picture is decoded once."""
    header = read_header(data)
    width, height = header.size
    if width * height > checks.max_pixels:
        what = f"{width}×{height} pixels is more than `collect.max_pixels` ({checks.max_pixels:,})"
        raise Unusable("too many pixels", what)
    found, quality = pdq(open_upright(data))
    if checks.hash_list is not None and checks.hash_list.holds(found):  # before another reason keeps its name
        raise Unusable("hash list", "its PDQ hash is in the hash list, or near one that is", pdq=found)
    _check_size(width, height, checks)
    digest = hashlib.sha256(data).hexdigest()
    record = ImageRecord(
        topic=candidate.topic, image_id=candidate.image_id, benign=candidate.benign, heldout=candidate.heldout,
        image_file=f"images/{digest[:2]}/{digest}{SUFFIXES[header.kind]}", image_sha256=digest, width=width,
        height=height, image_source=candidate.source, license=candidate.license, caption=candidate.caption,
        keyword_similarity=candidate.similarity, pdq=found, pdq_quality=quality,
    )  # fmt: skip
    return Inspected(record, data)


def _check_size(width: int, height: int, checks: Checks) -> None:
    if width < checks.min_width or height < checks.min_height:
        least = f"{checks.min_width}×{checks.min_height} (`collect.filters.min_width`, `min_height`)"
        raise Unusable("resolution", f"{width}×{height} pixels is smaller than {least}")
    aspect = max(width, height) / min(width, height)
    if checks.max_aspect is not None and aspect > checks.max_aspect:
        most = f"`collect.filters.max_aspect` ({checks.max_aspect:g})"
        raise Unusable("aspect", f"its longer side is {aspect:.1f} times the shorter one, more than {most}")
