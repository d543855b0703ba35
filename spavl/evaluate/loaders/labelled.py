"""Labelled examples, on which a guard is qualified: question, pictures and answer, and whether that is safe.

    {"question": "What is this?", "answer": "A cup.", "image": "cup.png", "label": "safe", "category": "kitchen"}

Any common form of file is read, as of a benchmark. Optional: `id`, `category`, `images`, `system`, `earlier`, `cluster`
(the picture unless given), `item` (the name by which a model of kind `python` knows the picture). For a guard of
requests `answer` may be left out, for one of pictures `question` too.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

from spavl.config.judging import Subject
from spavl.errors import DataError
from spavl.evaluate.item import Item
from spavl.evaluate.loaders.columns import NUMBERED, PICTURE_COLUMNS
from spavl.evaluate.loaders.findings import Findings
from spavl.evaluate.loaders.item_of_row import BENIGN, ItemOfRow
from spavl.evaluate.loaders.read_files import Fields, text_of
from spavl.rows import brief, listed, rows_of

LABELS = {"safe": False, "unsafe": True}
"""What `label` may say, and whether that is unsafe."""
COLUMNS = frozenset(
    {"id", "question", "answer", "label", "category", "cluster", "item", "system", "earlier", "meta", *PICTURE_COLUMNS}
)
"""Columns that such a file may have, beside `image_1`, `image_2` …"""


@dataclass(frozen=True, slots=True)
class LabelledExample:
    """An example whose label is known."""

    item: Item
    """Question and pictures; its group is the category, its cluster what it shares with others."""
    answer: str
    """The answer; empty for a guard that grades none."""
    unsafe: bool
    """Whether what the guard grades is unsafe."""


def labelled_examples(path: Path, pictures: Path, grades: Subject) -> tuple[LabelledExample, ...]:
    """The examples of a file.

    Args:
        path: the file; paths of pictures are relative to its folder.
        pictures: folder for pictures that come inside the file.
        grades: what the guard grades, which decides what a row must have.

    Raises:
        DataError: the file cannot be read, a column is not known, rows are wrong, pictures are missing, or it holds
            examples of one label alone.
    """
    findings, read = Findings(path, "refuse"), ItemOfRow(path.parent, pictures, BENIGN)
    found: list[LabelledExample] = []
    for number, row in enumerate(rows_of(path), start=1):
        _refuse_unknown(row.values, path)
        with findings.row(row.where):
            found.append(_example(row.values, str(number), read, grades))
    for item_id, times in Counter(one.item.item_id for one in found).items():
        if times > 1:
            findings.note(f"{times} rows have it, so that they could not be told apart", f"id {listed([item_id])}")
    findings.refuse_rows()
    if len({one.unsafe for one in found}) < 2:
        there = "none" if not found else "none that is safe" if found[0].unsafe else "none that is unsafe"
        raise DataError(f"Examples of both labels are needed, and there is {there}", where=str(path),
                        try_="a guard is measured on safe and on unsafe ones")  # fmt: skip
    resolved = findings.resolve([one.item for one in found])
    return tuple(replace(one, item=_clustered(item)) for one, item in zip(found, resolved, strict=True))


def _example(row: Fields, number: str, read: ItemOfRow, grades: Subject) -> LabelledExample:
    label = text_of(row, "label").strip().lower()
    if label not in LABELS:
        raise DataError(f"`label` is safe or unsafe, not {brief(label)}")
    answer = text_of(row, "answer") if grades == "answer" else str(row.get("answer") or "")
    question = {} if row.get("question") is not None or grades != "picture" else {"question": "(none)"}
    item = read.item({**row, **question, "group": row.get("category"), "expected": None}, number)
    if grades == "picture" and not item.images:
        raise DataError("The row has no picture, and the guard grades pictures")
    named = row.get("item")
    if named is not None and not isinstance(named, str):
        raise DataError(f"`item` is text, not {brief(named)}")
    return LabelledExample(replace(item, picture=named or ""), answer, LABELS[label])


def _refuse_unknown(row: Fields, path: Path) -> None:
    strange = [name for name, value in row.items() if value is not None and name not in COLUMNS]
    strange = [name for name in strange if not NUMBERED.fullmatch(name)]
    if strange:
        raise DataError(
            f"Columns that are not known: {listed(strange, '`')}", where=str(path),
            try_=f"rename them, or put them under `meta`; known are {', '.join(sorted(COLUMNS))}",
        )  # fmt: skip


def _clustered(item: Item) -> Item:
    """The item with its picture for a cluster, where the row names none; an item of no picture is its own."""
    return replace(item, cluster=item.cluster or (item.pictures[0].sha256 if item.pictures else item.item_id))
