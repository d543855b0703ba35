"""Files of labels as people, spreadsheets and Label Studio leave them: read rightly, or refused in a sentence."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from spavl.errors import DataError, RunError
from spavl.labels.exchange import Labelled, import_labels, read_labels, write_labels
from spavl.labels.label_studio import tasks_of
from spavl.labels.record import Item, Label, current_labels
from spavl.labels.store import LabelStore
from tests.labels.some import label, pair, pairs


@pytest.fixture
def review(tmp_path: Path) -> Iterator[LabelStore]:
    """A review of five pairs."""
    with LabelStore.create(tmp_path / "review.sqlite", pairs(5), made_from="run", settings={}) as store:
        yield store


def text(path: Path, said: str, encoding: str = "utf-8") -> Path:
    path.write_bytes(said.encode(encoding))
    return path


def test_a_table_that_a_spreadsheet_saved_is_read_whatever_it_made_of_it(tmp_path: Path) -> None:
    head = "Annotator;ITEM ID;Picture needed;Preference;Outcomes;seconds;mood"
    rows = ['anna;pair-1;TRUE; Both Bad ;"[""Unsafe"", null]";2,5;good', ";;;;;;", "", "anna;pair-2;no;SECOND;;;"]
    found = read_labels(text(tmp_path / "labels.csv", "\ufeff" + "\r\n".join([head, *rows]) + "\r\n"))
    assert found.labels == (
        label(1, preference="both_bad", outcomes=("unsafe", None), picture_needed=True, seconds=2.5),
        label(2, preference="second", picture_needed=False),
    )
    assert found.remarks == ("Columns that are not read: mood.",)


def test_rows_that_say_nothing_are_left_out_and_told(review: LabelStore, tmp_path: Path) -> None:
    path = text(tmp_path / "a.csv", "item_id,annotator,preferred\npair-1,anna,first\n")
    with pytest.raises(DataError, match="No row of this file says anything"):
        import_labels(review, path)
    path = text(tmp_path / "a.csv", "item_id,annotator,preference\npair-1,anna,first\npair-2,anna,\n")
    made = import_labels(review, path)
    assert made.new == 1 and "1 left out: rows that say nothing: neither a preference nor an outcome." in made.remarks


def test_a_label_stands_though_a_spreadsheet_cut_its_item_off_or_wrote_its_time_otherwise(
    review: LabelStore, tmp_path: Path
) -> None:
    review.add(label(1))
    review.add(label(2, created="2026-01-01T00:00:00Z"))
    write_labels(tmp_path / "labels.csv", read_labels(review.path))
    said = (tmp_path / "labels.csv").read_text("utf-8").replace("2026-01-01T00:00:00Z", "01.01.2026 00:00")
    path = text(tmp_path / "labels.csv", said.replace('""kind"": ""pair""', '""kind"": ""pa', 1))
    made = import_labels(review, path)
    assert made.new == 0 and made.there == 2
    assert "1 left out: items whose cells a program cut off, though not their labels." in made.remarks


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        ({"outcomes": "[" * 100_000}, "wanted is JSON"),
        ({"seconds": "1" + "0" * 400}, "a number from 0"),
        ({"outcomes": '["unsafe", "safe", "safe"]'}, '3 outcomes for 2 answers of "pair-1"'),
        ({"annotator": "an\nna"}, "no name of an annotator"),
        ({"Preference": "first"}, "Two columns are called `preference`"),
        ({"annotator": "", "item": '{"item_id": "pair-1", "ki'}, "it was cut off"),
    ],
)
def test_what_cannot_be_is_a_sentence_with_its_file_and_nothing_is_added(
    review: LabelStore, tmp_path: Path, row: dict[str, str], sentence: str
) -> None:
    values = {"item_id": "pair-1", "annotator": "anna", "preference": "tie"} | row
    with (tmp_path / "labels.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([list(values), list(values.values())])
    with pytest.raises(DataError, match=sentence) as error:
        import_labels(review, tmp_path / "labels.csv")
    assert "labels.csv" in error.value.where and review.labels() == []


def test_no_cell_of_a_table_is_a_formula_and_all_are_read_as_they_were(tmp_path: Path) -> None:
    odd = label(1, annotator="=cmd|x", note="'=1+1", skip_reason="-", created="@")
    write_labels(tmp_path / "labels.csv", Labelled(labels=(odd,)))
    cells = list(csv.reader((tmp_path / "labels.csv").read_text("utf-8").splitlines()))[1]
    assert not [cell for cell in cells if cell.startswith(("=", "-", "+", "@"))]
    assert read_labels(tmp_path / "labels.csv").labels == (odd,)


def test_the_last_label_is_the_last_by_time_however_rows_are_sorted(review: LabelStore, tmp_path: Path) -> None:
    first = label(1, created="2026-01-01T10:00:00+05:00")
    second = label(1, preference="second", created="2026-01-01T06:00:00")
    assert current_labels([second, first]) == current_labels([first, second]) == [second]
    undated = label(1, preference="tie", created="yesterday")
    assert current_labels([second, undated]) == [undated]
    review.add_all([second])
    write_labels(tmp_path / "older.csv", Labelled(labels=(first,)))
    assert import_labels(review, tmp_path / "older.csv").new == 1
    assert [one.preference for one in current_labels(review.labels())] == ["second"]
    assert review.progress("anna").labelled == 1


def test_undo_fills_in_the_last_label_by_time_not_an_older_one_that_was_imported_since(
    tmp_path: Path, review: LabelStore
) -> None:
    review.add(label(1, preference="second"))
    write_labels(tmp_path / "older.csv", Labelled(labels=(label(1, created="2020-01-01T00:00:00+00:00"),)))
    assert import_labels(review, tmp_path / "older.csv").new == 1
    assert review.withdrawn("anna", "pair-1") is None
    review.undo("anna")
    before = review.withdrawn("anna", "pair-1")
    assert before is not None and before.preference == "second"


def test_a_label_that_is_given_now_is_the_last_even_where_the_clock_was_set_back(review: LabelStore) -> None:
    review.add(label(1, created="2999-01-01T00:00:00+00:00"))
    review.add(label(1, preference="tie"))
    assert [one.preference for one in current_labels(review.labels())] == ["tie"]
    review.undo("anna")
    assert current_labels(review.labels()) == []


def changed(number: int) -> Item:
    """A pair of the same id with another chosen answer."""
    one = pair(number)
    return replace(one, answers=(replace(one.answers[0], text="another answer"), one.answers[1]))


def test_labels_of_other_answers_are_left_out_and_those_of_swapped_ones_are_turned(tmp_path: Path) -> None:
    one = pair(1)
    turned = replace(one, answers=one.answers[::-1])
    with LabelStore.create(tmp_path / "old.sqlite", [pair(0), one], made_from="a", settings={}) as old:
        old.add(label(0))
        old.add(label(1, outcomes=("unsafe", None), severities=(3,), shown_first="second"))
    with LabelStore.create(tmp_path / "new.sqlite", [changed(0), turned], made_from="b", settings={}) as new:
        made = import_labels(new, old.path, of_another=True)
        assert made.new == 1 and made.remarks == (
            "1 left out: labels of items whose answers are others in this review.",
        )
        (found,) = new.labels()
        assert (found.preference, found.outcomes, found.severities) == ("second", (None, "unsafe"), (None, 3))
        assert found.shown_first == "first" and import_labels(new, old.path, of_another=True).new == 0


def task(item: Item, **more: Any) -> dict[str, Any]:
    """A task of Label Studio in which the answer on the left is preferred."""
    (made,) = tasks_of([item], pictures_at="")
    chosen = {"from_name": "preference", "value": {"selected": "left"}}
    return {**made, "annotations": [{"completed_by": 1, "result": [chosen]}], **more}


def test_label_studio_names_answers_by_what_was_shown(review: LabelStore, tmp_path: Path) -> None:
    path = tmp_path / "export.json"
    path.write_text(json.dumps([task(pair(1)), task(changed(2))]), "utf-8")
    made = import_labels(review, path)
    assert made.new == 1 and "answers are others" in made.remarks[0]


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        ({"annotation_id": 3, "annotator": 1, "item_id": "pair-1", "preference": "left"}, "JSON-MIN"),
        ({"data": {"item_id": "pair-1"}, "completions": []}, "before 1.0"),
        (
            {"data": {"item_id": "pair-1", "left": "a", "right": "b"}, "annotations": [{"completed_by": 1}]},
            "on the left",
        ),
    ],
)
def test_exports_that_say_too_little_are_refused(tmp_path: Path, row: dict[str, Any], sentence: str) -> None:
    (tmp_path / "export.json").write_text(json.dumps([row]), "utf-8")
    with pytest.raises(DataError, match=sentence):
        read_labels(tmp_path / "export.json")


def test_reviews_of_two_versions_of_an_item_keep_their_labels_apart(tmp_path: Path) -> None:
    from spavl.pipeline.people import read_people

    for name, item, said in (("a", pair(1), "first"), ("b", changed(1), "second")):
        with LabelStore.create(tmp_path / name / "review.sqlite", [item], made_from=name, settings={}) as store:
            store.add(Label(item_id="pair-1", annotator="anna", preference=said))  # type: ignore[arg-type]
    people = read_people([tmp_path / "b", tmp_path / "a"])
    found = {one.item.answers[0].text: [x.preference for x in one.labels] for one in people.items}
    assert found == {"answer 1": ["first"], "another answer": ["second"]}


def test_a_review_in_a_folder_that_cannot_be_written_is_read_and_says_why_it_takes_no_label(
    review: LabelStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    review.add(label(1))
    review.close()
    monkeypatch.setattr("spavl.labels.database.os.access", lambda *_: False)
    assert len(read_labels(review.path).labels) == 1 and not list(review.path.parent.glob("*-shm"))
    with LabelStore(review.path) as store, pytest.raises(RunError, match="can be read here and not written"):
        store.add(label(2))


@pytest.mark.parametrize("size", [0.2, 0.6, 0.99])
def test_a_review_that_was_cut_off_is_called_damaged(review: LabelStore, size: float) -> None:
    review.close()
    whole = review.path.read_bytes()
    review.path.write_bytes(whole[: int(size * len(whole))])
    with pytest.raises(DataError, match="damaged"):
        read_labels(review.path)
