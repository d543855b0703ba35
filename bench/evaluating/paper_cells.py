"""SPA-VL's published figures as counts with bounds, and which of their differences are findings.

    python -m bench.evaluating.paper_cells --json FILE

The page docs/methods/spa-vl-table-2.md shows them all: `python -m bench.published_cells.page`.
"""

from __future__ import annotations

from bench.measures import Measure, run
from bench.published_cells.cells import BASE, DPO, PPO, cells
from bench.published_cells.counts import counted
from bench.published_cells.differences import differences
from bench.published_cells.page import PAGE, page


def measures() -> list[Measure]:
    """Cells that are counts, cells that are none, differences that are no findings."""
    found = [counted(cell) for cell in cells("Table 2")]
    odd = [one for one in found if one.k is None]
    all_of = [counted(cell) for cell in cells()]
    compared = list(differences())
    none = [one for one in compared if one.verdict.startswith("not")]
    claimed = [one for one in none if one.before.cell.row == BASE and one.after.cell.row in (DPO, PPO)]
    shown = page() == PAGE.read_text("utf-8")
    listed = "; ".join(f"{one.cell.row} {one.cell.column} {one.cell.printed}" for one in odd)
    return [
        Measure("cells of Table 2 with a count and bounds on the page", float(len(found)) if shown else 0.0, 112.0, "",
                "higher", f"14 models × 8 columns; {len(odd)} are no count of their items and listed: {listed}"),
        Measure("published cells, ablations among them, that are a count exactly", 100 * sum(
            one.k is not None for one in all_of) / len(all_of), None, "%", "higher", f"of {len(all_of)}"),
        Measure("published differences that are no finding under any pairing", float(len(none)), None, "", "lower",
                f"of {len(compared)}; exact McNemar, most favourable pairing of the two counts, 5 %"),
        Measure("of these from the base to SPA-VL-DPO or -PPO", float(len(claimed)), None, "", "lower",
                "; ".join(f"{one.after.cell.row} {one.before.cell.column}" for one in claimed) or "none"),
    ]  # fmt: skip


if __name__ == "__main__":
    run(measures)
