"""What is wrong with the rows and pictures of a benchmark: all of it is counted before any call, and told at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final, final

from spavl.config.evaluate import MissingPictures
from spavl.errors import DataError
from spavl.evaluate.item import Item, with_pictures
from spavl.pictures import check_picture, file_sha256
from spavl.records import ImageRef

SHOWN: Final = 5
"""Most rows and most pictures that a message names; the others are counted."""
UNREAD: Final = ""
"""Hash of a picture whose file has not been read yet, or cannot be."""


@final
class Findings:
    """The findings on one benchmark.

    Args:
        where: its file or folder.
        missing_pictures: what is done about pictures that are missing or cannot be read.
    """

    def __init__(self, where: Path, missing_pictures: MissingPictures) -> None:
        self._where = where
        self._missing_pictures = missing_pictures
        self._rows: list[str] = []
        self._bad_rows = 0
        self._read = 0
        self._hashes: dict[Path, str] = {}
        self._missing: dict[Path, str] = {}

    @contextmanager
    def row(self, where: str) -> Iterator[None]:
        """Note what the block raises of a row, and go on with the next.

        Args:
            where: file and place of the row.
        """
        self._read += 1
        try:
            yield
        except DataError as error:
            self.note(error.what, where, error.try_)

    def note(self, what: str, where: str, try_: str = "") -> None:
        """Note what is wrong with a row.

        Args:
            what: the sentence.
            where: file and place of the row.
            try_: what mends it.
        """
        self._bad_rows += 1
        if self._bad_rows <= SHOWN:
            self._rows.append(f"  {where}: {what}" + (f" ({try_})" if try_ else ""))

    def refuse_rows(self) -> None:
        """Refuse the benchmark if a row is wrong.

        Raises:
            DataError: with the number of wrong rows and the first of them.
        """
        if self._bad_rows:
            raise DataError(
                f"Rows that cannot be used: {self._bad_rows:,} of {self._read:,}\n"
                + _listed(self._rows, self._bad_rows),
                where=str(self._where), try_="mend these rows; nothing was asked",
            )  # fmt: skip

    def resolve(self, items: Sequence[Item]) -> tuple[Item, ...]:
        """The items with the hashes of their pictures, each file read once.

        With `missing_pictures: skip` an item that lacks one says so, and is never asked.

        Args:
            items: their pictures named by path.

        Raises:
            DataError: pictures are missing or cannot be read, and `missing_pictures` is `refuse`.
        """
        resolved = tuple(self._resolved(item) for item in items)
        if self._missing and self._missing_pictures == "refuse":
            lines = [f"  {path}: {why}" for path, why in list(self._missing.items())[:SHOWN]]
            every = len(self._missing) + len(self._hashes)
            raise DataError(
                f"Pictures that are missing or cannot be read: {len(self._missing):,} of {every:,}\n"
                + _listed(lines, len(self._missing)),
                where=str(self._where),
                try_="put them there; or go on without them by `evaluate.missing_pictures=skip`: "
                "their items are then counted and unread",
            )
        return resolved

    def _resolved(self, item: Item) -> Item:
        if not item.pictures:
            return item
        found = [self._picture(image) for image in item.pictures]
        lost = next((image.path for image in found if image.sha256 == UNREAD), None)
        missing = "" if lost is None else f"{lost.name}: {self._missing[lost]}"
        return replace(with_pictures(item, tuple(found), item.shown), missing=missing or item.missing)

    def _picture(self, image: ImageRef) -> ImageRef:
        if image.sha256 != UNREAD:
            return image
        path = image.path
        if path not in self._hashes and path not in self._missing:
            try:
                check_picture(path)
                self._hashes[path] = file_sha256(path)
            except DataError as error:
                self._missing[path] = error.what
        return replace(image, sha256=self._hashes.get(path, UNREAD))


def _listed(lines: Sequence[str], count: int) -> str:
    more = [f"  and {count - len(lines):,} more"] if count > len(lines) else []
    return "\n".join([*lines, *more])
