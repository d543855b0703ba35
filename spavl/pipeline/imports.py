"""`spavl import`: a preference dataset of any public form becomes a folder of our own, which every command reads.

The folder has `data/train.parquet` (`spavl.preferences.hub_file`), a card, and `import.json`: what it was made from,
what was read as what, and what was left out. It is written beside its place and moved there when it is whole; the same
import again finds it there. VLGuard, which has one answer a request, becomes `labelled.parquet` instead.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal

import pyarrow.parquet as pq

from spavl.atomic import CHECK_PATH, atomic_write, remove_abandoned, write_json, write_text
from spavl.config.align import PairForm, Preference
from spavl.errors import DataError, RunError, SettingsError
from spavl.interchange.read_spa_vl_meta import Joined, MetaFiles, meta_files
from spavl.interchange.read_tally import LeftOut, Tally
from spavl.interchange.read_vlguard import SCHEMA as REQUESTS
from spavl.interchange.read_vlguard import is_vlguard, labelled_requests
from spavl.preferences.forms import Form
from spavl.preferences.hub_file import SCHEMA, batches_of
from spavl.preferences.pairs import Pair, Reading, read_rows
from spavl.preferences.picture_values import NOT_THERE
from spavl.preferences.sources import PairSource, check_source, find_pairs
from spavl.progress import NoProgress, Progress
from spavl.tables import read_footer, write_batches
from spavl.tables.query import query

VLGUARD: Final = "vlguard"
"""The form of VLGuard, of which no pairs are made."""
DATASETS: Mapping[str, PairForm] = {"beavertails-v": "two-responses", "align-anything": "two-responses",
                                    "rlaif-v": "spa-vl"}  # fmt: skip
"""Forms by the names of datasets that people look for."""
ImportForm = PairForm | Literal["vlguard", "beavertails-v", "align-anything", "rlaif-v"]
"""What a source may be read as."""
PAIRS, LABELLED, CARD, NOTE = "data/train.parquet", "labelled.parquet", "README.md", "import.json"
"""Files of the folder."""
FORMAT: Final = 2
"""Version of the folder."""
EVERY = 512
"""Rows between two reports of progress."""
_REPEATED = "SELECT count(*) - count(DISTINCT pair_id) FROM pairs"
_CARD = """---
configs:
- config_name: default
  data_files:
  - split: train
    path: {file}
---
# {what}

