"""What is done to a picture before the model sees it: nothing, a random crop, or one grey."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence
from typing import Literal

from PIL import Image

from spavl.pictures import Picture, grey_picture
from spavl.preferences.pairs import Pair

PictureView = Literal["true", "crop", "blank"]
"""What is done to the pictures of a pair; one without pictures is the same in every view."""


def answer_key(pair: Pair, answer: str, view: PictureView) -> str:
    """Hash of the content of a conversation, its pictures as shown, and an answer.

    Args:
        pair: gives the conversation.
        answer: the chosen or the rejected answer.
        view: how the pictures are shown.
    """
    content = "\x00".join((pair.context, view, pair.question, answer))
    return hashlib.sha256(content.encode()).hexdigest()


def in_view(picture: Picture, view: PictureView) -> Picture:
    """The picture under a key that names the view too.

    Args:
        picture: as it is.
        view: how it is to be shown by `load_in_view`.
    """
    return Picture(f"{picture.key}#{view}", picture.source)


def load_in_view(picture: Picture) -> Image.Image:
    """The picture as the view in its key says, upright, in RGB.

    Args:
        picture: from `in_view`.

    Raises:
        DataError: it cannot be read.
    """
    view = picture.key.rpartition("#")[2]
    if view == "blank":
        return grey_picture(picture.size())
    image = picture.load()
    return random_crop(image, picture.key) if view == "crop" else image


def swap_pictures(pairs: Sequence[Pair], seed: int) -> list[Pair]:
    """Every pair with pictures of random other pairs in place of its own, where there are others.

    Args:
        pairs: the pairs.
        seed: seeds which pictures.
    """
    generator = random.Random(f"{seed}/swapped")
    pictures = [picture for pair in pairs for picture in pair.all_pictures]
    every = {picture.key for picture in pictures}

    def swapped(pair: Pair) -> Pair:
        own = {picture.key for picture in pair.all_pictures}

        def other(_: Picture) -> Picture:
            found = generator.choice(pictures)
            while found.key in own and own != every:
                found = generator.choice(pictures)
            return found

        return pair.with_pictures(other)

    return [swapped(pair) for pair in pairs]


def random_crop(image: Image.Image, seed: str) -> Image.Image:
    """A random crop of 1 to 20 % of the area, scaled to the old size.

    Args:
        image: the picture.
        seed: the same seed gives the same crop.

    Source: the corrupted picture of mDPO, arXiv 2406.11839.
    """
    rng = random.Random(seed)
    side = rng.uniform(0.01, 0.2) ** 0.5
    width, height = max(1, round(image.width * side)), max(1, round(image.height * side))
    left, top = rng.randint(0, image.width - width), rng.randint(0, image.height - height)
    return image.crop((left, top, left + width, top + height)).resize(image.size)
