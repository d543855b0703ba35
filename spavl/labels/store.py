"""The database of a review: its items in the order in which they are shown, and the labels, each durable at once.

A label is a new row and never changes one. Several processes and threads may have a store open together.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from threading import RLock
from types import TracebackType
from typing import Any, Final, Literal, Self

from spavl.atomic import atomic_write
from spavl.errors import DataError, RunError
from spavl.labels.database import EVERYBODY, connect, errors_named, lay_out
from spavl.labels.plain import item_of, label_of, plain_label
from spavl.labels.queue import LAST, LEFT, NEXT, REOPEN, fill
from spavl.labels.record import Annotator, Item, Label, Progress, is_earlier
from spavl.rows import brief

LEASE: Final = 15 * 60.0
"""Seconds for which an item that is shown to one annotator is kept from others."""
RECENT: Final = 20
"""Labels that the time of the next ones is estimated from."""
MOST_LETTERS: Final = 80
"""Letters of an annotator's name."""


class LabelStore:
    """A review that is open; a context manager.

    Args:
        path: its database.

    Raises:
        DataError: it is missing, of another program or version, or damaged.
        RunError: it cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = RLock()
        self._db = connect(path)
        with errors_named(path):
            self._meta = dict(self._db.execute("SELECT name, value FROM meta"))

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
            raise RunError(
                "There is a review here already", where=str(path), try_="open it, or give the new one a name"
            )
        meta = {"made_from": made_from, "settings": json.dumps(settings), "created": _now()}
        with atomic_write(path, what="The review") as tmp, errors_named(path):
            lay_out(tmp)
            with closing(sqlite3.connect(tmp)) as db:
                count = fill(db, items, overlap, EVERYBODY if annotators is None else annotators, path)
                db.executemany("INSERT INTO meta VALUES (?, ?)", meta.items())
                db.commit()
            if not count:
                raise DataError("There is nothing to review", where=str(path), try_="draw from a run that has pairs")
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
        row = self._row("SELECT payload FROM contents JOIN items USING (position) WHERE item_id = ?", item_id)
        if row is None:
            raise DataError(f"The review has no item {brief(item_id)}", where=str(self.path))
        return self._item(row[0])

    def knows(self, item_id: str) -> bool:
        """Whether there is an item of an id.

        Args:
            item_id: the id.
        """
        return self._row("SELECT 1 FROM items WHERE item_id = ?", item_id) is not None

    def labels(self) -> list[Label]:
        """All labels in the order in which they were given, those too that others have replaced or withdrawn."""
        return [self._label(payload) for (payload,) in self._rows("SELECT payload FROM labels ORDER BY number")]

    def label(self, annotator: str, item_id: str) -> Label | None:
        """An annotator's last label of an item; None where there is none, or it was withdrawn.

        Args:
            annotator: the name.
            item_id: the item.
        """
        row = self._row(
            "SELECT l.payload FROM last_labels c JOIN labels l USING (number)"
            " WHERE c.annotator = ? AND c.item_id = ? AND c.status <> 'withdrawn'", annotator, item_id,
        )  # fmt: skip
        return None if row is None else self._label(row[0])

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
        finished = self._one(
            f"SELECT count(*) FROM items WHERE given >= wanted OR (wanted = {EVERYBODY} AND given > 0)"
        )
        recent = self._rows(
            "SELECT payload FROM labels WHERE annotator = ? AND status = 'labelled' ORDER BY number DESC LIMIT ?",
            annotator, RECENT,
        )  # fmt: skip
        seconds = [self._label(payload).seconds for (payload,) in recent]
        return Progress(
            labelled=counts.get("labelled", 0), skipped=counts.get("skipped", 0), left=left, finished=finished,
            items=len(self), seconds=median(seconds) if seconds else None,
        )  # fmt: skip

    def join(self, name: str, *, token_hash: str = "", opted_out: Iterable[str] = ()) -> Annotator:
        """Let somebody label; who has joined before keeps what was set then.

        Args:
            name: of the person.
            token_hash: hash of the person's own token.
            opted_out: subjects of any level whose items are not to be shown.

        Raises:
            DataError: that is no name.
        """
        with self._writing():
            if self._join(name, token_hash):
                self._opt_out(name, opted_out)
        return self.annotator(name) or Annotator(name=name)

    def opt_out(self, name: str, categories: Iterable[str]) -> None:
        """Set the subjects whose items an annotator is not shown.

        Args:
            name: of the annotator.
            categories: subjects of any level, in place of those before.
        """
        with self._writing():
            self._join(name)
            self._opt_out(name, categories)

    def annotator(self, name: str) -> Annotator | None:
        """Somebody who has joined; None for a stranger.

        Args:
            name: of the person.
        """
        row = self._row("SELECT token_hash, created FROM annotators WHERE name = ?", name)
        if row is None:
            return None
        out = self._rows("SELECT category FROM opted_out WHERE annotator = ? ORDER BY category", name)
        return Annotator(name=name, token_hash=row[0], created=row[1], opted_out=tuple(one for (one,) in out))

    def annotators(self) -> list[str]:
        """Names of all who have joined, by alphabet."""
        return [name for (name,) in self._rows("SELECT name FROM annotators ORDER BY name")]

    def close(self) -> None:
        """Close the file."""
        with self._lock, suppress(sqlite3.Error):
            self._db.close()

    def __enter__(self) -> Self:
        """The store itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the file."""
        self.close()

    @contextmanager
    def _writing(self, synchronous: Literal["FULL", "NORMAL"] = "FULL") -> Iterator[None]:
        """A transaction; after one that is FULL all that was written before is durable too."""
        with self._lock, errors_named(self.path):
            self._db.execute(f"PRAGMA synchronous = {synchronous}")
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:
                with suppress(sqlite3.Error):
                    self._db.execute("ROLLBACK")
                raise

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
        created = label.created or _now()
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

    def _join(self, name: str, token_hash: str = "") -> bool:
        """Whether the name is new."""
        if self._row("SELECT 1 FROM annotators WHERE name = ?", name):
            return False
        if not name.strip() or len(name) > MOST_LETTERS or not name.isprintable():
            raise DataError(f"{brief(name)} is no name of an annotator",
                            try_=f"letters, digits and blanks, {MOST_LETTERS} at most")  # fmt: skip
        self._db.execute("INSERT INTO annotators (name, token_hash, created) VALUES (?, ?, ?)",
                         (name, token_hash, _now()))  # fmt: skip
        return True

    def _opt_out(self, name: str, categories: Iterable[str]) -> None:
        self._db.execute("DELETE FROM opted_out WHERE annotator = ?", (name,))
        wanted = sorted({one for one in categories if one})
        self._db.executemany("INSERT INTO opted_out VALUES (?, ?)", [(name, one) for one in wanted])
        self._db.execute("UPDATE annotators SET start = 0 WHERE name = ?", (name,))

    def _rows(self, sql: str, *values: Any, **named: Any) -> list[tuple[Any, ...]]:
        with self._lock, errors_named(self.path):
            return self._db.execute(sql, named or values).fetchall()

    def _row(self, sql: str, *values: Any) -> tuple[Any, ...] | None:
        return next(iter(self._rows(sql, *values)), None)

    def _one(self, sql: str, *values: Any, **named: Any) -> Any:
        return self._rows(sql, *values, **named)[0][0]

    def _item(self, payload: str) -> Item:
        return item_of(json.loads(payload), where=str(self.path))

    def _label(self, payload: str) -> Label:
        return label_of(json.loads(payload), where=str(self.path))


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
