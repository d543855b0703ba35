"""What is left of a dataset without some of its pairs, in the Hub schema, pictures inside."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow.parquet as pq

from spavl.atomic import atomic_write, remove_abandoned, write_json
from spavl.errors import DataError, SettingsError
from spavl.preferences.about import ABOUT
from spavl.preferences.dataset import PreferenceDataset
from spavl.preferences.hub_file import SCHEMA, batches_of, unwritable
from spavl.preferences.pairs import Pair
from spavl.preferences.reasons import bounded
from spavl.tables import write_batches

TRAIN, NOTE = "data/train.parquet", "clean.json"
"""Files of the folder."""
TOGETHER: Final = 1_024
"""Pairs that are read at once."""


@dataclass(frozen=True, slots=True)
class Cleaned:
    """A dataset without the pairs that were dropped."""

    folder: Path
    """Where it is."""
    kept: int
    """Its pairs."""
    dropped: int
    """Pairs that were dropped."""
    malformed: dict[str, int]
    """Pairs that cannot be written, by the reason."""
    unread: tuple[str, ...] = ()
    """Columns of the source that nothing here reads, and that are gone."""


def check_free(out: Path, source: str) -> None:
    """Refuse a folder that holds something which no cleaning made, or the dataset that is cleaned.

    Args:
        out: the folder that is to be written.
        source: the path or Hub id of that dataset.

    Raises:
        SettingsError: it is no such folder.
    """
    new, old = out.resolve(), Path(source).resolve()
    if new.is_relative_to(old) or old.is_relative_to(new):
        raise SettingsError("The clean dataset would replace the one it is made from", where=str(out),
                            try_="name another folder")  # fmt: skip
    if not out.exists():
        return
    strange = sorted(_files(out) - _written(out)) if out.is_dir() else [out.name]
    if strange:
        raise SettingsError(f"This holds something that no cleaning made: {', '.join(strange[:3])}", where=str(out),
                            try_="name another folder")  # fmt: skip


def _files(folder: Path) -> set[str]:
    return {one.relative_to(folder).as_posix() for one in folder.rglob("*") if not one.is_dir()}


def _written(out: Path) -> set[str]:
    """The files that a cleaning put into a folder; none: it is of no cleaning."""
    try:
        return {str(one) for one in json.loads((out / NOTE).read_text("utf-8"))["files"]}
    except (OSError, ValueError, KeyError, TypeError):
        return set()


def write_clean(
    dataset: PreferenceDataset, drop: np.ndarray, out: Path, *, note: Mapping[str, Any],
    add_files: Callable[[Path], None] = lambda folder: None,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> Cleaned:  # fmt: skip
    """Write the pairs of a dataset that are not dropped, all of them or no folder at all.

    Args:
        dataset: an open dataset.
        drop: whether each pair is dropped, `[pairs]`.
        out: the folder.
        note: what `clean.json` says beside the counts.
        add_files: writes more files into the folder.
        on_progress: is called with pairs read, and all of them.

    Raises:
        SettingsError: the folder holds something else.
        DataError: no pair is left, or a picture cannot be read.
        RunError: the folder cannot be written.
    """
    check_free(out, dataset.name)
    malformed: dict[str, int] = {}

    def left() -> Iterator[Pair]:
        for number, pair in enumerate(_with_about(dataset)):
            if number % TOGETHER == 0:
                on_progress(number, len(dataset.pairs))
            if drop[number]:
                continue
            if reason := unwritable(pair):
                reason = bounded(reason, malformed)
                malformed[reason] = malformed.get(reason, 0) + 1
            else:
                yield pair

    with atomic_write(out, what="The clean dataset") as tmp:
        remove_abandoned(out)
        (tmp / "data").mkdir(parents=True)
        kept = write_batches(tmp / TRAIN, SCHEMA, batches_of(left()))
        if not kept:
            raise DataError("No pair is left", where=str(out), try_="drop fewer of them")
        add_files(tmp)
        write_json(tmp / NOTE, {
            "kept": kept, "dropped": int(drop.sum()), "malformed": malformed, "unread": dataset.unread, **note,
            "files": sorted({NOTE, *_files(tmp)}),
        })  # fmt: skip
    return Cleaned(out, kept, int(drop.sum()), malformed, dataset.unread)


def _with_about(dataset: PreferenceDataset) -> Iterator[Pair]:
    """All pairs, each with what its row says of it beside the conversation."""
    pairs = iter(dataset.pairs)
    with pq.ParquetFile(dataset.rows) as file:
        for batch in file.iter_batches(TOGETHER, columns=list(ABOUT), use_threads=False):
            for said in batch.to_pylist():
                about = {name: value for name, value in said.items() if value is not None}
                yield replace(next(pairs), about=about)
