"""Pictures as an endpoint is sent them: in a format that servers read, as small as the settings ask, encoded once."""

from __future__ import annotations

import threading
from binascii import b2a_base64
from collections import OrderedDict
from io import BytesIO
from math import sqrt
from typing import Final, final

from PIL import Image

from spavl.config.models import PictureSettings
from spavl.errors import DataError
from spavl.pictures import PICTURE_FORMATS, open_upright
from spavl.records import ImageRef

SENT_AS_THEY_ARE: Final = {"PNG": "image/png", "JPEG": "image/jpeg", "GIF": "image/gif", "WEBP": "image/webp"}
"""Media type by format, of those that servers read."""

PLAIN_MODES: Final = frozenset({"RGB", "L", "P", "1"})
"""Pillow's modes of pictures that every reader shows alike: eight bits or less, without transparency."""

JPEG_QUALITY = 95
ORIENTATION: Final = 0x0112
"""The EXIF tag of the camera's orientation; 1 is upright."""

MOST_CACHED: Final = 64 * 2**20
"""Bytes of encoded pictures that are kept: some 300 of 150 KB."""


@final
class PictureCache:
    """Pictures in base64, the last ones used, whatever model asked. For any number of threads.

    Args:
        most: bytes that are kept.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._size = 0
        self._pictures: OrderedDict[tuple[ImageRef, PictureSettings], tuple[str, bytes]] = OrderedDict()
        self._guard = threading.Lock()
        self._work = threading.Lock()
        """One picture at a time: converted twice, or many large ones at once, they would take time and memory."""

    def holds(self, images: tuple[ImageRef, ...], settings: PictureSettings) -> bool:
        """Whether pictures need not be read.

        Args:
            images: the pictures.
            settings: the form in which they are sent.
        """
        return all((image, settings) in self._pictures for image in images)

    def encoded(self, image: ImageRef, settings: PictureSettings) -> tuple[str, bytes]:
        """Media type and base64 of a picture; OSError if its file cannot be read.

        Args:
            image: the picture.
            settings: the form in which it is sent.

        Raises:
            DataError: it is no picture that can be opened.
        """
        key = image, settings
        if (known := self._known(key)) is not None:
            return known
        with self._work:
            if (known := self._known(key)) is not None:
                return known
            media_type, content = sent_form(image.path.read_bytes(), settings)
            found = media_type, b2a_base64(content, newline=False)
        self._keep(key, found)
        return found

    def _known(self, key: tuple[ImageRef, PictureSettings]) -> tuple[str, bytes] | None:
        with self._guard:
            if key in self._pictures:
                self._pictures.move_to_end(key)
            return self._pictures.get(key)

    def _keep(self, key: tuple[ImageRef, PictureSettings], found: tuple[str, bytes]) -> None:
        with self._guard:
            if key not in self._pictures:
                self._size += len(found[1])
            self._pictures[key] = found
            while self._size > self._most:
                _, (_, oldest) = self._pictures.popitem(last=False)
                self._size -= len(oldest)


PICTURES: Final = PictureCache(MOST_CACHED)
"""The pictures of all endpoints: several responders are asked about the same ones at the same time."""


def sent_form(content: bytes, settings: PictureSettings) -> tuple[str, bytes]:
    """Media type and bytes of a picture as it is sent.

    Args:
        content: bytes of its file; their beginning tells the format, whatever the file is called.
        settings: the form in which it is sent.

    Raises:
        DataError: it is no picture that can be opened.
    """
    try:
        format_ = _format_as_it_is(content, settings)
        if format_ is not None:
            return SENT_AS_THEY_ARE[format_], content
        return _converted(content, settings)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise DataError(f"the picture cannot be opened: {error}") from error


def _format_as_it_is(content: bytes, settings: PictureSettings) -> str | None:
    """Format of a picture that is sent as it is, by its header alone; None for one that is converted."""
    with Image.open(BytesIO(content), formats=PICTURE_FORMATS) as image:
        fits = (
            (settings.format == "original" or image.format == settings.format.upper())
            and image.width * image.height <= (settings.max_pixels or image.width * image.height)
            and len(content) <= (settings.max_bytes or len(content))
        )
        alike = image.mode in PLAIN_MODES and "transparency" not in image.info and not _turned(image)
        known = image.format if image.format in SENT_AS_THEY_ARE else None
        return known if fits and alike and known is not None and not _animated(image) else None


def _turned(image: Image.Image) -> bool:
    return bool(image.getexif().get(ORIENTATION, 1) != 1)


def _animated(image: Image.Image) -> bool:
    if image.format == "JPEG":
        return False
    try:
        image.seek(1)
    except EOFError:
        return False
    return True


def _converted(content: bytes, settings: PictureSettings) -> tuple[str, bytes]:
    image = open_upright(BytesIO(content))
    if settings.max_pixels is not None and image.width * image.height > settings.max_pixels:
        image = _scaled(image, sqrt(settings.max_pixels / (image.width * image.height)))
    format_ = _format_to_write(content, settings)
    written = _written(image, format_)
    most = settings.max_bytes
    if most is not None and len(written) > most and settings.format != "png":
        format_ = "JPEG"
        written = _written(image, format_)
    while most is not None and len(written) > most and max(image.size) > 1:
        image = _scaled(image, min(0.9, sqrt(most / len(written))))
        written = _written(image, format_)
    return SENT_AS_THEY_ARE[format_], written


def _format_to_write(content: bytes, settings: PictureSettings) -> str:
    """What the settings ask for; else JPEG for a JPEG, and PNG, which loses nothing, for all others."""
    if settings.format != "original":
        return settings.format.upper()
    return "JPEG" if content.startswith(b"\xff\xd8") else "PNG"


def _scaled(image: Image.Image, factor: float) -> Image.Image:
    width, height = (max(1, int(side * factor)) for side in image.size)
    return image.resize((width, height), Image.Resampling.LANCZOS)


def _written(image: Image.Image, format_: str) -> bytes:
    buffer = BytesIO()
    image.save(buffer, format_, quality=JPEG_QUALITY)
    return buffer.getvalue()
