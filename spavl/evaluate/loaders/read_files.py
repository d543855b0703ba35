"""What loaders read in a row: fields that must be there, and pictures by path or inside the file."""

from __future__ import annotations

import binascii
import re
from base64 import b64decode
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from spavl.errors import DataError
from spavl.evaluate.loaders.findings import UNREAD
from spavl.evaluate.pictures import store_picture
from spavl.pictures import read_header
from spavl.records import ImageRef
from spavl.rows import brief, is_short, listed

Fields = Mapping[str, Any]
"""A row by column or field."""
LONGEST_PATH = 400
"""Longer text in a cell of a picture is the picture itself, in base64."""
_DATA_URL = re.compile(r"data:[\w/+.-]+;base64,")


def require(row: Fields, names: Iterable[str], where: str = "") -> None:
    """Check that a row has these fields.

    Args:
        row: the row.
        names: fields that must be there and not null.
        where: file and place of the row, for the message.

    Raises:
        DataError: a field is missing; the message names those that are there.
    """
    missing = [name for name in names if row.get(name) is None]
    if missing:
        has = listed((name for name in sorted(row) if row[name] is not None), "`") or "no field at all"
        raise DataError(f"The field `{missing[0]}` is missing; the row has {has}", where=where)


def text_of(row: Fields, name: str, where: str = "") -> str:
    """A field that is text and not empty.

    Args:
        row: the row.
        name: of the field.
        where: file and place of the row, for the message.

    Raises:
        DataError: it is missing, empty, or no text.
    """
    require(row, (name,), where)
    if not isinstance(row[name], str):
        raise DataError(f"The field `{name}` is text, not {brief(row[name])}", where=where)
    if not row[name].strip():
        raise DataError(f"The field `{name}` is empty", where=where)
    return str(row[name])


def picture_at(folder: Path, name: str) -> ImageRef:
    """A picture by its path relative to a folder; whether it is there is found out later, of all pictures together.

    Args:
        folder: folder of the benchmark's pictures.
        name: the path; a URL is no path.

    Raises:
        DataError: it is a URL or no path at all, or leads out of the folder.
    """
    if re.match(r"[a-z][a-z0-9+.-]+://", name):
        raise DataError("A picture is named by a web address, and nothing is downloaded", try_="download it first")
    try:
        if not is_short(name) and not (folder / name).exists():
            raise DataError(f"The picture is named by {brief(name)}, and there is no such file")
        path = (folder / name).resolve()
    except (OSError, ValueError, RuntimeError):
        raise DataError(f"The picture is named by {brief(name)}, which is no path") from None
    if not path.is_relative_to(folder.resolve()) and not _in_hub_cache(path, folder.resolve()):
        raise DataError(f"The picture {brief(name)} lies outside its folder {folder}")
    return ImageRef(path, UNREAD)


def _in_hub_cache(file: Path, folder: Path) -> bool:
    """Whether a folder is of a snapshot in the Hub's cache, whose files are links into `blobs`, and the file is there.

    Args:
        file: what the link leads to.
        folder: the folder of the link.
    """
    parts = folder.parts
    return "snapshots" in parts and file.parent == Path(*parts[: parts.index("snapshots")], "blobs")


def picture_of(cell: Any, folder: Path, pictures: Path) -> ImageRef | None:
    """A picture as a cell holds it; None for an empty cell.

    Args:
        cell: a path; a picture's bytes, or these in base64; or `{"bytes", "path"}`, as the Hub stores pictures.
        folder: that paths are relative to.
        pictures: folder for pictures that come inside the file, written there under the hash of their bytes.

    Raises:
        DataError: it is none of these, no picture, or a path that leads out of the folder.
        RunError: the picture cannot be written.
    """
    if isinstance(cell, dict):
        cell = cell.get("bytes") or cell.get("path")
    if isinstance(cell, str) and (len(cell) > LONGEST_PATH or _DATA_URL.match(cell)):
        cell = _decoded(cell)
    if cell is None or cell == "" or cell == b"":
        return None
    if isinstance(cell, str):
        return picture_at(folder, cell)
    if not isinstance(cell, bytes):
        raise DataError(f"A picture is a path, its bytes or base64, not {brief(cell)}")
    read_header(cell, name="the picture in this row")
    return store_picture(cell, pictures)


def _decoded(text: str) -> bytes:
    try:
        return b64decode("".join(_DATA_URL.sub("", text, count=1).split()), validate=True)
    except binascii.Error:
        raise DataError(f"This is neither a path nor a picture in base64: {brief(text)}") from None
