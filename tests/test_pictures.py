"""Pictures of every kind: upright, RGB, the same for everybody; unreadable ones named."""

from __future__ import annotations

import base64
import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

import spavl
from spavl.config.models import PictureSettings
from spavl.errors import DataError
from spavl.models.backends.endpoint_pictures import sent_form
from spavl.models.backends.local_vlm import _open_picture
from spavl.pictures import FileSlice, Picture, capped, capped_size, check_picture, open_upright, read_header
from spavl.report.pictures import inline

GREY = np.linspace(0, 255, 20 * 30).reshape(20, 30).astype(np.uint8)
RGB = np.stack([GREY, GREY[::-1], GREY[:, ::-1]], axis=2)
HALF = np.full_like(GREY, 128)
OVER_WHITE = np.rint((RGB.astype(int) * 128 + 255 * 127) / 255).astype(np.uint8)
GREY_OVER_WHITE = np.rint((GREY.astype(int) * 128 + 255 * 127) / 255).astype(np.uint8)


def saved(image: Image.Image, kind: str, **more) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **more)
    return file.getvalue()


def turned(orientation: int, kind: str) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return saved(Image.fromarray(RGB), kind, exif=exif, **({"lossless": True} if kind == "WEBP" else {}))


def three(grey: np.ndarray) -> np.ndarray:
    return np.stack([grey] * 3, axis=2)


def palette(transparent: int | bytes | None) -> bytes:
    image = Image.fromarray((np.arange(600).reshape(20, 30) % 4).astype(np.uint8), "P")
    image.putpalette([0, 0, 0, 255, 0, 0, 0, 255, 0, 0, 0, 255])
    return saved(image, "PNG", **({} if transparent is None else {"transparency": transparent}))


def palette_colours(*colours: tuple[int, int, int]) -> np.ndarray:
    return np.array(colours, dtype=np.uint8)[np.arange(600).reshape(20, 30) % 4]


def animation(kind: str, **more) -> bytes:
    frames = [Image.fromarray(RGB), Image.new("RGB", (30, 20), "red")]
    return saved(frames[0], kind, save_all=True, append_images=frames[1:], duration=9, **more)


UPRIGHT: dict[int, Callable[[np.ndarray], np.ndarray]] = {
    1: lambda a: a, 2: lambda a: a[:, ::-1], 3: lambda a: a[::-1, ::-1], 4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1), 6: lambda a: np.rot90(a, -1), 7: lambda a: np.rot90(a, 2).swapaxes(0, 1),
    8: lambda a: np.rot90(a),
}  # fmt: skip
DEEP = (np.arange(600).reshape(20, 30) * 109).astype(np.uint16)
FLOAT = (np.arange(600).reshape(20, 30) / 599).astype(np.float32)
BLACK, RED, GREEN, BLUE, WHITE = (0, 0, 0), (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)
DEEP_SHOWN, FLOAT_SHOWN = np.rint(DEEP / 257).astype(np.uint8), np.rint(FLOAT * 255.0).astype(np.uint8)
ALPHA, CMYK = np.dstack([RGB, HALF]), Image.fromarray(RGB).convert("CMYK")
ONE_RED, BLACK_FRAME = Image.new("RGB", (30, 20), RED), Image.new("RGB", (30, 20))
NO_NUMBER = np.where(GREY == 0, np.nan, GREY).astype(np.float32)


def tiff(numbers: np.ndarray) -> bytes:
    return saved(Image.fromarray(numbers), "TIFF")


def png(image: np.ndarray | Image.Image, **more) -> bytes:
    return saved(image if isinstance(image, Image.Image) else Image.fromarray(image), "PNG", **more)


