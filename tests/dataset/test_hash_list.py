"""The hash list: asked before a picture is stored or shown; of a match only hash and reason are kept."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from spavl.config.build import CollectSettings
from spavl.config.filters import FilterSettings
from spavl.dataset.collect import checks_of, filters_stamp, find, unusable
from spavl.dataset.collect.hash_list import read_hash_list
from spavl.errors import DataError
from spavl.similarity.pdq import pdq
from spavl.taxonomy import load_taxonomy
from tests.dataset.pictures import collected, noise, write_files
from tests.pipeline.instant import built, settings_of, write_pictures
from tests.similarity.pdq_hashes import picture

IMAGE = Image.fromarray(picture(0))
HASH = pdq(IMAGE)[0]


def listed(folder: Path, text: str) -> FilterSettings:
    """Settings with a hash list."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "list.csv").write_text(text, "utf-8")
    return FilterSettings(hash_list=str(folder / "list.csv"))


def changed_copy() -> bytes:
    """The picture, smaller and encoded again."""
    out = io.BytesIO()
    IMAGE.resize((320, 240)).save(out, "JPEG", quality=60)
    return out.getvalue()


def test_of_a_match_only_hash_and_reason_are_kept(tmp_path: Path) -> None:
    filters = listed(tmp_path, f"# a list\n{'0' * 64}\n{HASH},from somewhere\n")
    folder = write_files(tmp_path / "pictures", {"weapon/xqzzyx name.jpg": changed_copy(), "weapon/x.png": noise()})
    (record,), (rejected,) = collected(folder, filters=filters)
    assert record.image_source == "folder:weapon/x.png"
    assert set(rejected.plain()) == {"reason", "kind", "pdq"}
    assert (rejected.kind, rejected.pdq) == ("hash list", pdq(Image.open(io.BytesIO(changed_copy())))[0])
    assert "xqzzyx" not in f"{rejected}{rejected.plain()}"
    assert len([file for file in (tmp_path / "run" / "images").rglob("*") if file.is_file()]) == 1


def test_a_match_leaves_no_trace_in_a_run_folder(tmp_path: Path) -> None:
    write_pictures(tmp_path / "pictures", 2)
    write_files(tmp_path / "pictures", {"weapon/xqzzyx.jpg": changed_copy()})
    filters = listed(tmp_path, HASH)
    made = settings_of(tmp_path)
    collect = made.build.collect.model_copy(update={"filters": filters})
    made = made.model_copy(update={"build": made.build.model_copy(update={"collect": collect})})
    *_, lines = built(made)
    (one,) = json.loads((tmp_path / "run" / "rejected.json").read_text("utf-8"))
    assert one["kind"] == "hash list"
    assert json.loads((tmp_path / "run" / "run.json").read_text("utf-8"))["counts"]["collect"]["hash list"] == 1
    assert not [line for line in lines if "xqzzyx" in line]
    for file in (tmp_path / "run").rglob("*"):
        assert not file.is_file() or b"xqzzyx" not in file.read_bytes(), file


def test_it_comes_before_every_filter_that_would_keep_a_name(tmp_path: Path) -> None:
    filters = listed(tmp_path, HASH).model_copy(update={"min_width": 5000})
    folder = write_files(tmp_path / "pictures", {"weapon/a.jpg": changed_copy(), "weapon/b.jpg": changed_copy()})
    _, rejected = collected(folder, filters=filters)
    assert [one.kind for one in rejected] == ["hash list"] * 2


def test_a_check_names_no_picture_of_the_list(tmp_path: Path) -> None:
    folder = write_files(tmp_path / "pictures", {"weapon/xqzzyx.jpg": changed_copy()})
    wanted = CollectSettings(folder=str(folder), filters=listed(tmp_path, HASH))
    (one,) = unusable(find(wanted, load_taxonomy()), checks_of(wanted))
    assert (one.file, one.kind) == ("", "hash list")


def test_a_changed_list_changes_what_the_table_is_made_from(tmp_path: Path) -> None:
    before = filters_stamp(listed(tmp_path, HASH))
    assert before == filters_stamp(listed(tmp_path, HASH))
    assert before != filters_stamp(listed(tmp_path, "0" * 64))


@pytest.mark.parametrize(
    "text",
    [HASH, HASH.upper(), f'"{HASH}"', f"{HASH},100,x", f"{HASH}\t5", f"hash,quality\n{HASH},7", f"pdq_hash\n\n{HASH}\n",
     f"\ufeff{HASH}\r\n", f"{HASH}; note"],
)  # fmt: skip
def test_lists_are_read_as_people_write_them(text: str, tmp_path: Path) -> None:
    wanted = listed(tmp_path, text)
    found = read_hash_list(Path(str(wanted.hash_list)), 0)
    assert (len(found), found.holds(HASH), found.holds("0" * 64)) == (1, True, False)


@pytest.mark.parametrize(
    ("text", "where"),
    [
        (f"{HASH}\n{HASH[:-1]}\n", "line 2"),
        (HASH[:40], "line 1"),
        (f"{HASH}a", "line 1"),
        (f"{HASH}\n\nwords", "line 3"),
    ],
)
def test_a_malformed_line_is_named(text: str, where: str, tmp_path: Path) -> None:
    with pytest.raises(DataError) as error:
        checks_of(CollectSettings(filters=listed(tmp_path, text)))
    assert error.value.where.endswith(where)


@pytest.mark.parametrize("content", [b"", b"# nothing\n", b"\xff\xfe\x00", None])
def test_a_list_that_is_empty_missing_or_no_text_is_refused(content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "list.txt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match="hash list"):
        read_hash_list(path, 31)


@settings(deadline=None, max_examples=50)
@given(text=st.text(st.sampled_from("0123456789abcdefg,# \n\"'x"), max_size=300))
def test_no_list_is_a_stack_trace(text: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.getbasetemp() / "any.txt"
    path.write_text(f"{text}\n", "utf-8")
    try:
        assert len(read_hash_list(path, 31)) > 0
    except DataError as error:
        assert error.where
