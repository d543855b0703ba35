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


class TextFinder:
    """Finds text; reads none, which would take several times as long. Its network comes with the package.

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
        found = self._find(np.asarray(picture)[:, :, ::-1], use_det=True, use_cls=False, use_rec=False)
        boxes = [] if found.boxes is None else found.boxes
        return _covered(boxes, picture.size), len(boxes)


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
        "Global.log_level": "critical", "Global.use_cls": False, "Global.use_rec": False,
        "Det.limit_type": "max", "Det.limit_side_len": SIDE,
    })  # fmt: skip
