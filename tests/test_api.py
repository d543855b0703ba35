"""A run from a notebook: settings in any form, the same results as the command line, and nothing held in between."""

from __future__ import annotations

import io
import json
import threading
from pathlib import Path

import pytest
import yaml
from rich.console import Console
from typer.testing import CliRunner

import spavl
from spavl.cli.commands import app
from spavl.errors import DataError, RunError, SettingsError
from spavl.models.calls.store import CallStore
from spavl.pictures import file_sha256
from tests.pipeline.instant import Instant, settings_of, write_pictures


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with pictures."""
    write_pictures(tmp_path / "pictures")
    Instant.fails.clear()
    return tmp_path


def test_settings_are_a_file_a_mapping_or_settings_and_overrides_win(tmp_path: Path) -> None:
    tree = {"out": "runs/one", "build": {"match": {"groups": 3}}}
    (tmp_path / "my.yaml").write_text(yaml.safe_dump(tree))
    loaded = spavl.load_settings(spavl.Settings, tmp_path / "my.yaml")
    for given in (tmp_path / "my.yaml", str(tmp_path / "my.yaml"), tree, loaded):
        run = spavl.open_run(given, ["build.match.groups=4", "seed=1"], out="2024", seed=7, limit=3)
        found = run.settings
        assert (found.out, found.seed, found.limit, found.build.match.groups) == ("2024", 7, 3, 4)
        assert run.folder == Path("2024")
    assert tree == {"out": "runs/one", "build": {"match": {"groups": 3}}}, "what is given is not changed"
    assert spavl.open_run().settings == spavl.Settings()


def test_mistakes_in_a_mapping_are_named_as_in_a_file() -> None:
    with pytest.raises(SettingsError, match="did you mean `seed`"):
        spavl.open_run({"sed": 1})
    with pytest.raises(SettingsError, match="There is no settings file"):
        spavl.open_run("nowhere.yaml")


def test_a_build_is_quiet_and_leaves_records_and_counts(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = spavl.open_run(settings_of(place), allow_code=True)
    planned = run.check().calls
    counts = run.build()
    assert capsys.readouterr() == ("", "")
    assert planned >= run.manifest()["calls"]["made"] > 0
    pairs = list(run.records(spavl.PreferencePair))
    assert len(pairs) == counts["pair"]["pair"] == sum(counts["export"].values())
    assert pairs == spavl.read_table(run.folder / "6-pairs.parquet", spavl.PreferencePair)
    assert run.build() == counts
    assert run.manifest()["calls"] == {"answered from the store": 0, "made": 0}


def test_a_run_that_was_not_evaluated_has_a_report_of_its_dataset(place: Path) -> None:
    run = spavl.open_run(settings_of(place), allow_code=True)
    with pytest.raises(RunError, match="There is no run"):
        run.report()
    run.build()
    assert "nothing was evaluated yet" in run.report().read_text()


def test_between_two_calls_the_call_store_is_free(place: Path) -> None:
    run = spavl.open_run(settings_of(place), allow_code=True)
    run.build()
    with CallStore(Path(run.settings.store)) as store:
        assert len(store) > 0
        with pytest.raises(RunError):
            run.build()
    run.build()


def test_after_an_error_the_next_call_begins_afresh(place: Path) -> None:
    run = spavl.open_run(settings_of(place, build={"collect": {"folder": str(place / "nothing")}}), allow_code=True)
    for _ in range(2):
        with pytest.raises(DataError, match="no such folder of pictures"):
            run.build()


def test_a_run_is_made_in_another_thread_too(place: Path) -> None:
    run = spavl.open_run(settings_of(place), allow_code=True)
    thread = threading.Thread(target=run.build)
    thread.start()
    thread.join()
    assert run.manifest()["counts"]["pair"]["pair"] > 0


def test_records_that_were_not_made_yet_or_never_are_is_a_sentence(place: Path) -> None:
    run = spavl.open_run(settings_of(place), allow_code=True)
    with pytest.raises(RunError):
        next(run.records(spavl.Query))
    with pytest.raises(DataError, match="No stage makes records of the kind Turn") as error:
        next(run.records(spavl.Turn))
    assert "PreferencePair" in error.value.try_


def test_a_reference_to_a_picture_has_the_hash_of_its_bytes(place: Path) -> None:
    path = place / "pictures" / "weapon" / "0.png"
    found = spavl.ImageRef.of(str(path))
    assert (found.path, found.sha256) == (path, file_sha256(path))


def test_progress_is_a_line_a_piece_of_work_where_there_is_no_terminal(place: Path) -> None:
    page = io.StringIO()
    progress = spavl.TerminalProgress(Console(file=page, width=100))
    spavl.open_run(settings_of(place), allow_code=True, progress=progress).build()
    assert "  respond                            63\n" in page.getvalue()


def test_progress_is_a_bar_in_a_terminal() -> None:
    page = io.StringIO()
    progress = spavl.TerminalProgress(Console(file=page, force_terminal=True, width=100))
    with progress.bar("work") as on_progress:
        on_progress(1, 2)
        on_progress(2, 2)
    assert "✓" in page.getvalue() and "2/2" in page.getvalue()


def test_align_evaluate_and_report_name_what_they_lack(tmp_path: Path) -> None:
    tree = {"out": str(tmp_path / "run"), "store": str(tmp_path / "calls"), "align": {"model": "miniworld:base"}}
    run = spavl.open_run(tree)
    with pytest.raises(DataError, match="no dataset yet"):
        run.align()
    with pytest.raises(SettingsError, match="No benchmark is named"):
        run.evaluate()
    with pytest.raises(RunError, match="There is no run in this folder"):
        run.report()


def test_an_evaluation_with_failed_calls_is_done_and_says_so(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [{"subset": "skill", "question": f"Question {n}?", "expected": "x", "id": f"item {n}"} for n in range(3)]
    (place / "items.jsonl").write_text("\n".join(map(json.dumps, rows)))
    benchmark = {"kind": "file", "name": "mine", "path": str(place / "items.jsonl")}
    settings = settings_of(place, evaluate={"benchmarks": [benchmark]}).model_dump(mode="json")
    (place / "my.yaml").write_text(yaml.safe_dump(settings))
    words = ["evaluate", str(place / "my.yaml"), "--model", "amber", "--allow-code"]
    monkeypatch.setattr(Instant, "fails", {"item 1"})
    done = CliRunner().invoke(app, words)
    assert (done.exit_code, done.exception.__class__) == (3, SystemExit)
    assert spavl.open_run(settings, allow_code=True).evaluate(["amber"]).failed == 1
    monkeypatch.setattr(Instant, "fails", set())
    assert CliRunner().invoke(app, words).exit_code == 0
