"""What a dataset shares with others is found, counted and left out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from spavl.cli.commands import app
from spavl.errors import DataError, SettingsError
from spavl.pipeline.contamination import Contamination, ContaminationRequest, contamination, settings_session
from spavl.progress import NoProgress
from tests.contamination.dataset import detailed, drawn, png, question, write_dataset, write_questions, write_shown


def found(folder: Path, *against: Path, **changes: Any) -> tuple[Contamination, list[dict[str, Any]]]:
    """What the dataset of a folder shares."""
    source = folder / "train.parquet"
    if not source.exists():
        write_dataset(source)
    made = contamination(
        ContaminationRequest(source=str(source), against=[str(path) for path in against], out=folder / "found",
                             cache=folder / "cache", **changes), NoProgress(),
    )  # fmt: skip
    return made, pq.read_table(folder / "found/contamination.parquet").to_pylist()


def kinds(rows: list[dict[str, Any]]) -> set[tuple[int, str, str]]:
    """Number, item and kind of each row."""
    return {(row["number"], row["item"], row["kind"]) for row in rows}


def test_equal_and_edited_questions_are_found_and_others_are_not(tmp_path: Path) -> None:
    edited = question(4).replace("stand", "lie")
    file = write_questions(
        tmp_path / "questions.jsonl", {"id": "a", "question": question(2).upper() + "?!"},
        {"id": "b", "prompt": edited}, {"id": "c", "question": "something that nobody asks here"},
    )  # fmt: skip
    made, rows = found(tmp_path, file)
    assert kinds(rows) == {(2, "a", "exact"), (4, "b", "near")}
    (counts,) = made.by_other
    assert (made.shared, counts.items, counts.pairs, counts.items_shared) == (2, 3, 2, 2)


def test_the_same_and_resized_pictures_are_found_and_others_are_not(tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    (folder / "deeper").mkdir(parents=True)
    (folder / "same.png").write_bytes(png(1))
    small = drawn(5)
    small.resize((small.width * 2 // 3, small.height * 2 // 3)).save(folder / "deeper/small.jpg", quality=70)
    drawn(14).save(folder / "other.png")
    (folder / "broken.png").write_bytes(b"no picture")
    made, rows = found(tmp_path, folder)
    assert kinds(rows) == {(1, "same.png", "picture_same"), (5, "deeper/small.jpg", "picture_near")}
    assert made.by_other[0].unread == 1


def test_cropped_pictures_are_found_whichever_is_the_part_and_not_where_nobody_asks(tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    whole = [detailed(seed) for seed in range(4)]
    parts = [one.crop((80, 20, 300, 200)) for one in whole]
    write_shown(tmp_path / "train.parquet", parts[0], whole[1], whole[2], detailed(9))
    whole[0].save(folder / "around.png")
    parts[1].resize((330, 270)).save(folder / "part.jpg", quality=60)
    whole[3].save(folder / "other.png")
    parts[2].save(folder / "read.png")
    made, found_rows = found(tmp_path, folder)
    cropped = {(0, "around.png", "picture_cropped"), (1, "part.jpg", "picture_cropped"),
               (2, "read.png", "picture_cropped")}  # fmt: skip
    assert kinds(found_rows) == cropped
    assert all(0.9 <= row["similarity"] <= 1 for row in found_rows)
    assert made.by_other[0].pairs_by_kind["picture_cropped"] == 3
    assert kinds(found(tmp_path, folder, crops=False)[1]) == set()


def test_pictures_that_are_found_by_their_hashes_are_not_named_again_as_cropped(tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    again = detailed(1).crop((2, 2, 318, 238)).resize((160, 120))
    write_shown(tmp_path / "train.parquet", detailed(1))
    again.save(tmp_path / "pictures/again.jpg", quality=80)
    _, found_rows = found(tmp_path, tmp_path / "pictures")
    assert kinds(found_rows) == {(0, "again.jpg", "picture_near")}
    _, found_rows = found(tmp_path, tmp_path / "pictures", distance=0)
    assert kinds(found_rows) == {(0, "again.jpg", "picture_near")}, "by its pixels"


def test_text_and_picture_of_one_item_are_counted_together(tmp_path: Path) -> None:
    (tmp_path / "shown.png").write_bytes(png(3))
    file = write_questions(tmp_path / "q.jsonl", {"id": "a", "question": question(3), "image": "shown.png"},
                           {"id": "b", "question": question(6), "image": "shown.png"})  # fmt: skip
    made, _ = found(tmp_path, file)
    (counts,) = made.by_other
    assert (counts.pairs, counts.pairs_both) == (2, 1)


def test_items_with_one_text_are_named_once_and_all_counted(tmp_path: Path) -> None:
    file = write_questions(tmp_path / "q.jsonl", *({"id": str(n), "question": question(0)} for n in range(30)))
    made, rows = found(tmp_path, file)
    assert [(row["item"], row["items"]) for row in rows] == [("0", 30)]
    assert made.by_other[0].items_shared == 30


def test_another_dataset_is_compared_with_and_a_dataset_shares_all_with_itself(tmp_path: Path) -> None:
    write_dataset(tmp_path / "twin/train.parquet", rejected="another answer")
    made, rows = found(tmp_path, tmp_path / "twin")
    assert made.shared == made.pairs == 10
    assert {row["kind"] for row in rows} == {"exact", "picture_same"}
    assert made.by_other[0].pairs_both == 10


def test_the_clean_dataset_lacks_what_is_shared_keeps_its_columns_and_shares_nothing(tmp_path: Path) -> None:
    file = write_questions(tmp_path / "q.jsonl", {"question": question(2)}, {"question": question(7)})
    made, _ = found(tmp_path, file, clean=tmp_path / "clean")
    assert made.cleaned is not None
    assert (made.cleaned.kept, made.cleaned.dropped) == (8, 2)
    rows = pq.read_table(tmp_path / "clean/data/train.parquet").to_pylist()
    assert [row["class1"] for row in rows] == [f"class {n}" for n in range(10) if n not in (2, 7)]
    assert rows[0]["image"]["bytes"] == png(0)
    places = {"out": tmp_path / "again", "cache": tmp_path / "cache"}
    again = contamination(
        ContaminationRequest(source=str(tmp_path / "clean"), against=[str(file)], **places), NoProgress()
    )
    assert (again.pairs, again.shared) == (8, 0)


def test_the_clean_dataset_lacks_the_kinds_that_are_named_and_no_others(tmp_path: Path) -> None:
    edited = question(4).replace("stand", "lie")
    file = write_questions(tmp_path / "q.jsonl", {"question": question(2)}, {"question": edited})
    made, _ = found(tmp_path, file, clean=tmp_path / "clean", drop=["exact", "picture_cropped"])
    assert made.shared == 2
    assert made.cleaned is not None
    assert (made.cleaned.kept, made.cleaned.dropped) == (9, 1)
    assert json.loads((tmp_path / "clean/clean.json").read_text())["kinds"] == ["exact", "picture_cropped"]
    with pytest.raises(SettingsError, match="of the kind cropped"):
        found(tmp_path, file, clean=tmp_path / "clean", drop=["cropped"])


def test_nothing_is_written_over_what_no_cleaning_made(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/file").write_text("mine")
    file = write_questions(tmp_path / "q.jsonl", {"question": "nothing of this"})
    with pytest.raises(SettingsError, match="no cleaning made"):
        found(tmp_path, file, clean=tmp_path / "mine")
    assert (tmp_path / "mine/file").read_text() == "mine"


@pytest.mark.parametrize(
    ("content", "what"),
    [('{"question": 3}', "no text"), ("", "no rows"), ('{"question": "a", "image": 5}', "of type int")],
)
def test_a_file_of_questions_that_cannot_be_used_is_a_sentence(tmp_path: Path, content: str, what: str) -> None:
    file = tmp_path / "q.jsonl"
    file.write_text(content)
    with pytest.raises(DataError, match=what):
        found(tmp_path, file)


def test_there_must_be_something_to_compare_with_and_each_of_one_name(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="nothing to compare"):
        found(tmp_path)
    file = write_questions(tmp_path / "q.jsonl", {"question": "a"})
    with pytest.raises(SettingsError, match=r"called `q\.jsonl`"):
        found(tmp_path, file, file)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="neither questions nor pictures"):
        found(tmp_path, tmp_path / "empty")


def test_benchmarks_of_the_settings_are_compared_without_a_guard(tmp_path: Path) -> None:
    (tmp_path / "shown.png").write_bytes(png(3))
    file = write_questions(tmp_path / "q.jsonl", {"id": "a", "question": question(3), "image": "shown.png",
                                                  "harmful": True})  # fmt: skip
    settings = tmp_path / "my.yaml"
    benchmarks = [{"kind": "file", "name": "mine", "path": str(file)}, {"kind": "miniworld", "name": "drawn"}]
    settings.write_text(json.dumps({"evaluate": {"benchmarks": benchmarks}}))
    write_dataset(tmp_path / "train.parquet")
    request = ContaminationRequest(source=str(tmp_path / "train.parquet"), out=tmp_path / "found",
                                   cache=tmp_path / "cache")  # fmt: skip
    with settings_session(settings, NoProgress()) as session:
        made = contamination(request, NoProgress(), session)
    assert [(one.against, one.pairs_both) for one in made.by_other] == [("mine", 1)]
    assert made.not_compared == ("drawn",)
    result = CliRunner().invoke(app, ["contamination", request.source, "--settings", str(settings), "--out",
                                      str(tmp_path / "found")])  # fmt: skip
    assert "Not compared: drawn. Items of a miniature world" in " ".join(result.output.split())


def test_the_command_says_what_is_shared_and_fails_where_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_dataset(Path("train.parquet"))
    write_questions(Path("q.jsonl"), {"question": question(2)})
    words = ["contamination", "train.parquet", "--against", "q.jsonl", "--fail"]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 4, result.output
    assert "1 of 10 pairs share something" in result.output
    summary = json.loads(Path("contamination-train/contamination.json").read_text())
    assert summary["against"][0]["pairs_by_kind"]["exact"] == 1
    clean = CliRunner().invoke(app, [*words[:-1], "--clean", "clean", "--drop", "exact,near", "--no-crops"])
    assert "9 are written, without the 1 that share exact, near (`--drop` chooses)" in " ".join(clean.output.split())
    write_questions(Path("q.jsonl"), {"question": "nothing of this"})
    assert CliRunner().invoke(app, words).exit_code == 0
