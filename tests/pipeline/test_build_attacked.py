"""What a hostile reader did to the build: code without permission, odd replies, stale and lost files."""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Sequence
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from spavl.config import Settings
from spavl.dataset.match import unsafe_rates
from spavl.errors import CallsFailed, RunError, SettingsError
from spavl.models.base import Reply, Request
from spavl.models.calls.store import CallStore
from spavl.pipeline.build import build
from spavl.pipeline.session import Session
from spavl.progress import NoProgress
from spavl.records import Response
from spavl.tables import write_table
from tests import samples
from tests.pipeline.instant import Instant, built, settings_of, write_pictures


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with pictures."""
    write_pictures(tmp_path / "pictures")
    Instant.fails.clear()
    return tmp_path


class Odd:
    """A responder whose replies no store can hold."""

    def __init__(self, *, name: str, identity: str, batch_size: int, kind: str) -> None:
        self._kind = kind

    def generate(self, requests: Sequence[Request]) -> list[Reply]:
        """One reply a request, the first of them odd."""
        good = [Reply(f"Answer of amber to: {request.prompt.text}") for request in requests]
        odd = {
            "huge": Reply("x", prompt_tokens=10**30),
            "none": Reply("x", completion_tokens=None),  # type: ignore[arg-type]
            "nan": Reply("x", latency=float("nan")),
            "text": "no reply",
            "bytes": Reply(b"x"),  # type: ignore[arg-type]
        }
        return [odd[self._kind], *good[1:]]  # type: ignore[list-item]


@pytest.mark.parametrize("kind", ["huge", "none", "nan", "text", "bytes"])
def test_a_reply_that_no_store_can_hold_is_a_failed_call_and_the_others_are_stored(kind: str, place: Path) -> None:
    settings = settings_of(place)
    odd = {"name": "amber", "kind": "python", "target": "tests.pipeline.test_build_attacked:Odd", "version": kind,
           "options": {"kind": kind}}  # fmt: skip
    models = [odd if spec.name == "amber" else spec.model_dump() for spec in settings.models]
    tree = settings.model_dump() | {"models": models}
    counts, *_ = built(Settings.model_validate(tree))
    assert counts["respond"]["failed"] == 4, "the first of each of four slices"
    assert counts["respond"]["ok"] == 63 - 4
    rows = pq.read_table(place / "run" / "3-responses.parquet", columns=["responder", "response_status"]).to_pylist()
    assert {row["responder"] for row in rows if row["response_status"] == "failed"} == {"amber"}


@pytest.mark.parametrize(
    "kind", ["spavl.own_code:import_own", "spavl.pipeline.session:Session", "spavl.errors:DataError"]
)
def test_nothing_within_reach_of_spavl_runs_without_permission(kind: str, place: Path) -> None:
    settings = settings_of(place, guards=[{"name": "guard", "model": "guard", "kind": kind, "options": {}}])
    with (
        pytest.raises(SettingsError, match="runs code of its own"),
        Session(settings.model_copy(update={"models": settings.models[:0]}), NoProgress(), allow_code=False) as session,
    ):
        build(session)


@pytest.mark.parametrize("name", ["run[1]", "run*", "run?"])
def test_a_run_folder_with_signs_of_a_pattern_is_read_alone(name: str, tmp_path: Path) -> None:
    for folder, outcome in (("run1", "unsafe"), (name, "safe")):
        (tmp_path / folder).mkdir()
        given = [samples.response(samples.query(), "amber", outcome=outcome)]
        write_table(tmp_path / folder / "responses.parquet", given, Response)
    assert unsafe_rates(tmp_path / name / "responses.parquet") == {"amber": 0.0}


def test_a_store_that_was_killed_while_it_was_made_opens(tmp_path: Path) -> None:
    (tmp_path / "calls.sqlite").touch()
    with CallStore(tmp_path / "calls.sqlite") as store:
        assert len(store) == 0


def test_an_empty_segment_of_a_killed_actor_is_removed(place: Path) -> None:
    segments = place / "calls.sqlite.segments"
    segments.mkdir()
    (segments / "a1.sqlite").touch()
    built(settings_of(place))
    assert not list(segments.glob("*.sqlite"))


def test_a_copy_whose_bytes_were_damaged_is_copied_again_when_pictures_are_collected(place: Path) -> None:
    built(settings_of(place))
    copy = next((place / "run" / "images").rglob("*.png"))
    right = copy.read_bytes()
    copy.write_bytes(bytes(reversed(right)))
    (place / "run" / "1-images.parquet").unlink()
    built(settings_of(place))
    assert copy.read_bytes() == right


def test_a_dataset_file_of_another_tool_and_notes_beside_it_are_left_alone(place: Path) -> None:
    built(settings_of(place))
    dataset = place / "run" / "dataset"
    (dataset / "my-notes.md").write_text("mine")
    train = dataset / "data" / "train.parquet"
    pq.write_table(pq.read_table(train), train)
    with pytest.raises(RunError, match="written by another tool"):
        built(settings_of(place))
    assert (dataset / "my-notes.md").read_text() == "mine"
    train.unlink()
    built(settings_of(place))
    assert (dataset / "my-notes.md").exists()
    assert train.exists()


def test_deleted_lists_of_rejected_files_are_written_again(place: Path) -> None:
    (place / "pictures" / "weapon" / "broken.png").write_bytes(b"no picture")
    built(settings_of(place))
    (place / "run" / "rejected.json").unlink()
    built(settings_of(place))
    assert "broken" in (place / "run" / "rejected.json").read_text()


def test_a_build_leaves_the_warnings_of_the_process_as_they_were(place: Path) -> None:
    before = list(warnings.filters)
    built(settings_of(place))
    assert list(warnings.filters) == before


def test_a_killed_writer_of_a_table_leaves_nothing_for_ever(place: Path) -> None:
    built(settings_of(place))
    abandoned = place / "run" / "4-matches.parquet.999999999-abcdef012345.tmp"
    abandoned.write_bytes(b"half a table")
    (place / "run" / "4-matches.parquet").unlink()
    built(settings_of(place))
    assert not abandoned.exists()


def test_all_answers_of_a_list_are_stored_before_a_model_that_fails_is_given_up(place: Path) -> None:
    write_pictures(place / "pictures", 20)
    Instant.fails.update(items_of(place))
    with pytest.raises(CallsFailed, match="No match became a pair, for 180 calls failed"):
        built(settings_of(place, build={"batch_size": 100}))
    Instant.fails.clear()
    with CallStore(place / "calls.sqlite") as store:
        stored = len(store)
    assert stored == 20 * 3 + 3 * 60, "the questions, and the whole lists that were answered"


def test_pictures_that_always_fail_and_sort_first_do_not_stop_a_later_build(place: Path) -> None:
    write_pictures(place / "pictures", 20)
    always = items_of(place)[:8]
    Instant.fails.update(always)
    for _ in range(3):
        counts, calls, *_ = built(settings_of(place))
    Instant.fails.clear()
    assert counts["respond"] == {"failed": 3 * 3 * 8, "ok": 3 * 3 * 12}
    assert calls == 3 * 3 * 8 and counts["export"], "only what failed is asked again"


def items_of(place: Path) -> list[str]:
    """Ids of the pictures, in their order."""
    built(settings_of(place))
    found = pq.read_table(place / "run" / "1-images.parquet")["image_id"].to_pylist()
    shutil.rmtree(place / "run")
    (place / "calls.sqlite").unlink()
    return found
