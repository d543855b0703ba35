"""The command `spavl study`: files and overrides, exit status, JSON."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from spavl.cli.commands import app
from spavl.config.study import KINDS
from spavl.errors import DataError, SettingsError
from tests.study.samples import write_study


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return write_study(tmp_path, kind="scale", sizes=[4, 8], seeds=[1])


def test_a_study_is_run_and_checked(study: Path) -> None:
    second = write_study(study.parent, "second", kind="freeze", size=4, seeds=[1], modes={"as-set": {}, "same": {}})
    done = CliRunner().invoke(app, ["study", str(study), str(second), "seeds=[2]"], env={"COLUMNS": "200"})
    assert done.exit_code == 0, done.output
    assert "2 trainings made, 0 found finished, 0 shared by arms." in done.output
    assert "0 trainings made, 1 found finished, 1 shared by arms." in done.output
    assert "Next:   open studies/second/study" in done.output
    checked = CliRunner().invoke(app, ["study", str(study), "seeds=[2, 3]", "--check", "--json"])
    plain = json.loads(checked.stdout)
    assert (plain["wanted"], plain["left"], plain["training"]["basis"]) == (4, 2, "by the trainings that are finished")
    assert plain["arms"][0] == {"label": "4 pairs", "pairs": 4, "trainings": 2, "left": 1}


def test_the_help_names_every_kind() -> None:
    shown = CliRunner().invoke(app, ["study", "--help"], env={"COLUMNS": "200"}).output
    assert [kind for kind in KINDS if kind not in shown] == []


def test_what_fails_gives_status_3(study: Path) -> None:
    words = ["study", str(study), "changed={align.data.max_tokens: 1}", "--json"]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 3
    assert json.loads(done.stdout)["failed"] == 2


def test_a_check_of_what_was_never_trained_asks_the_preflight(study: Path) -> None:
    done = CliRunner().invoke(app, ["study", str(study), "--check"], env={"COLUMNS": "200"})
    assert done.exit_code == 0, done.output
    assert "by the preflight of the smallest training" in done.output
    assert not list(Path("studies").rglob("training.json"))


@pytest.mark.parametrize(
    ("build", "said"), [("true", "run the study without `--check`"), ("false", "`build: true` in the study")]
)
def test_a_check_without_a_dataset_says_what_makes_one(study: Path, build: str, said: str) -> None:
    words = ["study", str(study), "pairs=null", f"build={build}", "--check"]
    with pytest.raises(DataError, match="no dataset yet") as error:
        CliRunner().invoke(app, words, catch_exceptions=False)
    assert said in error.value.try_ and ("`build: true`" in error.value.try_) == (build == "false")


def test_what_to_run_after_a_check_has_its_leave_to_run_code(study: Path) -> None:
    done = CliRunner().invoke(app, ["study", str(study), "--check", "--allow-code"], env={"COLUMNS": "400"})
    assert f"Next:   `spavl study {study} --allow-code`" in done.output


def test_what_to_run_after_a_check_has_its_overrides(study: Path) -> None:
    words = ["study", str(study), "seeds=[2, 3]", f"title={'long ' * 60}".strip(), "--check"]
    done = CliRunner().invoke(app, words, env={"COLUMNS": "900"}, catch_exceptions=False)
    assert "'seeds=[2, 3]'" in done.output and "'title=long long" in done.output


def test_a_mistake_in_the_second_file_stops_the_first(study: Path) -> None:
    with pytest.raises(SettingsError, match="no settings file"):
        CliRunner().invoke(app, ["study", str(study), "none.yaml"], catch_exceptions=False)
    assert not Path("studies").exists()


def test_a_study_file_has_to_be_named(study: Path) -> None:
    assert CliRunner().invoke(app, ["study", "seeds=[1]"]).exit_code == 2


def test_a_study_of_which_nothing_is_made_leaves_earlier_results_as_they_are(study: Path) -> None:
    CliRunner().invoke(app, ["study", str(study)], catch_exceptions=False)
    files = ["study.yaml", "study.json", "results.parquet", "study.html", "study.md"]
    before = [Path("studies/study", name).read_bytes() for name in files]
    words = ["study", str(study), "changed={align.data.max_tokens: 1}"]
    done = CliRunner().invoke(app, words, env={"COLUMNS": "200"})
    assert done.exit_code == 3 and "2 trainings not made" in done.output
    assert "the earlier results and page in studies/study are left as they were." in done.output
    assert [Path("studies/study", name).read_bytes() for name in files] == before


def test_a_folder_of_trainings_that_is_a_file_is_refused_before_any_work(study: Path) -> None:
    Path("mine.md").write_text("notes")
    for folder in ("mine.md", "mine.md/runs"):
        with pytest.raises(SettingsError, match="is a file, and trainings need a folder"):
            CliRunner().invoke(app, ["study", str(study), f"trainings={folder}", "--check"], catch_exceptions=False)
    assert not Path("studies").exists()


def test_two_files_of_one_folder_are_refused_before_any_work(study: Path) -> None:
    Path("sub").mkdir()
    Path("sub/study.yaml").write_text(study.read_text())
    for more in ([], ["--check"]):
        with pytest.raises(SettingsError, match="would write their results into one folder"):
            CliRunner().invoke(app, ["study", str(study), "sub/study.yaml", *more], catch_exceptions=False)
    assert not Path("studies").exists()


@pytest.mark.parametrize(
    ("file", "holds", "said"),
    [
        ("run.json", "{}", "is that of a run"),
        ("study.html", "<p>mine</p>", "that no study has written"),
        ("study.json", '{"kind": "grid"}', "a study of kind `grid`, and this one is of kind `scale`"),
        ("study.json", '{"kind": "scale", "file": "../other.yaml"}', "the study of another file"),
    ],
)
def test_a_folder_that_is_not_the_studys_own_is_refused(study: Path, file: str, holds: str, said: str) -> None:
    Path("other.yaml").write_text(study.read_text())
    Path("mine").mkdir()
    Path("mine", file).write_text(holds)
    for more in ([], ["--check"]):
        with pytest.raises(SettingsError, match=said):
            CliRunner().invoke(app, ["study", str(study), "out=mine", *more], catch_exceptions=False)
    assert [path.name for path in Path("mine").iterdir()] == [file]


def test_other_settings_of_the_same_study_take_its_place(study: Path) -> None:
    for seeds in ("seeds=[1]", "seeds=[2]"):
        done = CliRunner().invoke(app, ["study", str(study), seeds], catch_exceptions=False)
        assert done.exit_code == 0
    facts = json.loads(Path("studies/study/study.json").read_text())
    assert (facts["file"], facts["seeds"]) == ("../../study.yaml", [2])
    moved = study.rename("moved.yaml")
    words = ["study", str(moved), "out=studies/study", "--check"]
    assert CliRunner().invoke(app, words, catch_exceptions=False).exit_code == 0
