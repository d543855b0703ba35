"""The source of the pipeline: the settings' pictures, found and checked slice by slice."""

from __future__ import annotations

import heapq
import json
from collections import Counter
from collections.abc import Iterator
from hashlib import blake2b
from itertools import islice
from pathlib import Path
from typing import IO

import pyarrow as pa

from spavl.atomic import atomic_write
from spavl.dataset.collect import FILTERS, Candidate, Rejected, SeenPictures, collect, find, passed_over
from spavl.pipeline.session import Session
from spavl.plural import plural
from spavl.records import ImageRecord
from spavl.tables import to_arrow
from spavl.taxonomy import load_taxonomy

SHOWN = 5
"""Most files that are not used that are named on the screen."""


def candidates(session: Session) -> Iterator[Candidate]:
    """The pictures of the settings' source, at most `limit`, spread over the subcategories.

    Args:
        session: the settings and the run folder, into which the miniature world's pictures are drawn.

    Raises:
        DataError: the folder of pictures is missing or empty, or a picture is under no subcategory.
    """
    limit = session.settings.limit
    if limit is None:
        return _found(session)
    wanted = _spread(_found(session), limit)
    return (candidate for number, candidate in enumerate(_found(session)) if number in wanted)


def collect_fingerprint(session: Session) -> str:
    """Hash of the pictures that there are: their records, and the stamp of each.

    Args:
        session: the settings and the run folder.

    Raises:
        DataError: as `candidates`.
    """
    digest = blake2b(digest_size=16)
    for candidate in candidates(session):
        digest.update(f"{candidate}".encode())
    return digest.hexdigest()


def collect_slices(session: Session, counts: Counter[str]) -> Iterator[pa.Table]:
    """The table of the pictures that can be used, slice by slice; the others are named in `rejected.json`.

    Args:
        session: the settings and the run folder.
        counts: is added to: pictures found and made, those of every filter; files passed over.

    Raises:
        DataError: as `candidates`.
    """
    settings = session.settings.build
    total = sum(1 for _ in candidates(session))
    found = candidates(session)
    with (
        session.progress.bar("collect") as on_progress, SeenPictures() as seen,
        atomic_write(session.run.folder / "rejected.json", what="The list of rejected files") as tmp,
        tmp.open("w", encoding="utf-8") as rejected_file,
    ):  # fmt: skip
        rejected_file.write("[")
        while batch := list(islice(found, settings.batch_size)):
            images, rejected = collect(
                batch, folder=session.run.folder, max_pixels=settings.collect.max_pixels, seen=seen
            )
            _name_rejected(session, rejected, rejected_file, _rejected(counts))
            counts.update(found=len(batch), made=len(images))
            counts.update(one.kind for one in rejected)
            on_progress(counts["found"], total)
            yield to_arrow(images, ImageRecord)
        rejected_file.write("]\n")
    _log_unused(session, counts)


def _rejected(counts: Counter[str]) -> int:
    return sum(counts[kind] for kind in FILTERS)


def _log_unused(session: Session, counts: Counter[str]) -> None:
    """Say how many files are not used, and of what kind."""
    if _rejected(counts):
        named = ", ".join(f"{counts[kind]:,} {kind}" for kind in FILTERS if counts[kind])
        session.progress.log(
            f"{plural(_rejected(counts), 'picture')} not used ({named}); {session.run.folder / 'rejected.json'} names "
            "each with its reason"
        )
    wanted = session.settings.build.collect
    strays = passed_over(wanted) if wanted.source == "folder" else Counter[str]()
    if strays:
        counts["passed over"] = strays.total()
        kinds = [f"{n:,} {kind}" for kind, n in strays.most_common(SHOWN)]
        session.progress.log(f"{plural(strays.total(), 'file')} passed over as no pictures: {', '.join(kinds)}")


def _found(session: Session) -> Iterator[Candidate]:
    wanted = session.settings.build.collect
    if wanted.source == "miniworld":
        from spavl.pipeline.miniworld import make_candidates

        yield from make_candidates(session.settings, session.world)
    else:
        yield from find(wanted, load_taxonomy(Path(wanted.taxonomy) if wanted.taxonomy else None))


def _spread(found: Iterator[Candidate], limit: int) -> set[int]:
    """Numbers of the first `limit` candidates when one harmful and one benign of each subcategory is taken in turn."""
    turn: Counter[tuple[str, bool]] = Counter()

    def places() -> Iterator[tuple[int, int]]:
        for number, candidate in enumerate(found):
            key = (candidate.topic.class3, candidate.benign)
            yield turn[key], number
            turn[key] += 1

    return {number for _, number in heapq.nsmallest(limit, places())}


def _name_rejected(session: Session, rejected: list[Rejected], file: IO[str], before: int) -> None:
    for number, one in enumerate(rejected, before):
        file.write(("" if number == 0 else ",") + "\n  " + json.dumps(one.plain(), ensure_ascii=False))
        if number < SHOWN:
            session.progress.log(f"not used: {one}")
