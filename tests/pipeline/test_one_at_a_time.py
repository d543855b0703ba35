"""One command at a time works on a run folder; readers are not kept out; what can only be read is read."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

import spavl
from spavl.errors import ModelError, RunError, SettingsError, SpavlError
from spavl.models.calls.store import CallStore
from spavl.pipeline.show import find_question
from tests.pipeline.instant import Instant, built, settings_of, write_pictures

ROOT = Path(__file__).parents[2]


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    """A folder with pictures; no call fails."""
    write_pictures(tmp_path / "pictures", 2)
    Instant.fails.clear()
    yield tmp_path
    Instant.fails.clear()


HOLD_THE_RUN = """
import sys, time
from spavl.pipeline.session import Session
from spavl.progress import NoProgress
from tests.pipeline.instant import settings_of
from pathlib import Path

with Session(settings_of(Path(sys.argv[1]), store=sys.argv[2]), NoProgress(), allow_code=True):
    print("open", flush=True)
    time.sleep(60)
"""


def test_a_second_command_is_refused_with_who_works_even_with_a_store_of_its_own(place: Path) -> None:
    command = [sys.executable, "-c", HOLD_THE_RUN, str(place), str(place / "other.sqlite")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as other:
        try:
            assert other.stdout is not None
            assert other.stdout.readline() == "open\n"
            with pytest.raises(RunError) as error:
                built(settings_of(place))
            said = error.value.what
            assert said.startswith(f"The run folder is being worked on by process {other.pid} on ")
            assert f"since {time.strftime('%Y-')}" in said
            assert str(place / "other.sqlite") in said or "…" in said, "the command is named"
            assert error.value.where == str(place / "run")
            assert not (place / "calls.sqlite").exists(), "nothing is begun"
        finally:
            other.kill()
    built(settings_of(place))


def test_readers_and_checks_are_not_kept_out_by_a_command_that_works(place: Path) -> None:
    built(settings_of(place))
    with spavl.open_run(settings_of(place), allow_code=True)._session() as session:
        assert find_question(place / "run", "weapon").question_id
        assert spavl.open_run(settings_of(place), allow_code=True).check().stored == len(session.store)
        assert list(spavl.open_run(settings_of(place), allow_code=True).records(spavl.PreferencePair))
        with pytest.raises(RunError, match="being worked on"):
            built(settings_of(place))
    built(settings_of(place))


def test_a_session_that_cannot_begin_leaves_no_lock_behind(place: Path) -> None:
    with CallStore(place / "calls.sqlite"), pytest.raises(RunError, match="call store is being written"):
        built(settings_of(place))
    built(settings_of(place))


def test_a_check_makes_neither_folder_nor_store(place: Path) -> None:
    before = sorted(path.name for path in place.iterdir())
    plan = spavl.open_run(settings_of(place), allow_code=True).check()
    assert plan.calls > 0
    assert sorted(path.name for path in place.iterdir()) == before
    world = spavl.Settings.model_validate(
        {"out": str(place / "world"), "store": str(place / "x.sqlite"), "build": {"collect": {"source": "miniworld"}}}
    )
    assert spavl.open_run(world).check().pictures > 0
    assert sorted(path.name for path in place.iterdir()) == before


def test_a_run_folder_without_a_run_is_a_sentence_for_readers_and_is_not_made(place: Path) -> None:
    with pytest.raises(SpavlError):
        find_question(place / "nowhere", "")
    assert not (place / "nowhere").exists()


def test_a_refused_or_failed_command_leaves_the_settings_as_the_dataset_was_made(place: Path) -> None:
    built(settings_of(place))
    kept = (place / "run" / "settings.yaml").read_bytes()
    other = {"seed": 9, "build": {"match": {"groups": 2}}, "align": {"model": str(place / "no-such-checkpoint")}}
    run = spavl.open_run(settings_of(place, **other), allow_code=True)
    run.check()
    with pytest.raises(ModelError):
        run.align()
    with pytest.raises(SpavlError):
        run.evaluate()
    with pytest.raises(SettingsError):
        built(settings_of(place, build={"respond": {"models": ["amber"]}}))
    assert (place / "run" / "settings.yaml").read_bytes() == kept
    assert json.loads((place / "run" / "run.json").read_text("utf-8"))["seed"] == 0


def test_replay_lets_no_call_leave_and_makes_the_same_tables(place: Path) -> None:
    settings = settings_of(place)
    built(settings)
    tables = {path.name: path.read_bytes() for path in (place / "run").glob("*.parquet")}
    for path in (place / "run").rglob("*.parquet"):
        path.unlink()
    run = spavl.open_run(settings, allow_code=True, replay=True)
    run.build()
    assert {path.name: path.read_bytes() for path in (place / "run").glob("*.parquet")} == tables
    with CallStore(place / "calls.sqlite"):  # a build with replay and one that writes get along
        run.build()


def test_a_missing_answer_in_replay_is_an_error_with_count_and_an_example(place: Path) -> None:
    built(settings_of(place))
    write_pictures(place / "pictures", 5)
    run = spavl.open_run(settings_of(place), allow_code=True, replay=True)
    with pytest.raises(ModelError, match=r"\d+ answers? of `asker` .*, such as that about `weapon/"):
        run.build()
    with CallStore(place / "calls.sqlite", replay=True) as store:
        assert len(store) > 0


def test_failures_that_are_stored_are_kept_as_they_are_in_replay(place: Path) -> None:
    settings = settings_of(place)
    built(settings)
    item = next(iter(spavl.open_run(settings).records(spavl.ImageRecord))).image_id
    (place / "calls.sqlite").unlink()
    Instant.fails.add(item)
    for path in (place / "run").rglob("*.parquet"):
        path.unlink()
    counts, *_ = built(settings)
    Instant.fails.clear()
    assert spavl.open_run(settings, allow_code=True, replay=True).build()["respond"] == counts["respond"]
    assert counts["respond"]["failed"] == 9


READ_ONLY = """
import json, sys
from pathlib import Path
import spavl
from spavl.errors import SpavlError
from spavl.pipeline.show import find_question
from tests.pipeline.instant import Log, settings_of

