"""The order in which items are shown: how they are laid into the database, and the queries that choose the next one."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable
from pathlib import Path

from spavl.errors import DataError
from spavl.labels.plain import plain_item
from spavl.labels.record import Item
from spavl.rows import brief

_OPEN = """
SELECT i.position, i.item_id, i.given, i.wanted,
    (SELECT count(*) FROM leases l WHERE l.item_id = i.item_id AND l.annotator <> :annotator AND l.until > :now)
FROM items i WHERE i.position >= :start AND i.given < i.wanted
"""
_MINE = """
    AND NOT EXISTS (
        SELECT 1 FROM last_labels c
        WHERE c.annotator = :annotator AND c.item_id = i.item_id AND c.status <> 'withdrawn'
    )
    AND NOT EXISTS (
        SELECT 1 FROM opted_out o WHERE o.annotator = :annotator AND o.category IN (i.class1, i.class2, i.class3)
    )
"""
NEXT = f"{_OPEN} {_MINE} ORDER BY i.position"
LEFT = """
SELECT (SELECT count(*) FROM items i WHERE i.position >= :start AND i.given < i.wanted)
    - (SELECT count(*) FROM last_labels c JOIN items i USING (item_id)
       WHERE c.annotator = :annotator AND c.status <> 'withdrawn' AND i.position >= :start AND i.given < i.wanted)
    - (SELECT count(DISTINCT i.position) FROM opted_out o
       CROSS JOIN items i ON o.category IN (i.class1, i.class2, i.class3)  -- most opt out of nothing: that first
       WHERE o.annotator = :annotator AND i.position >= :start AND i.given < i.wanted AND NOT EXISTS (
           SELECT 1 FROM last_labels c
           WHERE c.annotator = :annotator AND c.item_id = i.item_id AND c.status <> 'withdrawn'
       ))
"""
SECONDS = """
SELECT json_extract(l.payload, '$.seconds') FROM last_labels c JOIN labels l USING (number)
WHERE c.annotator = ? AND c.status = 'labelled' ORDER BY c.number DESC LIMIT ?
"""
LAST = """
INSERT INTO last_labels (annotator, item_id, number, status) VALUES (?, ?, ?, ?)
ON CONFLICT DO UPDATE SET number = excluded.number, status = excluded.status
"""
REOPEN = "UPDATE annotators SET start = min(start, ?)"


def fill(db: sqlite3.Connection, items: Iterable[Item], overlap: float, annotators: int, path: Path) -> int:
    """Write the items of a review in their order. Returns their number.

    Args:
        db: a database that is laid out.
        items: in the order in which they are shown.
        overlap: share of them, spread evenly, that several annotators label.
        annotators: how many those are.
        path: of the review, for errors.

    Raises:
        DataError: two have the same id.
    """
    count = 0
    for item in items:
        several = int((count + 1) * overlap) > int(count * overlap)
        classes = [item.about.get(level, "") for level in ("class1", "class2", "class3")]
        row = (count, item.item_id, item.kind, item.stratum, *classes, annotators if several else 1)
        try:
            db.execute(
                "INSERT INTO items (position, item_id, kind, stratum, class1, class2, class3, wanted)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row,
            )  # fmt: skip
        except sqlite3.IntegrityError:
            raise DataError(f"Two items have the id {brief(item.item_id)}", where=str(path)) from None
        payload = json.dumps(plain_item(item), ensure_ascii=False)
        db.execute("INSERT INTO contents VALUES (?, ?)", (count, payload))
        count += 1
    return count
