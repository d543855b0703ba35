"""Pictures: their upright size from the header, and unreadable ones named."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from PIL import Image

from spavl.errors import DataError
from spavl.pictures import Picture


def test_a_turned_picture_has_its_upright_size(tmp_path: Path) -> None:
    turned = Image.new("RGB", (30, 20))
    exif = Image.Exif()
    exif[0x0112] = 6
    turned.save(tmp_path / "turned.jpg", exif=exif)
    for source in (tmp_path / "turned.jpg", (tmp_path / "turned.jpg").read_bytes()):
        assert Picture("k", source).size() == (20, 30) == Picture("k", source).load().size


def test_an_unreadable_picture_is_named(tmp_path: Path) -> None:
    (tmp_path / "bad.png").write_bytes(b"not a picture")
    with pytest.raises(DataError, match=r"bad\.png"):
        Picture("k", tmp_path / "bad.png").size()
    with pytest.raises(DataError, match="picture k"):
        Picture("k", io.BytesIO(b"").getvalue()).load()
