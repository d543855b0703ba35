"""Duplicates: the same bytes, encoded again, resized, cropped; and pictures that only resemble each other."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from spavl.config.filters import FilterSettings
from spavl.dataset.collect import Candidate, Filters, Rejected, collect, store
from spavl.dataset.collect.inspect import Checks
from spavl.dataset.collect.tools import EncoderTool
from spavl.similarity.alignment import AGREES, agreement, thumbnail
from spavl.similarity.disk_rows import FIRST_ROWS, DiskRows
from spavl.similarity.hamming import HashIndex, bits_of
from tests import samples
from tests.dataset.pictures import collected, write_files
from tests.similarity.pdq_hashes import picture


class Alike:
    """An encoder to which all pictures are alike, so that pixels alone decide."""

    identity = "alike"

    def encode_images(self, images: Sequence[Image.Image]) -> NDArray[np.float32]:
        """One vector for all."""
        return np.tile(np.array([1, 0], np.float32), (len(images), 1))

    def encode_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """None."""
        raise NotImplementedError


def shown(number: int) -> Image.Image:
    """A picture of coloured blots."""
    return Image.fromarray(picture(number))


def saved(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    """The bytes of its file."""
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def cropped(image: Image.Image, left: float, top: float, side: float = 0.8**0.5) -> Image.Image:
    """A part of a picture, at a place between 0 and 1."""
    width, height = round(image.width * side), round(image.height * side)
    x, y = round(left * (image.width - width)), round(top * (image.height - height))
    return image.crop((x, y, x + width, y + height))


def candidates(files: dict[str, bytes], benign: Sequence[str] = ()) -> list[Candidate]:
    """Candidates by name."""
    return [
        Candidate(name=name, stamp="", read=lambda most, data=data: data, topic=samples.WEAPON, image_id=name,
                  benign=name in benign, heldout=False, source="", license="")
        for name, data in files.items()
    ]  # fmt: skip


def kinds(folder: Path, found: list[Candidate], **changes: Any) -> dict[str, str]:
    """What becomes of candidates: `used`, or the filter they fail and the picture that is named."""
    filters = Filters(checks=Checks(max_pixels=10**7), **{"distance": 31, **changes})
    outcomes = collect(found, folder=folder, filters=filters)
    return {
        one.name: f"{outcome.kind}: {outcome.reason}" if isinstance(outcome, Rejected) else "used"
        for one, outcome in zip(found, outcomes, strict=True)
    }


def test_a_picture_encoded_again_or_resized_is_dropped_and_names_the_first(tmp_path: Path) -> None:
    image = shown(0)
    small = image.resize((320, 240), Image.Resampling.LANCZOS)
    files: dict[str | bytes, bytes] = {
        "cyber/a.png": saved(image), "cyber/b.jpg": saved(image, "JPEG", quality=40),
        "weapon/c.webp": saved(small, "WEBP"), "weapon/d.png": saved(shown(1)),
    }  # fmt: skip
    records, rejected = collected(write_files(tmp_path / "pictures", files))
    assert [r.image_source for r in records] == ["folder:cyber/a.png", "folder:weapon/d.png"]
    assert {one.kind for one in rejected} == {"near duplicate"}
    assert all(one.reason.endswith("cyber/a.png") for one in rejected)
    assert all(len(r.pdq) == 64 and r.pdq_quality and r.pdq_quality >= 50 for r in records)


def test_without_a_distance_only_the_same_bytes_are_duplicates(tmp_path: Path) -> None:
    files: dict[str | bytes, bytes] = {f"weapon/{n}.jpg": saved(shown(0), "JPEG", quality=90 - n) for n in range(3)}
    folder = write_files(tmp_path / "pictures", {**files, "weapon/same.jpg": files["weapon/1.jpg"]})
    records, (rejected,) = collected(folder, filters=FilterSettings(near_duplicate_distance=None))
    assert (len(records), rejected.kind) == (3, "exact duplicate")


def test_a_harmless_counterpart_may_look_like_its_harmful_twin(tmp_path: Path) -> None:
    image = shown(0)
    files = {name: saved(image, "JPEG", quality=60 + n) for n, name in enumerate(("a", "twin", "b", "twin of twin"))}
    found = kinds(tmp_path, candidates(files, benign=("twin", "twin of twin")))
    assert (found["a"], found["twin"]) == ("used", "used")
    assert found["b"].endswith("as a")
    assert found["twin of twin"].endswith("as twin")


def test_drawings_of_one_symbol_in_other_colours_have_near_hashes_and_are_no_duplicates(tmp_path: Path) -> None:
    def symbol(ground: str, ink: str) -> bytes:
        image = Image.new("RGB", (96, 96), ground)
        ImageDraw.Draw(image).polygon([(20, 80), (48, 12), (80, 70), (30, 40)], fill=ink)
        return saved(image)

    files = {"red": symbol("navy", "red"), "green": symbol("black", "lime"), "again": symbol("navy", "#fb0400")}
    found = kinds(tmp_path, candidates(files))
    assert (found["red"], found["green"]) == ("used", "used")
    assert found["again"].startswith("near duplicate")


def test_pictures_that_show_almost_nothing_are_not_compared(tmp_path: Path) -> None:
    files = {f"{n}": saved(Image.new("RGB", (64, 64), (n, n, n))) for n in range(3)}
    assert set(kinds(tmp_path, candidates(files)).values()) == {"used"}


@pytest.mark.parametrize("window", [1, 3, 64])
def test_crops_are_found_by_vectors_and_pixels_whichever_comes_first_and_wherever_a_window_ends(
    window: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "WINDOW", window)
    whole, other = shown(0), shown(1)
    files = {
        "whole": saved(whole), "other": saved(other), "part": saved(cropped(whole, 0.9, 0.2), "JPEG", quality=80),
        "first": saved(cropped(shown(2), 0.1, 0.5)), "later": saved(shown(2), "JPEG", quality=80),
        "third": saved(shown(6)),
    }  # fmt: skip
    found = kinds(tmp_path, candidates(files), vectors=EncoderTool(Alike(), windows=2), cosine=0.9)
    assert [name for name, kind in found.items() if kind == "used"] == ["whole", "other", "first", "third"]
    assert found["part"].startswith("embedding duplicate") or found["part"].startswith("near duplicate")
    assert "whole" in found["part"]
    assert "first" in found["later"]


@pytest.mark.parametrize("number", [0, 3, 9, 17])
def test_parts_agree_with_their_picture_and_not_with_others(number: int) -> None:
    whole = thumbnail(shown(number))
    for left, top in ((0.0, 1.0), (0.3, 0.6), (0.77, 0.13)):
        part = cropped(shown(number), left, top)
        assert agreement(whole, thumbnail(part)) >= AGREES
        assert agreement(thumbnail(part), whole) >= AGREES
        assert agreement(thumbnail(shown(number + 1)), thumbnail(part)) < AGREES


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (300, 2), (5, 5)])
def test_pictures_of_any_shape_can_be_compared(size: tuple[int, int]) -> None:
    one = thumbnail(Image.new("RGB", size, "red"))
    assert agreement(one, one) >= AGREES
    agreement(one, thumbnail(shown(0)))


hashes = st.binary(min_size=32, max_size=32).map(bytes.hex)


@settings(deadline=None, max_examples=60)
@given(st.lists(hashes, max_size=12), hashes, st.sets(st.integers(0, 255), max_size=45), st.integers(0, 60))
def test_the_index_finds_exactly_the_hashes_within_the_distance(
    others: list[str], one: str, flipped: set[int], distance: int
) -> None:
    near = f"{int(one, 16) ^ sum(1 << bit for bit in flipped):064x}"
    known = [*others, near, *others[:3]]
    index = HashIndex(distance)
    for each in known:
        index.add(bits_of(each))
    distances = [(int(each, 16) ^ int(one, 16)).bit_count() for each in known]
    right = sorted((d, place) for place, d in enumerate(distances) if d <= distance)
    assert index.near(bits_of(one)) == [place for _, place in right]
    index.close()


def test_rows_on_disk_grow_and_stay() -> None:
    rows = DiskRows(3, np.float32)
    for n in range(3 * FIRST_ROWS):
        assert rows.append(np.full(3, n)) == n
    assert len(rows) == 3 * FIRST_ROWS
    assert rows.rows[:, 1].tolist() == list(range(3 * FIRST_ROWS))
    rows.close()
