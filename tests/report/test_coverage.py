"""The table of coverage on the report page: closed, with few and missing topics named, all text escaped."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from spavl.report.coverage_data import CoverageRow, CoverageShown
from spavl.report.page import render
from spavl.report.phrases import coverage
from tests.report.sample import sample

pytest.importorskip("matplotlib")


def row(name: str, depth: int, *numbers: int, few: tuple[bool, ...] = (False, False)) -> CoverageRow:
    """A row; those of depth 2 are subcategories."""
    return CoverageRow(name=name, depth=depth, is_subcategory=depth == 2, counts=numbers, few=few)


SHOWN = CoverageShown(
    taxonomy="my <tree>.yaml", columns=("pictures", "pairs"), subcategories=2, without_pictures=("b <i>",),
    rows=(row("all", 0, 1200, 3), row("top", 1, 1200, 3), row("a", 2, 1200, 3),
          row("b <i>", 2, 0, 0, few=(True, True))),
)  # fmt: skip


def test_coverage_is_told_in_a_sentence() -> None:
    assert coverage(SHOWN) == "Coverage: 1 of 2 subcategories has pictures. 1 has few records of some kind."
    full = replace(SHOWN, rows=SHOWN.rows[:-1], without_pictures=(), subcategories=1)
    assert coverage(full) == "Coverage: 1 of 1 subcategory has pictures."


def test_the_page_has_a_closed_table_of_coverage(tmp_path: Path) -> None:
    data = sample(tmp_path)
    assert "Coverage" not in render(data)
    page = render(replace(data, coverage=SHOWN))
    closed = page[page.index('<details class="more"><summary>Coverage: 1 of 2') :]
    closed = closed[: closed.index("</details>")]
    assert "my &lt;tree&gt;.yaml" in closed and "<i>" not in closed.replace("<i>few</i>", "")
    assert "Without any picture: b &lt;i&gt;." in closed
    assert closed.count("<small>few</small>") == 2
    assert closed.count('<tr class="sum">') == 2
    assert "<td>1,200</td><td>3</td>" in closed.replace("\u202f", ",")


def test_the_composition_says_what_its_bars_are(tmp_path: Path) -> None:
    page = render(replace(sample(tmp_path), composition_by="category"))
    assert "<h3>Pictures by category</h3>" in page
    assert "Pictures by category: " in page
