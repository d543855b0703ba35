"""Text in pictures, found by RapidOCR: how much of a picture it covers, and in how many pieces."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from typing import Any, Final

import numpy as np
from PIL import Image, ImageDraw

from spavl.dataset.collect.measured import Numbers
from spavl.errors import MissingExtra

SIDE: Final = 736
"""Pixels of the longer side in which text is looked for; smaller pictures stay as they are, up to a multiple of 32."""

WHOLE: Final = 0.95
"""Share of both sides from which on a box is read, for it may hold no text."""
READ_SURELY: Final = 0.8
"""Least confidence of what is read there; of real signs it is above 0.95."""


class TextFinder:
    """Finds text; reads none where it need not, for that takes several times as long. Its networks come with RapidOCR.

    Raises:
        MissingExtra: the extra `ocr` is not installed.
    """

    def __init__(self) -> None:
        self._find: Any = _engine()

    @property
    def identity(self) -> str:
        """What its numbers depend on: the package, whose network comes with it, and the size it works at."""
        return f"rapidocr/{version('rapidocr')}/{SIDE}"

    def measure(self, pictures: Sequence[Image.Image]) -> Numbers:
        """Share of the area that text covers, and pieces of text: `[N, 2]`.

        Args:
            pictures: N of them, upright and in RGB.
        """
        return np.array([self._measure(picture) for picture in pictures], np.float32).reshape(-1, 2)

    def _measure(self, picture: Image.Image) -> tuple[float, int]:
        pixels = np.asarray(picture)[:, :, ::-1]
        found = self._find(pixels, use_det=True, use_cls=False, use_rec=False)
        boxes = [] if found.boxes is None else found.boxes
        if any(_is_whole(box, picture.size) for box in boxes):  # a sign, or a picture without any edge
            read = self._find(pixels, use_det=True, use_cls=False, use_rec=True)
            boxes = read.boxes if read.txts and max(read.scores) >= READ_SURELY else []
        return _covered(boxes, picture.size), len(boxes)


def _is_whole(box: Any, size: tuple[int, int]) -> bool:
    """Whether a box spans nearly all of a picture, as that of a smooth picture without text may."""
    across, down = np.ptp(np.asarray(box, np.float64), axis=0)
    return bool(across > WHOLE * size[0] and down > WHOLE * size[1])


def _covered(boxes: Sequence[Any], size: tuple[int, int]) -> float:
    """Share of a picture that boxes cover; where they overlap it counts once."""
    scale = min(1.0, 1024 / max(size))
    drawn = Image.new("L", (max(1, round(size[0] * scale)), max(1, round(size[1] * scale))))
    brush = ImageDraw.Draw(drawn)
    for box in boxes:
        brush.polygon([(float(x) * scale, float(y) * scale) for x, y in box], fill=1)
    return float(np.asarray(drawn).mean())


def _engine() -> Any:
    try:
        import onnxruntime  # noqa: F401  # RapidOCR would go on without it, and fail later
        from rapidocr import RapidOCR
    except ImportError as missing:
        raise MissingExtra(
            f"Looking for text in pictures needs packages that are not installed: {missing}.",
            try_="pip install 'spavl[ocr]'",
        ) from missing
    return RapidOCR(params={
        "Global.log_level": "critical", "Global.use_cls": False,
        "Det.limit_type": "max", "Det.limit_side_len": SIDE,
    })  # fmt: skip
