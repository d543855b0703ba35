"""Pictures of an evaluation are kept once, whole, under the hash of their bytes."""

from __future__ import annotations

import hashlib

import pytest

from spavl.errors import RunError
from spavl.evaluate.pictures import store_picture


def test_a_picture_is_named_by_its_hash_and_written_once(tmp_path):
    image = store_picture(b"bytes", tmp_path / "pictures", ".png")
    assert image.sha256 == hashlib.sha256(b"bytes").hexdigest()
    assert image.path == tmp_path / "pictures" / f"{image.sha256}.png"
    before = image.path.stat().st_mtime_ns
    assert store_picture(b"bytes", tmp_path / "pictures", ".png") == image
    assert image.path.stat().st_mtime_ns == before
    assert [p.name for p in image.path.parent.iterdir()] == [image.path.name]


def test_a_picture_cut_off_by_a_full_disk_is_written_anew(tmp_path):
    path = store_picture(b"bytes", tmp_path).path
    path.write_bytes(b"by")
    assert store_picture(b"bytes", tmp_path).path.read_bytes() == b"bytes"


def test_a_folder_that_cannot_be_made_is_an_error(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(RunError, match="The picture cannot be written"):
        store_picture(b"bytes", tmp_path / "file" / "pictures")
