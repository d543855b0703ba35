"""What is left of a dataset without the pairs that it shares with others, in the Hub schema."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import pyarrow.parquet as pq

from spavl.atomic import atomic_write, remove_abandoned, write_json
from spavl.errors import DataError, SettingsError
from spavl.preferences.about import ABOUT
from spavl.preferences.dataset import PreferenceDataset
from spavl.preferences.hub_file import SCHEMA, batches_of, unwritable
from spavl.preferences.pairs import Pair
from spavl.tables import write_batches

TRAIN, NOTE = "data/train.parquet", "clean.json"
"""Files of the folder."""
TOGETHER: Final = 1_024
"""Pairs that are read at once."""


@dataclass(frozen=True, slots=True)
class Cleaned:
    """A dataset without what it shares."""

    folder: Path
    """Where it is."""
    kept: int
    """Its pairs."""
    dropped: int
    """Pairs that are shared."""
    malformed: dict[str, int]
    """Pairs that cannot be written, by the reason."""


def check_free(out: Path) -> None:
    """Refuse a folder that holds something which no cleaning made.

    Args:
        out: the folder that is to be written.

    Raises:
        SettingsError: it is no such folder.
    """
    if out.exists() and not (out.is_dir() and ((out / NOTE).is_file() or not any(out.iterdir()))):
        raise SettingsError("This holds something that no cleaning made", where=str(out), try_="name another folder")


def write_clean(dataset: PreferenceDataset, drop: Collection[int], out: Path, *, why: str) -> Cleaned:
    """Write the pairs of a dataset that are not dropped, all of them or no folder at all.

    Args:
        dataset: an open dataset.
        drop: numbers of the pairs that are dropped.
        out: the folder.
        why: why they are, for the note.

    Raises:
        SettingsError: the folder holds something else.
        DataError: no pair is left, or a picture cannot be read.
        RunError: the folder cannot be written.
    """
    check_free(out)
    malformed: dict[str, int] = {}
    dropped = set(drop)

    def left() -> Iterator[Pair]:
        for number, pair in enumerate(_with_about(dataset)):
            if number in dropped:
                continue
            if reason := unwritable(pair):
                malformed[reason] = malformed.get(reason, 0) + 1
            else:
                yield pair

    with atomic_write(out, what="The clean dataset") as tmp:
        remove_abandoned(out)
        (tmp / "data").mkdir(parents=True)
        kept = write_batches(tmp / TRAIN, SCHEMA, batches_of(left()))
        if not kept:
            raise DataError("No pair is left", where=str(out), try_="look at contamination.parquet")
        note = {"kept": kept, "dropped": len(dropped), "malformed": malformed, "why": why}
        write_json(tmp / NOTE, note)
    return Cleaned(out, kept, len(dropped), malformed)


def _with_about(dataset: PreferenceDataset) -> Iterator[Pair]:
    """All pairs, each with what its row says of it beside the conversation."""
    pairs = iter(dataset.pairs)
    with pq.ParquetFile(dataset.rows) as file:
        for batch in file.iter_batches(TOGETHER, columns=list(ABOUT), use_threads=False):
            for said in batch.to_pylist():
                about = {name: value for name, value in said.items() if value is not None}
                yield replace(next(pairs), about=about)
