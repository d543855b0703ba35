"""An index of a run's pairs, so that any filter of 100,000 pairs takes a fraction of a second: derived, and kept.

It is a DuckDB database in a cache folder, named by the run and by what its tables were when it was made. A row holds
what the list of pairs shows and what it is filtered and sorted by; nothing is ever written into the run folder.
"""

from __future__ import annotations

import glob
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from spavl.errors import RunError, SpavlError
from spavl.pipeline.audit_files import FINDINGS, FOLDER
from spavl.run import Run
from spavl.tables.kept import DamagedDatabase, KeptDatabase, make_database

CACHE: Final = Path(".spavl/serve")
"""Folder of the indexes, in the current one; deleted at any time, they are made anew."""
VERSION: Final = "2"
"""Of the columns; an index of another version is made anew."""
HELD: Final = 4
"""Indexes that are open at a time."""
_LENGTHS = "length(chosen) + length(rejected) AS length_of_both, length(chosen) - length(rejected) AS length_gap"
_PAIRS = f"""
CREATE TABLE pairs AS
SELECT pairs.file_row_number AS number, pairs.pair_id, query_id, image_id, image_file, image_sha256, images,
    [one.sha256 for one in images] AS pictures, class1, class2, class3, question_type, harmful, benign, heldout,
    question, chosen, rejected, chosen_source, rejected_source,
    chosen_outcome, rejected_outcome, chosen_safe, rejected_safe, chosen_severity, rejected_severity, picture_outcome,
    judges_for, judges_against, verdict_ab, verdict_ba, labelled, len(labelled_by) AS people, {_LENGTHS},
    coalesce(rejected_severity, 0) - coalesce(chosen_severity, 0) AS severity_gap,
    coalesce(found.kinds, []) AS findings, len(coalesce(found.kinds, [])) AS finding_count,
    lower(concat_ws(chr(10), pairs.pair_id, question, chosen, rejected)) AS words
FROM read_parquet($pairs, file_row_number = true) AS pairs LEFT JOIN found ON pairs.pair_id = found.pair_id
ORDER BY number
"""
_FOUND = """
CREATE TEMP TABLE found AS SELECT pair_id, list(DISTINCT kind ORDER BY kind) AS kinds
FROM read_parquet($findings) GROUP BY pair_id
"""
_NOTHING_FOUND = "CREATE TEMP TABLE found (pair_id VARCHAR, kinds VARCHAR[])"
_SLICES = """
CREATE TABLE slices AS
SELECT row_group_id AS slice, any_value(row_group_num_rows) AS pairs FROM parquet_metadata($pairs) GROUP BY row_group_id
"""
FACETS: Final = {
    "domain": "class1", "category": "class2", "subcategory": "class3", "type": "question_type",
    "chosen": "chosen_source", "rejected": "rejected_source", "chosen_outcome": "chosen_outcome",
    "rejected_outcome": "rejected_outcome", "people": "labelled",
}  # fmt: skip
"""Column of each filter that offers the values of a column."""
_FACETS = """
CREATE TABLE facets AS {each} UNION ALL
SELECT 'finding', kind, count(*) FROM (SELECT unnest(findings) AS kind FROM pairs) GROUP BY kind
""".format(each=" UNION ALL ".join(
    f"SELECT '{name}' AS facet, {column} AS value, count(*) AS pairs FROM pairs WHERE {column} IS NOT NULL "
    f"AND {column} <> '' GROUP BY {column}" for name, column in FACETS.items()
))  # fmt: skip
_PICTURES = """
CREATE TABLE pictures AS SELECT DISTINCT sha256, path FROM (
    SELECT image_sha256 AS sha256, image_file AS path FROM read_parquet($images)
    UNION ALL SELECT shown.sha256, shown.path FROM (SELECT unnest(images) AS shown FROM pairs)
) ORDER BY sha256
"""


