"""A picture that is stored is asked for once; one that can never be had too; and nothing is kept of any other."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import psutil
import pytest

from spavl.dataset.collect import Downloads, Unusable
from spavl.dataset.collect.downloads import FILE, RUNS
from spavl.errors import RunError
from tests.dataset.pictures import noise
from tests.dataset.web import Web, serving, status, store

MOST = 10**9


@pytest.fixture
def web() -> Iterator[Web]:
    """A server whose every path has a picture of its own."""
    with serving() as server:
        server.otherwise = lambda path: noise(int(path.strip("/")))
        yield server


def read(folder: Path, web: Web, *paths: str, keep: bool = True, **changes: Any) -> list[bytes | str]:
    """What one run gets of these paths, a reason where it gets nothing; `keep` stores what it gets."""
    out: list[bytes | str] = []
    with Downloads(folder, web.settings(attempts=1, **changes)) as downloads:
        for path in paths:
            try:
                data = downloads.read(web.address(path), MOST)
            except Unusable as error:
                assert error.kind == "download"
                out.append(error.what)
                continue
            out.append(data)
            if keep:
                store(folder, data, hashlib.sha256(data).hexdigest())
    return out


def noted(folder: Path) -> int:
    """Rows of the list."""
    with closing(sqlite3.connect(folder / FILE)) as database:
        return int(database.execute("SELECT count(*) FROM downloads").fetchone()[0])


def test_a_stored_picture_is_asked_for_once(web: Web, tmp_path: Path) -> None:
    paths = [f"/{number}" for number in range(40)]
    first = read(tmp_path, web, *paths)
    assert first == [noise(number) for number in range(40)]
    assert read(tmp_path, web, *paths) == first
    assert set(web.asked.values()) == {1}


def test_nothing_is_kept_of_a_picture_that_was_not_stored(web: Web, tmp_path: Path) -> None:
    """The hash list is asked before anything is stored, and a match must leave neither bytes nor address."""
    read(tmp_path, web, *(f"/{number}" for number in range(40)), keep=False)
    assert noted(tmp_path) == 0
    texts = (tmp_path / FILE).read_bytes() + b"".join(one.read_bytes() for one in tmp_path.glob(f"{FILE}-*"))
    assert web.host.encode() not in texts
    assert [one.name for one in tmp_path.iterdir() if not one.name.startswith(FILE)] == []


def test_a_copy_that_is_gone_or_changed_is_downloaded_again(web: Web, tmp_path: Path) -> None:
    read(tmp_path, web, "/1", "/2")
    (gone, changed) = [store(tmp_path, noise(n), hashlib.sha256(noise(n)).hexdigest()) for n in (1, 2)]
    gone.unlink()
    changed.write_bytes(b"something else")
    assert read(tmp_path, web, "/1", "/2", keep=False) == [noise(1), noise(2)]
    assert web.asked == {"/1": 2, "/2": 2}


def test_what_is_gone_is_not_asked_again_unless_the_rules_change(web: Web, tmp_path: Path) -> None:
    web.answers |= {"/404": status(404), "/large": noise(1, size=(60, 60))}
    for _ in range(2):
        gone, large = read(tmp_path, web, "/404", "/large", max_bytes=1000)
        assert gone == "the server answered 404: there is no such picture"
        assert "larger than" in str(large)
    assert web.asked == {"/404": 1, "/large": 1}
    assert read(tmp_path, web, "/large", max_bytes=100_000) == [noise(1, size=(60, 60))]


def test_what_may_come_later_is_asked_for_in_a_few_runs_and_then_given_up(web: Web, tmp_path: Path) -> None:
    web.answers["/5"] = status(403)
    for run in range(RUNS + 2):
        read(tmp_path, web, f"/{run + 10}", "/5")
    assert web.asked["/5"] == RUNS
    web.answers["/6"] = status(503)
    read(tmp_path, web, "/20", "/6")
    web.answers["/6"] = b""
    assert read(tmp_path, web, "/6") == [noise(6)]


def test_runs_in_which_no_picture_came_do_not_count_for_it_may_be_the_network(web: Web, tmp_path: Path) -> None:
    web.answers["/5"] = status(503)
    for _ in range(RUNS + 2):
        read(tmp_path, web, "/5")
    assert web.asked["/5"] == RUNS + 2


def test_what_is_left_for_the_next_run_is_counted(web: Web, tmp_path: Path) -> None:
    web.answers |= {"/403": status(403), "/404": status(404)}
    with Downloads(tmp_path, web.settings(attempts=1)) as downloads:
        for path in ("/403", "/404", "/1"):
            try:
                downloads.read(web.address(path), MOST)
            except Unusable:
                continue
        assert downloads.unfinished == 1
        with pytest.raises(Unusable, match="more bytes than") as caught:
            downloads.read(web.address("/1"), 10)
        assert caught.value.kind == "too many pixels"


def test_a_damaged_list_is_said_and_nothing_is_opened_that_is_not_used(web: Web, tmp_path: Path) -> None:
    with Downloads(tmp_path / "run", web.settings()):
        pass
    assert not (tmp_path / "run").exists()
    (tmp_path / FILE).write_bytes(b"no database" * 1000)
    with Downloads(tmp_path, web.settings()) as downloads, pytest.raises(RunError, match="list of downloads") as caught:
        downloads.read(web.address("/1"), MOST)
    assert "delete it" in caught.value.try_


def test_a_thousand_pictures_are_downloaded_in_flat_memory(web: Web, tmp_path: Path) -> None:
    pictures = [noise(number, size=(200, 150)) for number in range(8)]
    web.otherwise = lambda path: pictures[int(path.strip("/")) % 8]
    process = psutil.Process()
    held = []

    def work(number: int) -> int:
        return len(downloads.read(web.address(f"/{number}"), MOST))

    with Downloads(tmp_path, web.settings(per_host=16)) as downloads, ThreadPoolExecutor(32) as pool:
        for number, size in enumerate(pool.map(work, range(1000))):
            assert size > 80_000
            if number % 50 == 0:
                held.append(process.memory_info().rss / 2**20)
    assert web.asked.total() == 1000
    assert max(held) - max(held[:5]) < 24, held
