"""The pages on studies: one for every kind, whose settings file is one, and whose figures of the paper are counts."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from spavl.config.study import KINDS, load_study
from tests import doc_pages

STUDIES = doc_pages.ROOT / "docs" / "studies"
PAGES = sorted(page for page in STUDIES.glob("*.md") if page.stem != "index")


def example(page: Path) -> str:
    """The settings file that a page shows."""
    (text,) = (block.text for block in doc_pages.blocks(page) if block.kind == "yaml")
    return text


def test_every_kind_of_study_has_a_page_with_the_same_parts_and_the_overview_names_it() -> None:
    assert {page.stem for page in PAGES} == KINDS.keys()
    overview = (STUDIES / "index.md").read_text("utf-8")
    for page in PAGES:
        text = page.read_text("utf-8")
        assert f"[`{page.stem}`]({page.name})" in overview
        assert yaml.safe_load(example(page))["kind"] == page.stem
        parts = ["**Cost.**", "## How to read it", "## What the paper found", "## Pitfalls"]
        places = [text.index(part) for part in parts]
        assert places == sorted(places), page


@pytest.mark.parametrize("page", [*PAGES, STUDIES / "index.md"], ids=lambda page: page.stem)
def test_the_settings_file_of_a_page_is_one(page: Path, tmp_path: Path) -> None:
    (tmp_path / "study.yaml").write_text(example(page))
    assert isinstance(load_study(tmp_path / "study.yaml"), KINDS[yaml.safe_load(example(page))["kind"]])


SHIPPED = doc_pages.ROOT / "settings" / "studies"


def test_the_pages_name_every_settings_file_that_ships_and_no_other() -> None:
    texts = "".join(page.read_text("utf-8") for page in PAGES)
    named = {*re.findall(r"`([\w-]+\.yaml)`", texts), *re.findall(r"settings/studies/([\w-]+\.yaml)", texts)}
    there = {path.name for path in SHIPPED.glob("*.yaml") if "\nkind: " in path.read_text("utf-8")}
    assert named == there


def test_figures_of_attacks_are_counts_of_the_benchmarks_items() -> None:
    """MM-SafetyBench has 4 × 168 items, AdvBench 520, HarmEval 265: a rate that is no count is a slip of the pen."""
    sizes = {"MM-SafetyBench": 672, "AdvBench": 520, "with suffix": 520, "HarmEval, unsafe": 265}
    for name in ("scale", "sources", "questions", "freeze", "method"):
        head, _, *rows = [
            [cell.strip() for cell in line.strip("|").split("|")]
            for line in (STUDIES / f"{name}.md").read_text("utf-8").splitlines()
            if line.startswith("|")
        ]
        for row in rows:
            for column, cell in zip(head, row, strict=True):
                if column in sizes and cell != "8.70":  # 8.70 is the paper's, and no count
                    count = float(cell) * sizes[column] / 100
                    assert abs(count - round(count)) < 0.06, (name, column, cell)
