"""Which runs and studies lie under a folder, and a row about each, read anew only where its files have changed."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final

from pydantic import TypeAdapter

from spavl.errors import DataError, SpavlError
from spavl.pipeline.measured_metrics import MeasuredMetric, measured_metrics
from spavl.rows import brief
from spavl.run import Run
from spavl.run.under_way import UnderWay, under_way
from spavl.serve.studies import STUDY, StudyRow, place_of, study_row
from spavl.statistics.intervals import LEVEL, Rate
from spavl.statistics.paired import PairedComparison

DEEPEST: Final = 5
"""Folders below the one that is served in which runs are looked for."""
MOST: Final = 2_000
"""Most runs and studies that are listed."""
MOST_FOLDERS: Final = 20_000
"""Most folders that are looked into for them."""
NOT_FOUND: Final = "There is no such run under the folder that is served"
"""What is said of an address that names none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Headline:
    """The first metric of an axis, under the base and under the last aligned model."""

    axis: str
    """What it measures."""
    label: str
    """What is counted."""
    better: str
    """Which direction is better."""
    base: Rate
    """Rate of the base; of the one model that there is."""
    aligned: Rate | None = None
    """Rate of the last model that was aligned; None where none was evaluated."""
    graded: bool = False
    """Whether it is a mean of scores."""
    improved: bool | None = None
    """Whether the aligned model is better on the same items; None where chance explains the difference."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRow:
    """A run in the list."""

    key: str
    """What its address names it by."""
    place: str
    """Its folder, relative to the one that is served."""
    title: str
    """Its title, or the name of its folder."""
    problem: str = ""
    """Why it cannot be read; empty: it can."""
    stage: str = ""
    """What it has reached, such as `evaluated`."""
    pairs: int | None = None
    """Pairs of its dataset; None where there is none yet."""
    pictures: int | None = None
    """Pictures of its dataset; None where there are none."""
    trained: Sequence[str] = ()
    """Names of the models that were trained in it."""
    headlines: Sequence[Headline] = ()
    """Axis by axis."""
    started: str = ""
    """When it was begun, UTC."""
    changed: str = ""
    """When its `run.json` was last written, UTC."""
    cost: float = 0.0
    """What its calls cost, whoever paid."""
    alarms: int = 0
    """Alarms that ring."""
    has_report: bool = False
    """Whether there is a report page."""
    studies: Sequence[str] = ()
    """Keys of the studies that it belongs to."""
    now: UnderWay | None = None
    """What works in it now."""


@dataclass(slots=True)
class _Kept:
    stamp: tuple[Any, ...]
    row: RunRow


@dataclass(slots=True)
class Catalogue:
    """The runs and studies under a folder. Addresses name them by keys, which only this knows folders for."""

    root: Path
    """The folder that is served; a run's own folder serves that run alone."""
    _rows: dict[str, _Kept] = field(default_factory=dict)
    _folders: dict[str, Path] = field(default_factory=dict)

    def runs(self) -> list[RunRow]:
        """A row for each run, the one that was written last first."""
        lying = list(_folders(self.root))
        studies = self._studies(lying)
        found = [
            replace(self._row(folder), studies=[one.key for one in studies if self._is_of(folder, one)])
            for folder, kind in lying if kind == "run"
        ]  # fmt: skip
        return sorted(found, key=lambda row: (row.now is not None, row.changed), reverse=True)

    def studies(self) -> list[StudyRow]:
        """A row for each study, the one that was written last first."""
        return sorted(self._studies(_folders(self.root)), key=lambda row: row.changed, reverse=True)

    def folder(self, key: str) -> Path:
        """The folder of a run or study.

        Args:
            key: as an address has it.

        Raises:
            DataError: there is none of that key.
        """
        if key not in self._folders:
            for folder, _ in _folders(self.root):
                self._key(folder)
        if key not in self._folders:
            raise DataError(f"{NOT_FOUND}: {brief(key)}")
        return self._folders[key]

    def run(self, key: str) -> Run:
        """A run.

        Args:
            key: as an address has it.

        Raises:
            DataError: there is none of that key.
            RunError: it is of another format version.
        """
        return Run(self.folder(key)).found()

    def row(self, key: str) -> RunRow:
        """The row of one run.

        Args:
            key: as an address has it.

        Raises:
            DataError: there is none of that key.
        """
        return self._row(self.folder(key))

    def _is_of(self, folder: Path, study: StudyRow) -> bool:
        """Whether a run is one of a study: named in its file, or below its folder, as that of a longitudinal study."""
        return place_of(folder.resolve()) in study.runs or folder.is_relative_to(self.root / study.place)

    def _studies(self, lying: Iterable[tuple[Path, str]]) -> list[StudyRow]:
        return [study_row(folder, self._key(folder), self._place(folder)) for folder, kind in lying if kind == "study"]

    def _key(self, folder: Path) -> str:
        place = self._place(folder)
        name = re.sub(r"[^A-Za-z0-9_-]+", "-", folder.resolve().name).strip("-") or "run"
        key = f"{name[:40]}-{blake2b(place.encode('utf-8', 'surrogateescape'), digest_size=4).hexdigest()}"
        self._folders[key] = folder
        return key

    def _place(self, folder: Path) -> str:
        return folder.relative_to(self.root).as_posix()

    def _row(self, folder: Path) -> RunRow:
        key, stamp = self._key(folder), _stamp(folder)
        kept = self._rows.get(key)
        if kept is None or kept.stamp != stamp:
            kept = self._rows[key] = _Kept(stamp, _read_row(Run(folder), key, self._place(folder)))
        now = under_way(folder)
        return kept.row if now is None else replace(kept.row, now=now)


