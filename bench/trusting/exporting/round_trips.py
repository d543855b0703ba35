"""Random conversations through every form and back through our own reader."""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any

import pyarrow.parquet as pq

from bench.measures import Measure
from spavl.interchange.writers.forms import EXPORTS
from spavl.interchange.writers.row import Holdings, holdings
from spavl.interchange.writers.write import write_rows
from spavl.preferences.about import ABOUT
from spavl.preferences.dataset import PreferenceDataset, open_dataset
from spavl.preferences.pairs import Reading
from tests.interchange.conversations import random_row, write_source

SEED, ROWS = 20_261_127, 2_000
CONTENT = ("system", "earlier", "images", "question", "chosen", "rejected")


def round_trips(folder: Path) -> list[Measure]:
    """Rows that are not what they were, over all forms, and the share that each form refused.

    Args:
        folder: an empty one.
    """
    random = Random(SEED)
    made = [random_row(random, number) for number in range(ROWS)]
    source = open_dataset(
        write_source(folder / "source", made), cache=folder / "cache", reading=Reading(form="spa-vl")
    )  # fmt: skip
    held = holdings([source])
    found = {name: _back(source, held, name, folder) for name in EXPORTS}
    changed = sum(wrong for wrong, *_ in found.values())
    refused = ", ".join(f"{name} {100 * out / ROWS:.0f} %" for name, (_, _, out) in found.items())
    written = sum(rows for _, rows, _ in found.values())
    return [
        Measure(
            "rows that an export and its import change", value=changed, floor=0, unit="", better="lower",
            how=f"{ROWS:,} random conversations (0 to 3 pictures a turn, earlier turns, a system turn; one text in "
            "three made of placeholders, role words, U+2028, NUL, quotes, messages as JSON, white space) in each of "
            f"{len(EXPORTS)} forms: {written:,} rows written, each compared in every field that its form has; seed "
            f"{SEED}",
        ),
        Measure(
            "rows that an export refuses without a reason", value=_unexplained(found), floor=0, unit="", better="lower",
            how="written and refused rows add up to all rows; refused, with a reason and ids, of these rows that are "
            f"made to be hard: {refused}",
        ),
    ]  # fmt: skip


def _unexplained(found: dict[str, tuple[int, int, int]]) -> int:
    return sum(ROWS - written - refused for _, written, refused in found.values())


def _back(source: PreferenceDataset, held: Holdings, name: str, folder: Path) -> tuple[int, int, int]:
    """(rows that changed, rows that were written, rows that were refused with a reason) of a form."""
    form, out = EXPORTS[name], folder / name
    out.mkdir()
    written = write_rows(source, form, held, out, "train", trim=False, on_progress=lambda done, total: None)
    back = open_dataset(out / written.file, cache=folder / "cache")
    fields = [*CONTENT, *(one for one in ("pair_id", "weight", *ABOUT) if one in form.fields)]
    kept = written.kept(len(source.pairs))
    before = [row for row, there in zip(_rows(source, fields), kept, strict=True) if there]
    after = _rows(back, fields)
    changed = sum(one != other for one, other in zip(before, after, strict=False)) + abs(len(before) - len(after))
    return changed, written.rows, sum(written.refused.values())


def _rows(dataset: PreferenceDataset, fields: list[str]) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pq.read_table(dataset.rows, columns=fields).to_pylist()
    return rows
