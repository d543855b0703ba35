"""The pictures of a review: where the bytes of each are, by its key; the database of the review knows keys alone."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from spavl.atomic import write_json
from spavl.errors import DataError
from spavl.pictures import FileSlice, Picture
from spavl.rows import brief

PICTURES = "pictures.json"
"""Name of the file in the folder of a review."""


def place_of(picture: Picture) -> list[str | int] | None:
    """Where the bytes of a picture are, as plain data; None where they are not to be had.

    Args:
        picture: of a file, or of a part of one.
    """
    source = picture.source
    if isinstance(source, FileSlice):
        return [str(source.path.resolve()), source.start, source.length]
    return [str(source.resolve())] if isinstance(source, Path) else None


class PictureIndex:
    """Where the pictures of a review are; opened again after they were moved, it says so picture by picture.

    Args:
        folder: of the review.

    Raises:
        DataError: the file is damaged.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        path = folder / PICTURES
        try:
            self._places: dict[str, list[str | int] | None] = json.loads(path.read_text("utf-8"))
        except FileNotFoundError:
            self._places = {}
        except ValueError as error:
            raise DataError("The list of the review's pictures is damaged", where=str(path),
                            try_="draw the review anew; its labels can be imported") from error  # fmt: skip

    @staticmethod
    def write(folder: Path, places: Mapping[str, list[str | int] | None]) -> None:
        """Write where the pictures are.

        Args:
            folder: of the review.
            places: from `place_of`, by key.

        Raises:
            RunError: the disk is full.
        """
        write_json(folder / PICTURES, dict(places))

    def __len__(self) -> int:
        """The number of pictures."""
        return len(self._places)

    def picture_of(self, key: str) -> Picture:
        """A picture of the review.

        Args:
            key: as items have it.

        Raises:
            DataError: no item has such a picture.
        """
        if key not in self._places:
            raise DataError(f"No item of this review has the picture {brief(key)}", where=str(self._folder))
        place = self._places[key]
        if not place:
            return Picture(key, None)
        path, *part = place
        return Picture(key, FileSlice(Path(str(path)), int(part[0]), int(part[1])) if part else Path(str(path)))
