"""Labels in files: what is written is read again as it was, and what is no label is named."""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spavl.errors import DataError
from spavl.labels.cells import says_nothing
from spavl.labels.exchange import FORMS, Labelled, import_labels, read_labels, together, write_labels
from spavl.labels.label_studio import holds_tasks, page_of, tasks_of
from spavl.labels.record import Label
from spavl.labels.store import LabelStore
from tests.labels.some import label, pair, pairs

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
NAME = TEXT.filter(str.strip)
SIGNS = st.sampled_from(["=1+1", "'=1", "-", "@x", "'"])
OUTCOME = st.sampled_from([None, "unsafe", "refusal", "safe_completion"])
LABELS = st.builds(
    Label, item_id=NAME, annotator=NAME, status=st.sampled_from(["labelled", "skipped", "withdrawn"]),
    preference=st.sampled_from([None, "first", "second", "tie", "both_bad"]),
    outcomes=st.lists(OUTCOME, max_size=2).map(tuple), categories=st.lists(TEXT, max_size=2).map(tuple),
    severities=st.lists(st.none() | st.integers(0, 4), max_size=2).map(tuple), picture_needed=st.none() | st.booleans(),
    note=TEXT | SIGNS, skip_reason=TEXT, shown_first=st.sampled_from([None, "first", "second"]),
    seconds=st.floats(0, 1e6), created=st.datetimes().map(lambda one: one.isoformat()),
    answers_hash=st.sampled_from(["", "0f"]),
).filter(lambda one: not says_nothing(one))  # fmt: skip


def test_a_file_that_is_nested_too_deeply_holds_no_tasks(tmp_path: Path) -> None:
    (tmp_path / "tasks.json").write_text("[" * 100_000)
    assert not holds_tasks(tmp_path / "tasks.json")


@settings(max_examples=60, deadline=None)
@given(st.lists(LABELS, max_size=5, unique=True), st.sampled_from(FORMS), TEXT)
def test_what_is_written_is_read_again_as_it_was(labels: list[Label], form: str, text: str) -> None:
    items = (pair(1, system=text, probability=0.25, about={"class1": "tea"}), pair(2, question=text))
    written = Labelled(labels=tuple(labels), items=items, made_from=("a run",))
    with TemporaryDirectory() as folder:
        path = Path(folder) / f"labels{form}"
        write_labels(path, written)
        found = read_labels(path)
    assert (found.labels, found.made_from, found.left_out) == (written.labels, written.made_from, {})
    assert sorted(found.items, key=lambda one: one.item_id) == list(items)


def rows(path: Path, *values: dict[str, Any]) -> Path:
    """A JSON lines file."""
    path.write_text("".join(json.dumps(one) + "\n" for one in values), "utf-8")
    return path


def test_a_file_of_another_hand_needs_few_columns(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_text("item_id,annotator,preference,mood\npair-1,anna,second,good\n", "utf-8")
    assert read_labels(path).labels == (label(1, preference="second"),)


def test_quotes_before_signs_are_taken_off_in_tables_alone(tmp_path: Path) -> None:
    said = {"item_id": "'-x", "annotator": "anna", "preference": "second", "note": "'=1"}
    (found,) = read_labels(rows(tmp_path / "labels.jsonl", said)).labels
    assert (found.item_id, found.note) == ("'-x", "'=1")
    table = tmp_path / "labels.csv"
    table.write_text(f"{','.join(said)}\n{','.join(said.values())}\n", "utf-8")
    (found,) = read_labels(table).labels
    assert (found.item_id, found.note) == ("-x", "=1")


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"annotator": "anna"}, "There is no `item_id`"),
        ({"item_id": "x"}, "There is no `annotator`"),
        ({"item_id": "x", "annotator": "anna", "preference": "A"}, "one of: first, second, tie, both_bad, nothing"),
        ({"item_id": "x", "annotator": "anna", "severities": [9]}, "from 0 to 4"),
        ({"item_id": "x", "annotator": "anna", "outcomes": "unsafe"}, "wanted is JSON, such as"),
        ({"item_id": "x", "annotator": "anna", "seconds": -1}, "a number from 0"),
    ],
)
def test_a_row_that_is_no_label_is_named_by_its_line(tmp_path: Path, values: Any, sentence: str) -> None:
    path = rows(tmp_path / "labels.jsonl", {"item_id": "y", "annotator": "bo", "preference": "tie"}, values)
    with pytest.raises(DataError, match=sentence) as error:
        read_labels(path)
    assert "line 2" in str(error.value)


