"""Pictures into the page: decoded, made small and encoded anew, so no byte of the original file is passed on."""

from __future__ import annotations

import base64
import io
import warnings
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from spavl.pictures import PICTURE_FORMATS

MAX_PIXELS = 40_000_000
SHARP_BELOW = 96
"""Drawings smaller than this are enlarged without smoothing."""


@dataclass(frozen=True, slots=True)
class Inlined:
    """A picture as a data address."""

    address: str
    width: int
    height: int

    @property
    def sharp(self) -> bool:
        """Whether it is a small drawing, to be enlarged pixel by pixel."""
        return max(self.width, self.height) < SHARP_BELOW


def inline(path: Path, longest: int) -> Inlined | None:
    """The picture as PNG, at most `longest` pixels on its longer side; None where it cannot be read."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path, formats=PICTURE_FORMATS) as opened:
                if opened.width * opened.height > MAX_PIXELS:
                    return None
                picture = opened.convert("RGB")
    except (OSError, ValueError, Image.DecompressionBombError, Image.DecompressionBombWarning):
        return None
    picture.thumbnail((longest, longest))
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", optimize=True)
    encoded = base64.b64encode(buffer.getvalue()).decode("ascii")
    return Inlined(f"data:image/png;base64,{encoded}", picture.width, picture.height)