@dataclass(slots=True)
class Indexes:
    """The indexes of all runs that were looked at: one thread makes each, any number ask it."""

    cache: Path = CACHE
    """The folder that they are kept in."""
    _open: dict[Path, KeptDatabase] = field(default_factory=dict)
    _making: dict[Path, threading.Thread] = field(default_factory=dict)
    _failed: dict[Path, SpavlError] = field(default_factory=dict)
    _remade: set[Path] = field(default_factory=set)
    _guard: threading.Lock = field(default_factory=threading.Lock)
    _spill: TemporaryDirectory[str] | None = None

    def of(self, run: Run, key: str, *, wait: float | None = None) -> KeptDatabase | None:
        """The index of a run's pairs; None while it is being made.

        Args:
            run: with pairs.
            key: of the run.
            wait: most seconds to wait for it; None: as long as it takes.

        Raises:
            RunError: the run has no pairs, or a table of it is damaged.
        """
        path = self._path(run, key)
        with self._guard:
            if path in self._open:
                return self._open[path]
            if path in self._failed:
                raise self._failed.pop(path)
            if path.is_file() and (found := self._opened(path)):
                return found
            if path not in self._making:
                self._making[path] = threading.Thread(target=self._make, args=(run, path), daemon=True)
                self._making[path].start()
            thread = self._making[path]
        thread.join(wait)
        return None if thread.is_alive() else self.of(run, key, wait=wait)

    def close(self) -> None:
        """Close all of them."""
        with self._guard:
            for one in self._open.values():
                one.close()
            self._open.clear()
            if self._spill is not None:
                self._spill.cleanup()
                self._spill = None

    def _opened(self, path: Path) -> KeptDatabase | None:
        """An index that is kept; one that is damaged is removed, so that it is made anew, once."""
        self._spill = self._spill or TemporaryDirectory(ignore_cleanup_errors=True)
        try:
            made = self._open[path] = KeptDatabase(path, spill=Path(self._spill.name, path.stem))
        except DamagedDatabase:
            if path in self._remade:
                raise
            self._remade.add(path)
            path.unlink(missing_ok=True)
            return None
        while len(self._open) > HELD:  # whoever still asks it holds it, until the answer is there
            del self._open[next(iter(self._open))]
        return made

    def _make(self, run: Run, path: Path) -> None:
        try:
            make_index(run, path)
            for old in path.parent.glob(f"{path.name.rpartition('-')[0]}-*.duckdb"):
                if old != path and old not in self._open:
                    with suppress(OSError):
                        old.unlink()
        except SpavlError as error:
            self._failed[path] = error
        except Exception as error:  # whatever it is, who waits for the index is told
            self._failed[path] = RunError(f"The index cannot be made: {error}", where=str(path))
        finally:
            with self._guard:
                self._making.pop(path, None)

    def _path(self, run: Run, key: str) -> Path:
        pairs = run.last_pairs
        if not pairs.is_file():
            raise RunError("This run has no pairs yet", where=str(run.folder), try_="run `spavl build`")
        form = [VERSION, str(run.folder.resolve()), *map(_stamp, _made_from(run))]
        name = f"{key}-{blake2b(repr(form).encode(), digest_size=6).hexdigest()}.duckdb"
        return self.cache / name


def _made_from(run: Run) -> Sequence[Path]:
    return (run.last_pairs, run.images, run.folder / FOLDER / FINDINGS)


def _stamp(path: Path) -> tuple[str, int, int]:
    try:
        seen = path.stat()
    except OSError:
        return path.name, 0, 0
    return path.name, seen.st_mtime_ns, seen.st_size


def make_index(run: Run, path: Path) -> None:
    """Write the index of a run's pairs.

    Args:
        run: with pairs; an audit of it is taken in.
        path: of the index.

    Raises:
        RunError: a table is damaged, or the disk is full.
    """
    pairs, images, findings = _made_from(run)
    found = _FOUND if findings.is_file() else _NOTHING_FOUND
    make_database(
        path, [found, _PAIRS, _SLICES, _FACETS, _PICTURES],
        {name: glob.escape(str(table)) for name, table in
         (("pairs", pairs), ("images", images), ("findings", findings))},
    )  # fmt: skip
