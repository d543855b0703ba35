"""Candidates → ImageRecord: checked as untrusted input, filtered, and copied under the hash of their bytes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from spavl.atomic import atomic_write
from spavl.dataset.collect.candidate import FILE_READERS, Candidate, Rejected
from spavl.dataset.collect.duplicates import SeenPictures
from spavl.dataset.collect.inspect import inspected
from spavl.errors import DataError
from spavl.records import ImageRecord


def collect(
    candidates: Sequence[Candidate], *, folder: Path, max_pixels: int, seen: SeenPictures, readers: int = FILE_READERS
) -> tuple[list[ImageRecord], list[Rejected]]:
    """Records of the usable pictures, copied to `folder/images/`, and the other candidates with their reasons.

    Of several with the same bytes the first is used. Pictures are read and checked side by side.

    Args:
        candidates: pictures to check.
        folder: the run folder.
        max_pixels: largest width times height of a picture.
        seen: the pictures that were used before.
        readers: threads that read: more where each waits for a network.

    Raises:
        RunError: a copy cannot be written.
    """
    records: list[ImageRecord] = []
    rejected: list[Rejected] = []
    for candidate, found in inspected(candidates, max_pixels, readers):
        if isinstance(found, DataError):
            rejected.append(Rejected.of(candidate, found))
            continue
        first = seen.first(found.record.image_sha256, candidate.name)
        if first != candidate.name:
            rejected.append(Rejected(candidate.name, f"the same bytes as {first}", "exact duplicate"))
            continue
        _copy(folder / found.record.image_file, found.data)
        records.append(found.record)
    return records, rejected


def unusable(candidates: Sequence[Candidate], max_pixels: int, readers: int = FILE_READERS) -> list[Rejected]:
    """The pictures that cannot be used, with their reasons; nothing is copied.

    Args:
        candidates: pictures to look at.
        max_pixels: largest width times height of a picture.
        readers: threads that read.
    """
    return [
        Rejected.of(candidate, found)
        for candidate, found in inspected(candidates, max_pixels, readers) if isinstance(found, DataError)
    ]  # fmt: skip


def _copy(path: Path, data: bytes) -> None:
    if path.exists() and path.read_bytes() == data:
        return
    with atomic_write(path, what="The picture", try_="make room on the disk") as tmp:
        tmp.write_bytes(data)
