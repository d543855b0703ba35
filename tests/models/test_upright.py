"""Generation and training read the same picture, upright and in RGB."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from spavl.errors import DataError
from spavl.models.backends.local_vlm import _open_picture
from spavl.models.base import Reply
from spavl.pictures import Picture


@pytest.mark.parametrize("turn", range(1, 9))
def test_a_picture_of_a_turned_camera_is_upright_in_generation_and_training(turn: int, tmp_path: Path) -> None:
    made = Image.linear_gradient("L").resize((20, 10)).convert("RGB")
    exif = Image.Exif()
    exif[0x0112] = turn
    made.save(tmp_path / "x.png", exif=exif)
    generated_from, trained_on = _open_picture(tmp_path / "x.png"), Picture("x", tmp_path / "x.png").load()
    assert isinstance(generated_from, Image.Image)
    assert (
        generated_from.size
        == trained_on.size
        == Picture("x", tmp_path / "x.png").size()
        == ((10, 20) if turn > 4 else (20, 10))
    )
    assert generated_from.tobytes() == trained_on.tobytes()


def test_postscript_is_no_picture_to_either(tmp_path: Path) -> None:
    (tmp_path / "x.png").write_bytes(
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n%%EOF\n"
    )
    reply = _open_picture(tmp_path / "x.png")
    assert isinstance(reply, Reply) and reply.status == "invalid" and "cannot be opened" in reply.detail
    with pytest.raises(DataError, match="not a JPEG"):
        Picture("x", tmp_path / "x.png").load()
