"""Text in 200 generated pictures: does the share that OCR measures rank them as the planted share does?

python -m bench.building.ocr --json FILE
"""

from __future__ import annotations

import time
from random import Random

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from scipy.stats import spearmanr

from bench.measures import Measure, run
from spavl.dataset.collect.ocr import TextFinder

SEED = 20_265
"""Of the pictures; nothing was chosen on it."""
COUNT = 200
"""Pictures."""
SIZE = (640, 480)
"""Width and height."""
LINES = (0, 12)
"""Fewest and most lines of text."""
HEIGHTS = (14, 52)
"""Smallest and largest size of letters in pixels."""
WORDS = [
    "a", "the", "river", "stone", "garden", "window", "morning", "paper", "yellow", "seven", "open", "market",
    "station", "winter", "letter", "answer", "summer", "kitchen", "table", "number", "north", "bread", "quiet",
]  # fmt: skip
"""What is written."""

Box = tuple[float, float, float, float]


def measures() -> list[Measure]:
    """Rank correlation of planted and measured shares, and the time of a picture."""
    random = Random(SEED)
    made = [picture(random) for _ in range(COUNT)]
    finder = TextFinder()
    finder.measure([made[0][0]])
    began = time.perf_counter()
    found = finder.measure([image for image, _, _ in made])
    took = time.perf_counter() - began
    planted = [share for _, share, _ in made]
    lines = [count for _, _, count in made]
    blank = [float(share) for share, count in zip(found[:, 0], lines, strict=True) if count == 0]
    how = f"{COUNT} pictures of {SIZE[0]}×{SIZE[1]}, up to {LINES[1]} lines, {len(blank)} without text"
    return [
        Measure("text share by OCR: rank correlation with the planted share",
                round(float(spearmanr(planted, found[:, 0]).statistic), 4), 0.95, "", "higher", how),
        Measure("pieces of text by OCR: rank correlation with the planted lines",
                round(float(spearmanr(lines, found[:, 1]).statistic), 4), None, "", "higher", how),
        Measure("largest text share found in a picture without text", max(blank, default=None), None, "", "lower", how),
        Measure("text by OCR: a picture", 1000 * took / COUNT, None, "ms", "lower", "detection alone"),
    ]  # fmt: skip


def picture(random: Random) -> tuple[Image.Image, float, int]:
    """A picture with text, the share of its area inside the boxes of the lines, and the lines.

    Args:
        random: decides everything.
    """
    shown = _ground(random)
    taken: list[Box] = []
    for _ in range(random.randint(*LINES)):
        _write_line(shown, random, taken)
    area = sum((right - left) * (bottom - top) for left, top, right, bottom in taken)
    return shown, area / (SIZE[0] * SIZE[1]), len(taken)


def _ground(random: Random) -> Image.Image:
    colours = np.random.default_rng(random.randrange(2**32)).integers(0, 256, (6, 8, 3), np.uint8)
    calm = (colours.astype(float) - 128) * 0.5 + random.choice((60, 190))
    small = Image.fromarray(np.clip(calm, 0, 255).astype(np.uint8))
    return small.resize(SIZE, Image.Resampling.BICUBIC)


def _write_line(shown: Image.Image, random: Random, taken: list[Box]) -> None:
    """Write a line where there is room; lines never overlap."""
    font = ImageFont.load_default(size=random.randint(*HEIGHTS))
    text = " ".join(random.choices(WORDS, k=random.randint(1, 5)))
    brush = ImageDraw.Draw(shown)
    left, top, right, bottom = brush.textbbox((0, 0), text, font=font)
    width, height = right - left, bottom - top
    if width >= SIZE[0] - 10:
        return
    for _ in range(20):
        x, y = random.uniform(5, SIZE[0] - 5 - width), random.uniform(5, SIZE[1] - 5 - height)
        box = (x, y, x + width, y + height)
        if all(x > r + 8 or box[2] < l - 8 or y > b + 8 or box[3] < t - 8 for l, t, r, b in taken):
            ground = np.asarray(shown.crop(tuple(map(round, box)))).mean()
            brush.text((x - left, y - top), text, "white" if ground < 128 else "black", font=font)
            taken.append(box)
            return


if __name__ == "__main__":
    run(measures)
