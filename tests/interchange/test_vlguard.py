"""VLGuard has one answer a request: it becomes labelled requests, and no pair is made up."""

import json

import pyarrow.parquet as pq
import pytest

from spavl.errors import DataError
from spavl.evaluate.loaders.labelled import labelled_examples
from spavl.interchange.read_vlguard import is_vlguard
from spavl.pipeline.imports import ImportChoices, import_pairs
from tests.interchange.import_files import vlguard, write_json


def test_requests_get_the_labels_that_vlguard_names_and_qualify_reads_them(tmp_path):
    found = import_pairs(str(vlguard(tmp_path)), tmp_path / "out")
    assert found.labelled and (found.rows, found.read) == (3, 4)
    assert [(one.reason, one.rows) for one in found.left_out] == [("the file of a picture is not there", 1)]
    rows = pq.read_table(tmp_path / "out" / "labelled.parquet").to_pylist()
    assert [(one["id"], one["question"], one["label"], one["category"]) for one in rows] == [
        ("one-0", "request 1", "unsafe", "kind/sort"), ("two-0", "request 2", "safe", None),
        ("two-1", "request 3", "unsafe", None),
    ]  # fmt: skip
    examples = labelled_examples(tmp_path / "out" / "labelled.parquet", tmp_path / "pictures", "request")
    assert [one.unsafe for one in examples] == [True, False, True]
    assert all(one.item.pictures for one in examples)
    with pytest.raises(DataError, match="answer"):  # nobody has labelled the answers
        labelled_examples(tmp_path / "out" / "labelled.parquet", tmp_path / "pictures", "answer")


def test_a_limit_counts_requests_and_a_folder_is_told_too(tmp_path):
    source = vlguard(tmp_path / "in").parent
    assert import_pairs(str(source), tmp_path / "out", ImportChoices(limit=2)).rows == 2
    assert import_pairs(str(source), tmp_path / "out", ImportChoices(limit=2)).was_there


@pytest.mark.parametrize(("more", "reason"), [
    ({"instr-resp": "["}, "`instr-resp` is no JSON"), ({"instr-resp": [1]}, "`instr-resp` is no list of requests"),
    ({"instr-resp": [{"other": "x"}]}, "a request has none of"), ({"safe": True}, "says nothing of its label"),
    ({"image": None}, "there is no picture"), ({"instr-resp": [{"instruction": 7}]}, "`instruction` is a number"),
])  # fmt: skip
def test_what_a_row_does_not_say_is_counted(tmp_path, more, reason):
    vlguard(tmp_path)
    good = {"image": "group/a.png", "safe": False, "instr-resp": [{"instruction": "request", "response": "answer"}]}
    write_json(tmp_path / "train.json", [good, {**good, **more}])
    found = import_pairs(str(tmp_path / "train.json"), tmp_path / "out")
    assert found.rows == 1 and found.left_out[0].reason.find(reason) >= 0


def test_other_files_are_not_vlguard(tmp_path):
    write_json(tmp_path / "a.json", [{"question": "q", "chosen": "x", "rejected": "y"}])
    (tmp_path / "b.png").write_bytes(b"\x89PNG")
    assert not is_vlguard(tmp_path / "a.json") and not is_vlguard(tmp_path / "b.png")


def test_an_id_that_stands_twice_and_a_number_as_id_reach_qualify(tmp_path):
    source = vlguard(tmp_path / "in")
    first, second, *_ = json.loads(source.read_text())
    more = [{**first, "id": name} for name in (0, None, [1])]
    write_json(source, [first, first, *more, {**first, "instr-resp": []}, second])
    found = import_pairs(str(source), tmp_path / "out")
    assert (found.rows, found.read) == (6, 8)
    assert {one.reason for one in found.left_out} == {"`id` is a list, not a text", "a row has no requests"}
    examples = labelled_examples(tmp_path / "out" / "labelled.parquet", tmp_path / "pictures", "request")
    assert [one.item.item_id for one in examples] == ["one-0", "one#2-0", "0-0", "row3-0", "two-0", "two-1"]
