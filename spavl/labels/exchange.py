"""Labels in files: CSV, JSON and JSON lines of ours, exports of Label Studio, and reviews; read and written.

A row of our files is a label; the first of an item brings the item, and items without labels have rows of their own.
A file of another hand needs `item_id`, `annotator` and what was said.
"""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from spavl.atomic import write_text
from spavl.errors import DataError
from spavl.labels import label_studio
from spavl.labels.cells import CODED, EXTRA, closed, decoded, known_name, opened, says_nothing
from spavl.labels.plain import LABEL, item_of, label_of, plain_item, plain_label
from spavl.labels.record import Item, Label, fitted, is_time
from spavl.labels.store import LabelStore
from spavl.plural import plural
from spavl.rows import Row, brief, listed, rows_of

DATABASE: Final = "review.sqlite"
"""Name of the database in the folder of a review."""
FORMS = (".csv", ".json", ".jsonl")
"""What labels are written as, by the ending of the file."""
TWICE = "the same label again"
NOTHING = "rows that say nothing: neither a preference nor an outcome"
CUT = "items whose cells a program cut off, though not their labels"
OTHERS = "labels of items whose answers are others in this review"


@dataclass(frozen=True, slots=True, kw_only=True)
class Labelled:
    """What a file or a review holds."""

    labels: tuple[Label, ...]
    """All labels in the order in which they were given."""
    items: tuple[Item, ...] = ()
    """The items that it knows; a file of another hand knows none."""
    made_from: tuple[str, ...] = ()
    """What the items were drawn from; several where files were put together."""
    left_out: Mapping[str, int] = field(default_factory=dict)
    """Labels that are not among these, by the reason."""
    unread: tuple[str, ...] = ()
    """Columns that no label has."""

    @property
    def strangers(self) -> int:
        """Labels of items that it does not know, where it knows any: they are kept, and no estimate counts them."""
        known = {(item.item_id, found) for item in self.items for found in ("", item.answers_hash)}
        return sum((label.item_id, label.answers_hash) not in known for label in self.labels) if known else 0

    @property
    def remarks(self) -> tuple[str, ...]:
        """What is to be said of them, as sentences."""
        return tuple(self._remarks())

    @property
    def remarks_of_reading(self) -> tuple[str, ...]:
        """The same without labels of items that are not there, which whoever counts labels tells."""
        return tuple(self._of_reading())

    def _remarks(self) -> Iterator[str]:
        yield from self._of_reading()
        if count := self.strangers:
            are = "is of an item that is" if count == 1 else "are of items that are"
            yield f"{plural(count, 'label')} {are} not there: kept, and counted in no estimate."

    def _of_reading(self) -> Iterator[str]:
        if self.unread:
            yield f"Columns that are not read: {listed(self.unread)}."
        for reason, count in self.left_out.items():
            yield f"{count:,} left out: {reason}."
        names = sorted({label.annotator for label in self.labels})
        for several in _alike(names):
            yield f"Annotators {' and '.join(map(brief, several))} are counted as {len(several)} people."


def _alike(names: Sequence[str]) -> Iterator[list[str]]:
    """Names that differ in capitals and blanks alone."""
    by_fold: dict[str, list[str]] = {}
    for name in names:
        by_fold.setdefault(" ".join(name.split()).casefold(), []).append(name)
    return (several for several in by_fold.values() if len(several) > 1)


def read_labels(path: Path) -> Labelled:
    """The labels of a review, of a file, or of all files of a folder.

    Args:
        path: the folder or database of a review; a CSV, JSON or JSON lines file; an export of Label Studio; or a folder
            of such files.

    Raises:
        DataError: it is missing or is none of these; the message names the line or row.
    """
    if path.is_dir():
        return _read_folder(path)
    if path.suffix == ".sqlite" or _is_database(path):
        with LabelStore(path) as store:
            items = tuple(store.items())
            return Labelled(labels=with_hashes(store.labels(), items), items=items, made_from=(store.made_from,))
    found = _read_rows(rows_of(path))
    if found.left_out.get(NOTHING) and not found.labels:
        raise DataError("No row of this file says anything of its item", where=str(path),
                        try_="a column `preference` (first, second, tie, both_bad) or `outcomes`")  # fmt: skip
    return found


def database_of(review: Path) -> Path:
    """The database of a review.

    Args:
        review: its folder, or the database itself.

    Raises:
        DataError: there is none.
    """
    path = review / DATABASE if review.is_dir() else review
    if not path.is_file():
        raise DataError("There is no review here", where=str(review),
                        try_="name the folder of a review, such as RUN/review/first")  # fmt: skip
    return path


def _is_database(path: Path) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(15) == b"SQLite format 3"


def _read_folder(path: Path) -> Labelled:
    if (path / DATABASE).is_file():
        return read_labels(path / DATABASE)
    files = sorted(one for one in path.iterdir() if one.suffix in FORMS)
    if not files:
        raise DataError("There are no labels in this folder", where=str(path),
                        try_=f"wanted is `{DATABASE}`, or files that end with {', '.join(FORMS)}")  # fmt: skip
    return together(read_labels(one) for one in files)


