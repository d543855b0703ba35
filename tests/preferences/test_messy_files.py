"""Files as people have them: rows that lack something, values of any kind, pictures that are none, any path."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spavl.errors import DataError
from spavl.preferences.dataset import open_dataset
from spavl.preferences.hub_file import unwritable
from spavl.preferences.llama_factory import listed_files
from spavl.preferences.pairs import read_rows
from spavl.preferences.picture_values import picture_of, why_missing
from spavl.preferences.sources import PairFile, PairSource
from spavl.rows import Row
from tests.preferences.test_pairs import png, read_pairs

ASKED = {"question": "request 1", "chosen": "answer a", "rejected": "answer b"}
MARKED = {"question": "request 1", "response_1": "answer a", "response_2": "answer b", "safer_response_id": 1}
RATED = {
    "prompt": "request 1",
    "completions": [
        {"response": text, "model": "m", "annotations": {name: {"Rating": rating} for name in (
            "Helpfulness", "Visual Faithfulness", "Ethical Considerations")}}
        for text, rating in (("answer a", "5"), ("answer b", "1"))
    ],
}  # fmt: skip
MESSAGE = {"role": "assistant", "content": "answer a"}
FORMS = {
    "spa-vl": {**ASKED, "images": [], "earlier": [], "weight": 1, "image": None, "image_path": "a.png"},
    "trl": {"prompt": "request 1", "chosen": "answer a", "rejected": "answer b"},
    "implicit": {name: [{"role": "user", "content": "request 1"}, MESSAGE] for name in ("chosen", "rejected")},
    "hh-rlhf": dict.fromkeys(("chosen", "rejected"), "\n\nHuman: request 1\n\nAssistant: answer a"),
    "sharegpt": {"conversations": [{"from": "human", "value": "request 1"}], "chosen": MESSAGE, "rejected": MESSAGE},
    "alpaca": {"instruction": "request 1", "input": "", "history": [], "chosen": "answer a", "rejected": "answer b"},
    "ms-swift": {"messages": [{"role": "user", "content": "request 1"}, MESSAGE], "rejected_response": "answer b",
                 "rejected_images": None},
    "two-responses": {**MARKED, "response_1_harmless_rate": 2, "is_response_1_safe": "yes", "response_2_from": "m"},
    "rlhf-v": {"text": json.dumps(ASKED), "origin_split": json.dumps({"model": "m"})},
    "vlfeedback": RATED,
}  # fmt: skip
"""A good row of each form."""
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=8) | st.sampled_from(
        [10**400, "9" * 5000, "[" * 5000, '{"role":' * 2000, "a/" * 3000, "x\0", "<image>", "[1e999]", "\n\nHuman: a"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["role", "content", "from", "value", "type", "image", "bytes", "path", "url", "Rating"]), inner,
        max_size=3),
    max_leaves=6,
)  # fmt: skip


def source_of(rows, base=None):
    """Rows in memory as a file of pairs."""
    return PairSource((), (PairFile("t.jsonl", base, lambda columns: (Row(one, "t.jsonl, line 1") for one in rows)),))


def jsonl(path, rows):
    path.write_text("".join(f"{json.dumps(one)}\n" for one in rows), "utf-8")
    return path


@given(form=st.sampled_from(sorted(FORMS)), changed=st.dictionaries(st.integers(0, 9), ANYTHING, max_size=3))
def test_whatever_stands_in_a_row_it_is_a_pair_or_says_why_not(form, changed):
    good = FORMS[form]
    names = list(good)
    row = {**good, **{names[number % len(names)]: value for number, value in changed.items()}}
    first, second = read_rows(source_of([good, row], Path(__file__).parent))
    assert first.malformed == "" or first.chosen == ""
    assert second.malformed or (second.question or second.all_pictures)
    unwritable(second)


def test_the_form_is_told_by_the_first_row_that_has_one(tmp_path):
    rows = [{"question": "request 0", "rejected": "b"}, ASKED]
    first, second = read_pairs(jsonl(tmp_path / "a.jsonl", rows))
    assert first.malformed == "there is no `chosen`" and second.chosen == "answer a"
    with pytest.raises(DataError, match="no form of preference pairs has these columns: question, rejected"):
        read_pairs(jsonl(tmp_path / "b.jsonl", rows[:1] * 100))


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({**ASKED, "chosen": None}, "there is no `chosen`"),
        ({"prompt": "request 1", "chosen": "answer a", "rejected": "answer b"}, "there is no `question`"),
        ({**ASKED, "question": None}, "nothing is asked: the last turn has neither a text nor a picture"),
        ({**ASKED, "question": ""}, "nothing is asked: the last turn has neither a text nor a picture"),
        ({**ASKED, "chosen": [{"role": "assistant", "content": None}]}, "a message of `chosen` has no text"),
        ({**ASKED, "weight": 10**400}, None), ({**ASKED, "weight": float("inf")}, None),
        ({**ASKED, "pair_id": True}, "`pair_id` is true or false, not a text"),
        ({**ASKED, "image": {"format": "png", "data": 7}}, None),
    ],
)  # fmt: skip
def test_what_is_absent_is_not_taken_for_an_empty_text(row, reason):
    _, found = read_rows(source_of([ASKED, row]))
    assert found.malformed and reason in (None, found.malformed)


def test_an_empty_answer_is_one_and_a_whole_number_is_an_id():
    (pair,) = read_rows(source_of([{**ASKED, "chosen": "", "pair_id": 7}]))
    assert (pair.chosen, pair.pair_id, pair.malformed) == ("", "7", "")


@pytest.mark.parametrize("mark", [float("nan"), float("inf"), "9" * 5000, 10**30, True, [1], "second", "1.5"])
def test_a_mark_that_names_no_answer_is_told(mark):
    _, pair = read_rows(source_of([MARKED, {**MARKED, "safer_response_id": mark}]))
    assert pair.malformed == "none of the two answers is marked as safer"


@pytest.mark.parametrize("mark", [2, 2.0, "2", " 2 ", "2.0"])
def test_a_mark_may_be_written_as_pandas_does(mark):
    (pair,) = read_rows(source_of([{**MARKED, "safer_response_id": mark}]))
    assert pair.chosen == "answer b"


@pytest.mark.parametrize(
    ("cell", "reason"),
    [
        ({"url": "https://example.org/a.png"}, "a picture is an address, and none is downloaded"),
        ({"src": "a.png"}, ""), ({"type": "image", "image": "a.png"}, ""), ({"image": "gone.png"}, "not there"),
    ],
)  # fmt: skip
def test_a_struct_of_another_kind_brings_its_picture_or_a_reason(cell, reason, tmp_path):
    (tmp_path / "a.png").write_bytes(png("red"))
    assert reason in why_missing(picture_of(cell, tmp_path, str))
    (pair,) = read_rows(source_of([{**ASKED, "image": cell}], tmp_path))
    assert bool(unwritable(pair)) == bool(reason) and len(pair.pictures) == 1


def test_an_empty_struct_is_no_picture():
    assert picture_of({"bytes": None, "path": None}, None, str) is None
    assert picture_of({}, None, str) is None


@pytest.mark.parametrize("empty", [None, "", []])
def test_a_path_counts_where_the_column_of_pictures_is_empty(empty, tmp_path):
    (tmp_path / "a.png").write_bytes(png("red"))
    (pair,) = read_rows(source_of([{**ASKED, "image": empty, "image_path": "a.png"}], tmp_path))
    assert len(pair.pictures) == 1 and unwritable(pair) == ""


@pytest.mark.parametrize("content", [b"a secret of this machine\n", b"\x89PNG and nothing more", b""])
def test_no_path_brings_a_file_that_is_no_picture_into_a_dataset(content, tmp_path):
    secret = tmp_path / "secret"
    secret.write_bytes(content)
    for path in (str(secret), {"bytes": content, "path": None}):
        (pair,) = read_rows(source_of([{**ASKED, "image": path}], tmp_path))
        assert unwritable(pair)


def test_a_link_beside_the_file_is_followed_and_no_dots_are(tmp_path):
    (tmp_path / "blobs").mkdir()
    (tmp_path / "blobs" / "1").write_bytes(png("red"))
    (tmp_path / "snapshot").mkdir()
    (tmp_path / "snapshot" / "a.png").symlink_to("../blobs/1")
    assert why_missing(picture_of("a.png", tmp_path / "snapshot", str)) == ""
    assert "leads out" in why_missing(picture_of("../blobs/1", tmp_path / "snapshot", str))


def test_a_date_that_python_lacks_stops_no_file(tmp_path):
    columns = {name: [text] for name, text in ASKED.items()}
    table = pa.table({**columns, "when": pa.array([10**15], pa.timestamp("s")), "day": pa.array([10**8], pa.date32())})
    pq.write_table(table, tmp_path / "a.parquet")
    assert [pair.chosen for pair in read_pairs(tmp_path / "a.parquet")] == ["answer a"]


def test_two_columns_of_one_name_are_refused(tmp_path):
    names = [*ASKED, "question"]
    pq.write_table(pa.Table.from_arrays([pa.array(["x"])] * 4, names=names), tmp_path / "a.parquet")
    with pytest.raises(DataError, match='Two columns are called "question"'):
        read_pairs(tmp_path / "a.parquet")


@pytest.mark.parametrize("name", ["x\0.jsonl", "x" * 5000, "a/" * 5000, "../../x.jsonl"])
def test_a_dataset_info_may_name_what_no_file_is_called(name, tmp_path):
    info = {"one": {"ranking": True, "file_name": name, "formatting": "sharegpt", "tags": {"role_tag": ["from"]}}}
    (tmp_path / "dataset_info.json").write_text(json.dumps(info))
    assert len(read_pairs(jsonl(tmp_path / "a.jsonl", [ASKED]))) == 1 and listed_files(tmp_path) == []


def test_a_table_of_pairs_with_such_rows_is_made(tmp_path):
    rows = [ASKED, {**ASKED, "image": "a/" * 3000}, {**ASKED, "image": str(tmp_path / "a.jsonl")}]
    found = open_dataset(jsonl(tmp_path / "a.jsonl", rows), cache=tmp_path / "cache")
    assert [bool(unwritable(pair)) for pair in found.pairs] == [False, True, True]
