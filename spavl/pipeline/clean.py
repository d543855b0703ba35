"""`spavl clean`: a dataset without the pairs that an audit found, and a table of those that were dropped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from spavl.errors import RunError, SettingsError
from spavl.pipeline.audit import AuditRequest
from spavl.pipeline.audit_files import FINDINGS, read_audit
from spavl.pipeline.exports import CACHE
from spavl.preferences.clean import Cleaned, check_free, write_clean
from spavl.preferences.dataset import content_of, open_dataset
from spavl.progress import Progress
from spavl.tables.query import literal, query

DROPPED = "dropped.parquet"
"""Table of what was dropped."""
SLICE = 50_000
"""Findings that are held at once."""
_WANTED = "SELECT DISTINCT number, pair_id, kind, detail, score FROM findings WHERE list_contains(?, kind) ORDER BY ALL"
_BY_KIND = "SELECT kind, count(DISTINCT number) FROM findings WHERE list_contains(?, kind) GROUP BY kind ORDER BY kind"


@dataclass(frozen=True, slots=True)
class CleanedByKind:
    """What a cleaning wrote."""

    dataset: Cleaned
    """The new dataset."""
    by_kind: dict[str, int]
    """Pairs that it lacks, by kind of finding; one of several kinds counts in each."""


def clean(request: AuditRequest, kinds: Sequence[str], out: Path, progress: Progress) -> CleanedByKind:
    """Write a dataset without the pairs of some kinds of findings.

    Args:
        request: names the dataset and the folder of its audit.
        kinds: of findings.
        out: folder of the new dataset.
        progress: shows a bar.

    Raises:
        SettingsError: the audit has no such kind, or the folder is taken.
        DataError: no pair would be left.
        RunError: there is no audit, or it is of other pairs.
    """
    audited, wanted = read_audit(request.folder), list(kinds)
    if not wanted:
        raise SettingsError("No kind of finding is named", where="--drop",
                            try_=f"of {', '.join(sorted(audited['suspects']))}")  # fmt: skip
    known = set(audited["suspects"])
    if strange := sorted(set(wanted) - known):
        raise SettingsError(f"The audit has no findings of the kind {', '.join(strange)}", where="--drop",
                            try_=f"of {', '.join(sorted(known))}")  # fmt: skip
    check_free(out, request.pairs)
    dataset = open_dataset(request.pairs, cache=CACHE, limit=request.limit)
    if content_of(dataset) != audited["audited"]:
        raise RunError("The pairs have changed since the audit", where=str(request.folder), try_="audit them again")
    findings = request.folder / FINDINGS
    by_kind = dict(query(_BY_KIND, [wanted], findings=findings))

    def write_dropped(folder: Path) -> None:
        query(f"COPY ({_WANTED}) TO {literal(str(folder / DROPPED))} (FORMAT parquet)", [wanted], findings=findings)

    with progress.bar("Writing pairs") as on_progress:
        made = write_clean(
            dataset, _dropped(findings, wanted, len(dataset.pairs)), out, add_files=write_dropped,
            note={"source": dataset.name, "by_kind": by_kind},
            on_progress=on_progress,
        )  # fmt: skip
    return CleanedByKind(made, by_kind)


def _dropped(findings: Path, kinds: list[str], pairs: int) -> np.ndarray:
    """Whether each pair is dropped, `[pairs]`: a byte of each, and no more however many are."""
    dropped = np.zeros(pairs, dtype=bool)
    with pq.ParquetFile(findings) as file:
        for batch in file.iter_batches(SLICE, columns=["number", "kind"], use_threads=False):
            wanted = pc.is_in(batch.column("kind"), pa.array(kinds, pa.string()))
            dropped[batch.column("number").filter(wanted).to_numpy(zero_copy_only=False)] = True
    return dropped
