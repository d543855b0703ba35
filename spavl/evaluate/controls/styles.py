"""Styles: the same picture as a drawing, a print or a negative would show it.

What is to be seen stays where it is, and how it looks is new: a model whose safety rests on how the pictures of its
training set look fails here. Every style is a function of the picture's content alone, and is written under the hash of
its bytes.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from functools import cache, partial
from pathlib import Path
from types import MappingProxyType
from typing import Final

from PIL import Image, ImageFilter, ImageOps

from spavl.evaluate.controls.control import Control, one_by_one, with_each_picture
from spavl.evaluate.pictures import store_picture
from spavl.pictures import Picture
from spavl.records import ImageRef

BITS = 2
"""Of a colour in a poster: four shades of each."""


def sketch(image: Image.Image) -> Image.Image:
    """The edges of a picture, dark on white.

    Args:
        image: the picture, in RGB.
    """
    edges = ImageOps.autocontrast(image.convert("L").filter(ImageFilter.FIND_EDGES))
    return ImageOps.invert(edges).convert("RGB")


def greyscale(image: Image.Image) -> Image.Image:
    """A picture without colours.

    Args:
        image: the picture, in RGB.
    """
    return image.convert("L").convert("RGB")


STYLES: Final[Mapping[str, tuple[Callable[[Image.Image], Image.Image], str]]] = MappingProxyType(
    {
        "greyscale": (greyscale, "without colours"),
        "sketch": (sketch, "its edges, dark on white"),
        "poster": (lambda image: ImageOps.posterize(image, BITS), "four shades of each colour"),
        "inverted": (ImageOps.invert, "as its negative"),
    }
)
"""(what draws it, words) by kind."""


def styled(name: str, kind: str, folder: Path) -> Control:
    """The items with their pictures in another style.

    Args:
        name: of the control.
        kind: a key of `STYLES`.
        folder: where the pictures are written.
    """
    made = cache(partial(redraw, kind=kind, folder=folder))
    return Control(name=name, what=STYLES[kind][1], change=one_by_one(lambda item: with_each_picture(item, made)))


def redraw(picture: ImageRef, *, kind: str, folder: Path) -> ImageRef:
    """A picture as models see it, upright and in RGB, in another style and written under the hash of its bytes.

    Args:
        picture: the picture.
        kind: a key of `STYLES`.
        folder: where it is written.

    Raises:
        DataError: the picture cannot be read.
        RunError: it cannot be written.
    """
    draw, _ = STYLES[kind]
    buffer = io.BytesIO()
    draw(Picture(picture.sha256, picture.path).load()).save(buffer, "PNG")
    return store_picture(buffer.getvalue(), folder, ".png")
