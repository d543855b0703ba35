"""`spavl clean`: a dataset without the pairs that an audit found, and a table of those that were dropped."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from spavl.atomic import atomic_write, write_json
from spavl.errors import DataError, RunError, SettingsError
from spavl.pipeline.audit import CACHE, FINDINGS, AuditRequest, content_of, read_audit
from spavl.preferences.about import ABOUT
from spavl.preferences.dataset import PreferenceDataset, open_dataset
from spavl.preferences.hub_file import SCHEMA, batches_of, unwritable
from spavl.preferences.pairs import Pair
from spavl.progress import Progress
from spavl.tables import write_batches
from spavl.tables.query import query

DROPPED, NOTE = "dropped.parquet", "clean.json"
"""Table of what was dropped, and what says how."""
SLICE = 1024
"""Pairs that are read at once."""
_WANTED = "SELECT DISTINCT number, pair_id, kind, detail, score FROM findings WHERE list_contains(?, kind) ORDER BY ALL"


@dataclass(slots=True)
class Cleaned:
    """What a cleaning wrote."""

    folder: Path
    """The new dataset."""
    kept: int = 0
    """Pairs that it has."""
    dropped: dict[str, int] = field(default_factory=dict)
    """Pairs that it lacks, by kind of finding; one of several kinds counts in each."""
    unwritable: int = 0
    """Rows left out because they are no pairs, or a picture is missing."""


def clean(request: AuditRequest, kinds: Sequence[str], out: Path, progress: Progress) -> Cleaned:
    """Write a dataset without the pairs of some kinds of findings.

    Args:
        request: names the dataset and the folder of its audit.
        kinds: of findings.
        out: folder of the new dataset.
        progress: shows a bar.

    Raises:
        SettingsError: the audit has no such kind.
        RunError: there is no audit, it is of other pairs, or the folder is taken.
    """
    audited = read_audit(request.folder)
    known = set(audited["suspects"])
    if strange := sorted(set(kinds) - known):
        raise SettingsError(f"The audit has no findings of the kind {', '.join(strange)}", where="--drop",
                            try_=f"of {', '.join(sorted(known))}")  # fmt: skip
    dataset = open_dataset(request.pairs, cache=CACHE, limit=request.limit)
    if content_of(dataset) != audited["audited"]:
        raise RunError("The pairs have changed since the audit", where=str(request.folder), try_="audit them again")
    new, old = out.resolve(), Path(request.source).resolve()
    if new.is_relative_to(old) or old.is_relative_to(new):
        raise RunError("The new dataset would replace the one it is made from", where=str(out), try_="name another")
    if out.exists() and not (out / NOTE).is_file() and not (out.is_dir() and not any(out.iterdir())):
        raise RunError("This folder holds something else", where=str(out), try_="name another with --out")
    with atomic_write(out, what="The dataset") as tmp:
        return replace(_written(dataset, request.folder / FINDINGS, list(kinds), tmp, progress), folder=out)


def _written(dataset: PreferenceDataset, findings: Path, kinds: list[str], tmp: Path, progress: Progress) -> Cleaned:
    tmp.mkdir(parents=True, exist_ok=True)
    query(f"COPY ({_WANTED}) TO '{str(tmp / DROPPED).replace(chr(39), chr(39) * 2)}' (FORMAT parquet)", [kinds],
          findings=findings)  # fmt: skip
    made = Cleaned(tmp)
    made.dropped = dict(query("SELECT kind, count(*) FROM dropped GROUP BY kind ORDER BY kind", dropped=tmp / DROPPED))
    numbers = {row[0] for row in query("SELECT DISTINCT number FROM dropped", dropped=tmp / DROPPED)}
    (tmp / "data").mkdir()
    with progress.bar("Writing pairs") as on_progress:

        def kept() -> Iterator[Pair]:
            for number, pair in enumerate(_pairs(dataset)):
                if number % SLICE == 0:
                    on_progress(number, len(dataset.pairs))
                if number in numbers:
                    continue
                if unwritable(pair):
                    made.unwritable += 1
                    continue
                made.kept += 1
                yield pair

        write_batches(tmp / "data" / "train.parquet", SCHEMA, batches_of(kept()))
    if not made.kept:
        raise DataError("No pair would be left", where=dataset.name, try_="drop fewer kinds")
    write_json(tmp / NOTE, {"source": dataset.name, "dropped": made.dropped, "kept": made.kept,
                            "left_out": made.unwritable, "kinds": kinds})  # fmt: skip
    return made


def _pairs(dataset: PreferenceDataset) -> Iterator[Pair]:
    """All pairs, each with what its row says of it."""
    for start in range(0, len(dataset.pairs), SLICE):
        sql = f"SELECT {', '.join(ABOUT)} FROM pairs WHERE number BETWEEN ? AND ? ORDER BY number"
        about = query(sql, [start, start + SLICE - 1], pairs=dataset.rows)
        for place, values in enumerate(about):
            said = {name: value for name, value in zip(ABOUT, values, strict=True) if value is not None}
            yield replace(dataset.pairs[start + place], about=said)
