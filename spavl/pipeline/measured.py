"""What earlier runs have measured: of stages, from the tables of this run folder; of models, from the call store."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, fields
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from spavl.config import LocalSpec, ModelSpec
from spavl.errors import SpavlError
from spavl.models.calls.unit_costs import UnitCost, unit_costs
from spavl.models.identity import identity_of
from spavl.pipeline.session import Session
from spavl.run import Stage
from spavl.tables import read_footer

MOST_FILES = 1_000
"""Most files of a folder whose sizes are looked at."""


@dataclass(frozen=True, slots=True)
class Asked:
    """The calls that a stage made of one model."""

    calls: float = 0.0
    """Different calls; those that were found in the store count too."""
    prompt_tokens: float = 0.0
    """Tokens of their prompts."""
    completion_tokens: float = 0.0
    """Tokens of their answers."""
    cost: float = 0.0
    """What they cost."""
    seconds: float = 0.0
    """Seconds of all of them, one after the other."""
    failed: float = 0.0
    """Calls that brought no answer."""


ASKED = tuple(one.name for one in fields(Asked))
"""Names of what `run.json` keeps of the calls that a stage made of a model."""


@dataclass(frozen=True, slots=True)
class StageMeasure:
    """What a stage did in the run folder when its tables were made."""

    read: int
    """Records that it read."""
    written: int
    """Records that it wrote."""
    slices: int
    """Slices of its tables, all of them together."""
    row_bytes: float
    """Bytes of a record on the disk."""
    slice_bytes: float
    """Bytes that a slice takes beside its records."""
    written_by: Mapping[str, int] = field(default_factory=dict)
    """Records by who was asked (`ModelUse.key`), where there is a table for each."""
    asked: Mapping[str, Asked] = field(default_factory=dict)
    """Its calls by who was asked."""
    seconds: float | None = None
    """How long it took, where all its calls were made then; None where some came from the store."""


@dataclass(frozen=True, slots=True)
class Measures:
    """All that is known of what records and calls take."""

    stages: Mapping[str, StageMeasure]
    """By name of the stage."""
    models: Mapping[str, UnitCost]
    """By name of the model, in whichever stage and run."""
    picture_bytes: float | None
    """Bytes of a picture in the run folder."""
    pairs: int
    """Rows of the dataset."""
    pair_bytes: float | None
    """Bytes of one, its picture inside."""
    export_seconds: float | None
    """How long it took to write them."""


def measures_of(session: Session, stages: Sequence[Stage], specs: Sequence[ModelSpec]) -> Measures:
    """What was measured so far.

    Args:
        session: the run folder and the call store.
        stages: of the dataset, in their order.
        specs: the models that are to be asked.
    """
    run = session.run
    pictures = _mean_size(run.pictures.rglob("*.*")) if run.pictures.is_dir() else None
    rows = {path: _size_of(path) for path in (run.dataset / "data").glob("*.parquet")}
    pairs = sum(n for n, _, _, _ in rows.values())
    return Measures(
        stages=dict(_stages(session, stages)),
        models=_models(session, specs),
        picture_bytes=pictures,
        pairs=pairs,
        pair_bytes=sum(size for _, _, size, _ in rows.values()) / pairs if pairs else None,
        export_seconds=run.manifest().get("seconds", {}).get("export"),
    )


def _models(session: Session, specs: Sequence[ModelSpec]) -> dict[str, UnitCost]:
    known = unit_costs(session.store.path)
    found = {}
    local = any(identity.startswith("local:") for identity in known)
    for spec in specs if known else ():
        if isinstance(spec, LocalSpec) and not local:
            continue  # its identity would be found by reading all its weights
        with suppress(SpavlError):  # a checkpoint that is not there: it is named among the problems
            if unit := known.get(identity_of(spec)):
                found[spec.name] = unit
    return found


def _stages(session: Session, stages: Sequence[Stage]) -> Iterator[tuple[str, StageMeasure]]:
    rows: dict[Any, int] = {}
    manifest = session.run.manifest()
    for stage in stages:
        with suppress(SpavlError):  # a model that is not listed, a damaged table: named elsewhere
            tables = stage.tables(session.run.folder, session.settings)
            footers = {path: read_footer(path) or {} for path in tables if path.exists()}
            if not footers or not all(footers.values()):
                continue
            read = rows.get(stage.reads, 0) if stage.reads else _found(footers)
            measure = _measure(stage, read, footers, manifest)
            rows[stage.writes] = measure.written
            yield stage.name, measure


def _found(footers: Mapping[Path, Mapping[str, Any]]) -> int:
    """Pictures that the source found, of which the others were rejected."""
    return sum(footer["counts"].get("found", footer["rows"]) for footer in footers.values())


def _measure(
    stage: Stage, read: int, footers: Mapping[Path, Mapping[str, Any]], manifest: Mapping[str, Any]
) -> StageMeasure:
    sizes = [_size_of(path) for path in footers]
    rows, slices = sum(n for n, _, _, _ in sizes), sum(n for _, n, _, _ in sizes)
    about_them = sum(about for _, _, _, about in sizes)
    asked = manifest.get("asked", {}).get(stage.name, {})
    spent = manifest.get("spent", {}).get(stage.name, {})
    by_model = stage.by_model and all(path.stem in asked for path in footers)
    fresh = not spent.get("stored") and stage.name in manifest.get("seconds", {})
    return StageMeasure(
        read=read, written=rows, slices=slices,
        row_bytes=(sum(size for _, _, size, _ in sizes) - about_them) / max(1, rows),
        slice_bytes=about_them / max(1, slices),
        written_by={path.stem: footer["rows"] for path, footer in footers.items()} if by_model else {},
        asked={use: Asked(**{name: one[name] for name in ASKED}) for use, one in asked.items()},
        seconds=manifest["seconds"][stage.name] if fresh else None,
    )  # fmt: skip


def _size_of(path: Path) -> tuple[int, int, int, int]:
    """Rows, slices and bytes of a table, and how many of these bytes tell about it."""
    with pq.ParquetFile(path) as file:
        known = file.metadata
        return known.num_rows, known.num_row_groups, path.stat().st_size, known.serialized_size


def _mean_size(paths: Iterator[Path]) -> float | None:
    sizes = [path.stat().st_size for path in islice(paths, MOST_FILES)]
    return sum(sizes) / len(sizes) if sizes else None
