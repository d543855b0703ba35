"""What the terminal shows of scores: numbers whole, names folded, at any width and for any number of models."""

from __future__ import annotations

import re

import pytest
from rich.console import Console

from spavl.cli import terminal
from spavl.pipeline.scores import Scores
from spavl.statistics.intervals import rate_of
from spavl.statistics.paired import compare_paired

LONG = "runs-first-align-dpo-lora-7b-learning-rate-1e-5"


@pytest.mark.parametrize("width", [60, 80, 100, 200])
@pytest.mark.parametrize("names", [["base", LONG], ["base", LONG, "another-model-with-a-long-name", "x\x1b[31m", LONG]])
def test_no_number_and_no_name_is_cut_in_a_table_of_scores(
    width: int, names: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"{name}{number or ''}" for number, name in enumerate(names)]
    before = {str(item): item % 3 == 0 for item in range(300)}
    paired = compare_paired(before, {item: int(item) % 7 == 0 for item in before}, better="lower")
    scores = Scores(
        metrics={"m": {"label": "Unsafe answers (mm-safetybench)", "axis": "over-refusal", "better": "lower"}},
        rates={name: {"m": rate_of(337, 1680, 12)} for name in names},
        paired={name: {"m": paired} for name in names[1:]},
    )
    monkeypatch.setattr(terminal, "out", Console(width=width, highlight=False))
    with terminal.out.capture() as printed:
        terminal.print_scores(scores)
    told = printed.get()
    assert "…" not in told and "\x1b" not in told
    assert max(map(len, told.splitlines())) <= width
    for whole in ("20.2 % of 1,680", "[18.2, 22.8]", "12 unread"):
        assert told.count(whole) == len(names)
    assert len(re.findall(r" 85 +28 +\d\.\de-\d\d", told)) == len(names) - 1
    folded = re.sub(r"\s", "", told)
    assert all(f"{name}againstbase,".replace("\x1b", r"\x1b") in folded for name in names[1:])


@pytest.mark.parametrize("width", [20, 60, 80])
def test_a_table_with_many_numbers_loses_no_column_in_a_narrow_terminal(
    width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    head = ["metric", "model", *(f"number {place}" for place in range(8))]
    row = ["Unsafe answers", "aligned", *(f"{place}0.0 [12, 34]" for place in range(1, 9))]
    monkeypatch.setattr(terminal, "out", Console(width=width, highlight=False))
    with terminal.out.capture() as printed:
        terminal.table("Title", head, [row], right=2)
    told = printed.get()
    assert all(number in told for number in row[2:]) and "aligned" in told and "answers" in told


def test_where_every_item_is_unread_no_change_and_no_p_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    unread: dict[str, bool | None] = {str(item): None for item in range(7)}
    scores = Scores(
        metrics={"m": {"label": "Unsafe", "axis": "safety", "better": "lower"}},
        rates={name: {"m": rate_of(0, 7, 7)} for name in ("base", "dpo")},
        paired={"dpo": {"m": compare_paired(unread, unread, better="lower")}},
    )
    monkeypatch.setattr(terminal, "out", Console(width=100, highlight=False))
    with terminal.out.capture() as printed:
        terminal.print_scores(scores)
    assert re.search(r"Unsafe +7 +– +– +– *\n +7 unread", printed.get())
