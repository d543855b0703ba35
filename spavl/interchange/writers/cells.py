"""Pictures of rows that are written: as files named by their content, or as bytes inside the rows."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, final

from spavl.errors import DataError
from spavl.pictures import FileSlice, Picture, read_header

FOLDER = "images"
"""Folder of the pictures beside the rows."""
SUFFIXES: Mapping[str, str] = {
    "JPEG": ".jpg", "MPO": ".jpg", "PNG": ".png", "WEBP": ".webp", "GIF": ".gif", "BMP": ".bmp", "TIFF": ".tif",
}  # fmt: skip
"""How a file's name ends, by Pillow's name of its format."""


class Refused(Exception):
    """A row cannot be written in this form.

    Args:
        reason: why, in a few words without a text of the row; equal for rows with the same fault.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def picture_file(picture: Picture) -> tuple[str, bytes]:
    """The name of a picture's file, the hash of its bytes, and the bytes.

    Args:
        picture: of a dataset.

    Raises:
        Refused: there are no bytes, or they are no picture that can be opened.
    """
    source = picture.source
    try:
        if isinstance(source, FileSlice):
            data = source.read()
        elif isinstance(source, Path):
            data = source.read_bytes()
        else:
            raise Refused("a picture of it is not there")
        kind = read_header(data).kind
    except OSError:
        raise Refused("a picture of it is not there") from None
    except DataError:
        raise Refused("a picture of it cannot be opened") from None
    return hashlib.sha256(data).hexdigest() + SUFFIXES[kind], data


@final
class PictureFiles:
    """Writes each picture once, as a file beside the rows; its cell is the path relative to them.

    A folder holds the files whose names begin with the same two digits: neither file systems nor the Hub like a folder
    of a million files.

    Args:
        folder: of the rows.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._names: dict[str, str] = {}

    def __call__(self, picture: Picture) -> str:
        """The path of a picture's file; it is written where it is new.

        Args:
            picture: of a dataset.

        Raises:
            Refused: it is not there, or cannot be opened.
        """
        name = self._names.get(picture.key)
        if name is None:
            file, data = picture_file(picture)
            name = f"{FOLDER}/{file[:2]}/{file}"
            path = self._folder / name
            if not path.exists():
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(data)
            self._names[picture.key] = name
        return name


@final
class PictureBytes:
    """Cells with a picture's bytes and the name of its file, as `datasets` keeps them."""

    def __init__(self) -> None:
        self._last: tuple[str, dict[str, Any]] = ("", {})

    def __call__(self, picture: Picture) -> dict[str, Any]:
        """The cell of a picture; rows about one picture, which stand together, read it once.

        Args:
            picture: of a dataset.

        Raises:
            Refused: it is not there, or cannot be opened.
        """
        if picture.key != self._last[0]:
            name, data = picture_file(picture)
            self._last = picture.key, {"bytes": data, "path": name}
        return self._last[1]
