"""Our own form of a preference dataset: Parquet in the Hub schema of `sqrti/SPA-VL`, with all that a pair may hold.

The published columns come first (`image`, a struct of bytes and path; `question`, `chosen`, `rejected`). Then those of
`spavl.preferences.about`, and `pair_id`, `image_sha256` (of the first picture), `system`, `weight`, `images` (the
pictures of the question after the first), and `earlier` (turns before the question: role, text, images). The metadata
lets `datasets` decode all pictures. What is written is read back the same by `spavl.preferences.pairs`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa

from spavl.errors import DataError
from spavl.pictures import FileSlice, Picture
from spavl.preferences.about import ABOUT, FIELDS
from spavl.preferences.messages import is_messages
from spavl.preferences.pairs import Pair
from spavl.preferences.picture_values import why_missing

_PICTURE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
_TURN = pa.struct([("role", pa.string()), ("text", pa.string()), ("images", pa.list_(_PICTURE))])
_TEXTS = ("question", "chosen", "rejected", "pair_id", "image_sha256", "system")
_FIELDS = (
    pa.field("image", _PICTURE),
    *(pa.field(name, pa.string()) for name in _TEXTS[:3]),
    *(field for field in FIELDS),
    *(pa.field(name, pa.string()) for name in _TEXTS[3:]),
    pa.field("weight", pa.float64()),
    pa.field("images", pa.list_(_PICTURE)),
    pa.field("earlier", pa.list_(_TURN)),
)
GROUP_ROWS, GROUP_PICTURES = 10_000, 1_000
"""Most rows of a row group, and most pictures, but for a single row of more."""
REMEMBERED = 8
"""Picture files whose bytes are remembered while rows are written."""
GROUP_BYTES = 60 * 2**20
"""Bytes of pictures and texts that a row group holds at most, but for a single row of more."""
_SUFFIXES = {b"\x89PNG": ".png", b"GIF8": ".gif", b"RIFF": ".webp", b"BM": ".bmp", b"II*\0": ".tiff",
             b"MM\0*": ".tiff"}  # fmt: skip
"""End of a picture's name by its first bytes; else that of JPEG."""


def _feature(kind: pa.DataType) -> Any:
    """A column's type as `datasets` writes it."""
    if kind == _PICTURE:
        return {"_type": "Image"}
    if isinstance(kind, pa.StructType):
        return {field.name: _feature(field.type) for field in kind}
    if isinstance(kind, pa.ListType) and isinstance(kind.value_type, pa.StructType) and kind.value_type != _PICTURE:
        return [_feature(kind.value_type)]
    if isinstance(kind, pa.ListType):
        return {"feature": _feature(kind.value_type), "_type": "Sequence"}
    return {"dtype": {"double": "float64"}.get(str(kind), str(kind)), "_type": "Value"}


SCHEMA = pa.schema(
    _FIELDS,
    metadata={"huggingface": json.dumps({"info": {"features": {one.name: _feature(one.type) for one in _FIELDS}}})},
)
"""Columns of a file."""


def unwritable(pair: Pair) -> str:
    """Why a pair cannot stand in such a file and be read back the same; empty: it can.

    Args:
        pair: any pair.
    """
    if pair.malformed:
        return pair.malformed
    for picture in pair.all_pictures:
        if reason := why_missing(picture):
            return reason
    if any(map(is_messages, (pair.question, pair.chosen, pair.rejected))):
        return "a text is itself a message as JSON, and would be read as one"
    return ""


def batches_of(pairs: Iterable[Pair]) -> Iterator[pa.Table]:
    """Row groups of such a file, for `spavl.tables.write_batches`; no more than one of them is held.

    Args:
        pairs: pairs that are not `unwritable`.

    Raises:
        DataError: a picture's file cannot be read.
    """
    rows: list[dict[str, Any]] = []
    size = pictures = 0
    remembered = lru_cache(REMEMBERED)(picture_cell)  # pairs of one picture stand together
    for pair in pairs:
        row, more = _row(pair, lambda one: (remembered if isinstance(one.source, Path) else picture_cell)(one))
        size, pictures = size + more, pictures + len(pair.all_pictures)
        if rows and (len(rows) == GROUP_ROWS or size > GROUP_BYTES or pictures > GROUP_PICTURES):
            yield pa.Table.from_pylist(rows, schema=SCHEMA)
            rows, size, pictures = [], more, len(pair.all_pictures)
        rows.append(row)
    if rows:
        yield pa.Table.from_pylist(rows, schema=SCHEMA)


def _row(pair: Pair, cell_of: Callable[[Picture], dict[str, Any]]) -> tuple[dict[str, Any], int]:
    """A row, and its bytes."""
    every = [cell_of(picture) for picture in pair.all_pictures]
    left = iter(every)
    earlier = [
        {"role": turn.role, "text": turn.text, "images": list(islice(left, len(turn.pictures)))}
        for turn in pair.earlier
    ]
    cells = list(left)
    said = {name: pair.about.get(name) for name in ABOUT}
    row = {
        "image": cells[0] if cells else None, "images": cells[1:], "earlier": earlier, "weight": pair.weight,
        "image_sha256": pair.pictures[0].key if pair.pictures else None, "pair_id": pair.pair_id,
        "question": pair.question, "chosen": pair.chosen, "rejected": pair.rejected, "system": pair.system, **said,
    }  # fmt: skip
    texts = (pair.question, pair.chosen, pair.rejected, pair.system, *(turn.text for turn in pair.earlier))
    return row, sum(map(len, texts)) + sum(len(cell["bytes"]) for cell in every)


def picture_cell(picture: Picture) -> dict[str, Any]:
    """A picture as a struct of bytes and the name of its file.

    Args:
        picture: any picture with a file.

    Raises:
        DataError: its file cannot be read.
    """
    content = _bytes(picture)
    name = picture.source.name.encode("utf-8", "replace").decode() if isinstance(picture.source, Path) else None
    suffix = next((end for start, end in _SUFFIXES.items() if content.startswith(start)), ".jpg")
    return {"bytes": content, "path": name or f"{picture.key[:16]}{suffix}"}


def _bytes(picture: Picture) -> bytes:
    source = picture.source
    try:
        if isinstance(source, FileSlice):
            return source.read()
        if isinstance(source, Path):
            return source.read_bytes()
    except OSError as error:
        raise DataError(
            f"A picture cannot be read: {error.strerror}", where=str(source), try_="look at its rights, and run again"
        ) from error
    if not isinstance(source, bytes):
        raise DataError("There is no file of this picture", where=f"picture {picture.key}")
    return source
