"""Corruptions: pictures as a poor camera or a poor connection would give them, in three levels.

Every one is a function of the picture's content and the level alone, and is written under the hash of its bytes: two
runs ask the same, and stored answers are found again. Lengths are shares of the picture's shorter side, so that a level
means the same for small and large pictures. Strengths of noise are levels 1, 3 and 5 of Hendrycks & Dietterich 2019
(arXiv 1903.12261); the other numbers are ours.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from functools import cache, partial
from hashlib import sha256
from pathlib import Path
from types import MappingProxyType
from typing import Final, get_args

import numpy as np
from PIL import Image, ImageFilter

from spavl.config.controls import Level
from spavl.evaluate.controls.control import Control, one_by_one, with_each_picture
from spavl.evaluate.pictures import store_picture
from spavl.pictures import GREY, Picture
from spavl.records import ImageRef

LEAST_SIDE = 64
"""Pixels of a side below which a blur would be less than Pillow can draw."""
Strengths = tuple[float, float, float]
Corrupt = Callable[[Image.Image, float, int], Image.Image]
"""(picture, strength, seed by its content) → corrupted picture of the same size."""


def blurred(image: Image.Image, strength: float, seed: int) -> Image.Image:
    """Gaussian blur.

    Args:
        image: the picture.
        strength: standard deviation, as a share of the shorter side, taken for at least `LEAST_SIDE` pixels.
        seed: not used.
    """
    return image.filter(ImageFilter.GaussianBlur(strength * max(LEAST_SIDE, min(image.size))))


def noisy(image: Image.Image, strength: float, seed: int) -> Image.Image:
    """Gaussian noise on every channel of every pixel.

    Args:
        image: the picture.
        strength: standard deviation, as a share of the whole range.
        seed: of the noise.
    """
    pixels = np.asarray(image, dtype=np.float64)
    added = pixels + 255 * strength * np.random.default_rng(seed).standard_normal(pixels.shape)
    return Image.fromarray(np.rint(added).clip(0, 255).astype(np.uint8), "RGB")


def coarse(image: Image.Image, strength: float, seed: int) -> Image.Image:
    """Made smaller and enlarged again.

    Args:
        image: the picture.
        strength: how many times smaller width and height are in between.
        seed: not used.
    """
    small = tuple(max(1, round(side / strength)) for side in image.size)
    return image.resize((small[0], small[1]), Image.Resampling.BILINEAR).resize(image.size, Image.Resampling.BILINEAR)


def rotated(image: Image.Image, strength: float, seed: int) -> Image.Image:
    """Turned about its centre, the corners grey.

    Args:
        image: the picture.
        strength: degrees.
        seed: its parity decides the direction.
    """
    angle = strength if seed % 2 else -strength
    return image.rotate(angle, Image.Resampling.BILINEAR, fillcolor=GREY)


def pale(image: Image.Image, strength: float, seed: int) -> Image.Image:
    """Less contrast: every pixel drawn towards the mean colour.

    Args:
        image: the picture.
        strength: share of the contrast that is left.
        seed: not used.
    """
    pixels = np.asarray(image, dtype=np.float64)
    mean = pixels.mean(axis=(0, 1))
    return Image.fromarray(np.rint(mean + strength * (pixels - mean)).astype(np.uint8), "RGB")


def as_it_is(image: Image.Image, strength: float, seed: int) -> Image.Image:
    """The picture itself, which is saved as JPEG.

    Args:
        image: the picture.
        strength: quality, when it is saved.
        seed: not used.
    """
    return image


CORRUPTIONS: Final[Mapping[str, tuple[Corrupt, Strengths, str]]] = MappingProxyType(
    {
        "jpeg": (as_it_is, (50, 20, 8), "JPEG of quality {:g}"),
        "blur": (blurred, (0.006, 0.015, 0.03), "blurred by {:.1%} of the shorter side"),
        "noise": (noisy, (0.08, 0.18, 0.38), "noise of {:.0%} of the range"),
        "resize": (coarse, (2, 4, 8), "made {:g} times smaller and enlarged again"),
        "rotate": (rotated, (5, 15, 30), "turned by {:g}°"),
        "contrast": (pale, (0.5, 0.3, 0.1), "{:.0%} of the contrast"),
    }
)
"""(what corrupts, strength of the levels 1 to 3, words) by kind."""


def corrupted(name: str, kind: str, level: Level, folder: Path) -> Control:
    """The items with their pictures corrupted.

    Args:
        name: of the control.
        kind: a key of `CORRUPTIONS`.
        level: how strong.
        folder: where the pictures are written.
    """
    _, strengths, words = CORRUPTIONS[kind]
    made = cache(partial(corrupt_picture, kind=kind, level=level, folder=folder))
    return Control(
        name=name, what=words.format(strengths[level - 1]),
        change=one_by_one(lambda item: with_each_picture(item, made)),
    )  # fmt: skip


def corrupt_picture(picture: ImageRef, *, kind: str, level: Level, folder: Path) -> ImageRef:
    """A picture as models see it, upright and in RGB, corrupted and written under the hash of its bytes.

    Args:
        picture: the picture.
        kind: a key of `CORRUPTIONS`.
        level: how strong.
        folder: where it is written.

    Raises:
        DataError: the picture cannot be read.
        RunError: it cannot be written.
    """
    assert level in get_args(Level)
    corrupt, strengths, _ = CORRUPTIONS[kind]
    strength = strengths[level - 1]
    seed = int.from_bytes(sha256(f"{picture.sha256} {kind} {level}".encode()).digest()[:8])
    shown = corrupt(Picture(picture.sha256, picture.path).load(), strength, seed)
    buffer = io.BytesIO()
    if corrupt is as_it_is:
        shown.save(buffer, "JPEG", quality=int(strength))
        return store_picture(buffer.getvalue(), folder, ".jpg")
    shown.save(buffer, "PNG")
    return store_picture(buffer.getvalue(), folder, ".png")
