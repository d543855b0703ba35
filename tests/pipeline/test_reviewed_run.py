"""From the database of a review to numbers: the commands, the files that they write, and the report."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from spavl.cli.commands import app
from spavl.errors import DataError, RunError
from spavl.labels.exchange import read_labels, write_labels
from spavl.labels.record import Label
from spavl.labels.store import LabelStore
from spavl.pipeline.answer_labels import read_answer_labels
from spavl.pipeline.report import write_run_report
from spavl.pipeline.run_agreement import run_agreement
from spavl.records import PreferencePair
from spavl.run import Run
from spavl.tables import write_table
from tests import samples
from tests.pipeline.labelled_world import judgement, pair
from tests.pipeline.scored_runs import SAFETY, write_run

ALL, BASE, DPO = [SAFETY], {"harm": ["bad", "good"] * 50}, {"harm": ["bad", "good", "good", "good"] * 25}
WIDE = {"COLUMNS": "250"}


def review(run: Run, name: str = "first", count: int = 40, annotators: tuple[str, ...] = ("ann", "bob")) -> Path:
    """A review of a run, its pairs labelled by everybody."""
    random = np.random.default_rng(3)
    items = [replace(pair(n, random), question="words to be closed") for n in range(count)]
    path = run.folder / "review" / name / "review.sqlite"
    path.parent.mkdir(parents=True)
    with LabelStore.create(path, items, made_from="run", settings={}) as store:
        for one in items:
            for who in annotators:
                store.add(judgement(one, who, random))
    return path.parent


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """A run of a base and an aligned model."""
    return write_run(tmp_path / "run", {"base": BASE, "dpo": DPO}, ALL)


def test_the_command_prints_a_verdict_writes_files_and_the_report_shows_it(run: Run, tmp_path: Path) -> None:
    folder, copy = review(run), tmp_path / "numbers.json"
    done = CliRunner().invoke(app, ["agreement", str(run.folder), "--json", str(copy)], env=WIDE)
    told = " ".join(done.output.split())
    assert done.exit_code == 0 and told.startswith("40 pairs, 2 annotators: people agree with the judges on ")
    assert "closed" not in told and str(folder / "to-fix.csv") in told
    found = json.loads((folder / "agreement.json").read_text())
    assert found["pairs"] == 40 and json.loads(copy.read_text()) == found
    assert len((folder / "to-fix.csv").read_text().splitlines()) == 1 + len(found["to_fix"])
    page = write_run_report(run.folder).read_text()
    assert 'id="people"' in page and found["verdict"].split(":")[0] in page


def test_an_export_alone_and_one_beside_its_review_give_the_numbers_of_the_review(run: Run, tmp_path: Path) -> None:
    folder = review(run)
    whole = run_agreement(run.folder).report
    file = tmp_path / "labels.csv"
    write_labels(file, read_labels(folder))
    assert run_agreement(run.folder, files=[file]).report == whole
    other = write_run(tmp_path / "other", {"base": BASE}, ALL)
    alone = run_agreement(other.folder, files=[file])
    assert alone.report == whole and alone.folder == other.folder / "review/imported"


def test_what_cannot_be_measured_is_a_sentence(run: Run, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="There is no review in this run"):
        run_agreement(run.folder)
    review(run, "first", annotators=())
    with pytest.raises(DataError, match="Nobody has judged an item yet"):
        run_agreement(run.folder)
    review(run, "second", count=3)
    with pytest.raises(DataError, match="several reviews: first, second"):
        run_agreement(run.folder)
    with pytest.raises(RunError, match="no review `third`"):
        run_agreement(run.folder, name="third")
    assert run_agreement(run.folder, name="second").report.pairs == 3
    with pytest.raises(DataError, match="No answer of a model is labelled there"):
        read_answer_labels(run.folder / "review/second")


def test_labels_of_another_run_are_refused_and_what_is_left_out_is_told(run: Run, tmp_path: Path) -> None:
    folder, file = review(run), tmp_path / "labels.csv"
    write_labels(file, read_labels(folder))
    other = write_run(tmp_path / "other", {"base": BASE}, ALL)
    write_table(other.pairs, [samples.pair(pair_id="its own"), samples.pair(pair_id="pair-1")], PreferencePair)
    assert (
        "Not among the pairs of this run as they are now: 39 labelled pairs."
        in run_agreement(other.folder, files=[file]).notes
    )
    write_table(other.pairs, [samples.pair(pair_id="its own")], PreferencePair)
    with pytest.raises(DataError, match="None of the labelled pairs is of this run"):
        run_agreement(other.folder, files=[file])
    with LabelStore(folder / "review.sqlite") as store:
        store.add(Label(item_id="pair-1", annotator="Ann", status="skipped", skip_reason="too hard"))
        store.add(Label(item_id="pair-2", annotator="Ann", preference="first"))
    assert run_agreement(run.folder).notes == (
        'Annotators "Ann" and "ann" are counted as 2 people.', "Skipped, and counted nowhere: 1.",
    )  # fmt: skip


def test_a_file_without_items_beside_several_reviews_needs_to_know_which_is_its_own(run: Run, tmp_path: Path) -> None:
    review(run, "first")
    review(run, "second", count=3)
    file = tmp_path / "labels.csv"
    file.write_text("item_id,annotator,preference\npair-1,cem,first\n")
    with pytest.raises(DataError, match="several reviews: first, second"):
        run_agreement(run.folder, files=[file])
    assert run_agreement(run.folder, name="second", files=[file]).report.annotators["cem"] == 1
