"""The source of the pipeline: the settings' pictures, found and checked slice by slice."""

from __future__ import annotations

import heapq
import json
from collections import Counter
from collections.abc import Iterator
from hashlib import blake2b
from itertools import islice
from typing import IO

import pyarrow as pa

from spavl.atomic import atomic_write
from spavl.dataset.collect import (
    FILE_READERS,
    FILTERS,
    Candidate,
    Downloads,
    Rejected,
    collect,
    filters_stamp,
    find,
    find_in_dataset,
    find_in_manifest,
    open_filters,
    passed_over,
)
from spavl.dataset.collect.search import find_by_keywords
from spavl.pipeline.coverage import taxonomy_of
from spavl.pipeline.session import Session
from spavl.plural import plural
from spavl.records import ImageRecord
from spavl.tables import to_arrow

SHOWN = 5
"""Most files that are not used that are named on the screen."""


AGAIN = "to try again"
"""Count of the pictures that did not come, and are asked for again by the next run."""


def candidates(session: Session, downloads: Downloads | None = None) -> Iterator[Candidate]:
    """The pictures of the settings' source, at most `limit`, spread over the subcategories.

    Args:
        session: the settings and the run folder, into which the miniature world's pictures are drawn.
        downloads: gets the pictures of the web. None: they will not be read.

    Raises:
        DataError: the source is missing or empty, or a picture is under no subcategory.
    """
    limit = session.settings.limit
    if limit is None:
        return _found(session, downloads)
    wanted = _spread(_found(session, None), limit)
    return (candidate for number, candidate in enumerate(_found(session, downloads)) if number in wanted)


def collect_fingerprint(session: Session) -> tuple[str, int]:
    """Hash of the pictures that there are and of the filters' tools, and how many pictures there are.

    Args:
        session: the settings and the run folder.

    Raises:
        DataError: as `candidates`; or the hash list cannot be read.
        ModelError: a checkpoint that a filter needs is not there.
    """
    digest = blake2b(json.dumps(filters_stamp(session.settings.build.collect.filters)).encode(), digest_size=16)
    total = 0
    for candidate in candidates(session):
        digest.update(f"{candidate}".encode())
        total += 1
    return digest.hexdigest(), total


def collect_slices(session: Session, counts: Counter[str], total: int) -> Iterator[pa.Table]:
    """The table of the pictures that can be used, slice by slice; the others are named in `rejected.json`.

    Args:
        session: the settings and the run folder.
        counts: is added to: pictures found and made, those of every filter; files passed over.
        total: pictures that there are.

    Raises:
        DataError: as `candidates`; or the hash list cannot be read.
        ModelError: a tool of the filters cannot be opened.
        SettingsError: a filter is not what its tool offers.
        MissingExtra: a tool of the filters is not installed.
    """
    settings = session.settings.build
    filters = open_filters(settings.collect, taxonomy_of(session.settings).keywords)
    readers = settings.collect.download.concurrency if settings.collect.source == "manifest" else FILE_READERS
    with (
        session.progress.bar("collect") as on_progress,
        Downloads(session.run.folder, settings.collect.download) as downloads,
        atomic_write(session.run.folder / "rejected.json", what="The list of rejected files") as tmp,
        tmp.open("w", encoding="utf-8") as rejected_file,
    ):
        found = candidates(session, downloads)
        outcomes = collect(found, folder=session.run.folder, filters=filters, readers=readers, on_stop=downloads.stop)
        rejected_file.write("[")
        while batch := list(islice(outcomes, settings.batch_size)):
            images = [one for one in batch if isinstance(one, ImageRecord)]
            rejected = [one for one in batch if isinstance(one, Rejected)]
            _name_rejected(session, rejected, rejected_file, _rejected(counts))
            counts.update(found=len(batch), made=len(images))
            counts.update(one.kind for one in rejected)
            on_progress(counts["found"], total)
            downloads.note_stored()
            yield to_arrow(images, ImageRecord)
        rejected_file.write("]\n")
    if downloads.unfinished:
        counts[AGAIN] = downloads.unfinished
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
    if counts[AGAIN]:
        session.progress.log(f"{plural(counts[AGAIN], 'picture')} did not come and may come later: run again")
    wanted = session.settings.build.collect
    strays = passed_over(wanted) if wanted.source == "folder" else Counter[str]()
    if strays:
        counts["passed over"] = strays.total()
        kinds = [f"{n:,} {kind}" for kind, n in strays.most_common(SHOWN)]
        session.progress.log(f"{plural(strays.total(), 'file')} passed over as no pictures: {', '.join(kinds)}")


def _found(session: Session, downloads: Downloads | None) -> Iterator[Candidate]:
    wanted = session.settings.build.collect
    taxonomy = taxonomy_of(session.settings)
    if wanted.source == "miniworld":
        from spavl.pipeline.miniworld import make_candidates

        yield from make_candidates(session.settings, session.world)
    elif wanted.source == "search":
        yield from find_by_keywords(wanted, taxonomy, session.progress, writes=not session.look_only)
    elif wanted.source == "manifest":
        fetch = (downloads or Downloads(session.run.folder, wanted.download)).read
        yield from find_in_manifest(wanted, taxonomy, fetch)
    elif wanted.source == "dataset":
        yield from find_in_dataset(wanted, taxonomy)
    else:
        yield from find(wanted, taxonomy)


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
