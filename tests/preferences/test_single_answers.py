"""Files of single answers with labels, as TRL has them for KTO."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spavl.errors import DataError
from spavl.preferences.forms import form_of
from spavl.preferences.pairs import Pair, Reading
from spavl.preferences.table import open_pairs
from tests.preferences.public_forms import answer, openai
from tests.preferences.test_pairs import read_pairs

ALONE = Reading(unpaired=True)


def written(folder: Path, *rows: dict[str, Any]) -> Path:
    file = folder / "a.jsonl"
    file.write_text("\n".join(map(json.dumps, rows)))
    return file


def read(folder: Path, *rows: dict[str, Any]) -> list[Pair]:
    found: list[Pair] = read_pairs(written(folder, *rows), ALONE)
    return found


def test_a_wanted_answer_is_a_chosen_one_and_an_unwanted_one_is_rejected(tmp_path: Path) -> None:
    wanted, unwanted = read(
        tmp_path,
        {"prompt": "q", "completion": "yes", "label": True, "image": None},
        {"prompt": openai([("user", "q")]), "completion": [answer("no")], "label": False},
    )
    assert (wanted.chosen, wanted.rejected, wanted.unpaired) == ("yes", "", True)
    assert (unwanted.chosen, unwanted.rejected, unwanted.unpaired) == ("", "no", True)
    assert wanted.context == unwanted.context, "they share a tree"
    assert [pair.row().answers for pair in (wanted, unwanted)] == [("yes",), ("no",)]


@pytest.mark.parametrize("label", [True, 1, 1.0, "True", "true", "1"])
def test_labels_as_files_write_them(tmp_path: Path, label: Any) -> None:
    (pair,) = read(tmp_path, {"prompt": "q", "completion": "yes", "label": label})
    assert pair.chosen == "yes"


@given(label=st.one_of(st.none(), st.text(max_size=5), st.integers(2, 9), st.lists(st.booleans(), max_size=2)))
def test_what_is_no_label_is_never_taken_for_one(tmp_path_factory: Any, label: Any) -> None:
    (pair,) = read(tmp_path_factory.mktemp("labels"), {"prompt": "q", "completion": "yes", "label": label})
    known = str(label).strip().lower() in ("true", "false", "0", "1", "0.0", "1.0")
    assert bool(pair.malformed) != known and (known or "neither true nor false" in pair.malformed)


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"completion": " "}, "`completion` is empty"),
        ({"completion": None}, "there is no `completion`"),
        ({"completion": openai([("user", "q"), ("assistant", "a")])}, "more than one message"),
        ({"prompt": openai([("assistant", "a")])}, "not the user's"),
    ],
)
def test_a_row_that_has_no_answer_says_so(tmp_path: Path, changed: dict[str, Any], reason: str) -> None:
    (pair,) = read(tmp_path, {"prompt": "q", "completion": "yes", "label": True} | changed)
    assert reason in pair.malformed and not pair.unpaired


def test_where_pairs_are_wanted_the_file_is_refused_with_what_reads_it(tmp_path: Path) -> None:
    file = written(tmp_path, {"prompt": "q", "completion": "yes", "label": True})
    assert form_of({"prompt": "q", "completion": "yes", "label": True}, "file").name == "trl-unpaired"
    with pytest.raises(DataError, match="single answers with labels, and no pairs") as error:
        read_pairs(file)
    assert "align.loss.kind=kto" in error.value.try_


def test_a_table_keeps_what_is_a_single_answer(tmp_path: Path) -> None:
    file = written(
        tmp_path,
        {"prompt": "q", "completion": "yes", "label": True},
        {"prompt": "q", "completion": "yes", "label": False},
    )
    table = open_pairs(file, cache=tmp_path / "cache", reading=ALONE)
    assert [(pair.chosen, pair.rejected, pair.unpaired) for pair in table] == [("yes", "", True), ("", "yes", True)]
    assert table[0].digest == table[1].swapped_digest, "an answer with both labels contradicts itself"
