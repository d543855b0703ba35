"""Parts of pictures are found by keypoints, placed, and confirmed by pixels."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from spavl.similarity import keypoint_index
from spavl.similarity.keypoint_index import KeypointIndex, Placed
from spavl.similarity.keypoints import BITS, DTYPE, UNSURE, codes_of, keypoints
from spavl.similarity.overlap import overlap, small_copy
from tests.contamination.dataset import detailed

COUNT = 8
WHOLE = [detailed(seed) for seed in range(COUNT)]
INDEX = KeypointIndex([keypoints(one) for one in WHOLE])


def part(image: Image.Image, left: float, top: float, side: float, *, quality: int = 70) -> Image.Image:
    """A part of a picture, encoded again, at another size."""
    x, y = left * (1 - side) * image.width, top * (1 - side) * image.height
    box = (round(x), round(y), round(x + side * image.width), round(y + side * image.height))
    out = io.BytesIO()
    image.crop(box).resize((200, 150)).save(out, "JPEG", quality=quality)
    return Image.open(out).convert("RGB")


@pytest.mark.parametrize(("left", "top", "side"), [(0.1, 0.9, 0.5), (1.0, 0.0, 0.7), (0.3, 0.4, 0.95)])
def test_a_part_is_placed_in_its_picture_and_the_picture_around_its_part(left: float, top: float, side: float) -> None:
    number = 3
    shown = part(WHOLE[number], left, top, side)
    (placed,) = INDEX.placed([keypoints(shown)])
    assert (placed.asked, placed.place) == (0, number)
    assert placed.scale == pytest.approx(side, abs=0.02)
    assert placed.left == pytest.approx(left * (1 - side), abs=0.02)
    found = overlap(small_copy(shown), small_copy(WHOLE[number]), placed)
    assert found.same
    assert found.of_other == pytest.approx(side**2, abs=0.06)
    (around,) = KeypointIndex([keypoints(shown)]).placed([keypoints(WHOLE[number])])
    assert overlap(small_copy(WHOLE[number]), small_copy(shown), around).same


def test_two_parts_that_overlap_are_found_and_are_no_wholes() -> None:
    one, other = part(WHOLE[0], 0, 0, 0.8), part(WHOLE[0], 0.6, 0.4, 0.8)
    (placed,) = KeypointIndex([keypoints(other)]).placed([keypoints(one)])
    found = overlap(small_copy(one), small_copy(other), placed)
    assert found.same and not found.whole
    assert 0.6 < found.of_one < 0.9


def test_a_picture_encoded_again_is_the_whole_and_another_one_is_not_the_same() -> None:
    again = part(WHOLE[1], 0, 0, 1.0, quality=40)
    (placed,) = INDEX.placed([keypoints(again)])
    assert overlap(small_copy(again), small_copy(WHOLE[1]), placed).whole
    wrong = overlap(small_copy(again), small_copy(WHOLE[2]), Placed(0, 2, 1.0, 0.0, 0.0, 30))
    assert wrong.agreement < 0.5 and not wrong.same


def test_pixels_decide_where_keypoints_agree_by_chance() -> None:
    """A place outside, or of no size, shares nothing."""
    one, other = small_copy(WHOLE[1]), small_copy(WHOLE[2])
    for scale, left in ((1.0, 2.0), (1e-6, 0.0), (1e4, -3.0)):
        assert not overlap(one, other, Placed(0, 0, scale, left, 0.0, 30)).same


def test_pictures_of_nothing_have_no_keypoints_and_an_index_of_them_finds_nothing() -> None:
    plain = [keypoints(Image.new("RGB", size, "red")) for size in ((1, 1), (3000, 1), (640, 480))]
    assert [len(one) for one in plain] == [0, 0, 0]
    assert not list(KeypointIndex(plain).placed([keypoints(WHOLE[0])]))
    assert not list(KeypointIndex([]).placed([keypoints(WHOLE[0])]))
    assert not list(INDEX.placed(plain)) and not list(INDEX.placed([]))


def test_codes_that_are_common_are_not_looked_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keypoint_index, "CROWDED", 0)
    assert not list(INDEX.placed([keypoints(WHOLE[0])]))


def test_a_picture_that_resembles_very_many_is_placed_in_the_likeliest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keypoint_index, "MOST_PLACED", 2)
    again = [part(WHOLE[0], 0, 0, side) for side in (0.6, 0.7, 0.97, 0.98)]
    index = KeypointIndex([keypoints(one) for one in again])
    assert {one.place for one in index.placed([keypoints(WHOLE[0])])} == {2, 3}


def test_each_code_is_looked_up_with_its_unsure_bits_either_way() -> None:
    points = keypoints(WHOLE[0])
    codes = codes_of(points)
    assert codes.shape == (2**UNSURE, len(points)) and (codes[0] == points["code"]).all()
    assert codes.max() < 1 << BITS
    for number in range(0, len(points), 20):
        unsure = sum(1 << int(bit) for bit in points["unsure"][number])
        assert len(set(codes[:, number].tolist())) == 2**UNSURE
        assert all((int(code) ^ int(codes[0, number])) & ~unsure == 0 for code in codes[:, number])


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 700), st.integers(1, 90), st.integers(0, 99))
def test_pictures_of_any_size_have_keypoints_that_lie_in_them_and_are_kept_as_bytes(
    width: int, height: int, seed: int
) -> None:
    image = Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width), np.uint8))
    points = keypoints(image)
    side = max(width, height)
    assert (points["x"] <= 65_535 * width / side).all() and (points["y"] <= 65_535 * height / side + 1).all()
    assert (np.frombuffer(points.tobytes(), DTYPE) == points).all()
