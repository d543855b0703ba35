"""Pictures as endpoints are sent them: right media type, upright and without transparency, as small as asked."""

from __future__ import annotations

import base64
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from spavl.config.models import EndpointSpec, PictureSettings
from spavl.errors import DataError
from spavl.models import open_model
from spavl.models.backends.endpoint_pictures import PictureCache, sent_form
from spavl.models.base import Prompt, Sampling
from spavl.models.calls.engine import complete
from spavl.models.calls.store import CallStore
from spavl.models.identity import identity_of
from spavl.records import ImageRef
from tests.faults.plan import Plan
from tests.faults.server import serving

PLAIN = PictureSettings()


def saved(image: Image.Image, format_: str, **more: Any) -> bytes:
    buffer = BytesIO()
    image.save(buffer, format_, **more)
    return buffer.getvalue()


def plain(mode: str = "RGB", size: tuple[int, int] = (20, 10)) -> Image.Image:
    return Image.new(mode, size, "white")


def opened(content: bytes) -> Image.Image:
    return Image.open(BytesIO(content))


@pytest.mark.parametrize("format_", ["PNG", "JPEG", "GIF", "WEBP"])
def test_a_plain_picture_is_sent_as_it_is_with_the_type_of_its_bytes(format_: str) -> None:
    content = saved(plain(), format_)
    assert sent_form(content, PLAIN) == (f"image/{format_.lower()}", content)


@pytest.mark.parametrize("format_", ["BMP", "TIFF"])
def test_a_format_that_servers_do_not_read_is_sent_as_png(format_: str) -> None:
    media_type, content = sent_form(saved(plain(), format_), PLAIN)
    assert (media_type, opened(content).format, opened(content).size) == ("image/png", "PNG", (20, 10))


def test_a_photo_that_its_camera_turned_is_sent_upright_as_jpeg() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    media_type, content = sent_form(saved(plain(), "JPEG", exif=exif), PLAIN)
    assert (media_type, opened(content).size) == ("image/jpeg", (10, 20))
    assert opened(content).getexif().get(0x0112, 1) == 1


def test_a_transparent_a_deep_and_a_moving_picture_are_converted() -> None:
    moving = saved(plain(), "GIF", save_all=True, append_images=[Image.new("RGB", (20, 10), "black")])
    for content in (saved(plain("RGBA"), "PNG"), saved(Image.new("I;16", (20, 10)), "PNG"), moving):
        media_type, sent = sent_form(content, PLAIN)
        assert media_type == "image/png" and opened(sent).mode == "RGB" and sent != content


@pytest.mark.parametrize("format_", ["jpeg", "png"])
def test_all_pictures_are_sent_in_the_format_that_is_asked_for(format_: str) -> None:
    settings = PictureSettings.model_validate({"format": format_})
    for source in ("PNG", "JPEG", "WEBP"):
        media_type, content = sent_form(saved(plain(), source), settings)
        assert (media_type, opened(content).format) == (f"image/{format_}", format_.upper())


def test_a_large_picture_is_scaled_to_the_most_pixels_and_a_small_one_is_left() -> None:
    large = saved(plain(size=(4000, 3000)), "JPEG")
    media_type, content = sent_form(large, PictureSettings(max_pixels=1_000_000))
    width, height = opened(content).size
    assert media_type == "image/jpeg" and width * height <= 1_000_000
    assert width * height > 990_000 and abs(width / height - 4 / 3) < 0.01
    small = saved(plain(), "PNG")
    assert sent_form(small, PictureSettings(max_pixels=200)) == ("image/png", small)


@pytest.mark.parametrize(("format_", "sent_as"), [("original", "image/jpeg"), ("png", "image/png")])
def test_a_heavy_picture_is_made_to_fit_the_most_bytes(format_: str, sent_as: str) -> None:
    heavy = saved(Image.effect_noise((600, 400), 90).convert("RGB"), "PNG")
    settings = PictureSettings.model_validate({"format": format_, "max_bytes": 50_000})
    media_type, content = sent_form(heavy, settings)
    assert (media_type, opened(content).format) == (sent_as, sent_as.removeprefix("image/").upper())
    assert 10_000 < len(content) <= 50_000 < len(heavy)


def test_a_line_one_pixel_high_is_scaled_without_vanishing() -> None:
    _, content = sent_form(saved(plain(size=(5000, 1)), "PNG"), PictureSettings(max_pixels=100))
    assert opened(content).size[1] == 1


def test_the_form_of_pictures_is_part_of_the_identity_and_so_of_every_key() -> None:
    def identity(**pictures: object) -> str:
        entry = {"name": "a", "url": "http://here/v1", "model": "m", "identity": "maker/m", "pictures": pictures}
        return identity_of(EndpointSpec.model_validate(entry))

    forms = [{}, {"format": "jpeg"}, {"format": "png"}, {"max_pixels": 9}, {"max_bytes": 1000}]
    assert len({identity(**form) for form in forms}) == len(forms)
    assert identity(format="original") == identity()


def test_what_is_no_picture_is_refused_with_its_reason_and_fails_its_own_call_for_good(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="the picture cannot be opened"):
        sent_form(b"\x89PNG and no more", PLAIN)
    (tmp_path / "bad.png").write_bytes(b"\x89PNG and no more")
    (tmp_path / "good.png").write_bytes(saved(plain(), "BMP"))
    prompts = [Prompt("What?", (ImageRef.of(tmp_path / name),)) for name in ("bad.png", "good.png")]
    with serving({"*": Plan()}) as server, CallStore(tmp_path / "calls.sqlite") as store:
        bad, good = complete(open_model(server.spec()), prompts, sampling=Sampling(), store=store)
    assert (bad.status, good.status) == ("invalid", "ok")
    assert "the picture cannot be opened" in bad.detail
    url = server.bodies[0]["messages"][0]["content"][0]["image_url"]["url"]
    assert url.startswith("data:image/png;base64,")
    assert opened(base64.b64decode(url.partition(",")[2])).format == "PNG"


def test_pictures_are_read_once_while_they_are_kept_and_the_oldest_is_dropped(tmp_path: Path) -> None:
    pictures = []
    for number in range(4):
        (tmp_path / f"{number}.png").write_bytes(saved(Image.new("RGB", (8, 8), (number, 0, 0)), "PNG"))
        pictures.append(ImageRef.of(tmp_path / f"{number}.png"))
    size = len(base64.b64encode(pictures[0].path.read_bytes()))
    cache = PictureCache(most=2 * size + size // 2)
    encoded = [cache.encoded(picture, PLAIN) for picture in pictures]
    for picture in pictures:
        picture.path.unlink()
    assert [cache.encoded(picture, PLAIN) for picture in pictures[2:]] == encoded[2:]
    assert cache.holds(tuple(pictures[2:]), PLAIN) and not cache.holds(tuple(pictures), PLAIN)
    for picture in pictures[:2]:
        with pytest.raises(OSError, match=picture.path.name):
            cache.encoded(picture, PLAIN)


def test_other_bytes_and_another_form_are_another_picture_to_the_cache(tmp_path: Path) -> None:
    cache, path = PictureCache(most=100_000), tmp_path / "x.png"
    path.write_bytes(saved(plain(), "PNG"))
    before = ImageRef.of(path)
    one = cache.encoded(before, PLAIN)
    path.write_bytes(saved(plain(size=(5, 5)), "PNG"))
    assert cache.encoded(replace(before, sha256="b" * 64), PLAIN) != one
    assert cache.encoded(before, PictureSettings(format="jpeg"))[0] == "image/jpeg"
