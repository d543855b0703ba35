"""What people said of a build's pairs decides on the next build, and is counted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from spavl.labels.record import Label
from spavl.records import PreferencePair
from spavl.review.make import ReviewSettings, make_review
from spavl.run import Run
from spavl.tables import read_table
from tests.pipeline.instant import built, settings_of, write_pictures


def test_labels_of_a_review_change_the_pairs_of_the_next_build(tmp_path: Path) -> None:
    write_pictures(tmp_path / "pictures", 4)
    built(settings_of(tmp_path))
    run = Run(tmp_path / "run")
    before = {one.pair_id: one for one in read_table(run.pairs, PreferencePair)}
    said: dict[str, Any] = dict(zip(before, ("first", "second", "both_bad"), strict=False))
    review = run.folder / "review/first"
    with make_review(run, review, ReviewSettings(n=len(before))) as store:
        for name, preference in said.items():
            store.add(Label(item_id=name, annotator="anna", preference=preference))
    labelled = settings_of(tmp_path, build={"labels": [str(review)]})
    counts, *_ = built(labelled)
    assert counts["labels"] == {
        "kept": len(before) - 1, "preferred as judged": 1, "swapped": 1, "tie or both bad": 1,
    }  # fmt: skip
    kept, swapped, dropped = said
    after = {one.pair_id: one for one in read_table(run.last_pairs, PreferencePair)}
    assert set(before) - set(after) == {dropped}
    assert after[swapped].chosen == before[swapped].rejected and after[swapped].labelled_by == ("anna",)
    assert [after[kept].labelled, after[swapped].labelled] == ["kept", "swapped"]
    assert {one.pair_id: one for one in read_table(run.pairs, PreferencePair)} == before
    exported = {row["pair_id"]: row for row in pq.read_table(run.dataset / "data/train.parquet").to_pylist()}
    assert exported[swapped]["labelled"] == "swapped" and exported[swapped]["labelled_by"] == ["anna"]
    assert json.loads((run.folder / "run.json").read_text("utf-8"))["stages"][-1]["name"] == "labels"


def test_the_stage_runs_again_when_what_people_said_has_changed(tmp_path: Path) -> None:
    write_pictures(tmp_path / "pictures", 2)
    built(settings_of(tmp_path))
    run = Run(tmp_path / "run")
    review = run.folder / "review/first"
    with make_review(run, review, ReviewSettings(n=3)) as store:
        name = next(store.items()).item_id
        labelled = settings_of(tmp_path, build={"labels": [str(review)]})
        assert "swapped" not in built(labelled)[0]["labels"]
        store.add(Label(item_id=name, annotator="anna", preference="second"))
        assert built(labelled)[0]["labels"]["swapped"] == 1
