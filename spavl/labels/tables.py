"""The tables of a review's database, and the queries that choose what is shown next."""

from __future__ import annotations

FORMAT = 1
"""Version of the tables, kept in the file's `user_version`."""
APPLICATION = 0x53504C52
"""The file's `application_id`: SPLR."""
TABLES = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE items (
    position INTEGER PRIMARY KEY,        -- order in which items are shown
    item_id TEXT NOT NULL UNIQUE,
    category TEXT NOT NULL,              -- by which annotators opt out
    wanted INTEGER NOT NULL,             -- how many annotators are to label it; 0: all
    labelled INTEGER NOT NULL DEFAULT 0, -- how many have
    payload TEXT NOT NULL                -- the item, JSON
);
CREATE INDEX open_items ON items (position) WHERE wanted = 0 OR labelled < wanted;
CREATE INDEX open_categories ON items (category, item_id) WHERE wanted = 0 OR labelled < wanted;
CREATE TABLE pictures (key TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE annotators (name TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE opted_out (annotator TEXT, category TEXT, PRIMARY KEY (annotator, category)) WITHOUT ROWID;
CREATE TABLE labels (                    -- never changed
    id INTEGER PRIMARY KEY,
    item_id TEXT NOT NULL,
    annotator TEXT NOT NULL,
    key TEXT NOT NULL UNIQUE,            -- of the page on which it was given
    payload TEXT NOT NULL                -- the label, JSON
);
CREATE TABLE current (                   -- the last label of every annotator and item
    item_id TEXT, annotator TEXT, label INTEGER NOT NULL, status TEXT NOT NULL, seconds REAL NOT NULL,
    PRIMARY KEY (item_id, annotator)
) WITHOUT ROWID;
CREATE INDEX current_by_annotator ON current (annotator, status, seconds);
CREATE TABLE leases (annotator TEXT PRIMARY KEY, item_id TEXT NOT NULL, expires REAL NOT NULL) WITHOUT ROWID;
CREATE INDEX leases_by_item ON leases (item_id);
"""
_FREE = """
FROM items WHERE (wanted = 0 OR labelled < wanted)
    AND NOT EXISTS (SELECT 1 FROM current c WHERE c.item_id = items.item_id AND c.annotator = :annotator
                    AND c.status <> 'withdrawn')
    AND NOT EXISTS (SELECT 1 FROM opted_out o WHERE o.annotator = :annotator AND o.category = items.category)
    AND (wanted = 0 OR labelled + (SELECT count(*) FROM leases l WHERE l.item_id = items.item_id
                                   AND l.annotator <> :annotator AND l.expires > :now) < wanted)
"""
_MINE = "item_id = (SELECT item_id FROM leases WHERE annotator = :annotator)"
NEXT = f"""
SELECT item_id, payload FROM (
    SELECT item_id, payload, 1 AS mine {_FREE} AND {_MINE}
    UNION ALL SELECT * FROM (SELECT item_id, payload, 0 AS mine {_FREE} ORDER BY position LIMIT 1)
) ORDER BY mine DESC LIMIT 1
"""
"""The item that an annotator has leased, else the first one that is free for them."""
PROGRESS = """
SELECT count(*) FILTER (WHERE status = 'labelled'), count(*) FILTER (WHERE status = 'skipped') FROM current
WHERE annotator = :annotator
"""
OPEN_LEFT = """
WITH wide AS (SELECT item_id FROM items WHERE (wanted = 0 OR labelled < wanted)
    AND category NOT IN (SELECT category FROM opted_out WHERE annotator = :annotator))
SELECT (SELECT count(*) FROM wide)
    - (SELECT count(*) FROM current JOIN wide USING (item_id) WHERE annotator = :annotator AND status <> 'withdrawn')
"""
"""Items that an annotator may still be shown, those among them that others have leased."""
MEDIAN = "SELECT seconds FROM current WHERE annotator = ? AND status = 'labelled' ORDER BY seconds LIMIT 1 OFFSET ?"