def together(several: Iterable[Labelled]) -> Labelled:
    """The labels of several files or reviews, one after the other; those that are in several count once.

    Args:
        several: what was read.
    """
    found = list(several)
    left_out = Counter[str]()
    for one in found:
        left_out.update(one.left_out)
    labels = _without_twice((label for one in found for label in one.labels), left_out)
    items: dict[tuple[str, str], Item] = {}
    for item in (item for one in found for item in one.items):
        before = items.get((item.item_id, item.answers_hash))
        if before is None or before.probability <= item.probability:  # what was drawn at random once stands for others
            items[item.item_id, item.answers_hash] = item
    made_from = tuple(dict.fromkeys(name for one in found for name in one.made_from))
    unread = tuple(dict.fromkeys(name for one in found for name in one.unread))
    return Labelled(labels=labels, items=tuple(items.values()), made_from=made_from, left_out=dict(left_out),
                    unread=unread)  # fmt: skip


def _without_twice(labels: Iterable[Label], left_out: Counter[str]) -> tuple[Label, ...]:
    """Without labels that are there already; one without a time is so only right after its like."""
    seen, last, kept = set[Label](), dict[tuple[str, str], Label](), list[Label]()
    for label in labels:
        at = (label.annotator, label.item_id)
        if (label.created and label in seen) or last.get(at) == label:
            left_out[TWICE] += 1
            continue
        seen.add(label)
        last[at] = label
        kept.append(label)
    return tuple(kept)


def _read_rows(rows: Iterable[Row]) -> Labelled:
    labels, items, made_from, left_out = list[Label](), dict[tuple[str, str], Item](), dict[str, None](), Counter[str]()
    unread = dict[str, None]()
    for row in rows:
        values, where = row.values, row.where
        if label_studio.is_task(values, where):
            labels += label_studio.labels_of(values, where, left_out)
            continue
        unread |= {str(name): None for name in values if not known_name(name)}
        plain = _opened(decoded(values, where)) if row.delimited else decoded(values, where)
        if plain.get("made_from"):
            made_from[str(plain["made_from"])] = None
        left_out[CUT] += "item" not in plain and any(
            known_name(k) == "item" and v is not None for k, v in values.items()
        )
        if isinstance(plain.get("item"), Mapping):
            item = item_of(plain["item"], where)
            items[item.item_id, item.answers_hash] = item
        if plain.get("annotator") or not isinstance(plain.get("item"), Mapping):
            labels.append(label_of({name: plain[name] for name in LABEL if name in plain}, where))
    left_out[NOTHING] += sum(map(says_nothing, labels))
    kept = _without_twice((one for one in labels if not says_nothing(one)), left_out)
    return Labelled(labels=with_hashes(kept, items.values()), items=tuple(items.values()), made_from=tuple(made_from),
                    left_out={reason: n for reason, n in left_out.items() if n}, unread=tuple(unread))  # fmt: skip


def _opened(plain: dict[str, Any]) -> dict[str, Any]:
    """A row of a table as it was before its cells were closed to spreadsheets."""
    return {name: opened(one) if isinstance(one, str) else one for name, one in plain.items()}


def with_hashes(labels: Iterable[Label], items: Iterable[Item]) -> tuple[Label, ...]:
    """Labels with the hash of the answers that were read, where they came with their items and do not say it.

    Args:
        labels: of one file or review.
        items: of the same.
    """
    known = {item.item_id: item.answers_hash for item in items}
    return tuple(
        one if one.answers_hash or one.item_id not in known else replace(one, answers_hash=known[one.item_id])
        for one in labels
    )


def write_labels(path: Path, labelled: Labelled) -> None:
    """Write labels, and the items that they are of, by the ending of the file.

    Args:
        path: a file that ends with one of `FORMS`.
        labelled: what is written.

    Raises:
        DataError: the ending is another, or the file is there and holds anything else than some of these labels.
        RunError: the disk is full.
    """
    if path.suffix not in FORMS:
        raise DataError(f"Labels are not written as {brief(path.suffix)}", where=str(path),
                        try_=f"a file that ends with {', '.join(FORMS)}")  # fmt: skip
    _refuse_loss(path, labelled)
    rows = list(_rows(labelled))
    if path.suffix == ".csv":
        write_text(path, _as_csv(rows))
    elif path.suffix == ".jsonl":
        write_text(path, "".join(json.dumps(row) + "\n" for row in rows))
    else:
        write_text(path, json.dumps(rows, indent=1) + "\n")


def export_tasks(path: Path, labelled: Labelled, *, pictures_at: str = label_studio.LOCAL_FILES) -> Path:
    """Write the items of labels as tasks of Label Studio, and its page beside them. Returns the path of the page.

    Args:
        path: the JSON file of the tasks.
        labelled: the items, of one kind, and the labels that are kept elsewhere.
        pictures_at: address of the pictures, before their keys.

    Raises:
        DataError: there are no items, they are of two kinds, or another file is in the place of one of these.
        RunError: the disk is full.
    """
    if not label_studio.holds_tasks(path):
        _refuse_loss(path, labelled)
    return label_studio.write_tasks(path, labelled.items, pictures_at=pictures_at)


