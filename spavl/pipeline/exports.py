"""`spavl export`: a dataset in the form of another trainer, with its card; pushed to the Hub if asked."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast, get_args

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from spavl.atomic import atomic_write, remove_abandoned, write_json, write_text
from spavl.config.align import PairForm, Preference
from spavl.dataset.shortcuts import shortcuts
from spavl.errors import DataError, RunError, SettingsError
from spavl.interchange.push import NOTE, check_push, push
from spavl.interchange.writers import guard_rows
from spavl.interchange.writers.cells import FOLDER
from spavl.interchange.writers.forms import EXPORTS, ExportForm
from spavl.interchange.writers.row import Holdings, export_rows, holdings
from spavl.interchange.writers.write import TRAIN, Written, file_of, write_dataset_info, write_rows
from spavl.pipeline import audit_files
from spavl.plural import plural
from spavl.preferences.card import CardFacts, CardSplit, contents_of, dataset_card
from spavl.preferences.dataset import PreferenceDataset, content_of, open_dataset
from spavl.preferences.pairs import Reading
from spavl.preferences.sources import check_source
from spavl.progress import Progress
from spavl.records import Response
from spavl.run import Run
from spavl.tables import read_footer, slices_of, write_batches

GUARD = "guard"
"""Name of the form of rows for guards, which are no pairs."""
FORMS: Mapping[str, str] = {
    **{name: form.what for name, form in EXPORTS.items()},
    GUARD: "rows for training a guard: conversation with its answer, label, category",
}
"""What each name after `--as` stands for."""
HELDOUT = "heldout"
CACHE = Path(".spavl/pairs")
"""Folder of converted pairs, as training has it."""
_MEASURED = (
    "pair_id", "chosen", "rejected", "class1", "class2", "class3", "license", "chosen_source", "rejected_source",
    "chosen_outcome", "rejected_outcome", "chosen_safe", "rejected_safe",
)  # fmt: skip
"""Columns that the card is measured on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """What an export wrote."""

    folder: Path
    """Where it is."""
    form: str
    """Name of the form."""
    splits: Mapping[str, Written]
    """Rows by split."""
    lost: tuple[str, ...] = ()
    """What the dataset holds and the form does not keep."""
    unread: tuple[str, ...] = ()
    """What is kept, and not read by the trainer of this form."""
    unknown: tuple[str, ...] = ()
    """Columns of the source that nothing here reads, and that no form keeps."""
    next: str = ""
    """What to do with the files."""
    address: str = ""
    """Where it was pushed to; empty: nowhere."""
    public: bool = False
    """Whether everybody sees it there."""

    @property
    def rows(self) -> int:
        """Rows of all splits."""
        return sum(split.rows for split in self.splits.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportRequest:
    """What is to be exported."""

    source: str
    """A dataset of any public form, or a run folder."""
    form: str
    """Name of the form: one of `FORMS`."""
    out: Path
    """Folder that is written."""
    trim: bool = False
    """Whether white space at the start of a text beside a picture is taken off, where a form cannot keep it."""
    repo: str | None = None
    """`OWNER/NAME` on the Hub that it is pushed to; None: nowhere."""
    public: bool = False
    """Whether everybody is to see it there."""
    cache: Path = CACHE
    """Folder of converted pairs."""
    reading: Reading = field(default_factory=Reading)
    """How the rows of the source become pairs."""

    def open(self, source: str | Path) -> PreferenceDataset:
        """A dataset of the source, opened.

        Args:
            source: the source itself, or a part of it.

        Raises:
            DataError: there are no pairs, or they cannot be read.
            SettingsError: an opinion is preferred of which the source knows nothing.
        """
        found = open_dataset(source, cache=self.cache, reading=self.reading)
        if self.reading.prefer is not None and not any(form.several_opinions for form in found.forms):
            raise SettingsError("This source has no opinion but one on which answer is better", where="--prefer",
                                try_="leave it out")  # fmt: skip
        return found


def reading_of(form: str | None, prefer: str | None) -> Reading:
    """How a source is read, by what a user typed.

    Args:
        form: name of the source's form; None: told by its columns.
        prefer: which of two answers is preferred, where the source has an opinion on both counts.

    Raises:
        SettingsError: there is no such form or preference.
    """
    for typed, known, option in ((form, PairForm, "--read-as"), (prefer, Preference, "--prefer")):
        if typed is not None and typed not in get_args(known):
            raise SettingsError(f"There is no `{typed}`", where=option, try_=f"one of {', '.join(get_args(known))}")
    return Reading(form=cast("PairForm | None", form), prefer=cast("Preference | None", prefer))


def export(request: ExportRequest, progress: Progress) -> Exported:
    """Write a dataset in another form, at once or not at all, and push it where that is asked for.

    Args:
        request: what, in which form, and where to.
        progress: shows bars.

    Raises:
        SettingsError: there is no such form, the folder holds something else, or the push is not possible.
        DataError: there are no pairs, or no row can be written in this form.
        RunError: the folder cannot be written, or the Hub refuses.
    """
    if request.form not in FORMS:
        raise SettingsError(f"There is no form `{request.form}`", where="--as", try_=f"one of {', '.join(FORMS)}")
    if request.public and request.repo is None:
        raise SettingsError("--public says how a dataset is pushed, and none is", where="--public",
                            try_="--push OWNER/NAME --public")  # fmt: skip
    if request.repo is not None:
        check_push(request.repo)
    check_source(request.source)
    _refuse_out(request)
    remove_abandoned(request.out)
    with atomic_write(request.out, what="The export") as tmp:
        tmp.mkdir()
        made = _guard_export(request, tmp, progress) if request.form == GUARD else _export(request, tmp, progress)
        if not made.rows:
            raise DataError(f"No row can be written in this form: {_why(made.splits)}", where=request.source,
                            try_="another form; `--as jsonl` has room for every pair")  # fmt: skip
        _write_note(tmp, made)
    if request.repo is None:
        return made
    progress.log(f"Pushing to {request.repo}")
    address = push(request.out, request.repo, public=request.public)
    return replace(made, address=address, public=request.public)


def _why(splits: Mapping[str, Written]) -> str:
    reasons = [f"{reason} ({count:,})" for split in splits.values() for reason, count in split.refused.most_common(3)]
    return "; ".join(reasons) or "there are none"


# ---- pairs


def _export(request: ExportRequest, folder: Path, progress: Progress) -> Exported:
    form = EXPORTS[request.form]
    sources = _splits(request)
    held = holdings(list(sources.values()))
    splits = {}
    for split, dataset in sources.items():
        with progress.bar(f"Writing {split}") as on_progress:
            splits[split] = write_rows(
                dataset, form, held, folder, split, trim=request.trim, on_progress=on_progress
            )  # fmt: skip
    write_dataset_info(folder, form, request.out.resolve().name, splits[TRAIN], held)
    next_ = _next(form.next, request.out)
    lost, unread = form.lost(held), _unread(form, held)
    unknown = tuple(dict.fromkeys(name for one in sources.values() for name in one.unread))
    facts = CardFacts(
        form=form.what, command="export", splits=_card_splits(splits), schema=form.schema(held),
        next=_next(form.next, Path("FOLDER")), lost=lost, unread=unread, unknown=unknown,
        verdict=_verdict(request, sources[TRAIN]),
        **_measured(sources[TRAIN], splits[TRAIN]),
    )  # fmt: skip
    write_text(folder / "README.md", dataset_card(facts))
    return Exported(folder=request.out, form=request.form, splits=splits, lost=lost, unread=unread,
                    unknown=unknown, next=next_)  # fmt: skip


def _card_splits(splits: Mapping[str, Written]) -> dict[str, CardSplit]:
    return {name: CardSplit(split.file, split.rows, split.refused) for name, split in splits.items()}


def _unread(form: ExportForm, held: Holdings) -> tuple[str, ...]:
    """What a trainer does not read though it decides what is trained: the weights."""
    return ("weight",) if form.unread and form.extra and held.weights else ()


def _next(text: str, folder: Path) -> str:
    return text.format(folder=folder, quoted=shlex.quote(str(folder)), name=folder.name)


def _splits(request: ExportRequest) -> dict[str, PreferenceDataset]:
    """The train split, and beside it the held-out one where the source has it."""
    source = dataset_folder(request.source)
    found = {TRAIN: request.open(source)}
    files = dict.fromkeys(file_of(form, HELDOUT) for form in EXPORTS.values())
    there = next((Path(source) / file for file in files if (Path(source) / file).is_file()), None)
    if there is not None:
        found[HELDOUT] = request.open(there)
    return found


def dataset_folder(source: str) -> str:
    """The dataset that a run has exported, where the source is a run folder; else the source itself.

    Args:
        source: a dataset of any public form, or a run folder.

    Raises:
        DataError: it can be no path.
        RunError: the run has no dataset yet.
    """
    check_source(source)
    run = Run(Path(source))
    if not (Path(source).is_dir() and run.manifest()):
        return source
    if not run.dataset.is_dir():
        raise RunError("This run has no dataset yet", where=source, try_="spavl build SETTINGS")
    return str(run.dataset)


def _measured(dataset: PreferenceDataset, written: Written) -> dict[str, Any]:
    """What the card says of the rows that were written, measured on these alone."""
    with TemporaryDirectory() as folder:
        kept = Path(folder) / "kept.parquet"
        table = pq.ParquetFile(dataset.rows)
        schema = pa.schema([table.schema_arrow.field(name) for name in _MEASURED])
        write_batches(kept, schema, _kept(table, written.kept(len(dataset.pairs))))
        measured = shortcuts(kept)
        sources = measured["largest_source"]["chosen"]
        if sources is None or sources["name"] is None:
            measured["source_auc"] = None
        return {"measured": measured, "contents": contents_of(kept)}


def _kept(table: pq.ParquetFile, mask: np.ndarray) -> Iterator[pa.Table]:
    start = 0
    for number in range(table.num_row_groups):
        rows = table.read_row_group(number, columns=list(_MEASURED))
        yield rows.filter(pa.array(mask[start : start + rows.num_rows])).select(list(_MEASURED))
        start += rows.num_rows


def _verdict(request: ExportRequest, dataset: PreferenceDataset) -> str:
    """The sentence of an audit of just these pairs, beside the source or where `spavl audit` puts it; empty: none."""
    source = Path(request.source)
    for folder in (source / audit_files.FOLDER, source, source.parent, audit_files.named_after(source)):
        said = _said(folder / audit_files.FILE)
        if said and said.get("audited") == content_of(dataset):
            return str(said.get("verdict", ""))
    return ""


def _said(audit: Path) -> Mapping[str, Any]:
    """What a file of that name says, if it is an audit: any program may have one."""
    try:
        said = json.loads(audit.read_text("utf-8"))
    except (OSError, RecursionError, ValueError):
        return {}
    return said if isinstance(said, dict) else {}


# ---- rows for guards


def _guard_export(request: ExportRequest, folder: Path, progress: Progress) -> Exported:
    run = Run(Path(request.source))
    with progress.bar("Writing rows for guards") as on_progress:
        if Path(request.source).is_dir() and run.manifest():
            total = (read_footer(run.found().responses) or {}).get("rows", 0)
            responses = (one for part in slices_of(run.responses, Response) for one in part)
            graded = guard_rows.graded_of_responses(responses, run.folder)
        else:
            dataset = request.open(request.source)
            total = 2 * len(dataset.pairs)
            graded = guard_rows.graded_of_pairs(export_rows(dataset, holdings([dataset]).about))
        written = guard_rows.write_graded(graded, folder, total=total, on_progress=on_progress)
    facts = CardFacts(
        form=FORMS[GUARD], command="export", splits=_card_splits({TRAIN: written}), schema=guard_rows.SCHEMA,
        next=_next(guard_rows.NEXT, Path("FOLDER")),
    )  # fmt: skip
    write_text(folder / "README.md", dataset_card(facts))
    return Exported(folder=request.out, form=GUARD, splits={TRAIN: written}, next=_next(guard_rows.NEXT, request.out))


# ---- the folder


def _write_note(folder: Path, made: Exported) -> None:
    """What the export is, and by which files it is known as ours."""
    write_json(folder / NOTE, {
        "form": made.form, "lost": made.lost, "unknown": made.unknown, "files": sorted(_files(folder) | {NOTE}),
        "pictures": _pictures(folder),
        "splits": {
            name: {"file": split.file, "rows": split.rows, "refused": split.refused, "examples": split.examples}
            for name, split in made.splits.items()
        },
    })  # fmt: skip


def _files(folder: Path) -> set[str]:
    """The files of an export but for its pictures."""
    every = (one.relative_to(folder) for one in folder.rglob("*") if not one.is_dir())
    return {one.as_posix() for one in every if one.parts[0] != FOLDER}


def _pictures(folder: Path) -> int:
    return sum(1 for one in (folder / FOLDER).rglob("*") if one.is_file())


def _refuse_out(request: ExportRequest) -> None:
    """Refuse a folder that holds what no export put there, or the source itself."""
    out = request.out.resolve()
    source = Path(request.source)
    if source.exists() and source.resolve().is_relative_to(out):
        raise SettingsError("The export would take the place of its own source", where=str(request.out),
                            try_="another folder after --out")  # fmt: skip
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    strange = _strange(out)
    if strange:
        raise SettingsError(f"This folder holds what no export put there: {strange}", where=str(request.out),
                            try_="another folder after --out; nothing here was touched")  # fmt: skip


def _strange(out: Path) -> str:
    """What a folder holds beside an export of ours, in words; empty: nothing."""
    if not (out / NOTE).is_file():
        return "a file" if out.is_file() else plural(len(list(out.iterdir())), "entry", "entries")
    try:
        note = json.loads((out / NOTE).read_text("utf-8"))
        files, pictures = set(note["files"]), int(note["pictures"])
    except (OSError, ValueError, KeyError, TypeError):
        return NOTE
    others: Sequence[str] = sorted(_files(out) - files)
    if others:
        return ", ".join(others[:3])
    return "further pictures" if _pictures(out) > pictures else ""
