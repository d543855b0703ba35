"""Pictures as every model gets them: upright, RGB, opened only as one of the formats that are safe."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from PIL import Image, ImageOps

from spavl.errors import DataError

PICTURE_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")
"""Formats that are tried on a picture's bytes, wherever they come from. Without such a list Pillow tries all it knows,
and would hand PostScript to Ghostscript, which runs it as a program. (A telephone's MPO is read as the JPEG that it
begins with.)"""
GREY = (127, 127, 127)
"""RGB value of the blank picture."""
_ORIENTATION = 0x0112
"""The EXIF tag of the camera's orientation; 5 to 8 are turned by a quarter."""


@dataclass(frozen=True, slots=True)
class FileSlice:
    """A file that is kept inside another one, among many."""

    path: Path
    """The file that holds it."""
    start: int
    """Where it begins."""
    length: int
    """Its bytes."""

    def read(self) -> bytes:
        """All of it; what Python raises over the file is left to the caller."""
        with self.path.open("rb") as file:
            file.seek(self.start)
            return file.read(self.length)


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture by its key (equal key, equal picture) and where its bytes are."""

    key: str
    """Identifies its content."""
    source: Path | bytes | FileSlice | Image.Image | None
    """Path of its file, the file's bytes, where these are kept, or the picture already opened (taken to be upright);
    None: it is named, and not to be had."""

    @property
    def missing(self) -> bool:
        """Whether there is no file of it."""
        return self.source is None or (isinstance(self.source, Path) and not self.source.is_file())

    def load(self) -> Image.Image:
        """The picture, upright, in RGB.

        Raises:
            DataError: it cannot be read.
        """
        if isinstance(self.source, Image.Image):
            return self.source.convert("RGB")
        try:
            return open_upright(self._file())
        except (OSError, SyntaxError, Image.DecompressionBombError) as error:
            raise DataError(f"cannot read picture: {error}", where=self._name()) from error

    def size(self) -> tuple[int, int]:
        """Width and height in pixels, upright, from the file's header alone.

        Raises:
            DataError: it cannot be read.
        """
        if isinstance(self.source, Image.Image):
            return self.source.size
        try:
            with Image.open(self._file(), formats=PICTURE_FORMATS) as image:
                turned = image.getexif().get(_ORIENTATION, 1) >= 5
                return image.size[::-1] if turned else image.size
        except (OSError, SyntaxError, Image.DecompressionBombError) as error:
            raise DataError(f"cannot read picture: {error}", where=self._name()) from error

    def _file(self) -> Path | BytesIO:
        if isinstance(self.source, Path):
            return self.source
        if self.source is None:
            raise FileNotFoundError("there is no such file")
        assert not isinstance(self.source, Image.Image)
        return BytesIO(self.source.read() if isinstance(self.source, FileSlice) else self.source)

    def _name(self) -> str:
        return str(self.source) if isinstance(self.source, Path) else f"picture {self.key}"


def open_upright(file: Path | BytesIO) -> Image.Image:
    """The picture in a file, upright, in RGB. What Pillow raises is left to the caller.

    Args:
        file: a path, or an open file.
    """
    with Image.open(file, formats=PICTURE_FORMATS) as image:
        return ImageOps.exif_transpose(image).convert("RGB")


def grey_picture(size: tuple[int, int]) -> Image.Image:
    """A grey RGB picture, which the blind controls put in place of a real one.

    Args:
        size: width and height in pixels.
    """
    return Image.new("RGB", size, GREY)


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal digits; what Python raises over the file is left to the caller.

    Args:
        path: the file, read in pieces.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
