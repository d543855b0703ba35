"""A manifest names pictures by paths or addresses; what is wrong with it is said by column and row."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spavl.config.build import CollectSettings
from spavl.dataset.collect import Candidate, Unusable, find_in_manifest
from spavl.errors import DataError
from spavl.taxonomy import load_taxonomy
from tests.dataset.pictures import noise

TAXONOMY = load_taxonomy()
MOST = 10**6


def no_fetch(address: str, most: int) -> bytes:
    """No picture is asked for."""
    raise AssertionError(f"{address} was asked for")


def found(manifest: Path, **changes: Any) -> list[Candidate]:
    """The candidates of a manifest."""
    wanted = CollectSettings(source="manifest", manifest=str(manifest), **changes)
    return list(find_in_manifest(wanted, TAXONOMY, no_fetch))


def write(folder: Path, text: str | bytes, name: str = "pictures.csv") -> Path:
    """A manifest, beside two pictures."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(2):
        (folder / f"{number}.png").write_bytes(noise(number))
    path = folder / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def error(folder: Path, text: str | bytes, name: str = "pictures.csv", **changes: Any) -> DataError:
    """What is said of a manifest."""
    with pytest.raises(DataError) as caught:
        found(write(folder, text, name), **changes)
    return caught.value


ROWS = [
    {"image": "0.png", "class3": "weapon", "license": "CC0", "source": "my camera", "caption": "a café",
     "benign": "yes", "heldout": "", "id": "first"},
    {"image": "https://example.org/a.png", "class3": "Drug_Related-Crimes", "license": "", "source": "", "caption": "",
     "benign": "", "heldout": "true", "id": ""},
]  # fmt: skip


def as_csv(delimiter: str) -> bytes:
    """The rows as CSV."""
    out = io.StringIO()
    writer = csv.DictWriter(out, ROWS[0], delimiter=delimiter)
    writer.writeheader()
    writer.writerows(ROWS)
    return out.getvalue().encode()


def as_parquet() -> bytes:
    """The rows as Parquet."""
    out = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist(ROWS), out)
    return bytes(out.getvalue())


FORMS = {
    "a.csv": as_csv(","), "a.tsv": as_csv("\t"), "b.csv": as_csv(";"), "a.json": json.dumps(ROWS).encode(),
    "a.jsonl": "\n".join(map(json.dumps, ROWS)).encode(), "a.parquet": as_parquet(),
    "utf16.csv": as_csv(",").decode().encode("utf-16"), "bom.csv": b"\xef\xbb\xbf" + as_csv(","),
}  # fmt: skip


@pytest.mark.parametrize("name", FORMS)
def test_every_form_of_table_says_the_same(name: str, tmp_path: Path) -> None:
    first, second = found(write(tmp_path, FORMS[name], name), license="mine")
    assert first.topic.class3 == "weapon"
    assert first.image_id == "weapon/benign/first"
    assert (first.license, first.source, first.caption) == ("CC0", "my camera", "a café")
    assert (first.benign, first.heldout) == (True, False)
    assert first.read(MOST) == noise(0)
    assert second.topic.class3 == "drug-related crimes"
    assert (second.license, second.source, second.caption) == ("mine", "manifest:https://example.org/a.png", "")
    assert (second.benign, second.heldout, second.name) == (False, True, "https://example.org/a.png")
    assert second.image_id.startswith("drug-related crimes/a-")


def test_the_address_of_a_row_is_fetched_when_it_is_read_and_not_before(tmp_path: Path) -> None:
    wanted = CollectSettings(manifest=str(write(tmp_path, "url,topic\nhttps://example.org/x.png,weapon\n")))
    asked = []

    def fetch(address: str, most: int) -> bytes:
        asked.append((address, most))
        return b"bytes"

    (one,) = find_in_manifest(wanted, TAXONOMY, fetch)
    assert not asked
    assert one.read(77) == b"bytes"
    assert asked == [("https://example.org/x.png", 77)]


def test_a_stamp_follows_the_file_and_needs_no_network(tmp_path: Path) -> None:
    manifest = write(tmp_path, "image,topic\n0.png,weapon\nhttps://example.org/x.png,weapon\n")
    before = [f"{one}" for one in found(manifest)]
    assert [f"{one}" for one in found(manifest)] == before
    (tmp_path / "0.png").write_bytes(noise(0) + b"x")
    after = [f"{one}" for one in found(manifest)]
    assert (after[0] == before[0], after[1] == before[1]) == (False, True)


