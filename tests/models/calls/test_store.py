"""The call store: what is put in stays in, a success is final, errors of the disk are plain."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spavl.errors import RunError
from spavl.models.base import Reply
from spavl.models.calls.store import CallStore

REPLY = Reply(
    "A cup.",
    finish_reason="stop",
    prompt_tokens=40,
    completion_tokens=3,
    cost=0.25,
    latency=1.5,
    attempts=2,
    fingerprint="build 7",
    detail="",
)
FAILED = Reply("", status="failed", finish_reason="error", detail="the server failed with 500")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "workspace" / "calls.sqlite"


def test_a_reply_comes_back_whole_at_once_and_after_the_store_was_closed(path: Path) -> None:
    with CallStore(path) as store:
        store.put("k1", REPLY, "{}")
        assert store.get_many(["k1", "k2"]) == {"k1": replace(REPLY, key="k1")}
    with CallStore(path) as store:
        assert store.get_many(["k1", "k2"]) == {"k1": replace(REPLY, key="k1")}


@pytest.mark.parametrize("status", ["ok", "refused", "filtered", "truncated"])
def test_a_success_is_never_overwritten(path: Path, status: str) -> None:
    first = replace(REPLY, status=status)
    with CallStore(path) as store:
        store.put("k", first, "{}")
        store.put("k", replace(REPLY, text="another"), "{}")
        store.put("k", FAILED, "{}")
        assert store.get_many(["k"])["k"] == replace(first, key="k")
        store.flush()
        store.put("k", replace(REPLY, text="a third"), "{}")
        assert store.get_many(["k"])["k"] == replace(first, key="k")
    with CallStore(path) as store:
        assert store.get_many(["k"])["k"] == replace(first, key="k")


@pytest.mark.parametrize("pause", [False, True], ids=["before it is on disk", "after it is on disk"])
def test_a_failure_may_be_replaced(path: Path, pause: bool) -> None:
    with CallStore(path) as store:
        store.put("k", FAILED, "{}")
        if pause:
            store.flush()
        assert store.known(["k"]) == set()
        store.put("k", REPLY, "{}")
        assert store.get_many(["k"])["k"].text == "A cup."
        assert store.known(["k"]) == {"k"}
        assert len(store) == 1


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["ok", "failed"]), st.text(max_size=5))))
def test_whatever_is_put_the_first_success_of_a_key_wins(tmp_path_factory, puts) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path_factory.mktemp("store") / "calls.sqlite"
    expected: dict[str, tuple[str, str]] = {}
    with CallStore(path) as store:
        for key, status, text in puts:
            store.put(key, Reply(text, status=status), "{}")
            if expected.get(key, ("failed", ""))[0] == "failed":
                expected[key] = (status, text)
        store.flush()
        found = store.get_many(list("abc"))
    assert {key: (reply.status, reply.text) for key, reply in found.items()} == expected


def test_hits_calls_and_cost_are_counted_and_known_counts_nothing(path: Path) -> None:
    with CallStore(path) as store:
        store.put("k1", REPLY, "{}")
        store.put("k2", FAILED, "{}")
        assert store.known(["k1", "k2", "k3"]) == {"k1"}
        assert (store.hits, store.calls, store.cost) == (0, 2, 0.25)
        store.get_many(["k1", "k2", "k3"])
        assert store.hits == 1


def test_the_request_behind_a_key_can_be_read(path: Path) -> None:
    with CallStore(path) as store:
        store.put("k", REPLY, '{"model":"local:0123","text":"What?"}')
        assert store.request("k") == {"model": "local:0123", "text": "What?"}
        assert store.request("unknown") is None


def test_the_file_is_an_ordinary_table_that_other_tools_can_read(path: Path) -> None:
    with CallStore(path) as store:
        store.put("k", REPLY, '{"model":"local:0123"}')
    query = "SELECT key, status, text, attempts, engine, json_extract(request, '$.model'), time FROM calls"
    with closing(sqlite3.connect(path)) as connection:
        *row, when = connection.execute(query).fetchone()
    assert row == ["k", "ok", "A cup.", 2, "1", "local:0123"]
    assert abs(when - time.time()) < 60


def test_a_success_is_found_while_the_failure_before_it_is_being_written(path: Path) -> None:
    with CallStore(path) as store:
        for number in range(200):
            store.put(f"k{number}", FAILED, "{}")
            store.put(f"k{number}", REPLY, "{}")
            assert store.known([f"k{number}"]) == {f"k{number}"}
            store.wait_for_room()


def test_other_stores_are_looked_into_and_not_written(path: Path) -> None:
    other = path.with_name("other.sqlite")
    with CallStore(other) as store:
        for key, reply in (("k1", REPLY), ("k2", FAILED), ("k3", replace(REPLY, text="theirs"))):
            store.put(key, reply, f'{{"text":"{key}"}}')
    before = other.read_bytes()
    with CallStore(path, also_read=[other]) as store:
        store.put("k3", replace(REPLY, text="ours"), "{}")
        store.put("k4", FAILED, "{}")
        found = store.get_many(["k1", "k2", "k3", "k4", "k5"])
        assert {key: (reply.status, reply.text) for key, reply in found.items()} == {
            "k1": ("ok", "A cup."), "k2": ("failed", ""), "k3": ("ok", "ours"), "k4": ("failed", "")
        }  # fmt: skip
        assert store.request("k1") == {"text": "k1"}
        assert len(store) == 2
    assert other.read_bytes() == before


def test_a_store_that_is_read_beside_must_be_there(path: Path) -> None:
    with pytest.raises(RunError, match="no call store"):
        CallStore(path, also_read=[path.with_name("gone.sqlite")])
    CallStore(path).close()


@pytest.mark.parametrize("into", ["empty", "failed", "success"])
def test_a_segment_is_merged_as_if_its_rows_were_put(path: Path, into: str) -> None:
    segment = path.with_name("segment.sqlite")
    with CallStore(segment) as store:
        store.put("k1", REPLY, '{"text":"k1"}')
        store.put("k2", FAILED, "{}")
    with CallStore(path) as store:
        if into != "empty":
            store.put("k1", FAILED if into == "failed" else replace(REPLY, text="first"), "{}")
        for _ in range(2):
            store.merge(segment)
            found = store.get_many(["k1", "k2"])
            assert found["k1"] == replace(REPLY, text="first" if into == "success" else "A cup.", key="k1")
            assert found["k2"].status == "failed"
            assert len(store) == 2
        assert store.calls == (into != "empty"), "what another process asked for is not counted again"
        store.put("k2", REPLY, "{}")
        store.merge(segment)
        assert store.known(["k1", "k2"]) == {"k1", "k2"}
    with CallStore(segment) as store:
        assert len(store) == 2


def test_a_segment_that_is_written_or_no_store_is_refused(path: Path) -> None:
    segment, other = path.with_name("segment.sqlite"), path.with_name("list.sqlite")
    with CallStore(path) as store, CallStore(segment) as writing:
        with pytest.raises(RunError, match="is being written by"):
            store.merge(segment)
        writing.put("k", REPLY, "{}")
        other.write_text("a shopping list, and nothing else " * 50)
        for wrong in (other, path.with_name("gone.sqlite")):
            with pytest.raises(RunError):
                store.merge(wrong)
        assert len(store) == 0


def test_rows_of_a_segment_whose_process_was_killed_are_merged(path: Path) -> None:
    segment = path.with_name("segment.sqlite")
    killed = f"""
