"""Pictures as the cells of a file hold them: bytes, base64, a struct of bytes and path, or a path."""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from spavl.errors import DataError
from spavl.pictures import Picture
from spavl.preferences.messages import RowError
from spavl.rows import brief, is_short

FOLDER = "images"
"""Folder candidates a file in which its pictures may lie."""
LONGEST = 255
"""Bytes of the longest name that file systems take."""
REMEMBERED = 8
"""Pictures of which is remembered whether they can be opened: pairs of one picture stand together."""
_STARTS = (b"\xff\xd8\xff", b"\x89PNG", b"GIF8", b"RIFF", b"BM", b"II*\x00", b"MM\x00*")
"""First bytes of the formats that are opened."""
_BASE64 = re.compile(r"[A-Za-z0-9+/\s]{64,}={0,2}\s*")
_DATA = re.compile(r"data:[^,]{0,100};base64,")
_ABSOLUTE = re.compile(r"/|\\|[A-Za-z]:[\\/]")
OTHER_KEYS = ("url", "image", "image_url", "image_path", "file_name", "src", "base64")
"""Keys of a struct that hold a path, an address or base64 where there is neither `bytes` nor `path`."""
GONE = "missing:"
"""How the key of a picture begins whose file is not there; the reason follows."""
OUTSIDE = "outside:"
"""How the key of a picture begins whose path leads out of the file's folder."""
NOT_THERE = "the file of a picture is not there"
"""Why most missing pictures are not to be had."""
_REMOTE = "is an address, and pictures are not downloaded"
KeyOf = Callable[[Path], str]
"""The key of the picture in a file."""


def picture_of(value: Any, base: Path | None, key_of: KeyOf, *, tails: bool = False) -> Picture | None:
    """A picture with the key of its content; None where nothing is named.

    Args:
        value: the cell.
        base: folder of the file; None where it has none.
        key_of: gives the key of the picture in a file.
        tails: whether of a relative path the last parts count too, as they do of an absolute one: folders that stand
            before the name in a file are often not there where its pictures lie.

    Raises:
        RowError: the cell holds something else.
    """
    name = None
    if isinstance(value, Mapping):
        value, name = _from_mapping(value)
    if isinstance(value, str):
        value, name = _from_text(value)
    if isinstance(value, bytes) and value:
        return Picture(hashlib.sha256(value).hexdigest(), value)
    if isinstance(name, str) and name:
        return _from_path(name, base, key_of, tails)
    if value is None and name is None:
        return None
    if value == b"" and name is None:
        return Picture(f"{GONE}the cell holds no bytes of a picture", None)
    raise RowError(f"a picture is of type {type(name if value is None else value).__name__}, not bytes or a path")


def _from_mapping(cell: Mapping[str, Any]) -> tuple[Any, Any]:
    """Bytes and path of a struct; an address or a path that has another name there; (None, None): it is empty."""
    value, name = cell.get("bytes"), cell.get("path")
    if value is not None or name is not None or not any(one is not None for one in cell.values()):
        return value, name
    other = next((cell[key] for key in OTHER_KEYS if isinstance(cell.get(key), str)), None)
    if other is None:
        raise RowError(f"a picture is {brief(cell)}, and not one with bytes or a path")
    return other, None


def _from_text(text: str) -> tuple[bytes | None, str | None]:
    """The bytes that a text holds as base64, or else the path that it is."""
    start = _DATA.match(text)
    if start is None and not _BASE64.fullmatch(text):
        return None, text
    try:
        content = base64.b64decode(text[start.end() if start else 0 :])
    except (binascii.Error, ValueError):
        content = b""
    if start or content.startswith(_STARTS):
        return content, None
    return None, text


def _from_path(name: str, base: Path | None, key_of: KeyOf, with_tails: bool) -> Picture:
    """The picture of a path: as it stands, or beside the file. No relative path leads out of the file's folder."""
    if re.match(r"\w+://", name):
        return Picture(f"{GONE}{name} {_REMOTE}", None)
    if "\0" in name or any(len(part.encode()) > LONGEST for part in re.split(r"[\\/]", name)):
        return Picture(f"{GONE}a text of {len(name):,} letters is neither a path nor a picture in base64", None)
    path = Path(name)
    if not is_short(name) and not is_there(path if base is None else base / name):
        return Picture(f"{GONE}{brief(name)} names no file", None)
    if path.is_absolute() and is_there(path):
        return Picture(key_of(path), path)
    candidates = _candidates(name, base, with_tails) if base is not None else []
    for one in candidates:
        if is_there(one):
            return Picture(key_of(one), one)
    if not candidates and base is not None:
        return Picture(f"{OUTSIDE}{name} leads out of {base}", None)
    if base is None:
        return Picture(f"{GONE}no file {name}", path if path.is_absolute() else None)
    for one in candidates:
        key_of(one)
    looked = " and ".join(str(one) for one in ([path] if path.is_absolute() else []) + candidates[-2:])
    return Picture(f"{GONE}no file {name}: looked for {looked}", path if path.is_absolute() else candidates[0])


def _candidates(name: str, base: Path, with_tails: bool) -> list[Path]:
    """Where the file of a path may lie in a folder; of an absolute path of another machine, its last parts count.

    No `..` leads out of the folder. A link in it may: the Hub's own cache consists of links.
    """
    root, tails = base.resolve(), [name]
    absolute = _ABSOLUTE.match(name)
    if not absolute and not _inside(root, name).is_relative_to(root):
        return []
    if absolute or with_tails:
        names = [part for part in re.split(r"[\\/]", name) if part not in ("", ".", "..")]
        tails = ["/".join(names[number:]) for number in range(len(names))]
    every = [_inside(root, tail) for tail in (*tails, f"{FOLDER}/{tails[-1]}")]
    return [path for path in every if path.is_relative_to(root)]


def _inside(root: Path, name: str) -> Path:
    """A path in a folder without its `.` and `..`; links are not followed."""
    return Path(os.path.normpath(root / name))


def is_there(path: Path) -> bool:
    """Whether there is a file; no, where a path is too long for one or its folder may not be looked into.

    Args:
        path: any path.
    """
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def why_missing(picture: Picture) -> str:
    """Why a picture is not to be had, in words that are the same for all such pictures; empty: it is.

    Its file must be a picture by its header. Else a path in a dataset of others could bring any file of this machine
    into the rows, and what nobody can open would only be found in training.

    Args:
        picture: of `picture_of`.
    """
    if not picture.missing:
        return _why_unreadable(picture)
    if picture.key.startswith(OUTSIDE):
        return "the path of a picture leads out of the folder of pictures"
    if picture.key.endswith(_REMOTE):
        return "a picture is an address, and none is downloaded"
    return NOT_THERE


@lru_cache(REMEMBERED)
def _why_unreadable(picture: Picture) -> str:
    try:
        if isinstance(picture.source, Path) and not picture.source.stat().st_size:
            return "the file of a picture is empty"
        picture.size()
    except (DataError, OSError):
        return "a picture cannot be opened"
    return ""
