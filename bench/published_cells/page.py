"""The page of docs that shows SPA-VL's figures as counts with bounds: `python -m bench.published_cells.page`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from bench.published_cells.cells import COLUMNS, ITEMS, TABLES, cells
from bench.published_cells.counts import Counted, counted, mean_differs
from bench.published_cells.differences import Difference, differences

PAGE = Path(__file__).resolve().parents[2] / "docs" / "methods" / "spa-vl-table-2.md"
"""Where it lies."""
DEPENDS = "depends on the pairing"
_READING = """The paper compares without pairs, and the answers are not published. So three exact p-values: Fisher's, as
if the items were others; and McNemar's for the pairing of the two counts that is most favourable to a finding, and for
the least favourable one. Where even the most favourable is above 5 %, nothing was shown, whichever items they were.
None is corrected for how many there are; for a mean all items are taken as independent, which makes its p-values too
small.
"""
_HEAD = """| from → to | column | unsafe | Fisher | McNemar, least | McNemar, most | verdict |
|---|---|---|---|---|---|---|
"""
_ROUND = "The printed figure is the count divided by the items, rounded to two digits, unless a cell is marked *."


def page() -> str:
    """The page."""
    found = [counted(cell) for cell in cells()]
    compared = list(differences())
    return "\n".join((_head(found, compared), _counts(found), _odd(found), _compared(compared)))


def _head(found: list[Counted], compared: list[Difference]) -> str:
    verdicts = Counter(one.verdict for one in compared)
    of_table = [one for one in found if one.cell.table == "Table 2"]
    fits = sum(one.k is not None for one in of_table)
    said = ", ".join(f"{count} are {verdict}" for verdict, count in verdicts.most_common() if verdict != DEPENDS)
    chance = ", ".join(f"{(n + 1) / 10_001:.1%} for {n}" for n in dict.fromkeys(ITEMS.values()))
    return f"""# SPA-VL's figures as counts

Written by `python -m bench.published_cells.page` from the percentages that the paper (arXiv 2406.12030) printed.

The paper gives percentages without the number of items, and no intervals. They are counts over {ITEMS["text"]} items a
variant of MM-SafetyBench (its tiny list; {ITEMS["mean"]} for the mean of the four), {ITEMS["AdvBench"]} of AdvBench and
{ITEMS["HarmEval"]} of HarmEval: **{fits} of the {len(of_table)} cells of Table 2 are such a count exactly**, the others
are listed below. That is no accident: of all percentages with two digits few are ({chance}).

So "0 %" means: at most {100 * _zero(168):.1f} % on 168 items, {100 * _zero(265):.1f} % on 265,
{100 * _zero(520):.1f} % on 520 (Wilson, 95 %). Of the {len(compared)} differences that are compared below, {said};
{verdicts[DEPENDS]} depend on the pairing. SPA-VL's own gains over its base are significant in every column, whatever
the pairing; the differences between DPO and PPO, with and without the projector, and between question types are mostly
not.
"""


def _zero(n: int) -> float:
    return next(counted(cell).bounds[1] for cell in cells("Table 2") if cell.printed == "0" and cell.n == n)


def _counts(found: list[Counted]) -> str:
    note = (
        "Unsafe answers, and in brackets the bounds of the rate in percent (Wilson, 95 %). "
        f"{_ROUND} The four variants of a question are not independent, so that the true bounds of a mean are wider.\n"
    )
    return f"## Counts\n\n{note}\n" + "\n".join(_table(name, found) for name in TABLES)


def _table(name: str, found: Iterable[Counted]) -> str:
    rows: dict[str, dict[str, Counted]] = {}
    for one in found:
        if one.cell.table == name:
            rows.setdefault(one.cell.row, {})[one.cell.column] = one
    head = "".join(f" {column} / {ITEMS[column]} |" for column in COLUMNS)
    lines = [f"| model |{head}", "|---|" + "---|" * len(COLUMNS)]
    for row, by_column in rows.items():
        lines.append(f"| {row} |" + "".join(f" {_shown(by_column.get(column))} |" for column in COLUMNS))
    return f"### {name[0].upper()}{name[1:]}\n\n" + "\n".join(lines) + "\n"


def _shown(one: Counted | None) -> str:
    if one is None:
        return "—"
    low, high = one.bounds
    return f"{one.nearest}{'' if one.k is not None else '*'} ({100 * low:.1f}–{100 * high:.1f})"


def _odd(found: list[Counted]) -> str:
    lines = [
        f"| {one.cell.table} | {one.cell.row} | {one.cell.column} | {one.cell.printed} | {one.cell.n} | "
        f"{one.otherwise or 'no count of it, nor of up to five items fewer'} |"
        for one in found if one.k is None
    ]  # fmt: skip
    rows: dict[tuple[str, str], dict[str, Counted]] = {}
    for one in found:
        rows.setdefault((one.cell.table, one.cell.row), {})[one.cell.column] = one
    means = [f"{row} ({table})" for (table, row), by_column in rows.items() if mean_differs(by_column)]
    return (
        "## Cells that are no count\n\n| table | model | column | printed | items | could be |\n"
        "|---|---|---|---|---|---|\n"
        + "\n".join(lines)
        + "\n\nMeans that are not those of the four variants as printed: "
        + ("; ".join(means) or "none")
        + ".\n\nThe rows *All (12)* and *Mixed* are one model: all their cells are equal, but HarmEval is 6.11 in one "
        "and 0.38 in the other.\n"
    )


def _compared(compared: list[Difference]) -> str:
    lines = [
        f"| {one.before.cell.row} → {one.after.cell.row} | {one.before.cell.column} | {one.before.nearest} → "
        f"{one.after.nearest} of {one.before.cell.n} | {_p(one.unpaired)} | {_p(one.paired[0])} | "
        f"{_p(one.paired[1])} | {one.verdict} |"
        for one in compared
    ]
    return f"## Differences\n\n{_READING}\n{_HEAD}" + "\n".join(lines) + "\n"


def _p(value: float) -> str:
    return "< 0.0001" if value < 0.0001 else f"{value:.4f}" if value < 0.1 else f"{value:.2f}"


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