@pytest.mark.parametrize("column", ["image", "path"])
@pytest.mark.parametrize("path", ["../outside.png", "/etc/hostname", "a/../../outside.png", "link.png", "linked/x.png"])
def test_a_path_that_leads_out_of_the_folder_is_refused_and_the_others_are_used(
    column: str, path: str, tmp_path: Path
) -> None:
    (tmp_path / "outside.png").write_bytes(noise(9))
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "x.png").write_bytes(noise(8))
    manifest = write(tmp_path / "in", f"{column},topic\n{path},weapon\n0.png,weapon\n")
    (tmp_path / "in" / "link.png").symlink_to(tmp_path / "outside.png")
    (tmp_path / "in" / "linked").symlink_to(tmp_path / "out")
    bad, good = found(manifest)
    with pytest.raises(DataError, match="leads out of the folder"):
        bad.read(MOST)
    assert good.read(MOST) == noise(0)


def test_paths_are_relative_to_the_named_folder_and_may_be_absolute_inside_it(tmp_path: Path) -> None:
    write(tmp_path / "pictures", "")
    manifest = tmp_path / "lists" / "a.csv"
    manifest.parent.mkdir()
    manifest.write_text(f"path,topic\n0.png,weapon\n{tmp_path / 'pictures' / '1.png'},weapon\n")
    assert [one.read(MOST) for one in found(manifest, folder=str(tmp_path / "pictures"))] == [noise(0), noise(1)]
    with pytest.raises(DataError, match="no such folder"):
        found(manifest, folder=str(tmp_path / "none"))


def test_a_row_that_names_no_picture_or_one_again_is_refused_alone_with_its_reason(tmp_path: Path) -> None:
    text = "image,topic\n0.png,weapon\n,weapon\n./0.png,cyber\nhttps://a.org/x,weapon\nhttps://a.org/x,weapon\nno.png,weapon\n"
    rows = found(write(tmp_path, text))
    assert len({one.name for one in rows}) == len({one.image_id for one in rows}) == 6
    reasons = []
    for one in (rows[1], rows[2], rows[4], rows[5]):
        with pytest.raises(DataError) as caught:
            one.read(MOST)
        reasons.append((caught.value.what, caught.value.kind if isinstance(caught.value, Unusable) else ""))
    assert reasons == [
        ("the row names no picture", "unreadable"),
        ("line 2 of the manifest names the same picture", "exact duplicate"),
        ("line 5 of the manifest names the same picture", "exact duplicate"),
        ("cannot be read: No such file or directory", ""),
    ]


def test_a_picture_in_base64_is_no_path_and_its_letters_are_shown_nowhere(tmp_path: Path) -> None:
    (one,) = found(write(tmp_path, f'image,topic\n"data:image/png;base64,{"A" * 20_000}",weapon\n'))
    assert len(f"{one}") < 20_000
    with pytest.raises(DataError, match="no path or address but 20,022 characters of base64"):
        one.read(MOST)


def test_columns_that_are_missing_or_misspelt_are_named_with_near_names(tmp_path: Path) -> None:
    said = error(tmp_path, "img,topic\n0.png,weapon\n")
    assert "none of the columns `image`, `path`, `url`; it has `img`, `topic`" in said.what
    assert 'is "img" meant as `image`?' in said.try_
    said = error(tmp_path, "image,class\n0.png,weapon\n")
    assert "none of the columns `class3`, `topic`, `subcategory`" in said.what
    assert 'is "class" meant as `class3`?' in said.try_
    assert "build.collect.topic" in said.try_
    assert "did you mean `license`?" in error(tmp_path, "image,topic,licence\n0.png,weapon,CC0\n").try_
    assert "in several columns: `path`, `url`" in error(tmp_path, "path,url,topic\n0.png,,weapon\n").what
    both = '{"path": "0.png", "topic": "weapon"}\n{"path": "1.png", "url": "https://a.org/x", "topic": "weapon"}\n'
    assert "in several columns" in error(tmp_path, both, "a.jsonl").what


def test_columns_of_other_tools_are_passed_over(tmp_path: Path) -> None:
    text = "image,topic,width,height,md5,text_similarity\n0.png,weapon,8,6,abc,0.3\n"
    assert len(found(write(tmp_path, text))) == 1


