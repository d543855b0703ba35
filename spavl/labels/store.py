"""The database of a review: its items in the order in which they are shown, and the labels, each durable at once.

A label is a new row and never changes one. Several processes and threads may have a store open together.
"""

from __future__ import annotations

import json
import os
import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any, Final

from spavl.atomic import atomic_write
from spavl.errors import DataError, RunError
from spavl.labels.annotators import Annotators, now_text
from spavl.labels.database import EVERYBODY, errors_named, lay_out
from spavl.labels.plain import item_of, label_of, plain_label
from spavl.labels.queue import LAST, LEFT, NEXT, REOPEN, SECONDS, fill
from spavl.labels.record import Item, Label, Progress, current_labels, is_earlier
from spavl.rows import brief

LEASE: Final = 15 * 60.0
"""Seconds for which an item that is shown to one annotator is kept from others."""
RECENT: Final = 20
"""Labels that the time of the next ones is estimated from."""


class LabelStore(Annotators):
    """A review that is open; a context manager.

    Args:
        path: its database.

    Raises:
        DataError: it is missing, of another program or version, or damaged.
        RunError: it cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._meta = dict(self._rows("SELECT name, value FROM meta"))

    @classmethod
    def create(
        cls, path: Path, items: Iterable[Item], *, made_from: str, settings: Mapping[str, Any],
        overlap: float = 0.1, annotators: int | None = None,
    ) -> LabelStore:  # fmt: skip
        """A new review, which is there whole or not at all.

        Args:
            path: its database.
            items: in the order in which they are shown.
            made_from: what they were drawn from: the fingerprint of a run's table, or of a dataset.
            settings: how they were drawn, as plain data.
            overlap: share of the items, spread evenly, that several annotators label; the rest one of them does.
            annotators: how many those are; None: all.

        Raises:
            RunError: there is a review already, or the disk is full.
            DataError: there are no items, or two with one id.
        """
        if path.exists():
            raise _there_already(path)
        meta = {"made_from": made_from, "settings": json.dumps(settings), "created": now_text()}
        with atomic_write(path, what="The review") as tmp, errors_named(path):
            lay_out(tmp)
            with closing(sqlite3.connect(tmp)) as db:
                count = fill(db, items, overlap, EVERYBODY if annotators is None else annotators, path)
                db.executemany("INSERT INTO meta VALUES (?, ?)", meta.items())
                db.commit()
            if not count:
                raise DataError("There is nothing to review", where=str(path), try_="draw from a run that has pairs")
            _take_place(tmp, path)
        return cls(path)

    @property
    def made_from(self) -> str:
        """What its items were drawn from."""
        return str(self._meta.get("made_from", ""))

    @property
    def settings(self) -> Mapping[str, Any]:
        """How its items were drawn."""
        return dict(json.loads(self._meta.get("settings", "{}")))

    @property
    def created(self) -> str:
        """When it was made: ISO 8601, UTC."""
        return str(self._meta.get("created", ""))

    def __len__(self) -> int:
        """The number of items."""
        return int(self._one("SELECT count(*) FROM items"))

    def items(self) -> Iterator[Item]:
        """The items in their order, read one by one."""
        position = -1
        while row := self._row("SELECT position, payload FROM contents WHERE position > ? LIMIT 1", position):
            position = row[0]
            yield self._item(row[1])

    def item(self, item_id: str) -> Item:
        """An item.

        Args:
            item_id: its id.

        Raises:
            DataError: there is none of that id.
        """
        return self._item(
            self._of("SELECT payload FROM contents JOIN items USING (position) WHERE item_id = ?", item_id)
        )

    def knows(self, item_id: str) -> bool:
        """Whether there is an item of an id.

        Args:
            item_id: the id.
        """
        return self._row("SELECT 1 FROM items WHERE item_id = ?", item_id) is not None

    def labels(self) -> list[Label]:
        """All labels in the order in which they were given, those too that others have replaced or withdrawn."""
        return [self._label(payload) for (payload,) in self._rows("SELECT payload FROM labels ORDER BY number")]

    def place(self, item_id: str) -> int:
        """The position of an item in the order in which items are shown, from 0: a name of it that says nothing.

        Args:
            item_id: its id.

        Raises:
            DataError: there is none of that id.
        """
        return int(self._of("SELECT position FROM items WHERE item_id = ?", item_id))

    def at(self, position: int) -> Item | None:
        """The item at a position; None where there is none.

        Args:
            position: from 0.
        """
        row = self._row("SELECT payload FROM contents WHERE position = ?", position)
        return None if row is None else self._item(row[0])

    def subjects(self) -> dict[tuple[str, str, str], int]:
        """Number of items by domain, category and subcategory, which are empty where they are not known."""
        rows = self._rows("SELECT class1, class2, class3, count(*) FROM items GROUP BY 1, 2, 3 ORDER BY 1, 2, 3")
        return {(one, two, three): count for one, two, three, count in rows}

    def last_number(self, annotator: str, item_id: str | None = None) -> int:
        """Number of an annotator's last label, withdrawn ones too; 0 before the first.

        Args:
            annotator: the name.
            item_id: of this item alone; None: of all.
        """
        if item_id is None:
            return int(self._one("SELECT coalesce(max(number), 0) FROM last_labels WHERE annotator = ?", annotator))
        row = self._row("SELECT number FROM last_labels WHERE annotator = ? AND item_id = ?", annotator, item_id)
        return 0 if row is None else int(row[0])

    def withdrawn(self, annotator: str, item_id: str) -> Label | None:
        """What an annotator had said of an item before it was withdrawn; None where nothing was withdrawn last.

        Args:
            annotator: the name.
            item_id: the item.
        """
        row = self._row("SELECT status FROM last_labels WHERE annotator = ? AND item_id = ?", annotator, item_id)
        if row is None or row[0] != "withdrawn":
            return None
        rows = self._rows(
            "SELECT payload FROM labels WHERE annotator = ? AND item_id = ? AND status <> 'withdrawn' ORDER BY number",
            annotator, item_id,
        )  # fmt: skip
        return next(iter(current_labels(self._label(payload) for (payload,) in rows)), None)

    def add(self, label: Label, key: str = "") -> bool:
        """Write a label, which no crash takes away once this has returned; whether it was not there already.

        Args:
            label: the label; its time is now where it has none.
            key: made by who sends it, once for every item shown: a label that comes again under it is not written.

        Raises:
            DataError: the review has no such item, or the label does not fit it.
            RunError: the disk is full.
        """
        item = self.item(label.item_id)
        checked = label_of(plain_label(label), where=str(self.path))
        if len(checked.outcomes) not in (0, len(item.answers)):
            raise DataError(f"{len(checked.outcomes)} outcomes for {len(item.answers)} answers", where=str(self.path))
        with self._writing():
            return self._write(checked, key or None)

    def add_all(self, labels: Iterable[Label]) -> int:
        """Write labels, all or none; those of items that the review does not have are kept too. How many there were.

        Args:
            labels: in the order in which they were given.

        Raises:
            DataError: one is no label.
            RunError: the disk is full.
        """
        with self._writing():
            return sum(self._write(label_of(plain_label(one), where=str(self.path)), None, of_file=True)
                       for one in labels)  # fmt: skip

    def undo(self, annotator: str, key: str = "") -> Item | None:
        """Withdraw an annotator's last label; its item, which is open again, or None where there is none left.

        Args:
            annotator: the name.
            key: as for `add`: an undo that comes again under it takes nothing back.

        Raises:
            RunError: the disk is full.
        """
        with self._writing():
            if key and self._row("SELECT 1 FROM labels WHERE annotator = ? AND key = ?", annotator, key):
                return None
            last = self._row(
                "SELECT item_id FROM last_labels WHERE annotator = ? AND status <> 'withdrawn'"
                " ORDER BY number DESC LIMIT 1", annotator,
            )  # fmt: skip
            if last is None:
                return None
            self._write(Label(item_id=last[0], annotator=annotator, status="withdrawn"), key or None)
            return self.item(last[0]) if self.knows(last[0]) else None

    def next_item(self, annotator: str, *, now: float | None = None) -> Item | None:
        """The item that an annotator labels next, kept from others for a while; the same until it is labelled.

        Args:
            annotator: the name.
            now: seconds since 1970; None: the clock's.

        Returns:
            None where nothing is open to the annotator, or others have all that is before them.
        """
        now = time.time() if now is None else now
        with self._writing("NORMAL"):  # a lease that a crash takes away costs nothing
            self._join(annotator)
            start = self._one("SELECT start FROM annotators WHERE name = ?", annotator)
            first, found = None, None
            for position, item_id, given, wanted, leased in self._db.execute(
                NEXT, {"annotator": annotator, "now": now, "start": start}
            ):
                first = position if first is None else first
                if given + leased < wanted:
                    found = (position, item_id)
                    break
            self._bookkeep(annotator, start, first, found, now)
            return None if found is None else self._item(self._one(
                "SELECT payload FROM contents WHERE position = ?", found[0]))  # fmt: skip

    def progress(self, annotator: str) -> Progress:
        """How far an annotator is.

        Args:
            annotator: the name.
        """
        counts = dict(
            self._rows("SELECT status, count(*) FROM last_labels WHERE annotator = ? GROUP BY status", annotator)
        )
        start = self._row("SELECT start FROM annotators WHERE name = ?", annotator) or (0,)
        left = self._one(LEFT, annotator=annotator, start=start[0])
        seconds = [found for (found,) in self._rows(SECONDS, annotator, RECENT) if found]  # 0: it was not measured
        return Progress(
            labelled=counts.get("labelled", 0), skipped=counts.get("skipped", 0), left=left,
            seconds=median(seconds) if seconds else None,
        )  # fmt: skip

    def _write(self, label: Label, key: str | None, *, of_file: bool = False) -> bool:
        if key and self._row("SELECT 1 FROM labels WHERE annotator = ? AND key = ?", label.annotator, key):
            return False
        self._join(label.annotator)
        before = self._row(
            "SELECT c.status, l.payload FROM last_labels c JOIN labels l USING (number)"
            " WHERE c.annotator = ? AND c.item_id = ?", label.annotator, label.item_id,
        )  # fmt: skip
        last = "" if before is None else self._label(before[1]).created
        is_last = not (of_file and is_earlier(label.created, last))
        label = self._whole(label, last if is_last else "")
        payload = json.dumps(plain_label(label), ensure_ascii=False)
        number = self._db.execute(
            "INSERT INTO labels (item_id, annotator, status, key, payload) VALUES (?, ?, ?, ?, ?)",
            (label.item_id, label.annotator, label.status, key, payload),
        ).lastrowid
        if is_last:
            self._db.execute(LAST, (label.annotator, label.item_id, number, label.status))
            self._count(label, None if before is None else before[0])
        return True

    def _whole(self, label: Label, last: str) -> Label:
        """A label with what was read, and its time: not before the last one, even where a clock was set back."""
        created = label.created or now_text()
        label = replace(label, created=last if is_earlier(created, last) else created)
        if not label.answers_hash and self.knows(label.item_id):
            label = replace(label, answers_hash=self.item(label.item_id).answers_hash)
        return label

    def _count(self, label: Label, before: str | None) -> None:
        """Note that an item was judged by one annotator more or less, and is open again where it is."""
        self._db.execute("DELETE FROM leases WHERE item_id = ? AND annotator = ?", (label.item_id, label.annotator))
        more = (label.status == "labelled") - (before == "labelled")
        self._db.execute("UPDATE items SET given = given + ? WHERE item_id = ?", (more, label.item_id))
        if more < 0 or label.status == "withdrawn":
            position = self._row("SELECT position FROM items WHERE item_id = ?", label.item_id)
            self._db.execute(REOPEN, position or (EVERYBODY,))

    def _bookkeep(self, annotator: str, start: int, first: int | None, found: Any, now: float) -> None:
        """Note what is leased, and the first position at which anything is open."""
        if first is not None and first > start:
            self._db.execute("UPDATE annotators SET start = ? WHERE name = ?", (first, annotator))
        self._db.execute("DELETE FROM leases WHERE annotator = ?", (annotator,))
        if found is not None:
            self._db.execute("INSERT INTO leases VALUES (?, ?, ?)", (found[1], annotator, now + LEASE))

    def _of(self, sql: str, item_id: str) -> Any:
        """What is asked of an item."""
        row = self._row(sql, item_id)
        if row is None:
            raise DataError(f"The review has no item {brief(item_id)}", where=str(self.path))
        return row[0]

    def _item(self, payload: str) -> Item:
        return item_of(json.loads(payload), where=str(self.path))

    def _label(self, payload: str) -> Label:
        return label_of(json.loads(payload), where=str(self.path))


def _take_place(new: Path, path: Path) -> None:
    """Put a new file where there is none yet: of two processes that draw at once, neither replaces labels of the other.

    A file system without hard links has no such step; there the check before is all there is.
    """
    try:
        os.link(new, path)
    except FileExistsError:
        raise _there_already(path) from None
    except OSError:
        if path.exists():
            raise _there_already(path) from None


def _there_already(path: Path) -> RunError:
    return RunError("There is a review here already", where=str(path), try_="open it, or give the new one a name")