{rows:,} rows, imported by spavl from `{source}`, of which {read:,} rows were read. Read as: {forms}.
Left out: {left_out}. The licence is that of the source.
"""


@dataclass(frozen=True, slots=True)
class ReadAs:
    """How a file was read."""

    file: str
    """Its name."""
    form: str
    """The form that it was read in."""
    unread: tuple[str, ...]
    """Its columns that were not read."""


@dataclass(frozen=True, slots=True)
class Imported:
    """What an import made."""

    folder: Path
    """The folder."""
    rows: int
    """Rows that it holds: pairs, or labelled requests."""
    read: int
    """Rows that were read."""
    read_as: tuple[ReadAs, ...]
    """How each file was read."""
    left_out: tuple[LeftOut, ...]
    """What was left out, the commonest reason first."""
    repeated_ids: int
    """Pairs with the id of an earlier one."""
    passed_over: tuple[str, ...]
    """Files and splits of the source that may hold pairs and were not read."""
    joined: Joined | None
    """What SPA-VL's meta files said; None: they were not joined."""
    labelled: bool
    """Whether the rows are labelled requests, and no pairs."""
    was_there: bool = False
    """Whether the same import had been made before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportChoices:
    """What is said of a source by who imports it."""

    form: ImportForm | None = None
    """What the source is; None: told by its columns."""
    prefer: Preference | None = None
    """Which answer is preferred, where the source says of two which is safer and which is more helpful."""
    images: Path | None = None
    """Folder of the pictures that are named by paths; None: that of each file."""
    meta: Path | None = None
    """The folder `meta_files` of SPA-VL; None: that in the source, if it has one."""
    limit: int | None = None
    """Only the first so many rows."""


def import_pairs(
    source: str,
    out: Path,
    choices: ImportChoices = ImportChoices(),
    *,
    again: bool = False,
    progress: Progress = NoProgress(),
) -> Imported:
    """Make a folder of a source's pairs, or find that it has been made.

    Args:
        source: a file or folder in one of the public forms, a `datasets` folder, or `OWNER/NAME[:CONFIG]` of the Hub.
        out: the folder.
        choices: what the source is, and what of it is wanted.
        again: make it anew even where nothing has changed.
        progress: where progress is shown.

    Raises:
        DataError: there are no pairs, or a file is not readable, or in none of the forms or in several.
        SettingsError: something is asked for that the source does not have.
        RunError: the folder holds something else, or cannot be written.
    """
    check_source(source)
    if Path(source).exists() and Path(source).resolve().is_relative_to(out.resolve()):
        raise SettingsError("The import would take the place of its own source", where=str(out),
                            try_="name another folder")  # fmt: skip
    if Path(source).is_dir() and out.resolve().is_relative_to(Path(source).resolve()):
        raise SettingsError("The folder of the import lies in the source, and would be read as a part of it",
                            where=str(out), try_="name a folder outside of the source")  # fmt: skip
    if choices.meta is None and (Path(source) / "meta_files").is_dir():
        choices = replace(choices, meta=Path(source) / "meta_files")
    found = find_pairs(source, images=choices.images)
    form = choices.form
    labelled = form == VLGUARD or (form is None and bool(found.files) and is_vlguard(found.files[0]))
    if labelled and (choices.prefer or choices.meta):
        raise SettingsError("VLGuard has neither two answers nor meta files", where="--prefer, --meta",
                            try_="leave them out")  # fmt: skip
    made_from = _made_from(source, found, choices)
    there = _already(out, made_from, again=again)
    if there is not None and not again:
        return there
    with atomic_write(out, what="The imported dataset", try_=CHECK_PATH) as tmp:
        remove_abandoned(out)
        tmp.mkdir()
        write = _write_requests if labelled else _write_pairs
        _describe(
            tmp, write(found, tmp, choices, progress), str(source), made_from, _passed_over(source, found, choices)
        )
    return _from_note(out, json.loads((out / NOTE).read_text("utf-8")), was_there=False)


def _made_from(source: str, found: PairSource, choices: ImportChoices) -> dict[str, Any]:
    """All that decides what an import makes, but for the pictures that are named by paths."""
    images, meta = choices.images, choices.meta
    return {
        "format": FORMAT, "source": str(source), "form": choices.form, "prefer": choices.prefer,
        "limit": choices.limit, "images": str(images.resolve()) if images else None, "files": _stamps(found.files),
        "meta": _stamps(meta_files(meta)) if meta else None,
    }  # fmt: skip


def _pair_form(form: ImportForm | None) -> PairForm | None:
    if form is None or form == VLGUARD:
        return None
    return DATASETS.get(form, form)  # type: ignore[arg-type]


def _stamps(files: Iterable[Path]) -> list[list[Any]]:
    """Files as they are now: path, size, time of the last change."""
    stats = ((file, file.stat()) for file in files)
    return [[str(file.resolve()), stat.st_size, stat.st_mtime_ns] for file, stat in stats]


# ---- the folder


def _already(out: Path, made_from: Mapping[str, Any], *, again: bool) -> Imported | None:
    """What the folder holds if it is of this very import; an error where it is not ours."""
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return None
    note = _note(out)
    there = (path.relative_to(out).as_posix() for path in out.rglob("*") if not path.is_dir())
    strange = sorted({*there} - {PAIRS, LABELLED, CARD, NOTE})
    if note is None or strange:
        what = f", such as {strange[0]}" if note is not None else ""
        raise RunError(f"This holds something that no import made{what}", where=str(out), try_="name another folder")
    if note["made_from"]["source"] != made_from["source"] and not again:
        raise RunError(f"This folder holds an import of {note['made_from']['source']}", where=str(out),
                       try_="name another folder, or say --again to put this one in its place")  # fmt: skip
    footer = _footer(out / (LABELLED if note["labelled"] else PAIRS))
    if note["made_from"] != made_from or footer is None or footer["rows"] != note["rows"]:
        return None
    return _from_note(out, note, was_there=True)


def _note(out: Path) -> dict[str, Any] | None:
    try:
        found = json.loads((out / NOTE).read_text("utf-8"))
    except (OSError, ValueError):
        return None
    whole = isinstance(found, dict) and {"made_from", "labelled", "rows"} <= set(found)
    return found if whole and isinstance(found["made_from"], dict) and "source" in found["made_from"] else None


def _footer(path: Path) -> dict[str, Any] | None:
    """What our own file says of itself; None: it is not there or damaged, and an error where another tool wrote it."""
    if not path.is_file():
        return None
    try:
        found = read_footer(path)
    except RunError:
        return None
    if found is None:
        raise RunError("This file was written anew by another tool", where=str(path),
                       try_="name another folder, or move it away")  # fmt: skip
    return found


def _from_note(out: Path, note: Mapping[str, Any], *, was_there: bool) -> Imported:
    joined = note["joined"]
    return Imported(
        folder=out, rows=note["rows"], read=note["read"], labelled=note["labelled"], was_there=was_there,
        read_as=tuple(ReadAs(one["file"], one["form"], tuple(one["unread"])) for one in note["read_as"]),
        left_out=tuple(LeftOut(one["reason"], one["rows"], tuple(one["places"])) for one in note["left_out"]),
        repeated_ids=note["repeated_ids"], passed_over=tuple(note["passed_over"]),
        joined=None if joined is None else Joined(joined["pairs"], joined["found"], joined["empty"]),
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Made:
    """What was written."""

    tally: Tally
    read_as: list[ReadAs]
    joined: Joined | None
    labelled: bool


def _describe(tmp: Path, made: _Made, source: str, made_from: Mapping[str, Any], passed_over: Sequence[str]) -> None:
    """Write the note and the card; an error where nothing was kept."""
    left_out, read = made.tally.left_out(), made.tally.read
    if not made.tally.kept:
        why = "; ".join(f"{one.reason}: {one.rows:,} (first {one.places[0]})" for one in left_out)
        raise DataError(f"no row of {read:,} can be used: {why}" if read else "the source holds no rows", where=source,
                        try_=_advice(left_out))  # fmt: skip
    note = {
        "made_from": made_from, "labelled": made.labelled, "rows": made.tally.kept, "read": read,
        "read_as": [asdict(one) for one in made.read_as], "left_out": [one.as_json() for one in left_out],
        "joined": made.joined.as_json() if made.joined else None, "passed_over": list(passed_over),
        "repeated_ids": 0 if made.labelled else query(_REPEATED, pairs=tmp / PAIRS)[0][0],
    }  # fmt: skip
    write_json(tmp / NOTE, note)
    reasons = "; ".join(f"{one.rows:,} ({one.reason})" for one in left_out) or "nothing"
    what = "Labelled requests" if made.labelled else "Preference pairs"
    forms = ", ".join(dict.fromkeys(one.form for one in made.read_as))
    write_text(tmp / CARD, _CARD.format(file=LABELLED if made.labelled else PAIRS, what=what, rows=made.tally.kept,
                                        source=_public(source), read=read, forms=forms, left_out=reasons))  # fmt: skip


def _advice(left_out: Sequence[LeftOut]) -> str:
    if not left_out:
        return "name the file that holds the pairs"
    gone = any(one.reason == NOT_THERE for one in left_out)
    return f"look at the named places{'; `--image-folder` says where pictures lie' if gone else ''}"


def _passed_over(source: str, found: PairSource, choices: ImportChoices) -> list[str]:
    """What may hold pairs and is not read; the meta files are."""
    if choices.meta is None:
        return list(found.passed_over)
    meta, root = choices.meta.resolve(), Path(source).resolve()
    return [one for one in found.passed_over if not (root / one).is_relative_to(meta)]


def _public(source: str) -> str:
    """A source without the folders of this machine."""
    return Path(source).resolve().name if Path(source).exists() else source


# ---- what is written


def _write_pairs(found: PairSource, tmp: Path, choices: ImportChoices, progress: Progress) -> _Made:
    reading = Reading(form=_pair_form(choices.form), prefer=choices.prefer)
    meta, limit = choices.meta, choices.limit
    tally, forms = Tally(), list[tuple[str, Form, Collection[str]]]()

    def note_form(file: str, form: Form, unread: Collection[str]) -> None:
        if choices.prefer is not None and not form.several_opinions:
            raise SettingsError("This source has no opinion but one on which answer is better", where="--prefer",
                                try_="leave it out")  # fmt: skip
        forms.append((file, form, unread))

    def write(pairs: Iterator[Pair]) -> None:
        with progress.bar("import: pairs") as on_progress:
            counted = _counted(pairs, on_progress, _expected(found, limit))
            footer = {"imported": FORMAT}
            write_batches(tmp / PAIRS, SCHEMA, batches_of(tally.usable(counted)), footer=lambda: footer)

    pairs = read_rows(found, reading, limit=limit, on_form=note_form)
    joined = None
    if meta is None:
        write(pairs)
    else:
        with closing(_open_meta(meta, tmp, progress)) as files:
            write(files.join(pairs))
            joined = files.joined()
        (tmp / _DATABASE).unlink()
    read_as = [ReadAs(file, form.name, tuple(unread)) for file, form, unread in forms]
    return _Made(tally, read_as, joined, labelled=False)


_DATABASE = "meta.sqlite"
"""File of hashes while meta files are joined."""


def _open_meta(meta: Path, tmp: Path, progress: Progress) -> MetaFiles:
    with progress.bar("import: meta files") as on_progress:
        rows = 0

        def on_row() -> None:
            nonlocal rows
            rows += 1
            if rows % EVERY == 0:
                on_progress(rows, rows)

        found = MetaFiles(meta, tmp / _DATABASE, on_row)
        on_progress(rows, rows)
    return found


def _write_requests(found: PairSource, tmp: Path, choices: ImportChoices, progress: Progress) -> _Made:
    tally = Tally()
    (file, *others) = found.files
    if others:
        raise DataError("several files of VLGuard", where=str(file.parent), try_=f"name one of them, such as {file}")
    with progress.bar("import: requests") as on_progress:
        batches = labelled_requests(file, tally, images=choices.images, limit=choices.limit)
        write_batches(tmp / LABELLED, REQUESTS, batches, footer=lambda: {"imported": FORMAT})
        on_progress(tally.read, tally.read)
    return _Made(tally, [ReadAs(str(file), VLGUARD, ())], None, labelled=True)


def _counted(pairs: Iterator[Pair], on_progress: Callable[[int, int], None], expected: int) -> Iterator[Pair]:
    """The same pairs; progress is told now and then, and at the end."""
    done = 0
    for pair in pairs:
        yield pair
        done += 1
        if done % EVERY == 0:
            on_progress(done, max(done, expected))
    on_progress(done, done)


def _expected(found: PairSource, limit: int | None) -> int:
    """Rows of the source's Parquet files, which alone say how many they have; 0: unknown."""
    rows = 0
    for file in found.files:
        if file.suffix == ".parquet":
            try:
                rows += pq.read_metadata(file).num_rows
            except (OSError, ValueError):
                return 0
    return min(rows, limit) if limit is not None else rows