def _refuse_loss(path: Path, labelled: Labelled) -> None:
    """Refuse to write in the place of labels that would be lost, or of what is no file of labels."""
    if not path.exists():
        return
    try:
        there = read_labels(path)
    except DataError as error:
        raise DataError("There is another file here, which holds no labels", where=str(path),
                        try_="name a file that is not there yet") from error  # fmt: skip
    kept = set(map(_said, labelled.labels))
    if lost := sum(_said(label) not in kept for label in there.labels):
        raise DataError(f"This file holds {plural(lost, 'label')} that the review does not", where=str(path),
                        try_="`spavl labels import` it first, or name another file")  # fmt: skip


def _said(label: Label) -> Label:
    """A label without what a file may leave out."""
    return replace(label, created="", seconds=0.0, answers_hash="", shown_first=None)


def _rows(labelled: Labelled) -> Iterator[dict[str, Any]]:
    made_from = list(labelled.made_from)
    waiting = {(item.item_id, item.answers_hash): item for item in labelled.items}
    for label in labelled.labels:
        row = plain_label(label)
        item = waiting.pop((label.item_id, label.answers_hash), None)
        yield row | ({} if item is None else {"item": plain_item(item)}) | _from(made_from)
    for item in waiting.values():
        yield {"item": plain_item(item)} | _from(made_from)


def _from(made_from: list[str]) -> dict[str, str]:
    return {"made_from": made_from.pop(0)} if made_from else {}


def _as_csv(rows: Iterable[Mapping[str, Any]]) -> str:
    text = io.StringIO(newline="")
    table = csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_ALL)
    table.writerow([*LABEL, *EXTRA])
    for row in rows:
        table.writerow([_cell(name, row.get(name)) for name in (*LABEL, *EXTRA)])
    return text.getvalue()


def _cell(name: str, value: Any) -> str:
    if value is None:
        return ""
    return json.dumps(value) if name in (*CODED, "item") else closed(str(value))


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """What became of labels that were read into a review."""

    new: int
    """Labels that are added."""
    there: int
    """Labels that were there already."""
    strangers: int
    """Labels of items that the review does not have: kept, and counted in no estimate."""
    remarks: tuple[str, ...]
    """What is to be said of the file."""


def import_labels(store: LabelStore, path: Path, *, of_another: bool = False) -> Imported:
    """Add the labels of a file to a review; done again, it adds none.

    Args:
        store: the review.
        path: what `read_labels` reads.
        of_another: whether labels of another run are taken too.

    Raises:
        DataError: the file cannot be read, or is of another run.
    """
    found = read_labels(path)
    _refuse_another(store, found, path, of_another)
    items = {item.item_id: item for item in store.items()}
    fitting, others = _fitted(items, found.labels, path)
    there = with_hashes(store.labels(), items.values())
    kept = _without_twice(fitting, Counter())
    undated = {_undated(one) for one in {(one.annotator, one.item_id): one for one in there}.values()}
    known = set(there)
    new = [one for one in kept if one not in known and (is_time(one.created) or _undated(one) not in undated)]
    strangers = sum(one.item_id not in items for one in new)
    remarks = (*found.remarks_of_reading, *([f"{others:,} left out: {OTHERS}."] if others else []))
    try:
        added = store.add_all(new)
    except DataError as error:
        raise DataError(error.what, where=str(path), try_=error.try_) from error
    return Imported(new=added, there=len(kept) - len(new), strangers=strangers, remarks=remarks)


def _fitted(items: Mapping[str, Item], labels: Iterable[Label], path: Path) -> tuple[list[Label], int]:
    """Labels as they are of the review's items, those of items that it does not have as they are; how many are of none.

    Raises:
        DataError: one says more than its item has answers.
    """
    fitting, others = list[Label](), 0
    for label in labels:
        item = items.get(label.item_id)
        found = label if item is None else fitted(label, item)
        if found is None:
            others += 1
        elif item is not None and len(found.outcomes) > len(item.answers):
            raise DataError(f"{len(found.outcomes)} outcomes for {plural(len(item.answers), 'answer')} of "
                            f"{brief(item.item_id)}", where=str(path))  # fmt: skip
        else:
            fitting.append(found)
    return fitting, others


def _undated(label: Label) -> str:
    return json.dumps(plain_label(label) | {"created": ""})


def _refuse_another(store: LabelStore, found: Labelled, path: Path, of_another: bool) -> None:
    others = [name for name in found.made_from if name != store.made_from]
    known = any(store.knows(label.item_id) for label in found.labels)
    if of_another or not found.labels or (known and not others):
        return
    what = "These labels are of another run than this review" if others else "None of these labels is of this review"
    raise DataError(what, where=f"{path}, for {store.path}",
                    try_="look at the path; `--of-another-run` adds them all the same")  # fmt: skip
