"""The run folder: what the run was made with, and which settings changed since."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from spavl.atomic import write_json, write_text
from spavl.errors import RunError
from spavl.run import Run, changes, machine, peak_memory_mb, versions
from spavl.tables import FORMAT

TREES = st.recursive(
    st.integers() | st.booleans() | st.text(max_size=5),
    lambda deep: st.lists(deep, max_size=3) | st.dictionaries(st.text("abc", min_size=1, max_size=2), deep, max_size=3),
    max_leaves=8,
)


def read(run: Run) -> dict[str, Any]:
    """`run.json` as any tool reads it."""
    return dict(json.loads((run.folder / "run.json").read_text("utf-8")))


# --- run.json ---------------------------------------------------------------------------------------------------------


def test_a_new_folder_is_made_and_knows_nothing(tmp_path: Path) -> None:
    run = Run(tmp_path / "a" / "b").open()
    assert run.folder.is_dir()
    assert run.manifest() == {}
    assert run.settings_before() == {}


def test_the_first_note_says_what_the_run_is_made_with(tmp_path: Path) -> None:
    run = Run(tmp_path).open()
    run.note(seed=3)
    found = read(run)
    assert found["format"] == FORMAT
    assert found["seed"] == 3
    assert found["versions"]["pyarrow"] == versions()["pyarrow"]
    assert found["machine"] == machine()
    assert found["started"] <= found["changed"]


def test_each_stage_adds_its_own_counts_and_seconds(tmp_path: Path) -> None:
    run = Run(tmp_path).open()
    with run.stage("collect") as counts:
        counts["made"] = 5
    with Run(tmp_path).open().stage("ask") as counts:
        counts.update(ok=4, failed=1)
    found = read(run)
    assert found["counts"] == {"collect": {"made": 5}, "ask": {"ok": 4, "failed": 1}}
    assert set(found["seconds"]) == {"collect", "ask"}
    assert all(seconds >= 0 for seconds in found["seconds"].values())


def test_a_stage_done_again_replaces_its_own_counts_alone(tmp_path: Path) -> None:
    run = Run(tmp_path).open()
    for made in ({"a": 1, "old": 2}, {"a": 3}):
        with run.stage("ask") as counts:
            counts.update(made)
        run.note(calls={"made": made["a"]})
    assert read(run)["counts"] == {"ask": {"a": 3}}
    assert read(run)["calls"] == {"made": 3}


def test_a_stage_that_fails_is_not_noted_as_done(tmp_path: Path) -> None:
    run = Run(tmp_path).open()
    with pytest.raises(ZeroDivisionError), run.stage("ask"):
        raise ZeroDivisionError
    assert run.manifest() == {}


def test_nothing_in_run_json_names_a_person_or_a_host(tmp_path: Path) -> None:
    import getpass
    import platform

    run = Run(tmp_path).open()
    run.note(seed=1)
    text = (tmp_path / "run.json").read_text("utf-8")
    assert platform.node() not in text
    assert f'"{getpass.getuser()}"' not in text
    assert str(Path.home()) not in text


# --- folders that are in the way --------------------------------------------------------------------------------------


@pytest.mark.parametrize("found", ["1", 1, None])
def test_a_run_folder_of_another_format_version_is_refused(found: Any, tmp_path: Path) -> None:
    write_json(tmp_path / "run.json", {"format": found})
    with pytest.raises(RunError) as error:
        Run(tmp_path).open()
    assert f"format version {found}" in error.value.what
    assert "--out" in error.value.try_
    assert error.value.where == str(tmp_path)


def test_a_run_folder_of_this_version_opens_again(tmp_path: Path) -> None:
    Run(tmp_path).open().note(seed=1)
    assert Run(tmp_path).open().manifest()["seed"] == 1


@pytest.mark.parametrize("data", [b"[" * 100_000, b"", b"{", b"[1]", b"3", b'"x"', b"\xff", b"null"])
def test_a_broken_run_json_is_a_sentence(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "run.json").write_bytes(data)
    with pytest.raises(RunError, match=r"run\.json") as error:
        Run(tmp_path).open()
    assert "delete it" in error.value.try_


@pytest.mark.parametrize("data", [b"a: [", b"\xff\xfe\x00", b"a: 1\na: 2"])
def test_broken_settings_of_the_last_run_are_a_sentence(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "settings.yaml").write_bytes(data)
    with pytest.raises(RunError, match="settings of the last run cannot be read"):
        Run(tmp_path).open().settings_before()


def test_a_file_in_the_place_of_the_folder_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("in the way")
    for folder in (tmp_path / "run", tmp_path / "run" / "inside"):
        with pytest.raises(RunError, match="cannot be made"):
            Run(folder).open()


# --- settings that changed --------------------------------------------------------------------------------------------


def test_the_folder_of_a_study_is_said_to_be_one(tmp_path: Path) -> None:
    (tmp_path / "study.json").write_text("{}")
    with pytest.raises(RunError, match="folder of a study") as error:
        Run(tmp_path).found()
    assert "study.html" in error.value.try_


def test_settings_are_kept_as_run_and_found_again(tmp_path: Path) -> None:
    run = Run(tmp_path).open()
    settings = {"out": "no", "rate": 2e-5, "names": ["é", "yes", "2024"], "deep": {"none": None}}
    run.keep_settings(settings)
    assert run.settings_before() == settings
    assert yaml.safe_load((tmp_path / "settings.yaml").read_text("utf-8")) == settings


def test_each_difference_is_one_line_with_its_place_old_and_new() -> None:
    before = {"seed": 0, "align": {"loss": {"beta": 0.1, "kind": "sigmoid"}}}
    now = {"seed": 0, "align": {"loss": {"beta": 0.2, "kind": "sigmoid"}}, "limit": 5}
    assert changes(before, now) == ["align.loss.beta: 0.1 → 0.2", "limit: None → 5"]


def test_a_difference_deep_in_a_long_list_is_shown_where_it_is() -> None:
    models = [{"name": f"model-{n}", "path": f"checkpoints/{n}", "batch_size": 32} for n in range(12)]
    changed = [*models[:7], {**models[7], "path": "checkpoints/new"}, *models[8:]]
    assert changes({"models": models}, {"models": changed}) == ["models.7.path: checkpoints/7 → checkpoints/new"]


def test_what_a_list_gained_or_lost_is_shown() -> None:
    assert changes({"a": ["x"]}, {"a": ["x", "y"]}) == ["a.1: None → y"]
    assert changes({"a": ["x", "y"]}, {"a": ["x"]}) == ["a.1: y → None"]
    assert changes({"a": ["x"]}, {"a": "x"}) == ["a: ['x'] → x"]


def test_long_values_are_cut() -> None:
    (line,) = changes({"a": "x" * 500}, {"a": "y" * 500})
    assert len(line) < 140


@given(TREES, TREES)
def test_there_are_lines_if_and_only_if_something_changed(before: Any, now: Any) -> None:
    assert changes(before, json.loads(json.dumps(before))) == []
    assert bool(changes(before, now)) == (before != now)


# --- writing ----------------------------------------------------------------------------------------------------------


def test_text_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    """A process that may write no more than 1 KiB into one file, as on a full disk."""
    write_text(tmp_path / "a.txt", "old")
    script = f"""
import resource
from pathlib import Path
from spavl.errors import RunError
from spavl.atomic import write_text
resource.setrlimit(resource.RLIMIT_FSIZE, (1024, 1024))
try:
    write_text(Path({str(tmp_path)!r}) / "a.txt", "new" * 10000)
except RunError as error:
    print(error.render())
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=Path(__file__).parents[1]
    )
    assert "cannot be written: File too large" in done.stdout
    assert "make room" in done.stdout
    assert {p.name: p.read_text() for p in tmp_path.iterdir()} == {"a.txt": "old"}


def test_json_is_readable_by_people(tmp_path: Path) -> None:
    write_json(tmp_path / "deep" / "a.json", {"é": 1})
    assert (tmp_path / "deep" / "a.json").read_text("utf-8") == '{\n  "é": 1\n}\n'


def test_peak_memory_is_in_mebibytes() -> None:
    assert 20 < peak_memory_mb() < 100_000
