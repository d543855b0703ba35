"""Names of files are untrusted input too: they become ids that break nothing."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from spavl.atomic import write_json
from spavl.errors import DataError
from spavl.records import ImageRecord
from spavl.tables import read_table, write_table
from tests.dataset.pictures import collected, noise, write_files

WEIRD: list[str | bytes] = [
    "weapon/..png", "weapon/a b.png", "weapon/a\nb.png", "weapon/ä ö.png", "weapon/😀.png", "weapon/日本.png",
    "weapon/~x.png", "weapon/$(touch x).png", "weapon/a'b\".png", "weapon/-rf.png", "weapon/a.b.c.png",
    "weapon/con.png", "weapon/%2e%2e.png", "weapon/a\\b.png", "weapon/{{answer}}.png", "weapon/[[A]].png",
    "weapon/\x1b[31m.png", "weapon/x", "weapon/" + "n" * 200, b"weapon/\xff\xfe.png", b"weapon/caf\xe9.png",
]  # fmt: skip


def test_no_name_of_a_file_breaks_anything(tmp_path: Path) -> None:
    folder = write_files(tmp_path / "pictures", {name: noise(n) for n, name in enumerate(WEIRD)})
    records, rejected = collected(folder)
    hidden = 1  # `..png` begins with a dot
    assert (len(records), rejected) == (len(WEIRD) - hidden, [])
    assert len({r.image_id for r in records}) == len(records)
    for r in records:
        first, *rest = r.image_id.split("/")
        assert (first, len(rest)) == ("weapon", 1)
        assert all(c.isalnum() or c in "-_" for c in rest[0]), r.image_id
        assert (tmp_path / "run" / r.image_file).resolve().is_relative_to(tmp_path / "run" / "images")
    write_table(tmp_path / "t.parquet", records, ImageRecord)
    assert read_table(tmp_path / "t.parquet", ImageRecord) == records


def test_reasons_about_oddly_named_files_can_be_written_down(tmp_path: Path) -> None:
    folder = write_files(tmp_path / "pictures", {b"weapon/\xff.png": b"no", "weapon/good.png": noise()})
    _, (rejected,) = collected(folder)
    write_json(tmp_path / "rejected.json", [rejected.file, rejected.reason])
    assert "\\\\xff.png" in (tmp_path / "rejected.json").read_text("utf-8")


def test_an_oddly_named_file_without_a_topic_is_an_error_that_can_be_printed(tmp_path: Path) -> None:
    with pytest.raises(DataError) as error:
        collected(write_files(tmp_path / "pictures", {b"\xff.png": noise()}))
    assert error.value.render().encode("utf-8")


def test_names_that_agree_in_forty_letters_have_ids_of_their_own(tmp_path: Path) -> None:
    """The hashes of these two file names agree in 24 bits; the ids must differ still."""
    begun: dict[str, str] = {}
    for n in range(100_000):
        name = f"weapon/{'photograph-from-the-archive-of-a-museum-' * 2}{n}.png"
        key = hashlib.sha256(name.encode()).hexdigest()[:6]
        if key in begun:
            break
        begun[key] = name
    records, _ = collected(write_files(tmp_path / "pictures", {begun[key]: noise(1), name: noise(2)}))
    assert len({r.image_id for r in records}) == 2


def test_an_id_stays_with_its_picture_when_the_folder_grows(tmp_path: Path) -> None:
    folder = write_files(tmp_path / "pictures", {"weapon/m.png": noise(1)})
    (before,), _ = collected(folder)
    write_files(folder, {"weapon/a.png": noise(2), "weapon/z.png": noise(3)})
    assert before in collected(folder)[0]
