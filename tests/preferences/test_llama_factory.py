"""A file that lies in a folder of LLaMA-Factory is read under the names that `dataset_info.json` gives its columns."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from spavl.errors import DataError
from tests.preferences.test_pairs import png, read_pairs


def factory(folder, entry, rows, name="mine.json"):
    (folder / "dataset_info.json").write_text(json.dumps({"mine": {"file_name": name, "ranking": True, **entry}}))
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_text(json.dumps(rows))
    return folder / name


def test_columns_of_the_alpaca_form_are_renamed(tmp_path):
    columns = {"prompt": "question", "query": "context", "chosen": "good", "rejected": "bad", "system": "role",
               "images": "photos", "history": "before"}  # fmt: skip
    (tmp_path / "a.png").write_bytes(png("red"))
    row = {"question": "request", "context": "more", "good": "x", "bad": "y", "role": "be kind", "photos": ["a.png"],
           "before": [["first", "answer"]], "class3": "kind", "instruction": "not this"}  # fmt: skip
    (pair,) = read_pairs(factory(tmp_path, {"columns": columns}, [row], "deep/mine.json"))
    assert (pair.question, pair.chosen, pair.rejected, pair.system) == ("request\nmore", "x", "y", "be kind")
    assert [turn.text for turn in pair.earlier] == ["first", "answer"] and pair.about == {"class3": "kind"}
    assert pair.pictures[0].key and not pair.pictures[0].missing


def test_columns_and_tags_of_the_sharegpt_form_are_renamed(tmp_path):
    tags = {"role_tag": "who", "content_tag": "what", "user_tag": "U", "assistant_tag": "A"}
    entry = {"formatting": "sharegpt", "tags": tags,
             "columns": {"messages": "talk", "chosen": "good", "rejected": "bad"}}  # fmt: skip
    talk = [{"who": "system", "what": "be kind"}, {"who": "U", "what": "request"}]
    row = {"talk": talk, "good": {"who": "A", "what": "x"}, "bad": {"who": "A", "what": "y"}}
    wrong = {**row, "talk": [{"who": "X", "what": "request"}]}
    pair, other = read_pairs(factory(tmp_path, entry, [row, wrong]))
    assert (pair.system, pair.question, pair.chosen, pair.rejected) == ("be kind", "request", "x", "y")
    assert 'is by "X", neither user' in other.malformed


def test_of_a_folder_the_files_of_preferences_are_read_and_of_parquet_the_renamed_columns(tmp_path):
    columns = {"prompt": "q", "chosen": "a", "rejected": "b"}
    info = {
        "one": {"file_name": "one.parquet", "ranking": True, "columns": columns},
        "two": {"file_name": "two.json"}, "gone": {"file_name": "gone.json", "ranking": True},
        "out": {"file_name": "../out.json", "ranking": True}, "hub": {"hf_hub_url": "o/n", "ranking": True},
    }  # fmt: skip
    (tmp_path / "dataset_info.json").write_text(json.dumps(info))
    (tmp_path / "two.json").write_text("[]")
    pq.write_table(pa.Table.from_pylist([{"q": "request", "a": "x", "b": "y"}]), tmp_path / "one.parquet")
    assert [(pair.question, pair.chosen) for pair in read_pairs(tmp_path)] == [("request", "x")]


def test_files_named_train_win_so_that_nobody_trains_on_a_held_out_split(tmp_path):
    rows = [{"instruction": "request", "input": "", "chosen": "x", "rejected": "y"}]
    for name in ("train", "heldout"):
        (tmp_path / f"{name}.json").write_text(json.dumps(rows))
    info = {name: {"file_name": f"{name}.json", "ranking": True} for name in ("train", "heldout")}
    (tmp_path / "dataset_info.json").write_text(json.dumps(info))
    assert len(read_pairs(tmp_path)) == 1


def test_a_file_that_datasets_writes_under_that_name_says_nothing(tmp_path):
    (tmp_path / "dataset_info.json").write_text(json.dumps({"builder_name": "json", "features": {"question": {}}}))
    (tmp_path / "train.json").write_text(json.dumps([{"question": "q", "chosen": "x", "rejected": "y"}]))
    assert [pair.question for pair in read_pairs(tmp_path)] == ["q"]


@pytest.mark.parametrize(("content", "message"), [
    ("{", "no JSON"), ("[]", "no JSON object"),
    ('{"a": {"file_name": "a.json", "ranking": true, "formatting": "x"}}', "neither alpaca nor sharegpt"),
    ('{"a": {"file_name": "a.json", "ranking": true, "columns": []}, "b": {"file_name": "a.json", "ranking": true, '
     '"columns": {"prompt": "q"}}}', "differ on this file"),
    ('{"a": {"file_name": "a.json", "ranking": true, "columns": "x"}}', "is no object"),
])  # fmt: skip
def test_a_wrong_dataset_info_is_a_sentence(tmp_path, content, message):
    (tmp_path / "dataset_info.json").write_text(content)
    (tmp_path / "a.json").write_text(json.dumps([{"question": "q", "chosen": "x", "rejected": "y"}]))
    with pytest.raises(DataError, match=message):
        read_pairs(tmp_path / "a.json")
