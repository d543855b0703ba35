"""`spavl labels export` and `spavl labels import`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from spavl.cli.commands import app
from spavl.errors import DataError, RunError, SettingsError
from spavl.labels.exchange import Labelled, together
from spavl.labels.store import LabelStore
from tests.labels.some import label, pair, pairs
from tests.review.test_sample import run_of


@pytest.fixture
def review(tmp_path: Path) -> Path:
    """The folder of a review of five pairs, two of them labelled."""
    with LabelStore.create(tmp_path / "first" / "review.sqlite", pairs(5), made_from="run", settings={}) as store:
        store.add_all([label(0), label(1, "ben", preference="tie")])
    return tmp_path / "first"


def run(*words: str) -> str:
    done = CliRunner().invoke(app, ["labels", *words], env={"COLUMNS": "200"})
    if done.exception:
        raise done.exception
    return " ".join(done.output.split())


@pytest.mark.parametrize("name", ["labels.csv", "labels.json", "labels.jsonl"])
def test_labels_go_through_a_file_into_a_copy_of_the_review_and_again_add_none(
    review: Path, tmp_path: Path, name: str
) -> None:
    assert "2 labels of 5 items" in run("export", str(review), str(tmp_path / name))
    with LabelStore.create(tmp_path / "copy" / "review.sqlite", pairs(5), made_from="run", settings={}) as copy:
        assert "2 labels added, 0 were there" in run("import", str(tmp_path / "copy"), str(tmp_path / name))
        assert "0 labels added, 2 were there" in run("import", str(tmp_path / "copy"), str(tmp_path / name))
        with LabelStore(review / "review.sqlite") as first:
            assert copy.labels() == first.labels()


def test_items_become_tasks_of_label_studio_with_their_page(review: Path, tmp_path: Path) -> None:
    said = run("export", str(review), str(tmp_path / "tasks.json"), "--label-studio", "--pictures-at", "/p/")
    tasks = json.loads((tmp_path / "tasks.json").read_text("utf-8"))
    assert "5 tasks" in said and tasks[0]["data"]["images"] == ["/p/key-0"]
    assert "<Pairwise" in (tmp_path / "tasks.xml").read_text("utf-8")
    assert run("export", str(review), str(tmp_path / "tasks.json"), "--label-studio", "--pictures-at", "/p/") == said
    with pytest.raises(DataError, match="take the place of the tasks"):
        run("export", str(review), str(tmp_path / "another.xml"), "--label-studio")


def test_a_folder_without_a_review_and_labels_of_another_run_are_refused(review: Path, tmp_path: Path) -> None:
    run("export", str(review), str(tmp_path / "labels.csv"))
    with pytest.raises(DataError, match="no review"):
        run("import", str(tmp_path), str(tmp_path / "labels.csv"))
    LabelStore.create(tmp_path / "other" / "review.sqlite", pairs(2), made_from="other", settings={}).close()
    with pytest.raises(DataError, match="another run"):
        run("import", str(tmp_path / "other"), str(tmp_path / "labels.csv"))
    assert "2 labels added" in run("import", str(tmp_path / "other"), str(tmp_path / "labels.csv"), "--of-another-run")


def test_a_sample_is_drawn_from_a_run_once_and_again_it_is_the_same(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no run in this folder"):
        run("draw", str(tmp_path / "runn"))
    run_of(tmp_path / "run").replace(pictures=400)
    said = run("draw", str(tmp_path / "run"), "--n", "4")
    assert "4 items" in said and f"spavl review {tmp_path / 'run/review/first'}" in said and "--label-studio" in said
    again = run("draw", str(tmp_path / "run"), "--n", "4")
    assert again == said
    with pytest.raises(RunError, match="other settings"):
        run("draw", str(tmp_path / "run"), "--n", "3")


def test_an_export_replaces_no_labels_that_the_review_does_not_have_and_no_other_file(
    review: Path, tmp_path: Path
) -> None:
    file = tmp_path / "labels.csv"
    run("export", str(review), str(file))
    run("export", str(review), str(file))
    with file.open("a", encoding="utf-8") as more:
        more.write('"pair-3","cem","labelled","tie"' + ',""' * 12 + "\n")
    before = file.read_text("utf-8")
    for words in (["export", str(review), str(file)], ["export", str(review), str(file), "--label-studio"]):
        with pytest.raises(DataError, match="holds 1 label that the review does not"):
            run(*words)
    (tmp_path / "notes.json").write_text('[{"my": "notes"}]', "utf-8")
    with pytest.raises(DataError, match="another file here"):
        run("export", str(review), str(tmp_path / "notes.json"))
    (tmp_path / "tasks.xml").write_text("<mine/>", "utf-8")
    with pytest.raises(DataError, match="in the place of the page"):
        run("export", str(review), str(tmp_path / "tasks.json"), "--label-studio")
    assert file.read_text("utf-8") == before and (tmp_path / "tasks.xml").read_text("utf-8") == "<mine/>"


def test_what_was_drawn_at_random_once_stands_for_others_though_it_was_drawn_for_doubt_too(tmp_path: Path) -> None:
    made = [Labelled(labels=(), items=(pair(0, probability=share),)) for share in (0.25, 0.0)]
    assert [together(order).items[0].probability for order in (made, made[::-1])] == [0.25, 0.25]


@pytest.mark.parametrize("name", ["../out", "a/b", "", "..", "."])
def test_a_review_lies_in_the_folder_of_reviews_and_nowhere_else(tmp_path: Path, name: str) -> None:
    run_of(tmp_path / "run")
    with pytest.raises(SettingsError, match="is no name of a review"):
        run("draw", str(tmp_path / "run"), "--name", name)
