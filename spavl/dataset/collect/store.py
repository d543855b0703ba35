"""Candidates → ImageRecord: checked as untrusted input, filtered, and copied under the hash of their bytes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from heapq import nlargest
from pathlib import Path

import numpy as np

from spavl.atomic import atomic_write
from spavl.dataset.collect.candidate import FILE_READERS, Candidate, Rejected, Unusable
from spavl.dataset.collect.duplicates import MOST_NEAR, Near, SeenPictures
from spavl.dataset.collect.filters import Filters
from spavl.dataset.collect.inspect import Checks, Inspected, inspected
from spavl.dataset.collect.measured import Measured, Numbers
from spavl.errors import DataError
from spavl.records import ImageRecord

WINDOW = 64
"""Pictures that tools measure together."""
MOST_BYTES = 2**28
"""Bytes of pictures from which on fewer are measured together."""

Found = tuple[Candidate, Inspected | DataError]


def collect(
    candidates: Iterable[Candidate],
    *,
    folder: Path,
    filters: Filters,
    readers: int = FILE_READERS,
    on_stop: Callable[[], None] = lambda: None,
) -> Iterator[ImageRecord | Rejected]:
    """Of each candidate, in their order, its record, the picture copied to `folder/images/`; or why it is not used.

    Of several that are alike the first that passes the filters is used, however candidates fall into windows.

    Args:
        candidates: pictures to check, each once.
        folder: the run folder.
        filters: what they pass.
        readers: threads that read: more where each waits for a network.
        on_stop: called where nobody wants the rest, before the threads are waited for.

    Raises:
        RunError: a copy, or what tools measured, cannot be written.
    """
    with Measured(folder) as measured, SeenPictures(folder, distance=filters.distance, cosine=filters.cosine) as seen:
        collector = _Collector(folder, filters, measured, seen)
        for window in _windows(inspected(candidates, filters.checks, readers, on_stop)):
            yield from collector.outcomes(window)


def unusable(candidates: Iterable[Candidate], checks: Checks, readers: int = FILE_READERS) -> list[Rejected]:
    """The pictures that cannot be used whatever the others are, with their reasons; nothing is copied.

    Args:
        candidates: pictures to look at.
        checks: what their bytes are checked for.
        readers: threads that read.
    """
    return [
        Rejected.of(candidate, found)
        for candidate, found in inspected(candidates, checks, readers) if isinstance(found, DataError)
    ]  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Judged:
    """What the filters with tools say of a picture."""

    record: ImageRecord | Unusable
    """The record with what was measured, or which filter it fails."""
    vector: Numbers | None = None
    """Its vector, where vectors are compared."""


class _Collector:
    """Decides about pictures, window by window, in their order."""

    def __init__(self, folder: Path, filters: Filters, measured: Measured, seen: SeenPictures) -> None:
        self._folder = folder
        self._filters = filters
        self._measured = measured
        self._seen = seen

    def outcomes(self, window: Sequence[Found]) -> Iterator[ImageRecord | Rejected]:
        """What becomes of each candidate of a window."""
        judged = self._judged(self._likely_new([found for _, found in window if isinstance(found, Inspected)]))
        near = self._near(judged)
        for candidate, found in window:
            if isinstance(found, DataError):
                yield Rejected.of(candidate, found)
                continue
            outcome = self._seen.duplicate(found) or self._passed(found, judged, near)
            if isinstance(outcome, Unusable):
                yield Rejected.of(candidate, outcome)
                continue
            _copy(self._folder / found.record.image_file, found.data)
            self._seen.add(outcome, candidate.name, judged[found.record.image_id].vector)
            yield outcome

    def _passed(
        self, picture: Inspected, judged: dict[str, _Judged], near: dict[str, tuple[list[Near], int]]
    ) -> ImageRecord | Unusable:
        """The record of a picture that passes the filters with tools and is part of none; else what is wrong.

        A picture that seemed to be a duplicate, of one that was not used, is measured now."""
        name = picture.record.image_id
        if name not in judged:
            judged |= self._judged([picture])
        found = judged[name]
        if isinstance(found.record, Unusable) or found.vector is None:
            return found.record
        before, since = near.get(name, ([], 0))
        (meanwhile,) = self._seen.near(found.record.benign, self._rows([found.vector]), since)
        return self._seen.part(picture, nlargest(MOST_NEAR, before + meanwhile)) or found.record

    def _rows(self, vectors: Sequence[Numbers]) -> Numbers:
        assert self._filters.vectors is not None
        return np.stack(vectors).reshape(len(vectors), self._filters.vectors.vectors, -1)

    def _likely_new(self, pictures: Sequence[Inspected]) -> Sequence[Inspected]:
        """Pictures that are worth measuring before the window is decided: no duplicates of used ones, nor of each
        other."""
        if not self._filters.tools and self._filters.vectors is None:
            return pictures
        with SeenPictures(self._folder, distance=self._filters.distance) as earlier:
            new = []
            for one in pictures:
                if not self._seen.may_be_duplicate(one.record) and not earlier.may_be_duplicate(one.record):
                    earlier.add(one.record, "")
                    new.append(one)
        return new

    def _judged(self, pictures: Sequence[Inspected]) -> dict[str, _Judged]:
        """What the filters with tools say of pictures, by id; a picture that fails one is not measured further."""
        records: dict[str, ImageRecord | Unusable] = {one.record.image_id: one.record for one in pictures}
        left = list(pictures)
        for one in self._filters.tools:
            for picture, numbers in zip(left, self._measured.of(one.tool, left), strict=True):
                name = picture.record.image_id
                record = records[name]
                assert isinstance(record, ImageRecord)
                try:
                    records[name] = one.judged(record, numbers)
                except Unusable as error:
                    records[name] = error
            left = [picture for picture in left if isinstance(records[picture.record.image_id], ImageRecord)]
        vectors: dict[str, Numbers] = {}
        if self._filters.vectors is not None:
            found = self._measured.of(self._filters.vectors, left)
            vectors = {picture.record.image_id: vector for picture, vector in zip(left, found, strict=True)}
        return {name: _Judged(record, vectors.get(name)) for name, record in records.items()}

    def _near(self, judged: dict[str, _Judged]) -> dict[str, tuple[list[Near], int]]:
        """Of each picture the used ones that its vector is near, and how many it was compared with."""
        out: dict[str, tuple[list[Near], int]] = {}
        for benign in (False, True):
            vectors = {
                name: one.vector for name, one in judged.items()
                if one.vector is not None and isinstance(one.record, ImageRecord) and one.record.benign == benign
            }  # fmt: skip
            if vectors:
                compared = self._seen.compared(benign)
                found = self._seen.near(benign, self._rows(list(vectors.values())))
                out |= {name: (near, compared) for name, near in zip(vectors, found, strict=True)}
        return out


def _windows(found: Iterator[Found]) -> Iterator[list[Found]]:
    """Candidates in the order in which they come, as many together as tools measure, fewer where they are large."""
    window: list[Found] = []
    size = 0
    for one in found:
        window.append(one)
        size += len(one[1].data) if isinstance(one[1], Inspected) else 0
        if len(window) == WINDOW or size > MOST_BYTES:
            yield window
            window, size = [], 0
    if window:
        yield window


def _copy(path: Path, data: bytes) -> None:
    if path.exists() and path.read_bytes() == data:
        return
    with atomic_write(path, what="The picture", try_="make room on the disk") as tmp:
        tmp.write_bytes(data)
