"""PDQ hashes: those of the reference, near for pictures that look alike, far for others."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
from PIL import Image

from spavl.similarity.pdq import LEAST_QUALITY, NEAR, pdq
from tests.similarity.pdq_hashes import FILE, SIZES, picture

REFERENCE = json.loads(FILE.read_text("utf-8"))


def distance(one: str, other: str) -> int:
    """Bits by which two hashes differ."""
    return (int(one, 16) ^ int(other, 16)).bit_count()


@pytest.mark.parametrize("number", range(len(SIZES)))
def test_the_hash_is_that_of_the_reference(number: int) -> None:
    found, quality = pdq(Image.fromarray(picture(number)))
    assert len(found) == 64
    assert distance(found, REFERENCE[number]["pdq"]) <= 4
    assert abs(quality - REFERENCE[number]["quality"]) <= 2


@pytest.mark.parametrize("number", range(0, len(SIZES), 3))
def test_a_picture_encoded_again_or_resized_keeps_its_hash_nearly(number: int) -> None:
    shown = Image.fromarray(picture(number))
    before, quality = pdq(shown)
    assert quality >= LEAST_QUALITY
    out = io.BytesIO()
    shown.save(out, "JPEG", quality=50)
    smaller = shown.resize((max(64, shown.width * 2 // 3), max(64, shown.height * 2 // 3)), Image.Resampling.LANCZOS)
    for changed in (Image.open(out), smaller):
        assert distance(pdq(changed)[0], before) <= NEAR


def test_pictures_that_differ_have_hashes_that_differ() -> None:
    hashes = [row["pdq"] for row in REFERENCE]
    assert min(distance(one, other) for n, one in enumerate(hashes) for other in hashes[:n]) > 2 * NEAR


@pytest.mark.parametrize("size", [(1, 1), (1, 500), (500, 1), (2, 3)])
def test_a_picture_of_one_colour_has_no_quality_whatever_its_size(size: tuple[int, int]) -> None:
    found, quality = pdq(Image.new("RGB", size, "red"))
    assert (len(found), quality) == (64, 0)


def test_a_tall_picture_is_hashed_in_strips_as_it_is_in_one() -> None:
    """Strips bound the memory; 1,600 x 1,200 takes three of them."""
    tall = np.concatenate([picture(0)] * 4)
    found, _ = pdq(Image.fromarray(tall))
    assert distance(found, pdq(Image.fromarray(tall).convert("L"))[0]) == 0
