"""Pictures as the page gets them: decoded, scaled down and encoded anew, so that no byte of a file is passed on."""

from __future__ import annotations

import io
from functools import lru_cache
from threading import BoundedSemaphore
from typing import Final

from spavl.errors import DataError
from spavl.pictures import SHARP_BELOW, Picture

LONGEST: Final = 1600
"""Most pixels of a picture's longer side."""
SMALL: Final = 320
"""The same where many are shown beside each other."""
AT_ONCE: Final = BoundedSemaphore(2)
"""Pictures that are decoded at a time: a large one takes half a gigabyte while it is."""
DRAWING: Final = "image/svg+xml"
"""Media type of the drawing that stands for a picture that cannot be read; no picture of a dataset has it."""
MISSING: Final = """<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 320 200" role="img">
<rect width="320" height="200" fill="#e6e3da"/><text x="160" y="95" text-anchor="middle" font-family="sans-serif"
 font-size="15" fill="#45505c">This picture cannot be shown:</text><text x="160" y="118" text-anchor="middle"
 font-family="sans-serif" font-size="15" fill="#45505c">its file is missing or broken.</text></svg>"""
"""What stands for a picture that cannot be read."""


def served_picture(picture: Picture, longest: int = LONGEST) -> tuple[bytes, str]:
    """Bytes and media type of a picture; a drawing that says so where its file is missing or broken.

    Args:
        picture: of an item.
        longest: most pixels of its longer side.
    """
    try:
        return _encoded(picture, longest)
    except DataError:
        return MISSING.encode(), DRAWING


@lru_cache(maxsize=64)
def _encoded(picture: Picture, longest: int) -> tuple[bytes, str]:
    if picture.missing:
        raise DataError("There is no file of this picture")
    with AT_ONCE:
        image = picture.load()
        image.thumbnail((longest, longest))
    buffer = io.BytesIO()
    if max(image.size) < SHARP_BELOW:
        scale = max(1, 256 // max(image.size))
        image.resize((image.width * scale, image.height * scale), 0).save(buffer, "PNG")
        return buffer.getvalue(), "image/png"
    image.save(buffer, "JPEG", quality=90)
    return buffer.getvalue(), "image/jpeg"
