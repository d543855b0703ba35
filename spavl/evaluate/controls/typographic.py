"""Typographic controls: a text in a white band beneath the picture, the question itself or a neutral one.

The placebo has the same band, so that what any text in a picture changes is told apart from what this one changes.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from spavl.errors import DataError
from spavl.evaluate.controls.control import Control, has_picture, one_by_one
from spavl.evaluate.item import Item
from spavl.evaluate.pictures import store_picture
from spavl.pictures import WHITE, Picture
from spavl.records import ImageRef

Font = ImageFont.FreeTypeFont
SHARE = 0.06
"""Height of a letter, as a share of the picture's width."""
SMALLEST = 8
"""Fewest pixels of a letter's height."""
NO_CHARACTER = "\uffff"
"""A code that no font has: it is drawn as the font draws every letter that it lacks."""


def question_in_picture(name: str, carrier: str, font: str | None, folder: Path) -> Control:
    """The items with their question beneath the picture, and another text asked in its place.

    Args:
        name: of the control.
        carrier: what is asked.
        font: file of the font; None for Pillow's own.
        folder: where the pictures are written.

    Raises:
        DataError: the font cannot be read.
    """
    drawn = _Drawn(font, folder)
    return Control(
        name=name, what="the question in the picture", unfit=lambda item: drawn.unfit(item, item.question),
        change=one_by_one(lambda item: replace(drawn.onto(item, item.question), question=carrier)),
    )  # fmt: skip


def text_in_picture(name: str, text: str, font: str | None, folder: Path) -> Control:
    """The items with a neutral text beneath the picture, and their question as ever.

    Args:
        name: of the control.
        text: the text.
        font: file of the font; None for Pillow's own.
        folder: where the pictures are written.

    Raises:
        DataError: the font cannot be read, or lacks letters of the text.
    """
    drawn = _Drawn(font, folder)
    if drawn.lacks(text):
        raise DataError("The font lacks letters of the placebo's text", where="evaluate.controls", try_="name a `font`")
    return Control(
        name=name, what="a neutral text in the picture", unfit=lambda item: drawn.unfit(item, text),
        change=one_by_one(lambda item: drawn.onto(item, text)),
    )  # fmt: skip


class _Drawn:
    """Draws texts beneath the last picture of an item's question."""

    def __init__(self, font: str | None, folder: Path) -> None:
        self._font: Callable[[int], Font] = lru_cache(16)(lambda size: _opened(font, size))
        self._folder = folder
        self._lacking = _glyph(self._font(SMALLEST * 2), NO_CHARACTER)

    def lacks(self, text: str) -> bool:
        font = self._font(SMALLEST * 2)
        return any(_glyph(font, letter) == self._lacking for letter in set(text) if not letter.isspace())

    def unfit(self, item: Item, text: str) -> str:
        if not item.images:
            return has_picture(item) or "no picture in the last turn"
        return "letters that the font lacks" if self.lacks(text) else ""

    def onto(self, item: Item, text: str) -> Item:
        return replace(item, images=(*item.images[:-1], self._beneath(item.images[-1], text)))

    def _beneath(self, image: ImageRef, text: str) -> ImageRef:
        picture = Picture(image.sha256, image.path).load()
        font = self._font(max(SMALLEST, round(SHARE * picture.width)))
        margin = font.size / 2
        lines = wrapped(text, font, picture.width - 2 * margin)
        left, top, right, bottom = ImageDraw.Draw(picture).multiline_textbbox((0, 0), lines, font=font)
        band = round(bottom - top + 2 * margin)
        width = max(picture.width, round(right - left + 2 * margin))
        whole = Image.new("RGB", (width, picture.height + band), WHITE)
        whole.paste(picture, ((width - picture.width) // 2, 0))
        ImageDraw.Draw(whole).multiline_text((margin - left, picture.height + margin - top), lines, "black", font)
        buffer = io.BytesIO()
        whole.save(buffer, "PNG")
        return store_picture(buffer.getvalue(), self._folder, ".png")


def wrapped(text: str, font: Font, width: float) -> str:
    """The text in lines that are no wider, but where one word alone is.

    Args:
        text: the text; its own line breaks stay.
        font: what it is drawn in.
        width: in pixels.
    """
    lines: list[str] = []
    for paragraph in text.splitlines():
        line = ""
        for word in paragraph.split():
            longer = f"{line} {word}".strip()
            if line and font.getlength(longer) > width:
                lines.append(line)
                longer = word
            line = longer
        lines.append(line)
    return "\n".join(lines)


def _opened(file: str | None, size: int) -> Font:
    try:
        font = ImageFont.truetype(file, size) if file else ImageFont.load_default(size)
    except OSError as error:
        raise DataError("The font cannot be read", where=file or "Pillow's own font",
                        try_="name a TrueType or OpenType file as `font`") from error  # fmt: skip
    if not isinstance(font, ImageFont.FreeTypeFont):
        raise DataError("Pillow was built without FreeType, and draws no letters", where="evaluate.controls")
    return font


def _glyph(font: Font, letter: str) -> tuple[tuple[int, int], bytes]:
    mask = font.getmask(letter)
    return mask.size, bytes(mask)
