"""`progress.json`: written while a command works, gone when it has ended, never in the way of the work."""

from __future__ import annotations

import json
import os
import socket
import time
from pathlib import Path

import psutil
import pytest

from spavl.progress import Calls, ModelCalls, NoProgress
from spavl.run import under_way as module
from spavl.run.under_way import FILE, NotedProgress, under_way


@pytest.fixture(autouse=True)
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "EVERY", 0.02)


def written(path: Path) -> None:
    until = time.monotonic() + 10
    while not path.exists():
        assert time.monotonic() < until, "nothing was written"
        time.sleep(0.01)


def test_work_is_noted_while_it_lasts_with_the_calls_of_each_model(tmp_path: Path) -> None:
    calls = Calls([ModelCalls("amber", 3, 10, in_flight=2, tokens=90, cost=None, failed=1)], spent=0.5, most=2.0)
    noted = NotedProgress(NoProgress(), tmp_path)
    with noted.bar("respond", lambda: calls) as outer, noted.bar("a table") as inner:
        outer(3, 10)
        inner(1, 2)
        written(tmp_path / FILE)
        found = under_way(tmp_path)
    assert found is not None and found.process == os.getpid() and found.is_alive
    assert [(one.doing, one.done, one.total) for one in found.work] == [("respond", 3, 10), ("a table", 1, 2)]
    assert [(one.name, one.done, one.failed, one.cost) for one in found.work[0].calls] == [("amber", 3, 1, None)]
    assert (found.work[0].spent, found.work[0].most) == (0.5, 2.0)
    noted.close()
    assert under_way(tmp_path) is None and not list(tmp_path.iterdir())


def test_words_that_are_no_text_are_spelt_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["spavl", "build", "set\udcfftings.yaml"])
    noted = NotedProgress(NoProgress(), tmp_path)
    with noted.bar("read \udcff"):
        written(tmp_path / FILE)
        found = under_way(tmp_path)
    assert found is not None and r"set\udcfftings.yaml" in found.command and found.work[0].doing == r"read \udcff"


def test_short_work_writes_nothing_and_a_file_of_a_killed_command_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "EVERY", 60.0)
    (tmp_path / FILE).write_text("{}")
    noted = NotedProgress(NoProgress(), tmp_path)
    began = time.monotonic()
    with noted.bar("collect") as show:
        show(1, 1)
    assert not (tmp_path / FILE).exists() and time.monotonic() - began < 10


def test_a_folder_that_cannot_be_written_stops_no_work(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    noted = NotedProgress(NoProgress(), folder)
    folder.rmdir()
    folder.write_text("a file where the folder was")
    with noted.bar("collect") as show:
        show(1, 2)
        time.sleep(0.1)
    noted.close()


def test_a_command_of_another_machine_is_gone_when_it_writes_no_more(tmp_path: Path) -> None:
    said = {"command": "spavl build", "process": os.getpid(), "host": "elsewhere", "started": 1.0, "work": []}
    (tmp_path / FILE).write_text(json.dumps({**said, "changed": time.time()}))
    assert under_way(tmp_path) is not None
    (tmp_path / FILE).write_text(json.dumps({**said, "changed": time.time() - 600}))
    assert under_way(tmp_path) is None


def test_a_process_that_began_after_the_command_is_another_one_of_the_same_number(tmp_path: Path) -> None:
    said = {"command": "spavl build", "process": os.getpid(), "host": socket.gethostname(), "work": [], "changed": 1.0}
    for started, is_alive in ((time.time(), True), (psutil.Process().create_time() - 3600, False)):
        (tmp_path / FILE).write_text(json.dumps({**said, "started": started}))
        assert (under_way(tmp_path) is not None) == is_alive


@pytest.mark.parametrize("wrong", [
    '"done": "many"', '"done": null', '"seconds": NaN', '"left": Infinity', '"calls": [3]', '"doing": 3',
])  # fmt: skip
def test_work_whose_numbers_are_none_is_nothing_under_way(tmp_path: Path, wrong: str) -> None:
    right = '"doing": "ask", "done": 3, "total": 9, "seconds": 1.5, "left": null, "calls": []'
    said = f'"command": "x", "process": {os.getpid()}, "host": "elsewhere", "started": 1.0, "changed": {time.time()}'
    for work, is_read in ((right, True), (f"{right}, {wrong}", False)):
        (tmp_path / FILE).write_text(f'{{{said}, "work": [{{{work}}}]}}')
        assert (under_way(tmp_path) is not None) == is_read


@pytest.mark.parametrize("text", ["", "3", "[]", "{}", '{"work": 1}', '{"work": [{}]}', "\0", '{"work": []}'])
def test_what_is_no_such_file_is_nothing_under_way(tmp_path: Path, text: str) -> None:
    (tmp_path / FILE).write_text(text)
    assert under_way(tmp_path) is None