def _folders(root: Path) -> Iterator[tuple[Path, str]]:
    """Folders of runs and studies, with which of the two they are; a run's own folders are not looked into."""
    waiting, found, seen = [(root, 0)], 0, 0
    while waiting and found < MOST and seen < MOST_FOLDERS:
        folder, depth = waiting.pop()
        seen += 1
        if (folder / "run.json").is_file():
            found += 1
            yield folder, "run"
            continue
        if (folder / STUDY).is_file():
            found += 1
            yield folder, "study"
        if depth < DEEPEST:
            waiting += [(inner, depth + 1) for inner in sorted(_inner(folder), reverse=True)]


def _inner(folder: Path) -> list[Path]:
    try:
        with os.scandir(folder) as entries:
            return [Path(one.path) for one in entries if one.is_dir(follow_symlinks=False) and one.name[0] != "."]
    except OSError:
        return []


def _stamp(folder: Path) -> tuple[Any, ...]:
    """What changes when a run's row does."""
    found = []
    for name in ("run.json", "settings.yaml", "report.html"):
        try:
            seen = (folder / name).stat()
            found.append((seen.st_mtime_ns, seen.st_size))
        except OSError:
            found.append((0, 0))
    return tuple(found)


def _read_row(run: Run, key: str, place: str) -> RunRow:
    name = run.folder.resolve().name
    try:
        manifest = run.found().manifest()
        title = run.settings_before().get("report", {}).get("title", "")
        return _row_of(run, manifest, key=key, place=place, title=str(title) if title else name)
    except SpavlError as error:
        return RunRow(key=key, place=place, title=name, problem=error.what)
    except (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError):
        return RunRow(key=key, place=place, title=name, problem="run.json is damaged")


def _row_of(run: Run, manifest: Mapping[str, Any], *, key: str, place: str, title: str) -> RunRow:
    counts = manifest.get("counts", {})
    stages = [one for one in manifest.get("stages", ()) if one["name"] in counts]
    pictures = counts.get("collect", {}).get("made")
    pictures = None if pictures is None else int(pictures)
    made_pairs = [one for one in stages if one["name"] in ("pair", "labels", "balance")]
    pairs = int(counts[made_pairs[-1]["name"]].get(made_pairs[-1]["kept"], 0)) if made_pairs else None
    return RunRow(
        key=key, place=place, title=title, stage=_reached(run, manifest), pairs=pairs, pictures=pictures,
        trained=tuple(manifest.get("aligned", {})), headlines=tuple(headlines(manifest)),
        started=str(manifest.get("started", "")), changed=str(manifest.get("changed", "")),
        cost=sum(float(one.get("cost") or 0) for one in manifest.get("spent", {}).values()),
        alarms=sum(bool(one["rings"]) for one in manifest.get("alarms", {}).get("measured", ())),
        has_report=run.report.is_file(),
    )  # fmt: skip


def _reached(run: Run, manifest: Mapping[str, Any]) -> str:
    """What the run has reached, in a word or two."""
    if run.report.is_file():
        return "reported"
    if manifest.get("models"):
        return "evaluated"
    if manifest.get("aligned"):
        return "aligned"
    counts = manifest.get("counts", {})
    if "export" in counts:
        return "built"
    done = [one["name"] for one in manifest.get("stages", ()) if one["name"] in counts]
    return f"built up to {done[-1]}" if done else "begun"


def headlines(manifest: Mapping[str, Any]) -> Iterator[Headline]:
    """The first metric of each axis, under the base and under the last aligned model.

    Args:
        manifest: `run.json`.
    """
    models = manifest.get("models", {})
    base = next(iter(models), None)
    if base is None:
        return
    looking = [name for name in models if name != base and not manifest.get("aligned", {}).get(name, {}).get("blind")]
    first: dict[str, MeasuredMetric] = {}
    for known in measured_metrics(manifest):
        if known.key in models[base]:
            first.setdefault(known.axis, known)
    for known in first.values():
        after = models[looking[-1]].get(known.key) if looking else None
        paired = manifest.get("paired", {}).get(looking[-1], {}).get(known.key) if looking else None
        yield Headline(
            axis=known.axis, label=manifest["metrics"][known.key]["label"], better=known.better, graded=known.graded,
            base=_rate(models[base][known.key]), aligned=None if after is None else _rate(after),
            improved=None if paired is None else improvement(PairedComparison(**paired), known.better),
        )  # fmt: skip


def _rate(said: Any) -> Rate:
    return _checked_rate().validate_python(said)


@cache
def _checked_rate() -> TypeAdapter[Rate]:
    return TypeAdapter(Rate)


def improvement(paired: PairedComparison, better: str) -> bool | None:
    """Whether a difference on the same items is an improvement; None where chance explains it, or none is better.

    Its interval must leave 0 out, and its test must be significant; neither is corrected for how many there are.

    Args:
        paired: the comparison.
        better: direction of an improvement.
    """
    beyond = (paired.low > 0 or paired.high < 0) and paired.p < 1 - LEVEL
    return (paired.low > 0) == (better == "higher") if beyond and better != "neither" else None