import os, signal
from pathlib import Path
from spavl.models.base import Reply
from spavl.models.calls.store import CallStore
store = CallStore(Path({str(segment)!r}))
store.put("k", Reply("A cup."), "{{}}")
store.flush()
os.kill(os.getpid(), signal.SIGKILL)
"""
    subprocess.run([sys.executable, "-c", killed], check=False)
    with CallStore(path) as store:
        store.merge(segment)
        assert store.get_many(["k"])["k"].text == "A cup."


def test_a_row_is_on_disk_soon_without_a_flush(path: Path) -> None:
    with CallStore(path) as store, CallStore(path, replay=True) as reader:
        store.put("k", REPLY, "{}")
        until = time.monotonic() + 5
        while not reader.get_many(["k"]) and time.monotonic() < until:
            time.sleep(0.01)
        assert reader.get_many(["k"])


def test_nineteen_thousand_answers_are_found_in_well_under_a_second(path: Path) -> None:
    keys = [f"{number:032x}" for number in range(19_000)]
    with CallStore(path) as store:
        for key in keys:
            store.put(key, REPLY, "{}")
        store.flush()
        start = time.process_time()
        assert len(store.get_many(keys)) == len(keys)
        assert time.process_time() - start < 1.0


def test_another_format_version_is_refused_and_the_file_left_alone(path: Path) -> None:
    CallStore(path).close()
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    before = path.read_bytes()
    for replay in (False, True):
        with pytest.raises(RunError, match="has format 99; this spavl reads and writes format 3"):
            CallStore(path, replay=replay)
    assert path.read_bytes() == before


def test_a_file_that_is_no_store_is_refused_and_left_alone(path: Path) -> None:
    path.parent.mkdir()
    path.write_text("a shopping list, and nothing else " * 50)
    with pytest.raises(RunError, match="cannot be used: file is not a database"):
        CallStore(path)
    assert path.read_text().startswith("a shopping list")


def test_replay_needs_a_store_and_takes_no_new_answers(path: Path) -> None:
    with pytest.raises(RunError, match="There is no call store here"):
        CallStore(path, replay=True)
    with CallStore(path) as store:
        store.put("k", REPLY, "{}")
    with CallStore(path, replay=True) as store:
        assert store.get_many(["k"])["k"].text == "A cup."
        with pytest.raises(RunError, match="takes no new answers"):
            store.put("k2", REPLY, "{}")


FILL_A_SMALL_DISK = """
import sys
from spavl.errors import RunError
from spavl.models.base import Reply
from spavl.models.calls.store import CallStore

