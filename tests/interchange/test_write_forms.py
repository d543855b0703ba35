"""Every export, read again by our own reader, is what it was; what a form cannot hold is refused, with a reason."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spavl.interchange.writers.forms import EXPORTS
from spavl.interchange.writers.row import holdings
from spavl.interchange.writers.write import Written, file_of, write_rows
from spavl.preferences.about import ABOUT
from spavl.preferences.dataset import PreferenceDataset, open_dataset
from spavl.preferences.pairs import Reading
from tests.interchange.conversations import rows, write_source

CONTENT = ("system", "earlier", "images", "question", "chosen", "rejected")


def exported(source: Path, name: str, folder: Path, *, trim: bool = False) -> tuple[PreferenceDataset, Written]:
    """An opened source, and what became of it in a form."""
    form, dataset = EXPORTS[name], open_dataset(source, cache=source.parent / "cache", reading=Reading(form="spa-vl"))
    folder.mkdir(parents=True, exist_ok=True)
    held = holdings([dataset])
    return dataset, write_rows(
        dataset, form, held, folder, "train", trim=trim, on_progress=lambda done, total: None
    )  # fmt: skip


def kept_rows(dataset: PreferenceDataset, names: tuple[str, ...], written: Written) -> list[dict[str, Any]]:
    """Fields of the rows that were written."""
    every = pq.read_table(dataset.rows, columns=list(names)).to_pylist()
    return [row for row, kept in zip(every, written.kept(len(every)), strict=True) if kept]


@settings(max_examples=4, deadline=None, suppress_health_check=list(HealthCheck))
@given(made=st.lists(rows(), min_size=1, max_size=40))
def test_every_row_is_read_back_as_it_was_or_refused(made: list[dict[str, Any]]) -> None:
    with TemporaryDirectory() as tmp:
        folder = Path(tmp)
        source = write_source(folder / "source", made)
        for name in EXPORTS:
            dataset, written = exported(source, name, folder / name)
            assert written.rows + sum(written.refused.values()) == len(made), name
            if written.rows:
                check_read_back(name, dataset, written, folder / name)


def check_read_back(name: str, source: PreferenceDataset, written: Written, folder: Path) -> None:
    """Our own reader takes the file for what it is, and every field that the form has is what it was."""
    form = EXPORTS[name]
    back = open_dataset(folder / file_of(form, "train"), cache=folder / "cache")
    assert [one["form"] for one in back.pairs.read_as()] == [form.read_as], name
    fields = CONTENT + tuple(one for one in ("pair_id", "weight", *ABOUT) if one in form.fields)
    found = pq.read_table(back.rows, columns=list(fields)).to_pylist()
    assert found == kept_rows(source, fields, written), name


@pytest.mark.parametrize("name", EXPORTS)
def test_plain_rows_are_never_refused(name: str, tmp_path: Path) -> None:
    asked = {"question": "what is this", "chosen": "a cup", "rejected": "no", "images": ["images/0.png"]}
    _, written = exported(write_source(tmp_path / "source", [asked, asked]), name, tmp_path / "out")
    assert (written.rows, dict(written.refused)) == (2, {})


REFUSED: dict[str, tuple[str, dict[str, Any]]] = {
    "a picture is lost": ("jsonl", {"images": ["images/none.png"]}),
    "no picture": ("jsonl", {"images": ["train.jsonl"]}),
    "two pictures": ("spa-vl", {"images": ["images/0.png", "images/1.png"]}),
    "text alone": ("align-anything", {"images": []}),
    "earlier turns": ("csv", {"earlier": [{"role": "user", "text": "a"}, {"role": "assistant", "text": "b"}]}),
    "a system turn": ("trl", {"system": "be kind"}),
    "turns that do not alternate": ("llama-factory-sharegpt", {"earlier": [{"role": "assistant", "text": "b"}]}),
    "a word that its trainer reads": ("ms-swift", {"chosen": "see <bbox>"}),
    "equal answers": ("ms-swift", {"chosen": "no"}),
    "white space beside a picture": ("trl-conversational", {"question": " what is this"}),
    "a text like messages": ("trl", {"question": "Human: b\n\nAssistant: c", "images": []}),
    "a NUL": ("csv", {"question": "a \0"}),
    "no pair": ("parquet", {"chosen": 5}),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_a_form_cannot_hold_is_refused_with_the_row_named(what: str, tmp_path: Path) -> None:
    name, change = REFUSED[what]
    good = {"question": "what is this", "chosen": "a cup", "rejected": "no", "images": ["images/0.png"]}
    rows = [{**good, "pair_id": "good"}, {**good, "pair_id": "bad", **change}]
    _, written = exported(write_source(tmp_path / "source", rows), name, tmp_path / "out")
    ((reason, ids),) = written.examples.items()
    assert (written.rows, len(ids)) == (1, 1)
    assert "bad" in ids or "row 2" in ids[0] or "line 2" in ids[0], ids
    assert "b\n" not in reason
    assert "see" not in reason


def test_white_space_beside_a_picture_is_trimmed_where_that_is_asked_for(tmp_path: Path) -> None:
    row = {"question": " what is this ", "chosen": " a cup", "rejected": "no", "images": ["images/0.png"]}
    _, written = exported(write_source(tmp_path / "source", [row]), "ms-swift", tmp_path / "out", trim=True)
    (pair,) = open_dataset(tmp_path / "out" / written.file, cache=tmp_path / "cache").pairs
    assert (pair.question, pair.chosen) == ("what is this ", " a cup")


def test_a_picture_is_written_once_and_named_by_its_content(tmp_path: Path) -> None:
    rows = [{"question": f"q{n}", "chosen": "a", "rejected": "b", "images": [f"images/{n % 2}.png"]} for n in range(9)]
    exported(write_source(tmp_path / "source", rows), "llama-factory-alpaca", tmp_path / "out")
    files = [one for one in (tmp_path / "out" / "images").rglob("*") if one.is_file()]
    assert sorted(one.suffix for one in files) == [".jpg", ".png"]
    assert all(one.parent.name == one.name[:2] and len(one.stem) == 64 for one in files)


def test_an_id_that_is_a_sentence_is_not_shown(tmp_path: Path) -> None:
    row = {"pair_id": "a sentence that somebody put into the wrong column", "question": "q", "chosen": "a",
           "rejected": "b", "images": []}  # fmt: skip
    _, written = exported(write_source(tmp_path / "source", [row]), "spa-vl", tmp_path / "out")
    assert list(written.examples.values()) == [["row 1"]]
