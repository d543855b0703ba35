"""A picture folder as people have it: stray files are counted and passed over, all unknown sub-folders are named."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from spavl.cli.commands import app
from spavl.config.build import CollectSettings
from spavl.dataset.collect import passed_over
from spavl.errors import DataError
from tests.dataset.pictures import collected, noise, write_files
from tests.pipeline.instant import Instant, built, settings_of, write_pictures


@pytest.fixture(autouse=True)
def no_failures() -> Iterator[None]:
    """No call fails."""
    Instant.fails.clear()
    yield
    Instant.fails.clear()


def test_what_is_no_picture_is_counted_and_passed_over_wherever_it_lies(tmp_path: Path) -> None:
    folder = write_files(
        tmp_path / "pictures",
        {
            "weapon/x.png": noise(), "README": b"words", "README.md": b"words", ".DS_Store": b"x", "Thumbs.db": b"x",
            "weapon/.DS_Store": b"x", "notes/todo.txt": b"x", "notes/paper.pdf": b"%PDF-1.4", "weapon/film.mp4": b"x",
            "weapon/photo.heic": b"\x00\x00\x00\x18ftypheic", ".cache/y.png": noise(2), "labels.csv": b"a",
            "old-run/run.json": b"{}", "old-run/images/aa/x.png": noise(3), "empty": b"",
        },
    )  # fmt: skip
    with closing(sqlite3.connect(folder / "calls.sqlite")) as connection:
        connection.execute("CREATE TABLE calls (id)")
    (folder / "weapon" / "linked").symlink_to(folder / "notes", target_is_directory=True)
    records, rejected = collected(folder)
    assert [r.image_source for r in records] == ["folder:weapon/x.png"]
    assert rejected == []
    assert passed_over(CollectSettings(folder=str(folder))) == {
        "hidden": 3, "without a suffix": 2, ".md": 1, ".db": 1, ".txt": 1, ".pdf": 1, ".mp4": 1, ".heic": 1, ".csv": 1,
        "run folder": 1, ".sqlite": 1, "link to a folder": 1,
    }  # fmt: skip


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"])
@pytest.mark.parametrize("name", ["a", "b.dat", "c.db"])
def test_a_picture_whose_name_does_not_say_so_is_used(kind: str, name: str, tmp_path: Path) -> None:
    records, _ = collected(write_files(tmp_path / "pictures", {f"weapon/{name}": noise(kind=kind)}))
    assert len(records) == 1


def test_what_is_no_file_is_not_waited_for(tmp_path: Path) -> None:
    folder = write_files(tmp_path / "pictures", {"weapon/x.png": noise()})
    os.mkfifo(folder / "weapon" / "pipe")
    (folder / "weapon" / "link").symlink_to("/etc/hostname")
    assert len(collected(folder)[0]) == 1
    assert passed_over(CollectSettings(folder=str(folder)))["without a suffix"] == 2


def test_all_unknown_sub_folders_are_named_at_once_with_counts_and_near_names(tmp_path: Path) -> None:
    folder = write_files(
        tmp_path / "pictures",
        {
            "wepons/1.png": noise(1), "wepons/2.png": noise(2), "cybr/deep/3.png": noise(3), "weapon/4.png": noise(4),
            "zzzz/5.png": noise(5), "6.png": noise(6), "docs/README.md": b"x",
        },
    )  # fmt: skip
    with pytest.raises(DataError) as error:
        collected(folder)
    said = error.value.what
    assert "No subcategory is named for 5 pictures" in said
    for one in (
        "`wepons` (2 pictures)",
        "`cybr/deep` (1 picture)",
        "`zzzz` (1 picture)",
        "the folder itself (1 picture)",
    ):
        assert one in said
    assert "docs" not in said
    assert "for `wepons`: did you mean `weapon`" in error.value.try_


def test_a_message_about_a_thousand_sub_folders_stays_short(tmp_path: Path) -> None:
    folder = write_files(tmp_path / "pictures", {f"zz{n:03}/x.png": noise(n) for n in range(60)})
    with pytest.raises(DataError, match="and 40 more") as error:
        collected(folder)
    assert len(error.value.render()) < 2500


@pytest.mark.parametrize(
    "name", ["Drug_Related-Crimes", "drug related crimes", "DRUG-RELATED CRIMES", "drugrelatedcrimes"]
)
def test_hyphens_underscores_blanks_and_case_of_a_folder_are_forgiven(name: str, tmp_path: Path) -> None:
    (record,), _ = collected(write_files(tmp_path / "pictures", {f"{name}/x.png": noise()}))
    assert record.topic.class3 == "drug-related crimes"
    assert record.image_id.startswith("drug-related crimes/")


def test_pictures_that_are_not_used_are_told_and_are_no_failed_calls(tmp_path: Path) -> None:
    write_pictures(tmp_path / "pictures", 2)
    weapon = tmp_path / "pictures" / "weapon"
    (weapon / "twin.png").write_bytes((weapon / "0.png").read_bytes())
    (weapon / "broken.png").write_bytes((weapon / "0.png").read_bytes()[:40])
    (weapon / "notes.txt").write_text("words")
    file = tmp_path / "my.yaml"
    file.write_text(yaml.safe_dump(settings_of(tmp_path).model_dump(mode="json")))
    done = CliRunner().invoke(app, ["build", str(file), "--allow-code"], env={"COLUMNS": "300"})
    assert done.exit_code == 0, done.output
    assert "2 pictures not used (1 unreadable, 1 exact duplicate)" in done.output
    assert "1 file passed over as no pictures: 1 .txt" in done.output
    counts = json.loads((tmp_path / "run" / "run.json").read_text("utf-8"))["counts"]["collect"]
    assert counts == {"found": 4, "made": 2, "exact duplicate": 1, "unreadable": 1, "passed over": 1}
    named = json.loads((tmp_path / "run" / "rejected.json").read_text("utf-8"))
    assert sorted(Path(one["file"]).name for one in named) == ["broken.png", "twin.png"]
    assert built(settings_of(tmp_path))[1] == 0


def test_a_file_that_is_put_beside_the_pictures_changes_nothing_that_was_made(tmp_path: Path) -> None:
    write_pictures(tmp_path / "pictures", 2)
    built(settings_of(tmp_path))
    (tmp_path / "pictures" / "weapon" / "notes.txt").write_text("words")
    _, calls, hits, lines = built(settings_of(tmp_path))
    assert (calls, hits) == (0, 0)
    assert lines[-1].endswith("collect, ask, respond, grade, match, judge, pair")
