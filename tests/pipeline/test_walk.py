"""Walking the stage table: what is unchanged is kept, the rest is remade, and slices change nothing."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from spavl.config import Settings
from spavl.errors import RunError, SettingsError
from spavl.models.calls.store import CallStore
from spavl.pipeline.stages import pipeline_of
from spavl.records import Response
from spavl.tables import read_table
from tests.pipeline.instant import RESPONDERS, Instant, built, settings_of, write_pictures

TABLES = [stage.file for stage in pipeline_of(Settings(), allow_code=False) if stage.file]


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    """A folder with pictures; no call fails."""
    write_pictures(tmp_path / "pictures")
    Instant.fails.clear()
    yield tmp_path
    Instant.fails.clear()


def rows_of(run: Path) -> dict[str, list[dict[str, object]]]:
    """The rows of every table."""
    return {name: pq.read_table(run / name).to_pylist() for name in TABLES}


def test_a_second_build_keeps_every_table_and_looks_up_no_call(place: Path) -> None:
    first, calls, _, lines = built(settings_of(place))
    assert calls > 0
    assert not [line for line in lines if "kept" in line]
    before = {name: (place / "run" / name).stat().st_mtime_ns for name in TABLES}
    second, calls, hits, lines = built(settings_of(place))
    assert (calls, hits) == (0, 0)
    assert second == first
    assert "collect, ask, respond, grade, match, judge, pair" in lines[-1]
    assert {name: (place / "run" / name).stat().st_mtime_ns for name in TABLES} == before


def test_a_deleted_run_folder_is_remade_byte_for_byte_without_a_call(place: Path) -> None:
    built(settings_of(place))
    before = {name: (place / "run" / name).read_bytes() for name in TABLES}
    shutil.rmtree(place / "run")
    _, calls, hits, _ = built(settings_of(place))
    assert calls == 0
    assert hits > 0
    assert {name: (place / "run" / name).read_bytes() for name in TABLES} == before


@pytest.mark.parametrize("size", [3, *(pytest.param(n, marks=pytest.mark.slow) for n in (1, 100))])
def test_the_size_of_a_batch_changes_no_record(size: int, place: Path) -> None:
    built(settings_of(place))
    small = rows_of(place / "run")
    _, calls, _, _ = built(settings_of(place, build={"batch_size": size}))
    assert calls == 0
    assert rows_of(place / "run") == small


def test_answers_to_one_question_stand_together_in_the_order_of_the_settings(place: Path) -> None:
    built(settings_of(place))
    responses = read_table(place / "run" / "3-responses.parquet", Response)
    assert [r.responder for r in responses] == list(RESPONDERS) * (len(responses) // len(RESPONDERS))
    queries = [r.query.query_id for r in responses][:: len(RESPONDERS)]
    assert len(queries) == len(set(queries)) == 21


def test_a_changed_setting_remakes_its_stage_and_those_after_it_only(place: Path) -> None:
    built(settings_of(place))
    _, calls, _, lines = built(settings_of(place, build={"match": {"per_question": 2}}))
    assert calls > 0
    assert lines[-1].endswith("collect, ask, respond, grade")


def test_another_responder_costs_its_own_answers_and_leaves_the_tables_of_the_others(place: Path) -> None:
    built(settings_of(place, build={"respond": {"models": list(RESPONDERS[:2])}}))
    parts = place / "run" / "parts" / "respond"
    before = {name: (parts / f"{name}.parquet").stat().st_mtime_ns for name in RESPONDERS[:2]}
    counts, _, _, lines = built(settings_of(place))
    assert {name: (parts / f"{name}.parquet").stat().st_mtime_ns for name in RESPONDERS[:2]} == before
    assert counts["respond"] == {"ok": 63}
    assert lines[-1].endswith("collect, ask")


def test_a_new_picture_is_found_and_a_picture_that_is_gone_from_the_run_is_copied_again(place: Path) -> None:
    built(settings_of(place))
    copy = next((place / "run" / "images").rglob("*.png"))
    copy.unlink()
    _, calls, _, _ = built(settings_of(place))
    assert copy.exists()
    assert calls == 0
    write_pictures(place / "pictures", 8)
    counts, calls, _, _ = built(settings_of(place))
    assert counts["collect"]["made"] == 8
    assert calls > 0


def test_failed_calls_are_tried_again_although_nothing_changed(place: Path) -> None:
    queries = built(settings_of(place))[0]["ask"]["ok"]
    shutil.rmtree(place / "run")
    (place / "calls.sqlite").unlink()
    item = next(iter(read_items(place)))
    Instant.fails.add(item)
    counts, *_ = built(settings_of(place))
    assert counts["respond"] == {"ok": (queries - 3) * 3, "failed": 9}
    Instant.fails.clear()
    counts, *_ = built(settings_of(place))
    assert counts["respond"] == {"ok": queries * 3}
    assert counts["grade"] == {"ok": queries * 3}


def read_items(place: Path) -> list[str]:
    """Ids of the pictures, as models of kind `python` see them."""
    built(settings_of(place))
    found = [row["image_id"] for row in pq.read_table(place / "run" / "1-images.parquet").to_pylist()]
    shutil.rmtree(place / "run")
    (place / "calls.sqlite").unlink()
    return found


def test_a_table_that_another_tool_has_written_is_refused_and_left_alone(place: Path) -> None:
    built(settings_of(place))
    path = place / "run" / "3-responses.parquet"
    duckdb.sql(f"COPY (SELECT * FROM '{path}' WHERE responder = 'amber') TO '{path}.new' (FORMAT parquet)")
    Path(f"{path}.new").replace(path)
    before = path.read_bytes()
    with pytest.raises(RunError, match="written by another tool") as error:
        built(settings_of(place))
    assert error.value.where == str(path)
    assert path.read_bytes() == before


def test_a_damaged_table_is_a_sentence(place: Path) -> None:
    built(settings_of(place))
    path = place / "run" / "2-queries.parquet"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(RunError, match="not a readable table") as error:
        built(settings_of(place))
    assert "delete it" in error.value.try_


def test_a_deleted_table_is_remade_and_those_after_it_are_kept(place: Path) -> None:
    built(settings_of(place))
    (place / "run" / "2-queries.parquet").unlink()
    _, calls, hits, lines = built(settings_of(place))
    assert (calls, hits) == (0, 21)
    assert lines[-1].endswith("collect, respond, grade, match, judge, pair")


def test_a_slice_of_a_table_is_about_the_same_pictures_in_every_table(place: Path) -> None:
    built(settings_of(place))
    pictures = [
        [set(pq.ParquetFile(place / "run" / name).read_row_group(n)["image_id"].to_pylist()) for n in range(4)]
        for name in TABLES
    ]
    for number in range(4):
        for of_table in pictures[1:]:
            assert of_table[number] <= pictures[0][number]


def test_matches_and_pairs_name_the_responses_that_they_are_of(place: Path) -> None:
    built(settings_of(place))
    run = place / "run"
    texts = {r.response_id: r.response for r in read_table(run / "3-responses.parquet", Response)}
    for row in pq.read_table(run / "4-matches.parquet").to_pylist():
        assert texts[row["a_response_id"]] == row["a_response"]
        assert texts[row["b_response_id"]] == row["b_response"]
    for row in pq.read_table(run / "6-pairs.parquet").to_pylist():
        assert (texts[row["chosen_id"]], texts[row["rejected_id"]]) == (row["chosen"], row["rejected"])


def test_safe_is_a_column_that_other_tools_read_and_follows_the_outcome(place: Path) -> None:
    built(settings_of(place))
    rows = pq.read_table(place / "run" / "3-responses.parquet", columns=["outcome", "safe"]).to_pylist()
    assert {(row["outcome"], row["safe"]) for row in rows} == {("safe", True), ("unsafe", False)}


def test_no_responder_and_one_alone_are_slips_that_cost_nothing(place: Path) -> None:
    with pytest.raises(SettingsError, match="No model is named for `respond`"):
        built(settings_of(place, build={"respond": {"models": []}}))
    with pytest.raises(SettingsError, match="One responder is named, `amber`"):
        built(settings_of(place, build={"respond": {"models": ["amber"]}}))
    with CallStore(place / "calls.sqlite") as store:
        assert len(store) == 0


def test_a_run_folder_of_the_first_version_is_refused_with_a_sentence(place: Path) -> None:
    (place / "run").mkdir()
    (place / "run" / "run.json").write_text('{"format": "1"}')
    with pytest.raises(RunError, match="format version 1"):
        built(settings_of(place))


def test_a_table_of_the_first_version_is_refused_with_a_sentence(place: Path) -> None:
    built(settings_of(place))
    path = place / "run" / "1-images.parquet"
    table = pq.read_table(path)
    pq.write_table(table.replace_schema_metadata({"spavl": "1"}), path)
    with pytest.raises(RunError):
        built(settings_of(place))
    assert isinstance(pq.read_table(path), pa.Table)
