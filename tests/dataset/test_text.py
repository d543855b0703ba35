"""Text in pictures, found by the real OCR."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from spavl.dataset.collect.ocr import TextFinder, _covered


def written(lines: int) -> Image.Image:
    """A picture with some lines of text."""
    image = Image.new("RGB", (320, 240), (200, 210, 220))
    for line in range(lines):
        ImageDraw.Draw(image).text((10, 10 + 40 * line), "plain words here", "navy", ImageFont.load_default(size=26))
    return image


def test_more_text_covers_more_and_none_covers_nothing() -> None:
    none, one, five, tiny = TextFinder().measure([written(0), written(1), written(5), Image.new("RGB", (1, 1))])
    assert none.tolist() == tiny.tolist() == [0, 0]
    assert 0.03 < one[0] < 0.2 < five[0] < 0.8
    assert one[1] < five[1]


def test_where_boxes_overlap_their_area_counts_once() -> None:
    half = [(0, 0), (50, 0), (50, 100), (0, 100)]
    assert _covered([half, half], (100, 100)) == pytest.approx(0.5, abs=0.02)
    assert _covered([], (100, 100)) == 0
    assert _covered([[(-9, -9), (9999, -9), (9999, 9999), (-9, 9999)]], (4000, 3000)) == 1


def test_a_smooth_picture_has_no_text_and_a_sign_that_fills_its_picture_has() -> None:
    """The network takes a picture without any edge for one box of text."""
    colours = np.random.default_rng(0).integers(60, 200, (6, 8, 3), np.uint8)
    smooth = Image.fromarray(colours).resize((640, 480), Image.Resampling.BICUBIC)
    sign = Image.new("RGB", (330, 44), "white")
    ImageDraw.Draw(sign).text((2, 0), "OPEN ON SUNDAY", "black", ImageFont.load_default(size=40))
    (nothing, _), (whole, pieces) = TextFinder().measure([smooth, sign])
    assert nothing == 0
    assert whole > 0.6
    assert pieces >= 1
