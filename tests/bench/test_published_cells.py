"""The paper's percentages as counts, and the page that shows them."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import fisher_exact

from bench.published_cells.cells import COLUMNS, ITEMS, Cell, cells
from bench.published_cells.counts import counted
from bench.published_cells.differences import differences
from bench.published_cells.page import PAGE, page


def of(row: str, column: str, table: str = "Table 2") -> Cell:
    """A printed cell."""
    return next(cell for cell in cells(table) if (cell.row, cell.column) == (row, column))


def test_the_page_is_what_the_program_writes():
    assert PAGE.read_text("utf-8") == page(), "run `python -m bench.published_cells.page`"


def test_every_cell_of_table_2_is_there_once():
    found = [(cell.row, cell.column) for cell in cells("Table 2")]
    assert len(found) == len(set(found)) == 14 * 8


@pytest.mark.parametrize(
    ("row", "column", "k"),
    [
        ("LLaVA-1.5-7B", "mean", 138), ("+ SPA-VL-DPO", "mean", 4), ("+ SPA-VL-PPO", "mean", 3),
        ("+ SPA-VL-PPO", "AdvBench", 1), ("+ SPA-VL-PPO", "AdvBench + suffix", 11), ("LLaVA-1.5-7B", "AdvBench", 510),
        ("LLaVA-1.5-7B", "HarmEval", 117), ("+ SPA-VL-DPO", "SD + typo", 2),
    ],
)  # fmt: skip
def test_the_counts_found_by_hand_are_found(row: str, column: str, k: int):
    assert counted(of(row, column)).k == k


@given(st.sampled_from(COLUMNS), st.data())
def test_a_rounded_count_is_found_again(column: str, data: st.DataObject):
    k = data.draw(st.integers(0, ITEMS[column]))
    percent = Decimal(100 * k) / ITEMS[column]
    cell = Cell("", "", column, str(percent.quantize(Decimal("0.01"), ROUND_HALF_UP)))
    assert counted(cell).k == k


@pytest.mark.parametrize("row, column", [("All (12)", "HarmEval"), ("Hard-S", "HarmEval")])
def test_a_cell_that_is_no_count_is_said_to_be_none(row: str, column: str):
    table = "answers of which models" if row.startswith("All") else "which questions"
    assert counted(of(row, column, table)).k is None


def test_zero_against_three_items_is_no_finding_and_zero_against_eleven_is_one():
    found = {(one.table, one.before.cell.row, one.after.cell.row, one.before.cell.column): one for one in differences()}
    projector = found["projector", "with projector", "without projector", "HarmEval"]
    assert projector.paired == (0.25, 0.25) and projector.verdict == "not significant under any pairing"
    suffix = found["Table 2", "+ SPA-VL-DPO", "+ SPA-VL-PPO", "AdvBench + suffix"]
    assert suffix.verdict == "significant under every pairing"
    assert suffix.unpaired == pytest.approx(fisher_exact([[0, 520], [11, 509]]).pvalue)


def test_every_pairing_lies_between_the_two():
    for one in differences():
        least, most = one.paired
        assert 0 < least <= most <= 1
