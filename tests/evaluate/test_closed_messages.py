"""A benchmark's questions and answers stand in no message about its file, whatever is wrong with it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from spavl.config.benchmarks import FileBenchmark
from spavl.errors import DataError
from spavl.evaluate.loaders.file import load_file
from spavl.evaluate.parse import REFUSES
from spavl.evaluate.tools import BenchmarkTools
from spavl.models.base import Sampling

MARK = "the marked question of an item"
ROW = {"question": MARK, "subset": "harm"}
MISTAKES = {
    "no header": f"{MARK},harm,1.png\n{MARK} too,harm,2.png\n",
    "equal columns": f"{MARK},{MARK}\n1,2\n",
    "too many cells": f"question,subset\n{MARK}, and more,harm\n",
    "an open quote": f'question,subset\n"{MARK},harm\n',
    "a question for a subset": {**ROW, "subset": MARK},
    "a question for a flag": {"question": MARK, "harmful": MARK},
    "a question for an id": {**ROW, "id": [MARK]},
    "a question for a picture": {**ROW, "image": MARK},
    "a question for pictures": {**ROW, "images": [MARK, {"path": MARK}]},
    "a question for a path": {**ROW, "image": f"../{MARK}"},
    "a question for an answer": {"question": "?", "subset": "yes-no", "expected": MARK},
    "an object for an answer": {"question": "?", "subset": "skill", "expected": {MARK: MARK}},
    "a question for a column": {**ROW, MARK: 1},
    "a list for a question": {"question": [MARK], "subset": "harm"},
    "an object for a question": {"question": {MARK: MARK}, "subset": "harm"},
    "turns as text": {**ROW, "earlier": MARK},
    "a turn by nobody": {**ROW, "earlier": [{"role": MARK, "text": MARK}]},
    "questions for keys": json.dumps({MARK: {"question": 3}, f"{MARK} too": {"question": MARK}}),
    "questions for lists": json.dumps({MARK: [{"a": 1}], f"{MARK} too": [{"a": 1}]}),
    "a key twice": f'{{"{MARK}": 1, "{MARK}": 2}}',
    "a text for a row": json.dumps([MARK]),
    "broken JSON": f'{{"question": "{MARK}", "subset" "harm"}}',
    "equal ids": json.dumps([{**ROW, "id": MARK}, {**ROW, "id": MARK}]),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_no_message_about_a_file_shows_its_questions(mistake: str, tmp_path: Path) -> None:
    content = MISTAKES[mistake]
    path = tmp_path / ("items.csv" if mistake in list(MISTAKES)[:4] else "items.json")
    path.write_text(content if isinstance(content, str) else json.dumps([content]))
    Image.new("RGB", (4, 4)).save(tmp_path / "1.png")
    tools = BenchmarkTools(name="mine", sampling=Sampling(), pictures=tmp_path, seed=0, unsafe=lambda: REFUSES)
    with pytest.raises(DataError) as error:
        load_file(FileBenchmark(name="mine", path=str(path)), tools)
    assert "marked" not in error.value.render()
