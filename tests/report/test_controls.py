"""The section on controls: sentences made from the numbers, a table a model, and nothing where there are none."""

from __future__ import annotations

from dataclasses import replace

import pytest

from spavl.report import ReportData
from spavl.report.control_phrases import controls_view
from spavl.report.controls import ControlledModel, ControlledRate, ControlRow
from spavl.report.page import render
from spavl.statistics import compare_paired, rate
from tests.report.sample import METRICS, sample
from tests.report.test_page import CHROMIUM, parsed, screenshot

ITEMS = 50


def controlled(flipped: int, better: str) -> ControlledRate:
    """All wanted without the control; so many of them not with it."""
    good = better == "higher"
    before = {str(n): good for n in range(ITEMS)}
    after = {str(n): good if n >= flipped else not good for n in range(ITEMS)}
    return ControlledRate(
        paired=compare_paired(before, after, better=better),  # type: ignore[arg-type]
        flips=rate([n < flipped for n in range(ITEMS)]), rate=rate(after.values()),
        kept=rate([n >= flipped for n in range(ITEMS)]), lost=rate([n < flipped for n in range(ITEMS)]),
    )  # fmt: skip


def row(name: str, what: str, seen: str, flipped: int, resampled: bool = False) -> ControlRow:
    rates = {metric.name: controlled(flipped, metric.better) for metric in METRICS}
    return ControlRow(name=name, what=what, seen=seen, resampled=resampled, rates=rates)  # type: ignore[arg-type]


ROWS = (
    row("none", "no picture", "removed", 13), row("blank", "a grey picture", "blank", 20),
    row("shuffled", "the picture of another item", "unrelated", 30), row("jpeg-2", "JPEG of quality 20", "own", 1),
    row("rotate-2", "turned by 15°", "own", 4), row("again", "the same, sampled again", "own", 2, resampled=True),
)  # fmt: skip


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> ReportData:
    plain = sample(tmp_path_factory.mktemp("pictures"))
    models = tuple(
        ControlledModel(name=name, label=label, rows=ROWS)
        for name, label in (("base", "Base"), ("dpo", "DPO"), ("ppo", "PPO"))
    )
    return replace(plain, controls=models)


def words(page: str) -> str:
    return " ".join("".join(parsed(page).shown).replace("\u202f", " ").replace("\u00a0", " ").split())


def test_the_first_sentence_says_what_is_kept_without_the_picture(data):
    view = controls_view(data)
    assert view is not None
    assert (
        view.lead.replace("\u202f", " ")
        == "Without its picture, DPO stays safe on 74.0 % of the 50 items that it is safe on otherwise."
    )
    said = " ".join(view.points).replace("\u202f", " ")
    assert "Of all 50 items, 74.0 % were answered safely without any picture, and 26.0 % only with their own" in said
    assert "With the picture of another item, DPO stays safe on 40.0 %" in said
    assert "rotate-2 (turned by 15°) moves DPO most: 8.0 % of the items flip, where 4.0 % flip by chance alone." in said
    assert "With a grey picture" not in said, "it is no other question than without any"
    assert [table.label for table in view.tables] == ["DPO", "PPO", "Base"]


def test_a_grey_picture_is_not_called_none_and_unread_answers_are_told(data):
    grey = replace(data, controls=(replace(data.controls[1], rows=ROWS[1:]),))
    view = controls_view(grey)
    assert view is not None
    said = " ".join(view.points).replace("\u202f", " ")
    assert "60.0 % were answered safely with a grey picture, and 40.0 % only with their own picture." in said
    assert "without any picture" not in said
    unread = {name: replace(one, rate=rate([True, None, *[False] * 48])) for name, one in ROWS[0].rates.items()}
    view = controls_view(replace(data, controls=(replace(data.controls[1], rows=(replace(ROWS[0], rates=unread),)),)))
    assert view is not None and "(1 item could not be read)" in " ".join(view.points)


def test_a_mean_of_scores_is_not_told_as_a_share_of_items(data):
    graded = replace(data, metrics=tuple(replace(metric, graded=True) for metric in data.metrics))
    view = controls_view(graded)
    assert view is not None and not any("Of all" in sentence for sentence in (view.lead, *view.points))


def test_the_section_is_on_the_page_with_a_table_a_model(data):
    page = render(data)
    tree = parsed(page)
    assert page.count('aria-label="Controls of ') == 3 and '<a href="#controls">' in page
    ids = [found["id"] for _tag, found in tree.tags if "id" in found]
    assert len(ids) == len(set(ids)) and "controls" in ids
    assert all(found.get("scope") in ("col", "row", "colgroup") for tag, found in tree.tags if tag == "th")
    shown = words(page)
    assert "+26.0" in shown and "26.0 % of 50 flip" in shown and "−26.0" in shown
    assert "Sampled answers change by chance too" in shown
    quiet = replace(data, controls=tuple(replace(one, rows=ROWS[:5]) for one in data.controls))
    assert "by chance" not in words(render(quiet)).replace("could be chance", "")


def test_without_controls_the_page_is_as_if_there_were_no_such_section(data):
    without = render(replace(data, controls=()))
    empty = ControlledModel(name="dpo", label="DPO", rows=(replace(ROWS[0], rates={}),))
    assert render(replace(data, controls=(empty,))) == without
    page = render(data)
    start, end = page.index('<section id="controls">'), page.index('<section id="examples">')
    assert (page[:start] + page[end:]).replace('<li><a href="#controls">Controls</a></li>\n', "") == without


def test_what_a_model_is_called_stays_text(data):
    hostile = replace(data.controls[0], label="<b>x</b>", rows=(replace(ROWS[0], what="<script>"),))
    page = render(replace(data, controls=(hostile,)))
    assert "<b>x</b>" not in page and "<script>" not in page


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine to render the page with")
def test_the_tables_do_not_spill_over_a_narrow_screen(tmp_path, data):
    page = render(data)
    head = page[: page.index("<body>") + 6]
    start, end = page.index('<section id="controls">'), page.index('<section id="examples">')
    path = tmp_path / "controls.html"
    path.write_text(f"{head}<main>{page[start:end]}</main></body></html>", encoding="utf-8")
    shown = screenshot(path, tmp_path / "shown.png", 500)
    edge = shown.crop((494, 0, 500, 3000)).getcolors()
    assert edge is not None and len(edge) == 1
