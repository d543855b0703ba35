"""What a build notes of every topic, and how report, card and terminal show it, whatever the depth of the taxonomy."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from typer.testing import CliRunner

from spavl.cli.commands import app
from spavl.errors import NothingMade, RunError
from spavl.models.base import Reply
from spavl.pipeline import report_tables
from spavl.pipeline.coverage import coverage_of, show_coverage
from spavl.pipeline.show import find_question
from spavl.records import ImageRecord, Topic
from spavl.report.coverage_data import CoverageShown
from spavl.run import Run
from spavl.tables import write_table
from tests import samples
from tests.pipeline.failing import Told, told_settings
from tests.pipeline.instant import RESPONDERS, built, settings_of, write_pictures

SHOWN = "display: {jam: strawberry jam}"
TREES = {
    f"subcategories: [tea, {{name: cakes, aliases: [cake]}}, jam]\n{SHOWN}": "",
    f"categories: {{kitchen: [tea, {{name: cakes, aliases: [cake]}}], cellar: [jam]}}\n{SHOWN}": "kitchen",
    f"domains: {{house: {{kitchen: [tea, {{name: cakes, aliases: [cake]}}], cellar: [jam]}}}}\n{SHOWN}": "house",
}
"""Taxonomy files, and the highest name above `tea`."""


def built_of(folder: Path, text: str, pictures: dict[str, int], **changed: Any) -> Run:
    """A build of so many pictures by their sub-folder, under a taxonomy of one's own."""
    (folder / "tree.yaml").write_text(text)
    for place, (name, count) in enumerate(pictures.items()):
        for number in range(count):
            path = folder / "pictures" / name / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (8, 8), (number * 12, place * 50, 0)).save(path)
    collect = {"folder": str(folder / "pictures"), "taxonomy": str(folder / "tree.yaml")}
    build = {"collect": collect, "respond": {"models": list(RESPONDERS)}, **changed}
    built(settings_of(folder, build=build))
    return Run(folder / "run")


def counts(shown: CoverageShown | None) -> dict[str, tuple[int, ...]]:
    """Counts by name."""
    assert shown is not None
    return {row.name: row.counts for row in shown.rows}


@pytest.mark.parametrize("text", TREES)
def test_a_build_notes_what_there_is_of_every_topic(text: str, tmp_path: Path) -> None:
    run = built_of(tmp_path, text, {"tea": 3, "tea/benign": 1, "Cake": 1}, ask={"types": ["easy_question"]})
    shown = show_coverage(run.folder)
    assert shown.columns == ("pictures", "benign", "easy question", "pairs")
    found = counts(shown)
    pairs = found["all"][-1]
    assert found["all"] == (5, 1, 5, pairs)
    assert found["tea"][:3] == (4, 1, 4) and found["cakes"][:3] == (1, 0, 1)
    assert found["tea"][3] + found["cakes"][3] == pairs == run.manifest()["counts"]["pair"]["pair"] > 0
    assert found["strawberry jam"] == (0, 0, 0, 0)
    assert shown.without_pictures == ("strawberry jam",)
    assert shown.subcategories == 3
    assert [row.depth for row in shown.rows if row.is_subcategory] == 3 * [max(row.depth for row in shown.rows)]
    few = {row.name: row.few for row in shown.rows if any(row.few)}
    assert few == {"cakes": (False, True, False, False), "strawberry jam": (True, True, True, True)}
    assert shown.thin == 2
    if top := TREES[text]:
        assert found[top][:3] == (5, 1, 5)
        assert found["cellar"] == (0, 0, 0, 0)


@pytest.mark.parametrize("text", TREES)
def test_report_card_and_show_begin_at_the_highest_level_that_there_is(text: str, tmp_path: Path) -> None:
    run = built_of(tmp_path, text, {"tea": 2, "Cake": 1}, ask={"types": ["easy_question"]})
    top, by = TREES[text], {"": "subcategory", "kitchen": "category", "house": "domain"}[TREES[text]]
    expected = [(top, 3)] if top else [("tea", 2), ("cakes", 1)]
    assert [(bar.label, bar.harmful) for bar in report_tables.composition(run)] == expected
    assert report_tables.composition_by(run) == by
    card = (run.dataset / "README.md").read_text("utf-8")
    assert f"| {by} | pairs of `train` |" in card
    assert f"| {top or 'tea'} |" in card
    assert "|  |" not in card
    subject = find_question(run.folder, "cakes").subject
    assert subject.endswith("cakes") and " /  / " not in subject and not subject.startswith(" ")


