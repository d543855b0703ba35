"""What people said of one item, read from the file of a review that others may write to: nothing is opened to write."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

from spavl.labels.database import address_of, errors_named
from spavl.labels.plain import label_of
from spavl.labels.record import Label, current_labels

SAID = "SELECT payload FROM labels WHERE item_id = ? ORDER BY number"


def labels_of_item(path: Path, item_id: str) -> list[Label]:
    """The last label of every annotator of an item.

    Args:
        path: the database of a review.
        item_id: the item; an item that the review lacks has none.

    Raises:
        RunError: the file cannot be read.
        DataError: it is damaged.
    """
    address = address_of(path, may_write=False)
    with errors_named(path), closing(sqlite3.connect(address, uri=True)) as database:
        rows = database.execute(SAID, (item_id,)).fetchall()
    return current_labels(label_of(json.loads(payload), where=str(path)) for (payload,) in rows)