def test_all_unknown_topics_are_named_at_once_with_rows_and_near_names(tmp_path: Path) -> None:
    said = error(tmp_path, "image,topic\n0.png,wepon\n1.png,weapon\nx.png,wepon\ny.png,cybr\n")
    assert '"wepon" (2 rows, first' in said.what
    assert "line 2)" in said.what
    assert '"cybr" (1 row, first' in said.what
    assert "did you mean `weapon`" in said.try_
    assert "2 rows without a subcategory" in error(tmp_path, "image,topic\n0.png,\n1.png,weapon\nx.png,\n").what


def test_a_wrong_column_of_topics_makes_a_short_message_and_shows_no_sentences(tmp_path: Path) -> None:
    rows = "".join(f"{n}.png,placeholder sentence of many words number {n}\n" for n in range(3000))
    said = error(tmp_path, f"image,topic\n{rows}").render()
    assert len(said) < 4000
    assert "placeholder" not in said
    assert "and others in 2,000 rows" in said


def test_rows_without_a_topic_take_that_of_the_settings(tmp_path: Path) -> None:
    manifest = write(tmp_path, "image,topic\n0.png,\n1.png,cyber\n")
    assert [one.topic.class3 for one in found(manifest, topic="weapon")] == ["weapon", "cyber"]
    assert [one.heldout for one in found(manifest, topic="weapon", heldout=("cyber",))] == [False, True]
    assert [one.topic.class3 for one in found(write(tmp_path, "image,x\n0.png,\n"), topic="weapon")] == ["weapon"]


def test_a_flag_says_yes_or_no_and_an_id_stands_once(tmp_path: Path) -> None:
    said = error(tmp_path, "image,topic,benign\n0.png,weapon,maybe\n")
    assert '`benign` is yes or no, not "maybe"' in said.what
    assert said.where.endswith("line 2")
    said = error(tmp_path, "image,topic,id\n0.png,weapon,a\n1.png,cyber,a\n")
    assert 'Two rows have the id "a": line 2 and line 3' in said.what
    ids = [one.image_id for one in found(write(tmp_path, "image,topic,id\n0.png,weapon,a b\n1.png,weapon,a-b\n"))]
    assert ids[1] == "weapon/a-b"
    assert ids[0].startswith("weapon/a-b-")


def test_another_encoding_is_told_or_read(tmp_path: Path) -> None:
    said = error(tmp_path, "image,topic,caption\n0.png,weapon,café\n".encode("latin-1"))
    assert "This line is not UTF-8" in said.what
    assert said.where.endswith("line 2")
    assert "iconv" in said.try_
    said = error(tmp_path, "image,topic\n0.png,weapon\n".encode("utf-16-le"))
    assert "UTF-16 without a byte order mark" in said.what
    assert "iconv" in said.try_


def test_a_manifest_that_is_missing_empty_or_holds_pictures_is_said_to(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="No manifest is named"):
        list(find_in_manifest(CollectSettings(), TAXONOMY, no_fetch))
    with pytest.raises(DataError, match="does not exist"):
        found(tmp_path / "none.csv")
    assert "no rows" in error(tmp_path, "").what
    assert "no rows" in error(tmp_path, "image,topic\n").what
    table = pa.table({"image": [{"bytes": noise(), "path": "x"}], "class3": ["weapon"]})
    pq.write_table(table, tmp_path / "inside.parquet")
    with pytest.raises(DataError, match="holds no path or address") as caught:
        found(tmp_path / "inside.parquet")
    assert "build.collect.source=dataset" in caught.value.try_


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder for many manifests."""
    yield tmp_path_factory.mktemp("manifests")


@settings(max_examples=150, deadline=None)
@given(rows=st.lists(st.tuples(st.text(max_size=20), st.text(max_size=12), st.text(max_size=6)), max_size=5))
def test_any_cells_give_candidates_or_a_sentence(rows: list[tuple[str, str, str]], folder: Path) -> None:
    lines = [json.dumps({"image": a, "caption": b, "id": c, "topic": "weapon"}) for a, b, c in rows]
    (folder / "any.jsonl").write_text("\n".join(lines), "utf-8")
    try:
        candidates = found(folder / "any.jsonl")
    except DataError:
        return
    assert len(candidates) == len(rows)
    assert len({one.image_id for one in candidates}) == len({one.name for one in candidates}) == len(rows)
    for one in candidates:
        json.dumps([one.name, one.caption, one.source, one.image_id], ensure_ascii=False).encode()
        try:
            one.read(MOST)
        except (DataError, AssertionError):
            continue
        raise AssertionError("there are no pictures here")
