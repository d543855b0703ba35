"""A cleaned dataset says what it lacks, and takes the place of a cleaned dataset alone."""

import json

import numpy as np
import pytest

from spavl.errors import SettingsError
from spavl.preferences.clean import check_free, write_clean
from spavl.preferences.dataset import open_dataset
from spavl.preferences.pairs import read_rows
from spavl.preferences.sources import find_pairs


def cleaned(tmp_path, rows, drop=(0,)):
    (tmp_path / "source").mkdir(exist_ok=True)
    (tmp_path / "source" / "train.jsonl").write_text("".join(f"{json.dumps(one)}\n" for one in rows))
    dataset = open_dataset(tmp_path / "source" / "train.jsonl", cache=tmp_path / "cache")
    add = lambda folder: (folder / "dropped.txt").write_text("0")  # noqa: E731
    dropped = np.isin(np.arange(len(rows)), drop)
    return write_clean(dataset, dropped, tmp_path / "out", note={}, add_files=add)


def said(number, **more):
    return {"question": f"q{number}", "chosen": "a", "rejected": "b", **more}


def test_columns_that_are_gone_are_named_and_the_same_cleaning_takes_its_place(tmp_path):
    for _ in range(2):
        found = cleaned(tmp_path, [said(n, score=n) for n in range(3)])
        assert (found.kept, found.unread) == (2, ("score",))
    assert [pair.question for pair in read_rows(find_pairs(tmp_path / "out"))] == ["q1", "q2"]


@pytest.mark.parametrize("mine", ["notes.txt", "data/mine.parquet"])
def test_a_file_of_another_in_a_cleaned_dataset_is_not_touched(mine, tmp_path):
    cleaned(tmp_path, [said(n) for n in range(3)])
    (tmp_path / "out" / mine).write_text("mine")
    with pytest.raises(SettingsError, match=mine):
        check_free(tmp_path / "out", "elsewhere")
    assert (tmp_path / "out" / mine).read_text() == "mine"


def test_reasons_of_rows_that_are_no_pairs_are_bounded(tmp_path):
    rows = [said(n, chosen=[{"role": f"role{n}", "content": "q"}]) for n in range(60)]
    found = cleaned(tmp_path, [*rows, said(61), said(62)], drop=(60,))
    assert len(found.malformed) == 41 and sum(found.malformed.values()) == 60