place, words = Path(sys.argv[1]), json.loads(sys.argv[2])
run = spavl.open_run(settings_of(place, **words), allow_code=True, progress=Log())
try:
    print(json.dumps([sum(run.build()["export"].values()), find_question(run.folder, "weapon").question_id]))
except SpavlError as error:
    print(error)
"""


def read_only(place: Path, frozen: Path, **changed: Any) -> str:
    """What a build says in a process that finds a folder mounted to be read only."""
    mounted = (
        f'mount --bind "{frozen}" "{frozen}" && mount -o remount,bind,ro "{frozen}" && exec "$0" -c "$1" "$2" "$3"'
    )
    words = [sys.executable, READ_ONLY, str(place), json.dumps(changed)]
    done = subprocess.run(
        ["unshare", "-rm", "sh", "-c", mounted, *words], capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)}, cwd=ROOT,
    )  # fmt: skip
    if "unshare" in done.stderr or "mount:" in done.stderr:
        pytest.skip("this machine lets nobody mount a folder to be read only")
    assert "Traceback" not in done.stderr, done.stderr
    return done.stdout


@pytest.mark.parametrize("frozen", ["run", "store", "."])
def test_a_complete_run_is_read_where_nothing_can_be_written(place: Path, frozen: str) -> None:
    (place / "store").mkdir()
    store = str(place / "store" / "calls.sqlite")
    counts, *_ = built(settings_of(place, store=store))
    pairs, question = json.loads(read_only(place, place / frozen, store=store))
    assert pairs == sum(counts["export"].values())
    assert question.startswith("weapon/")


@pytest.mark.parametrize(("frozen", "sentence"), [("run", "cannot be written"), ("store", "no call is made")])
def test_what_must_be_written_is_a_sentence_where_it_cannot(place: Path, frozen: str, sentence: str) -> None:
    (place / "store").mkdir()
    store = str(place / "store" / "calls.sqlite")
    built(settings_of(place, store=store))
    assert sentence in read_only(place, place / frozen, store=store, seed=5, build={"match": {"per_question": 2}})


def test_a_log_line_says_that_a_row_is_damaged_and_the_build_goes_on(place: Path) -> None:
    settings = settings_of(place)
    built(settings)
    with closing(sqlite3.connect(place / "calls.sqlite", isolation_level=None)) as connection:
        connection.execute("UPDATE calls SET text = text || 'x' WHERE id IN (8, 9)")
    for path in (place / "run").rglob("*.parquet"):
        path.unlink()
    _, calls, _, lines = built(settings)
    assert calls == 2
    assert len([line for line in lines if "is damaged" in line]) == 1
