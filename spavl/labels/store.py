"""The database of a review: its items, and every label that was given, durable before the next item is shown.

    with LabelStore.create(path, items, made_from="…", settings={"n": 500, "seed": 0}) as store:
        item = store.next_item("ana")
        store.add(Label(item_id=item.item_id, annotator="ana", preference="first"), key="a key of the shown page")

Labels are only ever added: a later one of the same annotator and item takes the place of the earlier, and one that is
withdrawn opens the item again. Several processes and threads may use one database.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import RLock
from types import TracebackType
from typing import Any

from spavl.errors import DataError, RunError
from spavl.labels.json_form import item_of, json_of, label_of
from spavl.labels.record import Item, Label
from spavl.labels.tables import APPLICATION, FORMAT, MEDIAN, NEXT, OPEN_LEFT, PROGRESS, TABLES

FILE = "review.sqlite"
"""Its name in the folder of a review."""
LEASE = 30 * 60
"""Seconds for which an item that is shown to one annotator is shown to no other."""
PATIENCE = 20.0
"""Seconds to wait for another process that writes."""
NOT_OURS = "name the folder of a review, or its review.sqlite"


@dataclass(frozen=True, slots=True)
class ReviewProgress:
    """How far an annotator has come."""

    labelled: int
    """Items that the annotator has labelled."""
    skipped: int
    """Items that the annotator has skipped."""
    left: int
    """Items that are still open for the annotator."""
    seconds: float | None
    """Median time of a label in seconds; None before the first."""


class LabelStore:
    """The database of a review, opened: a context manager.

    Args:
        path: the database.

    Raises:
        DataError: it is missing, is something else, is of another version, or is damaged.
    """

    def __init__(self, path: Path) -> None:
        if not path.is_file():
            raise DataError("There is no review here", where=str(path), try_="`spavl review RUN` makes one")
        self.path = path
        self._lock = RLock()
        with _sentences(path):
            self._database = _connected(path)
        try:
            with _sentences(path):
                _check(self._database, path)
        except DataError:
            self._database.close()
            raise

    @classmethod
    def create(cls, path: Path, items: Iterable[Item], *, made_from: str, settings: Mapping[str, Any]) -> LabelStore:
        """Make a new database and open it.

        Args:
            path: where it will lie.
            items: in the order in which they are shown.
            made_from: identity of the dataset or run that they were drawn from.
            settings: how they were drawn, as plain data.

        Raises:
            RunError: there is one already, or it cannot be written.
            DataError: two items have the same id.
        """
        if path.exists():
            raise RunError("There is a review here already", where=str(path), try_="name another with --name")
        path.parent.mkdir(parents=True, exist_ok=True)
        tmp = path.with_name(f"{path.name}.new")
        tmp.unlink(missing_ok=True)
        with _sentences(tmp):
            database = _connected(tmp)
            try:
                database.executescript(f"BEGIN IMMEDIATE; {TABLES}")
                database.execute(f"PRAGMA user_version = {FORMAT}")
                database.execute(f"PRAGMA application_id = {APPLICATION}")
                said = {"made_from": made_from, "settings": json_of(dict(settings))}
                database.executemany("INSERT INTO meta VALUES (?, ?)", list(said.items()))
                _insert_items(database, items, path)
                database.execute("COMMIT")
                database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            finally:
                database.close()
        tmp.replace(path)
        return cls(path)

    def __enter__(self) -> LabelStore:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the database."""
        with self._lock:
            self._database.close()

    def __len__(self) -> int:
        return int(self._one("SELECT count(*) FROM items")[0])

    @property
    def made_from(self) -> str:
        """Identity of what the items were drawn from."""
        return str(self._one("SELECT value FROM meta WHERE name = 'made_from'")[0])

    @property
    def settings(self) -> dict[str, Any]:
        """How the items were drawn."""
        return dict(json.loads(self._one("SELECT value FROM meta WHERE name = 'settings'")[0]))

    def items(self) -> Iterator[Item]:
        """All items, in the order in which they are shown."""
        for (position,) in self._all("SELECT position FROM items ORDER BY position"):
            yield item_of(self._one("SELECT payload FROM items WHERE position = ?", position)[0])

    def item(self, item_id: str) -> Item | None:
        """The item of an id; None: there is none.

        Args:
            item_id: its id.
        """
        row = self._one("SELECT payload FROM items WHERE item_id = ?", item_id)
        return item_of(row[0]) if row else None

    def has_picture(self, key: str) -> bool:
        """Whether a picture is one of an item.

        Args:
            key: of the picture.
        """
        return self._one("SELECT 1 FROM pictures WHERE key = ?", key) is not None

    def labels(self) -> list[Label]:
        """All labels in the order in which they were given, those that were replaced or withdrawn too."""
        return [label_of(row[0]) for row in self._all("SELECT payload FROM labels ORDER BY id")]

    def add(self, label: Label, *, key: str) -> bool:
        """Keep a label; on the disk when this returns. Returns False where one of that key was kept before.

        Args:
            label: of an item of this review.
            key: names the page on which it was given, so that a form that is sent twice is one label.

        Raises:
            DataError: the item is none of this review.
            RunError: it cannot be written.
        """
        with self._writing() as database:
            if database.execute("SELECT 1 FROM labels WHERE key = ?", (key,)).fetchone():
                return False
            if not database.execute("SELECT 1 FROM items WHERE item_id = ?", (label.item_id,)).fetchone():
                raise DataError("The item is none of this review", where=label.item_id, try_="reload the page")
            _keep(database, label, key)
            database.execute("DELETE FROM leases WHERE annotator = ?", (label.annotator,))
        return True

    def next_item(self, annotator: str, *, now: float | None = None) -> Item | None:
        """The item to show an annotator, leased to them; the same until it is labelled. None: none is left for now.

        Args:
            annotator: name of the person.
            now: seconds since 1970; for tests.
        """
        now = time.time() if now is None else now
        with self._writing() as database:
            _know(database, annotator)
            row = database.execute(NEXT, {"annotator": annotator, "now": now}).fetchone()
            if row is None:
                return None
            database.execute("INSERT OR REPLACE INTO leases VALUES (?, ?, ?)", (annotator, row[0], now + LEASE))
        return item_of(row[1])

    def undo(self, annotator: str, *, key: str, created: str = "") -> Item | None:
        """Withdraw the last label of an annotator and lease its item again; None: there is none to withdraw.

        Args:
            annotator: name of the person.
            key: names the page on which it was asked for; a page that is sent twice undoes once.
            created: when: ISO 8601, UTC.
        """
        with self._writing() as database:
            if database.execute("SELECT 1 FROM labels WHERE key = ?", (key,)).fetchone():
                return None
            sql = (
                "SELECT item_id FROM current WHERE annotator = ? AND status <> 'withdrawn' ORDER BY label DESC LIMIT 1"
            )
            row = database.execute(sql, (annotator,)).fetchone()
            if row is None:
                return None
            _keep(database, Label(item_id=row[0], annotator=annotator, status="withdrawn", created=created), key)
            database.execute("INSERT OR REPLACE INTO leases VALUES (?, ?, ?)", (annotator, row[0], time.time() + LEASE))
        return self.item(row[0])

    def progress(self, annotator: str) -> ReviewProgress:
        """How far an annotator has come.

        Args:
            annotator: name of the person.
        """
        with self._lock, _sentences(self.path):
            given = {"annotator": annotator, "now": time.time()}
            labelled, skipped = self._database.execute(PROGRESS, given).fetchone()
            (left,) = self._database.execute(OPEN_LEFT, given).fetchone()
            median = self._database.execute(MEDIAN, (annotator, labelled // 2)).fetchone()
        return ReviewProgress(labelled, skipped, left, median[0] if median else None)

    def annotators(self) -> list[str]:
        """Names of all who were ever shown an item."""
        return [row[0] for row in self._all("SELECT name FROM annotators ORDER BY name")]

    def categories(self) -> list[str]:
        """The categories of the items, by which annotators may opt out."""
        return [row[0] for row in self._all("SELECT DISTINCT category FROM items WHERE category <> '' ORDER BY 1")]

    def opted_out(self, annotator: str) -> set[str]:
        """Categories that an annotator does not want to see.

        Args:
            annotator: name of the person.
        """
        return {row[0] for row in self._all("SELECT category FROM opted_out WHERE annotator = ?", annotator)}

    def opt_out(self, annotator: str, categories: Collection[str]) -> None:
        """Show an annotator no item of these categories any more, and those of all others.

        Args:
            annotator: name of the person.
            categories: all that the person does not want to see.
        """
        with self._writing() as database:
            _know(database, annotator)
            database.execute("DELETE FROM opted_out WHERE annotator = ?", (annotator,))
            database.executemany("INSERT INTO opted_out VALUES (?, ?)", [(annotator, one) for one in categories])
            database.execute("DELETE FROM leases WHERE annotator = ?", (annotator,))

    def _one(self, sql: str, *given: Any) -> Any:
        with self._lock, _sentences(self.path):
            return self._database.execute(sql, given).fetchone()

    def _all(self, sql: str, *given: Any) -> list[Any]:
        with self._lock, _sentences(self.path):
            return self._database.execute(sql, given).fetchall()

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """A transaction, on the disk when the block has ended."""
        with self._lock, _sentences(self.path):
            self._database.execute("BEGIN IMMEDIATE")
            try:
                yield self._database
            except BaseException:
                self._database.execute("ROLLBACK")
                raise
            self._database.execute("COMMIT")


def _connected(path: Path) -> sqlite3.Connection:
    database = sqlite3.connect(path, timeout=PATIENCE, isolation_level=None, check_same_thread=False)
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("PRAGMA synchronous = FULL")
    return database


def _check(database: sqlite3.Connection, path: Path) -> None:
    """Refuse a database that is something else, or of another version."""
    (application,), (found,) = (
        database.execute(f"PRAGMA {one}").fetchone() for one in ("application_id", "user_version")
    )
    if application != APPLICATION:
        raise DataError("This database is no review", where=str(path), try_=NOT_OURS)
    if found != FORMAT:
        raise DataError(f"This review is of version {found}, and this spavl reads {FORMAT}", where=str(path),
                        try_="export its labels with the spavl that made it: `spavl labels export`")  # fmt: skip


def _insert_items(database: sqlite3.Connection, items: Iterable[Item], path: Path) -> None:
    for position, item in enumerate(items):
        row = (position, item.item_id, item.about.get("class3", ""), item.wanted, json_of(item))
        try:
            database.execute(
                "INSERT INTO items (position, item_id, category, wanted, payload) VALUES (?, ?, ?, ?, ?)", row
            )
        except sqlite3.IntegrityError:
            raise DataError("Two items have the same id", where=f"{path}: {item.item_id}") from None
        database.executemany("INSERT OR IGNORE INTO pictures VALUES (?)", [(key,) for key in item.pictures])


def _know(database: sqlite3.Connection, annotator: str) -> None:
    database.execute("INSERT OR IGNORE INTO annotators VALUES (?)", (annotator,))


def _keep(database: sqlite3.Connection, label: Label, key: str) -> None:
    """Add a label, make it the current one, and note whether the item is still open for others."""
    _know(database, label.annotator)
    row = (label.item_id, label.annotator, key, json_of(label))
    added = database.execute("INSERT INTO labels (item_id, annotator, key, payload) VALUES (?, ?, ?, ?)", row)
    database.execute(
        "INSERT OR REPLACE INTO current VALUES (?, ?, ?, ?, ?)",
        (label.item_id, label.annotator, added.lastrowid, label.status, label.seconds),
    )
    counted = "SELECT count(*) FROM current WHERE item_id = items.item_id AND status = 'labelled'"
    database.execute(f"UPDATE items SET labelled = ({counted}) WHERE item_id = ?", (label.item_id,))


@contextmanager
def _sentences(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.OperationalError as error:
        raise RunError(f"The review cannot be read or written: {error}", where=str(path),
                       try_="make room on the disk; no label that was confirmed is lost") from error  # fmt: skip
    except sqlite3.DatabaseError as error:
        raise DataError(f"This is no review, or it is damaged: {error}", where=str(path), try_=NOT_OURS) from error
