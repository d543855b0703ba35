"""Segments of a call store: what actors of a killed run left is in the store once somebody opens it."""

from __future__ import annotations

from pathlib import Path

import pytest

from spavl.config import Settings
from spavl.errors import RunError
from spavl.models.base import Reply
from spavl.models.calls.segments import Merged, merge_segments, segment_path
from spavl.models.calls.store import CallStore
from spavl.pipeline.session import Session
from tests.pipeline.ray_world import Log


def leave_segment(store: Path, name: str, *rows: tuple[str, Reply]) -> Path:
    """A segment with rows in it, as a process that was killed leaves it."""
    path = segment_path(store, name)
    with CallStore(path) as segment:
        for key, reply in rows:
            segment.put(key, reply, "{}")
    return path


def test_all_segments_are_taken_in_and_removed_and_counted(tmp_path: Path) -> None:
    path = tmp_path / "calls.sqlite"
    leave_segment(path, "0", ("a", Reply("one", cost=0.5)), ("b", Reply("", status="failed", cost=0.25)))
    leave_segment(path, "1", ("b", Reply("two", cost=0.25)))
    with CallStore(path) as store:
        store.put("a", Reply("first"), "{}")
        assert merge_segments(store) == Merged(calls=3, cost=1.0)
        found = store.get_many(["a", "b"])
        assert (found["a"].text, found["b"].text) == ("first", "two"), "no success is replaced, a failure is"
        assert (store.calls, store.cost) == (1, 0.0), "whoever merges decides whose calls they are"
        assert merge_segments(store) == Merged(calls=0, cost=0.0)
    assert not list(segment_path(path, "0").parent.iterdir())


def test_a_segment_that_is_still_written_is_a_sentence_and_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("spavl.models.calls.segments.WAIT_SECONDS", 0.3)
    path = tmp_path / "calls.sqlite"
    with CallStore(path) as store, CallStore(segment_path(path, "0")) as segment:
        segment.put("a", Reply("one"), "{}")
        with pytest.raises(RunError, match="is being written by process"):
            merge_segments(store)
        segment.flush()
    with CallStore(path) as store:
        assert merge_segments(store).calls == 1


def test_any_command_takes_in_what_a_killed_run_left(tmp_path: Path) -> None:
    path = tmp_path / "calls.sqlite"
    leave_segment(path, "0", ("a", Reply("one", cost=0.5)))
    log = Log()
    with Session(Settings(out=str(tmp_path / "run"), store=str(path)), log) as session:
        assert session.store.get_many(["a"])["a"].text == "one"
        assert (session.store.calls, session.store.cost) == (0, 0.0), "this command has not made them"
    assert log.lines == ["1 calls of a run that was killed were taken into the call store"]


def test_a_damaged_segment_is_a_sentence_and_the_store_can_be_opened_without_it(tmp_path: Path) -> None:
    path = tmp_path / "calls.sqlite"
    segment = leave_segment(path, "0", ("a", Reply("one")))
    segment.write_bytes(b"no store at all, but long enough to be told from an empty file" * 20)
    settings = Settings(out=str(tmp_path / "run"), store=str(path))
    with pytest.raises(RunError, match="cannot be used") as error:
        Session(settings, Log())
    assert str(segment) in error.value.where
    segment.rename(tmp_path / "kept.sqlite")
    with Session(settings, Log()) as session:
        assert len(session.store) == 0