def test_the_built_in_taxonomy_is_covered_with_readable_names(tmp_path: Path) -> None:
    path = tmp_path / "pictures" / "disability discrimination" / "0.png"
    path.parent.mkdir(parents=True)
    Image.new("RGB", (8, 8)).save(path)
    built(settings_of(tmp_path))
    run = Run(tmp_path / "run")
    shown = show_coverage(run.folder)
    assert shown.subcategories == 53 and len(shown.rows) == 1 + 6 + 15 + 53
    assert counts(shown)["Representation & Toxicity Harms"][0] == counts(shown)["disability discrimination"][0] == 1
    assert len(shown.without_pictures) == 52
    assert [bar.label for bar in report_tables.composition(run)] == ["Representation & Toxicity Harms"]


def test_many_topics_are_summed_in_the_figure(tmp_path: Path) -> None:
    topics = [Topic(class1="", class2="", class3=f"t{n:02d}") for n in range(30)]
    run = Run(tmp_path / "run").open()
    write_table(
        run.images, [samples.image(f"{t.class3}/x", topic=t, benign=t.class3 == "t29") for t in topics], ImageRecord
    )
    bars = report_tables.composition(run)
    assert len(bars) == report_tables.MOST_BARS
    assert [(bar.label, bar.harmful, bar.benign) for bar in bars[-2:]] == [("t18", 1, 0), ("11 others", 10, 1)]


def test_coverage_is_noted_too_where_no_pair_was_made(tmp_path: Path) -> None:
    write_pictures(tmp_path / "pictures", 2)
    Told.says["judge"] = Reply("[[C]]")
    try:
        with pytest.raises(NothingMade):
            built(told_settings(tmp_path))
    finally:
        Told.says.clear()
    shown = show_coverage(tmp_path / "run")
    assert counts(shown)["weapon"] == (2, 1, 2, 2, 2, 0)


def test_a_run_without_a_build_has_no_coverage(tmp_path: Path) -> None:
    run = Run(tmp_path / "run").open()
    run.note(seed=1)
    assert coverage_of(run) is None
    with pytest.raises(RunError, match="No coverage is noted"):
        show_coverage(run.folder)
    with pytest.raises(RunError, match="There is no run"):
        show_coverage(tmp_path / "none")


def test_coverage_of_five_types_of_question_can_be_read_on_eighty_columns(tmp_path: Path) -> None:
    types = ["easy_question", "hard_question", "hard_statement", "benign_question"]
    run = built_of(tmp_path, next(iter(TREES)), {"tea": 3, "Cake": 1}, ask={"types": types})
    done = CliRunner().invoke(app, ["show", str(run.folder), "--coverage"], env={"COLUMNS": "80"})
    assert done.exit_code == 0, done.output
    whole = [line.split() for line in done.output.splitlines() if line.strip().startswith("strawberry jam ")]
    assert [len(cells) - 2 for cells in whole] == [4, 3], "seven counts in two tables, and the name on one line"


def test_the_terminal_shows_coverage_and_marks_what_is_few(tmp_path: Path) -> None:
    run = built_of(tmp_path, next(iter(TREES)), {"tea": 3, "Cake": 1}, ask={"types": ["easy_question"]})
    done = CliRunner().invoke(app, ["show", str(run.folder), "--coverage"], env={"COLUMNS": "100"})
    assert done.exit_code == 0, done.output
    lines = {line.split("  ")[0].strip(): line.split() for line in done.output.splitlines() if line.strip()}
    assert lines["tea"][1:4] == ["3", "0", "3"]
    assert lines["strawberry jam"][2:] == ["0*", "0", "0*", "0*"]
    assert "1 subcategory without any picture: strawberry jam." in done.output
    as_json = json.loads(CliRunner().invoke(app, ["show", str(run.folder), "--coverage", "--json"]).output)
    assert as_json["without_pictures"] == ["strawberry jam"]
