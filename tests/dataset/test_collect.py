"""What `collect` makes of a folder of pictures: records with their topics, copies under their hashes, errors."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from spavl.config.build import CollectSettings
from spavl.dataset.collect import file_candidate, find
from spavl.errors import DataError, RunError
from spavl.taxonomy import load_taxonomy
from tests import samples
from tests.dataset.pictures import collected, noise, outcomes, write_files

# --- records ----------------------------------------------------------------------------------------------------------


def test_a_picture_becomes_a_record_and_a_copy_under_the_hash_of_its_bytes(tmp_path: Path) -> None:
    data = noise()
    (record,), rejected = collected(write_files(tmp_path / "pictures", {"weapon/a knife.png": data}), license="CC0")
    digest = hashlib.sha256(data).hexdigest()
    assert rejected == []
    assert (record.width, record.height, record.license, record.topic) == (8, 6, "CC0", samples.WEAPON)
    assert (record.image_sha256, record.image_source) == (digest, "folder:weapon/a knife.png")
    assert record.image_file == f"images/{digest[:2]}/{digest}.png"
    assert (tmp_path / "run" / record.image_file).read_bytes() == data
    assert record.image_id.startswith("weapon/a-knife-")


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"])
def test_the_format_is_that_of_the_bytes_whatever_the_name_says(kind: str, tmp_path: Path) -> None:
    (record,), rejected = collected(write_files(tmp_path / "pictures", {"weapon/x.dat": noise(kind=kind)}))
    assert rejected == []
    assert Path(record.image_file).suffix == {"JPEG": ".jpg", "TIFF": ".tif"}.get(kind, f".{kind.lower()}")


def test_a_multi_picture_jpeg_is_a_jpeg(tmp_path: Path) -> None:
    out = io.BytesIO()
    first, second = (Image.new("RGB", (8, 6), color) for color in ("red", "blue"))
    first.save(out, "MPO", save_all=True, append_images=[second])
    (record,), rejected = collected(write_files(tmp_path / "pictures", {"weapon/x.jpg": out.getvalue()}))
    assert rejected == []
    assert record.image_file.endswith(".jpg")


def test_the_place_of_a_picture_names_its_topic(tmp_path: Path) -> None:
    folder = write_files(
        tmp_path / "pictures",
        {
            "weapon/a.png": noise(1), "weapon/benign/b.png": noise(2),
            "Malicious Use/Security threats/malware/c.png": noise(3), "weapon/cyber/d.png": noise(4),
        },
    )  # fmt: skip
    records, _ = collected(folder, heldout=("malware",))
    found = {r.image_source.rsplit("/", 1)[-1]: (r.topic.class3, r.benign, r.heldout) for r in records}
    assert found == {
        "a.png": ("weapon", False, False), "b.png": ("weapon", True, False), "c.png": ("malware", False, True),
        "d.png": ("cyber", False, False),
    }  # fmt: skip


def test_pictures_directly_in_the_folder_need_a_topic(tmp_path: Path) -> None:
    folder = write_files(tmp_path / "pictures", {"x.png": noise()})
    with pytest.raises(DataError) as error:
        collected(folder)
    assert "No subcategory is named for 1 picture" in error.value.what
    assert "the folder itself (1 picture)" in error.value.what
    assert error.value.where == str(folder)
    assert "build.collect.topic" in error.value.try_
    (record,), _ = collected(folder, topic="weapon")
    assert record.topic == samples.WEAPON


def test_a_folder_that_names_no_subcategory_gets_the_nearest_name(tmp_path: Path) -> None:
    with pytest.raises(DataError) as error:
        collected(write_files(tmp_path / "pictures", {"Wepons/x.png": noise()}))
    assert "`Wepons` (1 picture)" in error.value.what
    assert "did you mean `weapon`" in error.value.try_


@pytest.mark.parametrize("changes", [{"topic": "wepon"}, {"heldout": ("wepon",)}])
def test_an_unknown_topic_or_heldout_subcategory_is_an_error(changes: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(DataError) as error:
        collected(write_files(tmp_path / "pictures", {"x.png": noise()}), **changes)
    assert "did you mean `weapon`" in error.value.try_


def test_hidden_files_and_plain_text_are_skipped(tmp_path: Path) -> None:
    folder = write_files(
        tmp_path / "pictures",
        {
            "weapon/x.png": noise(), "weapon/.hidden.png": noise(1), ".cache/y.png": noise(2), "README.md": b"words",
            "weapon/labels.CSV": b"a,b", "weapon/.git/z.png": noise(3),
        },
    )  # fmt: skip
    records, rejected = collected(folder)
    assert ([r.image_source for r in records], rejected) == (["folder:weapon/x.png"], [])


def test_collecting_again_changes_nothing(tmp_path: Path) -> None:
    folder = write_files(tmp_path / "pictures", {f"weapon/{n}.png": noise(n) for n in range(5)})
    first, _ = collected(folder)
    second, _ = collected(folder)
    assert first == second
    assert sorted(r.image_id for r in first) == [r.image_id for r in first]


# --- no folder --------------------------------------------------------------------------------------------------------


def test_no_folder_named_no_such_folder_a_file_and_an_empty_one_are_four_errors(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="No folder of pictures is named"):
        list(find(CollectSettings(), load_taxonomy()))
    with pytest.raises(DataError, match="There is no such folder"):
        list(find(CollectSettings(folder=str(tmp_path / "none")), load_taxonomy()))
    (tmp_path / "file").write_text("x")
    with pytest.raises(DataError, match="This is a file and no folder of pictures"):
        list(find(CollectSettings(folder=str(tmp_path / "file")), load_taxonomy()))
    (tmp_path / "empty" / "weapon").mkdir(parents=True)
    with pytest.raises(DataError, match="There are no pictures"):
        list(find(CollectSettings(folder=str(tmp_path / "empty")), load_taxonomy()))


# --- copies -----------------------------------------------------------------------------------------------------------


def test_a_run_folder_that_cannot_hold_the_copy_is_an_error(tmp_path: Path) -> None:
    folder = write_files(tmp_path / "pictures", {"weapon/a.png": noise()})
    write_files(tmp_path / "run", {"images": b"a file in the way"})
    with pytest.raises(RunError, match="The picture cannot be written"):
        collected(folder)


def test_a_damaged_copy_in_the_run_folder_is_replaced(tmp_path: Path) -> None:
    folder = write_files(tmp_path / "pictures", {"weapon/a.png": noise()})
    (record,), _ = collected(folder)
    copy = tmp_path / "run" / record.image_file
    copy.write_bytes(copy.read_bytes()[:10])
    collected(folder)
    assert copy.read_bytes() == noise()


def test_candidates_from_elsewhere_need_no_folder(tmp_path: Path) -> None:
    """The pictures of the miniature world lie in no collected folder."""
    write_files(tmp_path, {"world/x.png": noise()})
    candidate = file_candidate(
        tmp_path / "world" / "x.png", inside=None, topic=samples.WEAPON, image_id="weapon/0", benign=False,
        heldout=False, source="miniature world", license="",
    )  # fmt: skip
    (record,), rejected = outcomes([candidate], tmp_path / "run")
    assert (record.image_id, rejected) == ("weapon/0", [])
