"""A dataset written in a form: its rows, the pictures beside them, and what was refused and why."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa

from spavl.atomic import write_json
from spavl.interchange.writers.cells import PictureBytes, PictureFiles, Refused
from spavl.interchange.writers.forms import LLAMA_FACTORY, ExportForm
from spavl.interchange.writers.layouts import Cell, Values
from spavl.interchange.writers.refusals import refuse_misread, refuse_unfit, trimmed
from spavl.interchange.writers.row import ExportRow, Holdings, export_rows
from spavl.interchange.writers.tables import Write, as_read, table_writer
from spavl.preferences.dataset import PreferenceDataset
from spavl.preferences.reasons import bounded
from spavl.progress import OnProgress
from spavl.rows import is_short

TRAIN = "train"
"""The split that trainers read."""
EXAMPLES = 3
"""Most ids of refused rows that are named with a reason."""


@dataclass(slots=True)
class Written:
    """The rows of a split that were written, and those that were not."""

    file: str
    """Path of the file, relative to the folder of the export."""
    rows: int = 0
    """Rows that were written."""
    refused: Counter[str] = field(default_factory=Counter)
    """Rows that were not, by the reason."""
    examples: dict[str, list[str]] = field(default_factory=dict)
    """Ids of some of them, by the reason."""
    numbers: list[int] = field(default_factory=list)
    """Places of all of them in the dataset."""

    def refuse(self, reason: str, pair_id: str, number: int) -> None:
        """Note a row that cannot be written.

        Args:
            reason: why.
            pair_id: names the row.
            number: its place in the dataset.
        """
        reason = bounded(reason, self.refused)
        self.refused[reason] += 1
        self.numbers.append(number)
        ids = self.examples.setdefault(reason, [])
        if len(ids) < EXAMPLES:
            ids.append(pair_id if is_short(pair_id) else f"row {number + 1:,}")

    def kept(self, total: int) -> np.ndarray:
        """Which rows were written, bool [R].

        Args:
            total: rows of the dataset, R.
        """
        mask = np.ones(total, dtype=bool)
        mask[self.numbers] = False
        return mask


def file_of(form: ExportForm, split: str) -> str:
    """Path of a split's file in the folder of an export.

    Args:
        form: of the export.
        split: name of the split.
    """
    return f"{'data/' if form.inside else ''}{split}.{form.kind}"


def write_rows(
    dataset: PreferenceDataset,
    form: ExportForm,
    held: Holdings,
    folder: Path,
    split: str,
    *,
    trim: bool,
    on_progress: OnProgress,
) -> Written:
    """Write the rows of a dataset, each checked to be read back as it is.

    Args:
        dataset: an open dataset.
        form: that it is written in.
        held: what all splits of the export hold: they have the same columns.
        folder: of the export.
        split: name of the split.
        trim: whether white space at the start of a text beside a picture is taken off, where it would refuse the row.
        on_progress: called with the rows that are done.
    """
    written = Written(file_of(form, split))
    schema, total = form.schema(held), len(dataset.pairs)
    cell: Cell = PictureBytes() if form.inside else PictureFiles(folder)
    with table_writer(folder / written.file, form.kind, schema) as write:
        for number, row in enumerate(export_rows(dataset, held.about)):
            if number % 256 == 0:
                on_progress(number, total)
            try:
                _write_row(trimmed(row) if trim else row, form, schema, cell, write)
                written.rows += 1
            except Refused as error:
                written.refuse(error.reason, row.pair.pair_id, number)
    on_progress(total, total)
    return written


def _write_row(row: ExportRow, form: ExportForm, schema: pa.Schema, cell: Cell, write: Write) -> None:
    refuse_unfit(row, form)
    checked = as_read(_values(row, form, lambda picture: picture.key), form.kind, schema)
    refuse_misread(checked, row, form)
    write(_values(row, form, cell))


def _values(row: ExportRow, form: ExportForm, cell: Cell) -> Values:
    """All values of a row; columns that the schema lacks are not written."""
    pair = row.pair
    return {**form.layout(pair, cell), "pair_id": pair.pair_id, "system": pair.system, "weight": pair.weight,
            **row.about}  # fmt: skip


def write_dataset_info(folder: Path, form: ExportForm, name: str, train: Written, held: Holdings) -> None:
    """Write LLaMA-Factory's `dataset_info.json`, where the form is one of its; held-out rows are not listed there.

    Args:
        folder: of the export.
        form: of the export.
        name: of the dataset.
        train: the split that is trained on.
        held: what the dataset holds.
    """
    entry = LLAMA_FACTORY.get(form.read_as)
    if entry is None:
        return
    shared = ("chosen", "rejected", "images", *(["system"] if held.system else []))
    columns = {**entry["columns"], **{one: one for one in shared}}
    listed = {"file_name": train.file, "formatting": form.read_as, "ranking": True, "columns": columns}
    write_json(folder / "dataset_info.json", {name: listed})
