"""Pictures are prepared once and kept while there is room."""

import torch
from PIL import Image

from spavl.align.data.pixels import PixelCache
from spavl.models.families import load_processor
from spavl.pictures import Picture


class CountingFamily:
    """Stands for a family: its processor makes four numbers of a picture, and counts the pictures it prepares."""

    class facts:
        picture_tokens = "fixed"

    def __init__(self):
        self.prepared = 0

    def pixels(self, images):
        self.prepared += len(images)
        return {"pixel_values": torch.stack([torch.full((4,), float(image.getpixel((0, 0))[0])) for image in images])}


BYTES = 16
"""Of one prepared picture: four numbers in float32."""


def pictures(*shades):
    return [Picture(str(shade), Image.new("RGB", (2, 2), (shade, 0, 0))) for shade in shades]


def test_a_picture_is_prepared_once():
    family = CountingFamily()
    cache = PixelCache(family, memory=10 * BYTES)
    first = cache.pixels(pictures(1, 2, 1))
    again = cache.pixels(pictures(2, 3))
    assert family.prepared == 3 and len(cache) == 3
    assert again["2"] is first["2"]
    assert {key: float(found["pixel_values"][0, 0]) for key, found in (first | again).items()} == {
        "1": 1,
        "2": 2,
        "3": 3,
    }


def test_the_least_recently_used_picture_goes_when_there_is_no_room():
    family = CountingFamily()
    cache = PixelCache(family, memory=2 * BYTES)
    cache.pixels(pictures(1, 2))
    cache.pixels(pictures(1))
    cache.pixels(pictures(3))
    assert len(cache) == 2
    cache.pixels(pictures(1, 3))
    assert family.prepared == 3
    cache.pixels(pictures(2))
    assert family.prepared == 4


def test_without_memory_nothing_is_kept_and_everything_is_still_given():
    cache = PixelCache(CountingFamily(), memory=0)
    assert set(cache.pixels(pictures(1, 2))) == {"1", "2"} and len(cache) == 0


def test_pictures_prepared_together_are_those_prepared_alone(checkpoint):
    from transformers import AutoModelForImageTextToText

    from spavl.models.families import family_of

    family = family_of(AutoModelForImageTextToText.from_pretrained(checkpoint), load_processor(checkpoint))
    together = PixelCache(family, memory=0).pixels(pictures(10, 200))
    alone = [PixelCache(family, memory=0).pixels([one]) for one in pictures(10, 200)]
    for key, found in (alone[0] | alone[1]).items():
        assert all(torch.equal(value, together[key][name]) for name, value in found.items())