SAMPLES: dict[str, tuple[bytes, np.ndarray]] = {
    **{f"{kind} turned {n}": (turned(n, kind), UPRIGHT[n](RGB)) for kind in ("PNG", "WEBP", "TIFF") for n in UPRIGHT},
    "RGB": (png(RGB), RGB),
    "grey": (png(GREY), three(GREY)),
    "BMP": (saved(Image.fromarray(RGB), "BMP"), RGB),
    "TIFF": (tiff(RGB), RGB),
    "one bit": (png(GREY > 99), three(np.where(GREY > 99, 255, 0).astype(np.uint8))),
    "RGBA": (png(ALPHA), OVER_WHITE),
    "RGBA WebP": (saved(Image.fromarray(ALPHA), "WEBP", lossless=True, exact=True), OVER_WHITE),
    "RGBA TIFF": (tiff(ALPHA), OVER_WHITE),
    "clear": (png(Image.new("RGBA", (30, 20), (9, 9, 9, 0))), three(np.full_like(GREY, 255))),
    "LA": (png(Image.merge("LA", [Image.fromarray(GREY), Image.fromarray(HALF)])), three(GREY_OVER_WHITE)),
    "grey with a clear value": (png(GREY, transparency=0), three(np.where(GREY == 0, 255, GREY))),
    "RGB with a clear colour": (png(ONE_RED, transparency=RED), np.full_like(RGB, 255)),
    "palette": (palette(None), palette_colours(BLACK, RED, GREEN, BLUE)),
    "palette with a clear colour": (palette(0), palette_colours(WHITE, RED, GREEN, BLUE)),
    "palette with clear colours": (palette(b"\x00\xff\x00"), palette_colours(WHITE, RED, WHITE, BLUE)),
    "16-bit PNG": (png(DEEP), three(DEEP_SHOWN)),
    "16-bit TIFF": (tiff(DEEP), three(DEEP_SHOWN)),
    "32-bit TIFF of 16-bit numbers": (tiff(DEEP.astype(np.int32)), three(DEEP_SHOWN)),
    "float TIFF up to 1": (tiff(FLOAT), three(FLOAT_SHOWN)),
    "float TIFF up to 255": (tiff(GREY.astype(np.float32)), three(GREY)),
    "float TIFF below 0": (tiff(GREY.astype(np.float32) - 100), three(GREY)),
    "float TIFF with no number": (tiff(NO_NUMBER), three(GREY)),
    "CMYK TIFF": (saved(CMYK, "TIFF"), np.asarray(CMYK.convert("RGB"))),
    "animated PNG": (animation("PNG"), RGB),
    "animated WebP": (animation("WEBP", lossless=True), RGB),
    "GIF": (saved(ONE_RED, "GIF"), np.full_like(RGB, RED)),
    "animated GIF": (saved(ONE_RED, "GIF", save_all=True, append_images=[BLACK_FRAME]), np.full_like(RGB, RED)),
    "clear GIF": (saved(Image.new("P", (30, 20), 0), "GIF", transparency=0), np.full_like(RGB, 255)),
}
"""Files whose pixels are known, with the pixels."""


def as_a_server_does(data: bytes) -> np.ndarray:
    """vLLM and most others: opened by Pillow and made RGB, whatever it is."""
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


def sendable(path: Path, **settings: Any) -> tuple[str, bytes]:
    return sent_form(path.read_bytes(), PictureSettings(**settings))


def in_the_report(path: Path) -> np.ndarray:
    inlined = inline(path, 1000)
    assert inlined is not None
    image = Image.open(io.BytesIO(base64.b64decode(inlined.address.partition(",")[2])))
    assert (inlined.width, inlined.height) == image.size
    return np.asarray(image)


CONSUMERS: dict[str, Callable[[Path], np.ndarray]] = {
    "a local model": lambda path: np.asarray(_open_picture(path)),
    "training, from a file": lambda path: np.asarray(Picture("k", path).load()),
    "training, from bytes": lambda path: np.asarray(Picture("k", path.read_bytes()).load()),
    "training, from a cache": lambda path: np.asarray(Picture("k", FileSlice(path, 0, path.stat().st_size)).load()),
    "an endpoint": lambda path: as_a_server_does(sendable(path)[1]),
    "the report": in_the_report,
}


@pytest.mark.parametrize("consumer", CONSUMERS)
@pytest.mark.parametrize("sample", SAMPLES)
def test_everybody_is_shown_the_same_pixels(tmp_path: Path, sample: str, consumer: str) -> None:
    data, expected = SAMPLES[sample]
    (tmp_path / "picture").write_bytes(data)
    shown = CONSUMERS[consumer](tmp_path / "picture")
    assert shown.shape == expected.shape
    assert np.abs(shown.astype(int) - expected.astype(int)).max() <= 1


@pytest.mark.parametrize("sample", SAMPLES)
def test_the_size_from_the_header_is_that_of_the_opened_picture(tmp_path: Path, sample: str) -> None:
    data, expected = SAMPLES[sample]
    assert read_header(data).size == Picture("k", data).size() == (expected.shape[1], expected.shape[0])


@pytest.mark.parametrize("orientation", UPRIGHT)
def test_a_jpeg_of_a_turned_camera_is_upright_for_everybody(tmp_path: Path, orientation: int) -> None:
    """A JPEG that is written anew for an endpoint loses a little; the report and local models lose nothing."""
    (tmp_path / "x.jpg").write_bytes(turned(orientation, "JPEG"))
    local = np.asarray(open_upright(tmp_path / "x.jpg")).astype(int)
    assert np.abs(local - UPRIGHT[orientation](RGB)).mean() < 12
    media_type, data = sendable(tmp_path / "x.jpg")
    assert media_type == "image/jpeg"
    assert np.abs(as_a_server_does(data) - local).mean() < 2
    assert (in_the_report(tmp_path / "x.jpg") == local).all()