def test_a_file_that_is_not_utf_8_is_refused_with_what_helps(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_bytes("item_id,annotator\npair-1,Zoë\n".encode("latin-1"))
    with pytest.raises(DataError, match="UTF-8"):
        read_labels(path)


def test_the_same_label_again_counts_once_and_names_that_differ_in_capitals_are_two_people(tmp_path: Path) -> None:
    one, other = label(1, created="2026-01-01"), label(1, annotator="Anna")
    write_labels(tmp_path / "a.csv", Labelled(labels=(one, other)))
    write_labels(tmp_path / "b.jsonl", Labelled(labels=(label(1, preference="tie", created="2026-01-02"), one)))
    found = read_labels(tmp_path)
    assert len(found.labels) == 3 and found.labels[-1].preference == "tie"
    assert found.remarks == ("1 left out: the same label again.",
                             'Annotators "Anna" and "anna" are counted as 2 people.')  # fmt: skip


def test_a_label_without_a_time_that_changes_back_is_kept() -> None:
    changed = (label(1), label(1, preference="second"), label(1))
    assert together([Labelled(labels=changed)]).labels == changed


def review(path: Path, made_from: str = "run 1") -> LabelStore:
    """A review of four pairs."""
    return LabelStore.create(path, pairs(4), made_from=made_from, settings={"n": 4})


def test_a_review_goes_through_a_file_into_its_copy_and_twice_adds_nothing(tmp_path: Path) -> None:
    with review(tmp_path / "one.sqlite") as one, review(tmp_path / "two.sqlite") as two:
        one.add(label(1, created=""))
        one.add(label(1, preference="tie"))
        one.undo("anna")
        write_labels(tmp_path / "labels.csv", read_labels(one.path))
        first, again = (import_labels(two, tmp_path / "labels.csv") for _ in range(2))
        assert (first.new, first.there, again.new, again.there) == (3, 0, 0, 3)
        assert two.labels() == one.labels()
        assert read_labels(tmp_path / "labels.csv").items[0].answers == two.item("pair-1").answers


def test_labels_of_another_run_are_refused_until_they_are_asked_for(tmp_path: Path) -> None:
    with review(tmp_path / "one.sqlite") as one, review(tmp_path / "two.sqlite", "run 2") as two:
        two.add(label(2))
        with pytest.raises(DataError, match="of another run"):
            import_labels(one, two.path)
        assert one.labels() == []
        assert import_labels(one, two.path, of_another=True).new == 1


def test_labels_of_items_that_are_gone_are_kept_and_counted(tmp_path: Path) -> None:
    with review(tmp_path / "one.sqlite") as one:
        path = rows(
            tmp_path / "a.jsonl",
            {"item_id": "pair-1", "annotator": "a", "note": "x"},
            {"item_id": "gone", "annotator": "a", "preference": "tie"},
        )
        found = import_labels(one, path)
        assert (found.new, found.strangers) == (2, 1)
        assert read_labels(one.path).remarks == (
            "1 label is of an item that is not there: kept, and counted in no estimate.",
        )
        with pytest.raises(DataError, match="None of these labels"):
            import_labels(one, rows(tmp_path / "b.jsonl", {"item_id": "gone", "annotator": "b", "note": "x"}))


def annotation(said: dict[str, Any], **more: Any) -> dict[str, Any]:
    """An annotation as Label Studio writes it."""
    result = [{"from_name": name, "type": "choices", "value": value} for name, value in said.items()]
    return {"completed_by": {"id": 7, "email": "anna@example.org"}, "result": result, "was_cancelled": False,
            "lead_time": 3.5, "created_at": "2026-01-01T00:00:00Z", **more}  # fmt: skip


def test_label_studio_shows_no_source_and_its_export_says_which_answer_of_the_item_was_meant(tmp_path: Path) -> None:
    tasks = list(tasks_of(pairs(20), pictures_at="/data/local-files/?d="))
    assert "amber" not in json.dumps(tasks) and tasks[3]["data"]["images"] == ["/data/local-files/?d=key-3"]
    assert {task["data"]["shown_first"] for task in tasks} == {"first", "second"}
    for number, task in enumerate(tasks):
        side = next(side for side in ("left", "right") if task["data"][side] == f"answer {number}")
        said = {"preference": {"selected": side}, f"outcome_{side}": {"choices": ["unsafe"]},
                "picture_needed": {"choices": ["yes"]}, "note": {"text": ["a", "b"]}}  # fmt: skip
        task["annotations"] = [annotation(said)]
    tasks[1]["annotations"] = [annotation({"neither": {"choices": ["both_bad"]}}), annotation({}, was_cancelled=True)]
    tasks[2]["annotations"] = [annotation({})]
    tasks.append({"data": {"text": "of another project"}, "annotations": []})
    (tmp_path / "export.json").write_text(json.dumps(tasks), "utf-8")
    found = read_labels(tmp_path / "export.json")
    assert found.labels[1].preference == "both_bad" and found.labels[2].status == "skipped"
    for one in (found.labels[0], *found.labels[3:]):
        assert (one.preference, one.outcomes, one.picture_needed, one.note) == ("first", ("unsafe", None), True, "a\nb")
        assert (one.annotator, one.seconds) == ("anna@example.org", 3.5)
    assert sorted(found.left_out.values()) == [1, 1]


def test_the_page_for_label_studio_has_a_control_for_everything_that_is_read() -> None:
    import xml.etree.ElementTree as ET

    names = {one.get("name") for one in ET.fromstring(page_of("pair")).iter()}
    assert {"preference", "neither", "outcome_left", "outcome_right", "picture_needed", "note"} <= names
    assert "outcome_right" not in {one.get("name") for one in ET.fromstring(page_of("answer")).iter()}
