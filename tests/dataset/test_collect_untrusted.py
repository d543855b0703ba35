"""Pictures are untrusted input: each file is used or named with its reason, and none stops the others."""

from __future__ import annotations

import io
import os
import random
from pathlib import Path

import pytest
from PIL import Image

from spavl.config.build import CollectSettings
from spavl.dataset.collect import find
from spavl.pictures import open_upright
from spavl.similarity.pdq import pdq
from spavl.taxonomy import load_taxonomy
from tests.dataset.pictures import MAX_PIXELS, collected, noise, outcomes, png_of_size, write_files


def reason(folder: Path, data: bytes, max_pixels: int = MAX_PIXELS, name: str = "weapon/x.png") -> str:
    """Why a file is not used, where a good picture beside it is."""
    records, rejected = collected(
        write_files(folder / "pictures", {name: data, "weapon/good.png": noise()}), max_pixels
    )
    assert [r.image_source for r in records] == ["folder:weapon/good.png"]
    (only,) = rejected
    assert only.file.endswith(name)
    return only.reason


def test_an_empty_file_is_named_with_its_reason(tmp_path: Path) -> None:
    assert reason(tmp_path, b"") == "the file is empty"


@pytest.mark.parametrize(
    "data", [b"\0", b"not a picture", b"PK\x03\x04" + b"\0" * 50, b"%PDF-1.7\n", b"<svg/>", b"\xff" * 999]
)
def test_a_file_that_is_no_picture_is_named_with_its_reason(data: bytes, tmp_path: Path) -> None:
    assert reason(tmp_path, data).startswith("not a JPEG, PNG, WebP, GIF, BMP or TIFF picture")


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"])
def test_a_truncated_picture_is_named_with_its_reason(kind: str, tmp_path: Path) -> None:
    data = noise(kind=kind, size=(40, 40))
    assert reason(tmp_path, data[: len(data) // 2]).startswith("a damaged picture: ")


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"])
def test_no_damaged_picture_stops_the_others(kind: str, tmp_path: Path) -> None:
    """A hundred damaged pictures of a format: each is used or rejected, and the good one after them is used."""
    rng = random.Random(0)
    files: dict[str | bytes, bytes] = {"weapon/zzz.png": noise(99)}
    for n in range(100):
        data = bytearray(noise(n, kind))
        for _ in range(rng.choice([1, 3, 20])):
            data[rng.randrange(len(data))] = rng.randrange(256)
        files[f"weapon/{n:03}.png"] = bytes(data[: rng.randrange(1, len(data) + 1)])
    records, rejected = collected(write_files(tmp_path / "pictures", files))
    assert len(records) + len(rejected) == 101
    assert records[-1].image_source == "folder:weapon/zzz.png"
    assert len(rejected) > 20
    assert all(r.reason for r in rejected)


def test_a_picture_that_claims_to_be_huge_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    assert reason(tmp_path, png_of_size(2000, 2000)) == "2000×2000 pixels is more than `collect.max_pixels` (1,000,000)"


def test_a_decompression_bomb_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    assert "decompression bomb" in reason(tmp_path, png_of_size(60_000, 60_000), max_pixels=10**12)


def test_the_limit_on_pixels_is_the_settings_own_and_not_pillows(tmp_path: Path) -> None:
    """Pillow warns from 89 million pixels; a user who allows more is asked no further."""
    data = io.BytesIO()
    Image.new("1", (10_000, 9_000)).save(data, "PNG")
    folder = write_files(tmp_path / "pictures", {"weapon/x.png": data.getvalue()})
    assert [r.width for r in collected(folder, max_pixels=10**8)[0]] == [10_000]
    assert collected(folder, max_pixels=9 * 10**7 - 1)[0] == []


def test_a_file_larger_than_any_such_picture_is_not_read_into_memory(tmp_path: Path) -> None:
    folder = write_files(tmp_path / "pictures", {"weapon/x.png": b"", "weapon/good.png": noise()})
    os.truncate(folder / "weapon" / "x.png", 2**40)
    records, (rejected,) = collected(folder)
    assert len(records) == 1
    assert "more bytes than" in rejected.reason


def test_a_picture_is_never_handed_to_another_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pillow gives PostScript to Ghostscript, which runs it; here a program of that name would leave a mark."""
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "gs"
    program.write_text(f"#!/bin/sh\ntouch {tmp_path}/was-run\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    page = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n%%EOF\n"
    assert "not a JPEG" in reason(tmp_path, page)
    assert not (tmp_path / "was-run").exists()


def test_the_same_bytes_twice_are_used_once_and_the_other_is_named(tmp_path: Path) -> None:
    records, (rejected,) = collected(
        write_files(tmp_path / "pictures", {"weapon/a.png": noise(), "malware/b.png": noise()})
    )
    assert [r.topic.class3 for r in records] == ["malware"]
    assert rejected.file.endswith("weapon/a.png")
    assert rejected.reason.startswith("the same bytes as ")
    assert rejected.reason.endswith("malware/b.png")


def test_a_link_out_of_the_folder_is_not_followed_and_one_inside_is(tmp_path: Path) -> None:
    folder = write_files(tmp_path / "pictures", {"weapon/a.png": noise(1)})
    write_files(tmp_path, {"private.png": noise(2)})
    (folder / "weapon" / "b.png").symlink_to(tmp_path / "private.png")
    (folder / "weapon" / "c.png").symlink_to("../../private.png")
    (folder / "malware").mkdir()
    (folder / "malware" / "d.png").symlink_to("../weapon/a.png")
    records, rejected = collected(folder)
    assert [r.image_source for r in records] == ["folder:malware/d.png"]
    reasons = {Path(r.file).name: r.reason for r in rejected}
    assert reasons["b.png"] == reasons["c.png"] == "a link that leads out of the folder"
    assert reasons["a.png"].startswith("the same bytes as")


def test_links_to_nothing_and_to_themselves_are_named_with_their_reasons(tmp_path: Path) -> None:
    folder = write_files(tmp_path / "pictures", {"weapon/a.png": noise(1)})
    (folder / "weapon" / "gone.png").symlink_to("nothing.png")
    (folder / "weapon" / "loop.png").symlink_to("loop.png")
    records, rejected = collected(folder)
    assert len(records) == 1
    reasons = {Path(r.file).name: r.reason for r in rejected}
    assert "No such file" in reasons["gone.png"]
    assert "leads to itself" in reasons["loop.png"] or "Too many levels" in reasons["loop.png"]


def test_a_linked_folder_of_pictures_may_be_named_itself(tmp_path: Path) -> None:
    write_files(tmp_path / "elsewhere", {"weapon/a.png": noise()})
    (tmp_path / "pictures").symlink_to(tmp_path / "elsewhere")
    assert len(collected(tmp_path / "pictures")[0]) == 1


def test_a_pipe_in_the_folder_is_not_waited_for(tmp_path: Path) -> None:
    folder = write_files(tmp_path / "pictures", {"weapon/a.png": noise()})
    os.mkfifo(folder / "weapon" / "pipe.png")
    records, (rejected,) = collected(folder)
    assert len(records) == 1
    assert rejected.reason == "not a file"


def test_a_picture_that_vanishes_between_finding_and_reading_is_named(tmp_path: Path) -> None:
    folder = write_files(tmp_path / "pictures", {"weapon/a.png": noise(1), "weapon/b.png": noise(2)})
    candidates = list(find(CollectSettings(folder=str(folder)), load_taxonomy()))
    (folder / "weapon" / "a.png").unlink()
    records, (rejected,) = outcomes(candidates, tmp_path / "run")
    assert len(records) == 1
    assert "No such file" in rejected.reason


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    """The bytes of a picture's file."""
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def rotated() -> bytes:
    """A JPEG that its EXIF data turn by a quarter."""
    exif = Image.Exif()
    exif[0x0112] = 6
    return saved(Image.open(io.BytesIO(noise(3, size=(8, 6)))), "JPEG", exif=exif)


UNUSUAL = {
    "animated GIF": saved(
        Image.new("P", (8, 6), 1), "GIF", save_all=True, append_images=[Image.new("P", (8, 6), n) for n in (2, 3)]
    ),
    "animated PNG": saved(Image.new("RGB", (8, 6)), "PNG", save_all=True, append_images=[Image.new("RGB", (8, 6), 9)]),
    "CMYK": saved(Image.new("CMYK", (8, 6), (9, 99, 0, 0)), "JPEG"),
    "16-bit": saved(Image.new("I;16", (8, 6), 40_000), "PNG"),
    "floating point": saved(Image.new("F", (8, 6), 0.5), "TIFF"),
    "transparent": saved(Image.new("RGBA", (8, 6), (1, 2, 3, 4)), "PNG"),
    "black and white": saved(Image.new("1", (8, 6)), "PNG"),
}
"""Pictures that are unusual and sound, of 8 by 6 pixels."""


@pytest.mark.parametrize("name", UNUSUAL)
def test_unusual_pictures_are_used_as_they_are(name: str, tmp_path: Path) -> None:
    (record,), rejected = collected(write_files(tmp_path / "pictures", {"weapon/x.png": UNUSUAL[name]}))
    assert rejected == []
    assert (record.width, record.height, len(record.pdq)) == (8, 6, 64)
    assert (tmp_path / "run" / record.image_file).read_bytes() == UNUSUAL[name]


def test_a_picture_turned_by_its_exif_data_has_its_upright_size_and_hash(tmp_path: Path) -> None:
    (record,), _ = collected(write_files(tmp_path / "pictures", {"weapon/x.jpg": rotated()}))
    assert (record.width, record.height) == (6, 8)
    upright = open_upright(rotated())
    assert record.pdq == pdq(upright)[0]
    assert record.pdq != pdq(Image.open(io.BytesIO(rotated())))[0]