store = CallStore(sys.argv[1])
number = 0
try:
    while number < 10_000:
        store.put(f"k{number}", Reply("x" * 1000), "{}")
        number += 1
        if number % 64 == 0:
            store.flush()
            print("safe", number, flush=True)
except RunError as error:
    print("error", error, flush=True)
try:
    store.close()
except RunError as error:
    print("error again", error, flush=True)
with CallStore(sys.argv[1], replay=True) as again:
    print("kept", len(again.get_many([f"k{n}" for n in range(number)])), flush=True)
"""


def test_a_full_disk_is_a_plain_error_and_loses_no_committed_row(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = f'mount -t tmpfs -o size=1m tmpfs "{disk}" && exec "$0" -c "$1" "{disk}/calls.sqlite"'
    ran = subprocess.run(
        ["unshare", "-rm", "sh", "-c", mounted, sys.executable, FILL_A_SMALL_DISK], capture_output=True, text=True
    )
    if "unshare" in ran.stderr or "mount:" in ran.stderr:
        pytest.skip("this machine lets nobody mount a small disk")
    lines = [line.split(" ", 1) for line in ran.stdout.splitlines()]
    safe = [int(rest) for word, rest in lines if word == "safe"]
    errors = [rest for word, rest in lines if word == "error"]
    kept = [int(rest) for word, rest in lines if word == "kept"]
    assert safe, ran.stderr
    assert "could not be written to the call store: database or disk is full" in errors[0]
    assert "Make room on the disk" in ran.stdout
    assert kept[0] >= safe[-1]
