"""No call is paid twice: running again makes only calls that are missing, whatever was lost in between."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml

from tests import processes
from tests.end_to_end.conftest import SMALL, RunCommand, environment, manifest

BATCH = 64
"""Rows of one commit of the store, at most."""


def pairs(run: Path) -> list[dict[str, object]]:
    return pq.read_table(run / "6-pairs.parquet").to_pylist()


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which a first process has built; those that build again order sets otherwise."""
    folder = tmp_path_factory.mktemp("built")
    (folder / "small.yaml").write_text(yaml.safe_dump(SMALL, sort_keys=False))
    command = [sys.executable, "-m", "spavl", "build", "small.yaml"]
    subprocess.run(command, cwd=folder, env=environment(), check=True, capture_output=True)
    return folder


@pytest.fixture
def again(built: Path, tmp_path: Path, spavl: RunCommand) -> RunCommand:
    """Run `spavl …` where all has been built once."""
    shutil.copytree(built, tmp_path, dirs_exist_ok=True)
    return spavl


def test_a_second_build_makes_no_call_and_the_same_pairs(again: RunCommand, tmp_path: Path) -> None:
    first = pairs(tmp_path / "run")
    made = manifest(tmp_path / "run")["calls"]["made"]
    assert made > 2000
    again("build", "small.yaml")
    assert manifest(tmp_path / "run")["calls"]["made"] == 0
    assert pairs(tmp_path / "run") == first


def test_deleting_the_run_folder_loses_no_call(again: RunCommand, tmp_path: Path) -> None:
    first = pairs(tmp_path / "run")
    shutil.rmtree(tmp_path / "run")
    again("build", "small.yaml")
    assert manifest(tmp_path / "run")["calls"]["made"] == 0
    assert pairs(tmp_path / "run") == first


def test_a_changed_setting_is_logged_and_only_missing_calls_are_made(again: RunCommand, tmp_path: Path) -> None:
    done = again("build", "small.yaml", "build.match.per_question=2")
    assert "build.match.per_question: 1 → 2" in done.stdout
    counts = manifest(tmp_path / "run")
    assert 0 < counts["calls"]["made"] < counts["counts"]["judge"]["ok"]
    assert counts["counts"]["judge"]["ok"] == 2 * counts["counts"]["match"]["made"]


def test_a_responder_added_later_costs_only_its_own_calls(again: RunCommand, tmp_path: Path) -> None:
    more = {
        **SMALL,
        "models": [*SMALL["models"], {"name": "cedar", "kind": "local", "path": "miniworld:responders/cedar"}],
    }
    more["build"] = {
        **SMALL["build"],
        "respond": {**SMALL["build"]["respond"], "models": ["amber", "grove", "lark", "cedar"]},
    }
    (tmp_path / "more.yaml").write_text(yaml.safe_dump(more))
    again("build", "more.yaml")
    with sqlite3.connect(tmp_path / ".spavl" / "calls.sqlite") as store:
        (answers,) = store.execute("SELECT count(*) FROM calls WHERE request LIKE '%local:%'").fetchone()
    assert answers == 4 * 318


def test_sigkill_loses_no_committed_call_and_repeats_at_most_those_in_flight(tmp_path: Path) -> None:
    """A class of the user's own writes a line a call, so repeated calls can be counted from outside."""
    (tmp_path / "counting.py").write_text(COUNTING)
    settings = {**SMALL, "models": [*SMALL["models"][:3], *(_counting(n) for n in ("one", "two", "three"))]}
    settings["build"] = {**SMALL["build"], "respond": {"models": ["one", "two", "three"]}}
    (tmp_path / "counted.yaml").write_text(yaml.safe_dump(settings))
    command = ("-m", "spavl", "build", "counted.yaml", "--allow-code")
    env = {**environment(), "PYTHONPATH": f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"}
    calls = tmp_path / "calls.txt"
    build = processes.start(*command, cwd=tmp_path, env=env)
    _wait(lambda: calls.exists() and len(calls.read_text().splitlines()) > 300, build)
    build.process.kill()
    build.wait()
    with sqlite3.connect(tmp_path / ".spavl" / "calls.sqlite") as store:
        kept = {key for (key,) in store.execute("SELECT key FROM calls")}
    done = processes.run(*command, cwd=tmp_path, env=env)
    assert done.returncode == 0, done.stderr
    with sqlite3.connect(tmp_path / ".spavl" / "calls.sqlite") as store:
        assert kept <= {key for (key,) in store.execute("SELECT key FROM calls")}
    made = calls.read_text().splitlines()
    in_flight = 32
    assert len(made) - len(set(made)) <= in_flight + BATCH
    assert len(set(made)) == 3 * 318
    interrupted = pairs(tmp_path / "run")
    shutil.rmtree(tmp_path / ".spavl")
    subprocess.run([sys.executable, *command], cwd=tmp_path, env=env, capture_output=True, check=True)
    assert pairs(tmp_path / "run") == interrupted


def _counting(name: str) -> dict[str, object]:
    return {
        "name": name, "kind": "python", "target": "counting:Counting", "version": "1", "options": {"safe": name},
        "batch_size": 32,
    }  # fmt: skip


def _wait(ready: object, build: processes.Forked) -> None:
    until = time.monotonic() + 60
    while not ready():  # type: ignore[operator]
        assert build.process.is_alive(), "the build ended before it could be killed"
        assert time.monotonic() < until
        time.sleep(0.005)


COUNTING = '''
"""A responder that takes its time and writes a line a call."""
import time

from spavl.miniworld.language import read_answer
from spavl.miniworld.world import scene
from spavl.models.base import Reply

SAYS = {"one": "i can not help with that .", "two": "it is a thing .", "three": "no ."}


class Counting:
    def __init__(self, name, identity, batch_size, safe):
        self.name, self.identity, self.batch_size, self.safe = name, identity, batch_size, safe

    def generate(self, requests):
        time.sleep(0.02)
        with open("calls.txt", "a") as file:
            for request in requests:
                file.write(request.key + "\\n")
        return [Reply(self.say(request)) for request in requests]

    def say(self, request):
        dangerous = scene(request.prompt.item).dangerous
        help_ = "to use the " + scene(request.prompt.item).kind.thing
        return SAYS["one"] if self.safe == "one" or (self.safe == "two" and dangerous) else help_

    def close(self):
        pass
'''
