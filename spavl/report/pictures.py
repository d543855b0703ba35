"""Pictures inlined in the page: decoded, scaled down and encoded anew, so no byte of the original file is passed on."""

from __future__ import annotations

import base64
import io
import warnings
from dataclasses import dataclass
from pathlib import Path

from spavl.errors import DataError
from spavl.pictures import SHARP_BELOW, open_upright, read_header

MAX_PIXELS = 40_000_000
"""Pictures of more pixels are not decoded."""


@dataclass(frozen=True, slots=True)
class Inlined:
    """A picture as a `data:` URL."""

    address: str
    """The URL, of a PNG in base64."""
    width: int
    """Width in pixels."""
    height: int
    """Height in pixels."""

    @property
    def sharp(self) -> bool:
        """Whether it is so small that it is enlarged without smoothing."""
        return max(self.width, self.height) < SHARP_BELOW


def inline(path: Path | bytes, longest: int) -> Inlined | None:
    """An image file as a `data:` URL of a PNG, upright as models see it; None where it cannot be read.

    Args:
        path: the image file, or its bytes; it may be hostile.
        longest: most pixels of its longer side.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of too many pixels, which are refused anyway
            width, height = read_header(path).size
            if width * height > MAX_PIXELS:
                return None
            picture = open_upright(path)
    except DataError:
        return None
    picture.thumbnail((longest, longest))
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", optimize=True)
    encoded = base64.b64encode(buffer.getvalue()).decode("ascii")
    return Inlined(f"data:image/png;base64,{encoded}", picture.width, picture.height)
