"""Segments of a call store: a store of its own for every further process that makes calls, merged into the main one.

They lie in `<store>.segments`. Whoever opens the main store merges those that an earlier run has left there.
"""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from spavl.errors import RunError
from spavl.models.calls.lock import lock_store
from spavl.models.calls.store import CallStore

WAIT_SECONDS = 10.0
"""Longest wait for a process that is ending to let go of its segment."""


class Merged(NamedTuple):
    """What was taken into the main store."""

    calls: int
    """Rows of the segments."""
    cost: float
    """Cost of these calls, in the currency of the models' prices."""


def segment_path(store: Path, name: str) -> Path:
    """File of a segment.

    Args:
        store: the main store.
        name: of the segment; no two processes write into segments of one name.
    """
    return _folder(store) / f"{name}.sqlite"


def merge_segments(store: CallStore) -> Merged:
    """Take all rows of a store's segments into it, and remove the segments.

    Args:
        store: the main store, open for writing.

    Raises:
        RunError: another process still writes into a segment, a segment is no call store, or the disk is full. Segments
            that were not merged stay.
    """
    calls, cost = 0, 0.0
    for segment in sorted(_folder(store.path).glob("*.sqlite")):
        _wait_until_free(segment)
        if segment.stat().st_size == 0:  # its writer was killed before it wrote anything
            segment.unlink()
            continue
        store.merge(segment)
        with closing(sqlite3.connect(segment)) as rows:
            more, spent = rows.execute("SELECT count(*), total(cost) FROM calls").fetchone()
        calls, cost = calls + more, cost + spent
        for file in segment.parent.glob(f"{segment.name}*"):
            file.unlink()
    return Merged(calls, cost)


def _folder(store: Path) -> Path:
    return store.with_name(f"{store.name}.segments")


def _wait_until_free(segment: Path) -> None:
    until = time.monotonic() + WAIT_SECONDS
    while True:
        try:
            return lock_store(segment).release()
        except RunError:
            if time.monotonic() > until:
                raise
            time.sleep(0.1)
