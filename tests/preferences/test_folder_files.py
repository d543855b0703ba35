"""Of a folder the pairs for training are read, each once and whole; what is held out is never trained on."""

import gzip
import json

import datasets
import pytest

from spavl.errors import DataError
from spavl.pipeline.exports import dataset_folder
from spavl.pipeline.imports import import_pairs
from spavl.preferences.sources import find_pairs
from tests.preferences.test_pairs import read_pairs


def put(folder, *names):
    """Files with one pair each, whose question is the file's name."""
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps({"question": name, "chosen": "a", "rejected": "b"}) + "\n"
        path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    return folder


@pytest.mark.parametrize(
    ("names", "read"),
    [
        (["pairs.jsonl", "test.jsonl", "Validation_easy.jsonl", "dev2.jsonl", "heldout.jsonl"], ["pairs.jsonl"]),
        (["train_part1.jsonl", "train-2.jsonl", "test.jsonl", "other.jsonl"], ["train-2.jsonl", "train_part1.jsonl"]),
        (["testimony.jsonl", "value.jsonl"], ["testimony.jsonl", "value.jsonl"]),
        (["TRAIN.JSONL", "test.jsonl"], ["TRAIN.JSONL"]),
        (["train.jsonl", ".cache/train.jsonl", ".train.jsonl"], ["train.jsonl"]),
        (["pairs.jsonl", "._pairs.jsonl"], ["pairs.jsonl"]),
        (["a/train-00000-of-00001.jsonl", "b/train-00000-of-00002.jsonl", "b/train-00001-of-00002.jsonl"], [
            "a/train-00000-of-00001.jsonl", "b/train-00000-of-00002.jsonl", "b/train-00001-of-00002.jsonl"]),
        (["train.jsonl.gz", "test.jsonl"], ["train.jsonl.gz"]),
        (["train.jsonl", "export.json", "clean.json"], ["train.jsonl"]),
    ],
)  # fmt: skip
def test_what_a_folder_holds_for_training_is_read(names, read, tmp_path):
    assert [pair.question for pair in read_pairs(put(tmp_path, *names))] == read


@pytest.mark.parametrize(
    ("names", "what"),
    [
        (["test.jsonl"], r"no train split, but test\.jsonl"),
        (["train.jsonl", "train.jsonl.gz"], "there twice, packed and unpacked"),
        (["train-00000-of-00003.jsonl", "train-00002-of-00003.jsonl"], "of 3 parts of `train` only 2 are here"),
        (["pairs-00001-of-00002.jsonl"], "of 2 parts of `pairs` only 1"),
        (["train.jsonl", "train-2.csv"], "files of several kinds"),
    ],
)  # fmt: skip
def test_a_folder_that_is_not_whole_or_not_plain_is_refused(names, what, tmp_path):
    with pytest.raises(DataError, match=what):
        find_pairs(put(tmp_path, *names))


def test_a_part_that_is_named_is_read(tmp_path):
    put(tmp_path, "train-00000-of-00003.jsonl")
    assert len(read_pairs(tmp_path / "train-00000-of-00003.jsonl")) == 1


def test_what_is_passed_over_is_named(tmp_path):
    found = find_pairs(put(tmp_path, "train.jsonl", "test.jsonl", "deep/validation.jsonl", ".hidden/train.jsonl"))
    assert found.passed_over == ("deep/validation.jsonl", "test.jsonl")


def test_the_other_splits_of_a_saved_dataset_are_named_and_a_damaged_one_is_a_sentence(tmp_path):
    one = datasets.Dataset.from_list([{"question": "q", "chosen": "a", "rejected": "b"}])
    datasets.DatasetDict(train=one, test=one).save_to_disk(str(tmp_path / "saved"))
    assert find_pairs(tmp_path / "saved").passed_over == ("test",) and len(read_pairs(tmp_path / "saved")) == 1
    next((tmp_path / "saved" / "train").glob("*.arrow")).write_bytes(b"nothing")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "state.json").write_text("{}")
    for folder in ("saved", "other"):
        with pytest.raises(DataError, match="This saved dataset cannot be read"):
            read_pairs(tmp_path / folder)


@pytest.mark.parametrize(("source", "what"), [
    (" ", "no source is named"), ("a" * 5000, "base64 is no path"), ("a b c d " * 60, "a text of 480 letters is no"),
    ("a/" * 3000, "is no path"),
])  # fmt: skip
def test_what_can_be_no_path_is_refused(source, what, tmp_path):
    for use in (find_pairs, dataset_folder, lambda text: import_pairs(text, tmp_path / "out")):
        with pytest.raises(DataError, match=what):
            use(source)
