"""A preference dataset of any form as tables that queries read: one row a pair, and one row a picture.

    dataset = open_dataset("spa-vl/train.parquet", cache=Path(".spavl/pairs"))
    query("SELECT class3, count(*) FROM pairs GROUP BY ALL", pairs=dataset.rows)
    dataset.pairs[7].pictures[0].load()         the row with number 7

Columns of `rows`: `number` (place in the dataset, from 0), `pair_id`, `system`, `earlier` (role, text, keys of
pictures), `images` (keys of the pictures of the last turn), `question`, `chosen`, `rejected`, `context`, `weight`,
`malformed` (why the row is no pair; empty: it is one), `digest` and `swapped_digest`, and those of
`spavl.preferences.about.ABOUT`. Columns of `pictures`: `key`, `missing` (why its bytes are not to be had, or None).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import pyarrow as pa

from spavl.preferences.about import ABOUT, FIELDS
from spavl.preferences.forms import FORMS, Form
from spavl.preferences.pairs import Reading
from spavl.preferences.table import PairTable, open_pairs
from spavl.tables import write_batches
from spavl.tables.query import query

ROWS, PICTURES = "rows.parquet", "pictures.parquet"
"""Files that are added to the folder of a table of pairs."""
SOME = 10_000
"""Pictures of a row group."""
TOGETHER = 8
"""Record batches of the pairs that become one row group."""
TEXTS = ("pair_id", "system", "question", "chosen", "rejected", "context", "malformed")
_TURN = pa.struct([("role", pa.string()), ("text", pa.string()), ("images", pa.list_(pa.string()))])
SCHEMA = pa.schema(
    [
        pa.field("number", pa.int64()),
        *(pa.field(name, pa.string()) for name in TEXTS),
        pa.field("images", pa.list_(pa.string())),
        pa.field("earlier", pa.list_(_TURN)),
        pa.field("weight", pa.float64()),
        pa.field("digest", pa.binary(32)),
        pa.field("swapped_digest", pa.binary(32)),
        *FIELDS,
    ]
)
"""Columns of the rows."""
PICTURE_SCHEMA = pa.schema([("key", pa.string()), ("missing", pa.string())])
"""Columns of the pictures."""


@dataclass(frozen=True, slots=True)
class PreferenceDataset:
    """A preference dataset, opened."""

    name: str
    """The path or Hub id that it was opened by."""
    pairs: PairTable
    """Its pairs by their numbers, each with its pictures."""

    @property
    def folder(self) -> Path:
        """Folder of all that is kept of it; it may be deleted when nobody has it open."""
        return self.pairs.folder

    @property
    def forms(self) -> tuple[Form, ...]:
        """The forms of its files, each once."""
        named = {file["form"] for file in self.pairs.read_as()}
        return tuple(form for form in FORMS if form.name in named)

    @property
    def unread(self) -> tuple[str, ...]:
        """Columns of its files that nothing here reads."""
        return tuple(dict.fromkeys(name for file in self.pairs.read_as() for name in file["unread"]))

    @property
    def rows(self) -> Path:
        """Table with one row a pair."""
        return self.folder / ROWS

    @property
    def pictures(self) -> Path:
        """Table with one row a distinct picture."""
        return self.folder / PICTURES


def open_dataset(
    source: str | Path, *, cache: Path, limit: int | None = None, reading: Reading = Reading()
) -> PreferenceDataset:
    """A dataset of any public form, converted now unless it has been and no file has changed since.

    Args:
        source: a file in one of the public forms, a folder of them, a `datasets` folder, or a dataset on the Hub.
        cache: folder of all converted pairs.
        limit: only the first so many pairs.
        reading: how rows are read.

    Raises:
        DataError: there are no pairs, or a file is not readable, or in none of the forms or in several.
        RunError: the disk is full or the folder cannot be written.
    """
    found = PreferenceDataset(str(source), open_pairs(source, cache=cache, limit=limit, reading=reading))
    with found.pairs.locked():
        if not found.rows.is_file():
            write_batches(found.pictures, PICTURE_SCHEMA, _pictures(found.pairs))
            write_batches(found.rows, SCHEMA, _rows(found.pairs))
    return found


def content_of(dataset: PreferenceDataset) -> str:
    """Names the content of a dataset: equal for equal rows in the same order, with all that they say.

    Args:
        dataset: an open dataset.
    """
    (found,) = query("SELECT count(*) || '-' || coalesce(bit_xor(hash(pairs)), 0) FROM pairs", pairs=dataset.rows)
    return str(found[0])


def _pictures(pairs: PairTable) -> Iterator[pa.Table]:
    left = pairs.pictures()
    while some := list(islice(left, SOME)):
        missing = [picture.key if picture.source is None else None for picture in some]
        yield pa.table([[picture.key for picture in some], missing], schema=PICTURE_SCHEMA)


def _rows(pairs: PairTable) -> Iterator[pa.Table]:
    keys = pairs.picture_keys().combine_chunks()
    start = 0
    left = pairs.batches()
    while several := list(islice(left, TOGETHER)):
        batch = pa.Table.from_batches(several).combine_chunks().to_batches()[0]
        columns = {name: batch.column(name) for name in (*TEXTS, "weight", "digest", "swapped_digest", *ABOUT)}
        columns["number"] = pa.array(range(start, start + batch.num_rows), pa.int64())
        columns["images"] = _named(batch.column("pictures"), keys)
        columns["earlier"] = _named_turns(batch.column("earlier"), keys)
        start += batch.num_rows
        yield pa.table([columns[name] for name in SCHEMA.names], schema=SCHEMA)
        pa.default_memory_pool().release_unused()


def _named(numbers: pa.ListArray, keys: pa.Array) -> pa.ListArray:
    """Lists of keys in place of lists of numbers of pictures."""
    return pa.ListArray.from_arrays(numbers.offsets, keys.take(numbers.values))


def _named_turns(turns: pa.ListArray, keys: pa.Array) -> pa.ListArray:
    """Lists of turns whose pictures are named by their keys."""
    every = turns.values
    fields = [every.field("role"), every.field("text"), _named(every.field("pictures"), keys)]
    return pa.ListArray.from_arrays(turns.offsets, pa.StructArray.from_arrays(fields, fields=list(_TURN)))