def test_plain_files_are_sent_as_they_are_and_others_anew(tmp_path: Path) -> None:
    plain = {"RGB", "grey", "one bit", "palette", "PNG turned 1", "WEBP turned 1", "GIF"}
    for name, (data, _) in SAMPLES.items():
        (tmp_path / "x").write_bytes(data)
        media_type, sent = sendable(tmp_path / "x")
        assert (sent == data) == (name in plain), name
        assert media_type == Image.MIME[Image.open(io.BytesIO(sent)).format or ""]
    jpeg = saved(Image.fromarray(RGB), "JPEG")
    (tmp_path / "x").write_bytes(jpeg)
    assert sendable(tmp_path / "x") == ("image/jpeg", jpeg)


def test_a_picture_with_too_many_pixels_is_made_smaller_in_its_proportions(tmp_path: Path) -> None:
    (tmp_path / "x.png").write_bytes(saved(Image.new("RGB", (400, 200)), "PNG"))
    _, sent = sendable(tmp_path / "x.png", max_pixels=20_000)
    assert read_header(sent).size == (200, 100) == capped(Image.new("RGB", (400, 200)), 20_000).size
    assert capped_size((400, 200), None) == (400, 200) == capped_size((400, 200), 80_000)
    assert capped_size((1, 9000), 100) == (1, 948)
    shown = _open_picture(tmp_path / "x.png", 20_000)
    assert isinstance(shown, Image.Image) and shown.size == (200, 100)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
def test_damaged_exif_data_lose_no_picture() -> None:
    data = saved(Image.fromarray(RGB), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\x7f" + b"\x12\x01\x03\0" * 9)
    assert open_upright(data).size == (30, 20)


def png_of(width: int, height: int) -> bytes:
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", head), (b"IDAT", zlib.compress(b"")), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"", "the file is empty"),
        (b"words", "not a JPEG, PNG, WebP, GIF, BMP or TIFF picture\n"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n", r"picture \(found: PostScript\)"),
        (b"\0\0\0\x18ftypheic\0\0\0\0", r"\(found: HEIC, AVIF or video\)"),
        (b" <svg xmlns=''/>", r"\(found: SVG\)"),
        (b"version https://git-lfs.github.com/spec/v1\n", r"\(found: Git LFS pointer\)"),
        (b"II*\0" + b"\0" * 40, "a TIFF picture that is damaged, or of a sort that is not read"),
        (saved(Image.fromarray(RGB), "TIFF")[:700], "a damaged picture|a TIFF picture that is damaged"),
        (saved(Image.fromarray(RGB), "PNG")[:99], "a damaged picture"),
        (png_of(60_000, 60_000), "decompression bomb"),
    ],
)
def test_what_is_no_picture_is_a_sentence_with_its_file(tmp_path: Path, data: bytes, what: str) -> None:
    path = tmp_path / "bad.png"
    path.write_bytes(data)
    for opened in (lambda: open_upright(path), Picture("k", path).load):
        with pytest.raises(DataError, match=what) as error:
            opened()
        assert error.value.where == str(path)
    with pytest.raises(DataError, match=what) as error:
        Picture("k", data).load()
    assert error.value.where == "picture k"
    with pytest.raises(DataError, match=what):
        check_picture(path)
    if "a damaged picture" not in what:
        with pytest.raises(DataError, match=what):
            sendable(path)
    assert inline(path, 99) is None


def test_a_picture_that_is_not_there_is_a_sentence(tmp_path: Path) -> None:
    for read in (Picture("k", tmp_path / "gone.png").load, lambda: check_picture(tmp_path / "gone.png")):
        with pytest.raises(DataError, match="no such picture") as error:
            read()
        assert error.value.where.endswith("gone.png")
    with pytest.raises(DataError, match="no file of this picture"):
        Picture("k", None).load()


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sample=st.sampled_from(sorted(SAMPLES)), place=st.floats(0, 1), byte=st.integers(0, 255), cut=st.booleans())
@pytest.mark.filterwarnings("ignore")
def test_bytes_changed_anywhere_are_a_picture_or_a_sentence(sample: str, place: float, byte: int, cut: bool) -> None:
    data = bytearray(SAMPLES[sample][0])
    at = int(place * (len(data) - 1))
    data[at:] = b"" if cut else bytes([byte]) + data[at + 1 :]
    try:
        assert open_upright(bytes(data)).mode == "RGB"
    except DataError as error:
        assert error.what


def test_nobody_else_opens_pictures() -> None:
    package = Path(spavl.__file__).parent
    openers = [path.name for path in package.rglob("*.py") if "Image.open(" in path.read_text("utf-8")]
    assert openers == ["pictures.py"]
