"""A damaged row costs itself and no other: it counts as missing, is asked again, and can be found and taken out."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from spavl.errors import RunError
from spavl.models.base import Reply
from spavl.models.calls.files import WITHOUT_CHECKSUMS
from spavl.models.calls.repair import check, repair
from spavl.models.calls.store import CallStore
from tests.models.calls.stored import column_of, fill, flip, leaf_pages, request_of

CHANGES = {
    "answer": "text = 'Another answer'", "status": "status = 'refused'", "tokens": "completion_tokens = 4",
    "cost": "cost = 0.25", "thought": "thought = 'none'", "checksum": "checksum = checksum + 1",
    "an answer that is no UTF-8": "text = CAST(X'FF41FE' AS TEXT)", "a detail that is bytes": "detail = X'00FF'",
    "a number that is text": "prompt_tokens = 'many'",
}  # fmt: skip


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "calls.sqlite"


@pytest.mark.parametrize("what", CHANGES)
def test_a_damaged_row_counts_as_missing_is_told_once_and_may_be_replaced(what: str, path: Path) -> None:
    keys = fill(path, 50)
    with column_of(path) as connection:
        connection.execute(f"UPDATE calls SET {CHANGES[what]} WHERE key IN (?, ?)", keys[10:12])
    lines: list[str] = []
    with CallStore(path, on_damage=lines.append) as store:
        assert set(store.get_many(keys)) == set(keys) - set(keys[10:12])
        assert store.known(keys[10:12]) == set()
        assert len(lines) == 1
        assert "spavl store check" in lines[0]
        store.put(keys[10], Reply("Asked again."), request_of(10))
        store.put(keys[9], Reply("never"), request_of(9))
        store.flush()
        found = store.get_many(keys)
        assert found[keys[10]].text == "Asked again."
        assert found[keys[9]].text == "Answer 000009", "a success is never replaced"
    assert check(path).damaged == 1


def test_flipped_bytes_of_an_answer_are_noticed(path: Path) -> None:
    keys = fill(path, 200)
    flip(path, "Answer 000007")
    with CallStore(path) as store:
        assert set(keys) - set(store.get_many(keys)) == {keys[7]}
    found = check(path)
    assert (found.whole, found.damaged, found.unreadable, found.structure) == (199, 1, 0, "")
    assert found.named == (f"{keys[7]}: the answer is not what was written",)


def test_a_request_that_is_not_the_one_of_its_key_is_damage(path: Path) -> None:
    keys = fill(path, 20)
    flip(path, "Question 13?")
    found = check(path)
    assert found.named == (f"{keys[13]}: the request is not the one of its key",)


def test_a_whole_store_is_whole_and_repair_leaves_its_bytes(path: Path) -> None:
    fill(path, 30)
    before = path.read_bytes()
    assert check(path).is_whole
    assert repair(path).kept is None
    assert path.read_bytes() == before


def test_repair_moves_damaged_rows_into_lines_of_json(path: Path) -> None:
    keys = fill(path, 100)
    flip(path, "Answer 000042")
    with column_of(path) as connection:
        connection.execute("UPDATE calls SET text = CAST(X'FFFE' AS TEXT) WHERE key = ?", (keys[3],))
    found = repair(path)
    assert (found.whole, found.damaged) == (98, 2)
    assert found.kept is not None
    lines = [json.loads(line) for line in found.kept.read_text("utf-8").splitlines()]
    assert [line["key"] for line in lines] == [keys[3], keys[42]]
    assert check(path).is_whole
    with CallStore(path) as store:
        assert set(keys) - set(store.get_many(keys)) == {keys[3], keys[42]}
        store.put(keys[3], Reply("Asked again."), request_of(3))


def test_rows_beside_a_damaged_page_are_used_and_saved_and_the_old_file_is_kept(path: Path) -> None:
    keys = fill(path, 400, text="Answer " + "x" * 200)
    at, _ = leaf_pages(path)[10]
    data = bytearray(path.read_bytes())
    data[at : at + 200] = b"\xff" * 200
    path.write_bytes(data)
    damaged = bytes(data)
    with CallStore(path, replay=True) as store:
        usable = set(store.get_many(keys))
    assert 300 < len(usable) < 400
    found = check(path)
    assert not found.is_whole
    assert found.structure
    assert path.read_bytes() == damaged
    found = repair(path)
    assert found.kept is not None
    assert found.kept.read_bytes() == damaged
    assert check(path).is_whole
    with CallStore(path) as store:
        assert usable <= set(store.get_many(keys))
        assert len(store) == found.whole
        for number, key in enumerate(keys):
            store.put(key, Reply("Asked again."), request_of(number))
            store.wait_for_room()
    assert check(path).whole == 400


@pytest.mark.parametrize("which", [0, 5, -1], ids=["first", "middle", "last"])
def test_a_page_of_nothing_anywhere_costs_the_rows_on_it_only(which: int, path: Path) -> None:
    keys = fill(path, 300, text="Answer " + "x" * 300)
    with closing(sqlite3.connect(path)) as connection:
        root = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'calls'").fetchone()[0]
        size = connection.execute("PRAGMA page_size").fetchone()[0]
    pages = [page for page, _ in leaf_pages(path) if page != (root - 1) * size]
    data = bytearray(path.read_bytes())
    rows = [at for at in pages if b"xxxxxxxx" in data[at : at + size]]
    data[rows[which] : rows[which] + size] = bytes(size)
    path.write_bytes(data)
    assert not check(path).is_whole
    assert repair(path).whole >= 280
    assert check(path).is_whole
    with CallStore(path) as store:
        assert len(store.get_many(keys)) >= 280


def test_repair_waits_for_no_writer_and_says_who_writes(path: Path) -> None:
    fill(path, 3)
    with CallStore(path), pytest.raises(RunError, match=r"is being written by process \d+"):
        repair(path)


def test_what_is_no_store_is_a_sentence(path: Path) -> None:
    for look in (check, repair):
        with pytest.raises(RunError, match="no call store here"):
            look(path)
    path.write_text("a shopping list, and nothing else " * 50)
    for look in (check, repair):
        with pytest.raises(RunError, match="file is not a database"):
            look(path)


def test_a_store_without_checksums_is_given_them_and_loses_no_answer(path: Path) -> None:
    keys = fill(path, 40)
    with column_of(path) as connection:
        connection.execute("ALTER TABLE calls DROP COLUMN checksum")
        connection.execute(f"PRAGMA user_version = {WITHOUT_CHECKSUMS}")
    with pytest.raises(RunError, match="format 2, whose rows have no checksums"):
        CallStore(path, replay=True)
    with CallStore(path) as store:
        assert len(store.get_many(keys)) == 40
    assert check(path).is_whole
