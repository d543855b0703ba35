"""The heat map as a figure for a paper; the page shows it as a table."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from spavl.report.heat import HeatCell, HeatMap, HeatRow
from spavl.report.sheet import PAGE, WIDTH, Sheet, canvas
from spavl.visible_text import visible

ROW, CELL, GAP = 13, 56, 2
"""Height of a row, width of a cell and the room between cells, in units of the figure."""
MOST_SPOKEN = 8
"""Most subjects that a screen reader is told one by one."""


def heat_figure(heat: HeatMap, sheet: Sheet = PAGE) -> str:
    """Figure of the headline by subject: a row each, coloured by the rate, with its number inside.

    Args:
        heat: the heat map.
        sheet: what it is drawn on.
    """
    rows = [(row, row is domain.whole) for domain in heat.domains for row in (domain.whole, *domain.rows) if row]
    columns = [heat.before.label, *([heat.after.label, "change"] if heat.after else [])]
    height = ROW * (len(rows) + 1) + 6
    with sheet.drawing("subjects", axes_grid=False, axes_spines_bottom=False):
        figure, axes = canvas(height=height, left=4, right=4, bottom=2, top=2)
        axes.set_xlim(0, WIDTH - 8)
        axes.set_ylim(ROW * (len(rows) + 1), 0)
        axes.set_xticks([])
        axes.set_yticks([])
        for place, label in enumerate(columns):
            axes.text(_left(place, len(columns)) + CELL / 2, ROW / 2, visible(label), ha="center", va="center",
                      fontsize=8.5, color=sheet.colour("muted"))  # fmt: skip
        for n, (row, whole) in enumerate(rows, start=1):
            _draw(axes, row, n * ROW, sheet, columns=len(columns), whole=whole)
        return sheet.finish(figure, f"{heat.metric.label} by subject: {_spoken(heat)}")


def _left(place: int, columns: int) -> float:
    return WIDTH - 8 - (columns - place) * CELL


def _draw(axes: Axes, row: HeatRow, top: float, sheet: Sheet, *, columns: int, whole: bool) -> None:
    weight = "bold" if whole else "normal"
    label = f"{row.label}{' (held out)' if row.heldout else ''}"
    axes.text(0 if whole else 6, top + ROW / 2, visible(label), va="center", fontsize=8.5, fontweight=weight)
    cells: list[tuple[str, float, str]] = [_shown(cell) for cell in (row.before, row.after)[: columns - (columns > 1)]]
    if columns > 1:
        change = row.change
        tone = {"better": "gain", "worse": "loss", "same": "card"}[change.tone] if change else "card"
        cells.append((change.words, change.heat, tone) if change else ("—", 0.0, "card"))
    for place, (words, heat, tone) in enumerate(cells):
        left = _left(place, columns)
        box = Rectangle((left + GAP, top + GAP / 2), CELL - GAP, ROW - GAP, facecolor=sheet.colour(tone),
                        alpha=heat / 100, linewidth=0)  # fmt: skip
        axes.add_patch(box)
        axes.text(left + CELL / 2, top + ROW / 2, words, ha="center", va="center", fontsize=8, fontweight=weight)


def _shown(cell: HeatCell | None) -> tuple[str, float, str]:
    return (cell.words, cell.heat, "harm") if cell else ("—", 0.0, "harm")


def _spoken(heat: HeatMap) -> str:
    """The first subjects of the figure, the worst of their domains; all would be hundreds of words."""
    rows = [row for domain in heat.domains for row in domain.rows]
    named = [
        f"{row.label} {row.before.words if row.before else 'not asked'}"
        f"{f', then {row.after.words}' if row.after else ''}"
        for row in rows[:MOST_SPOKEN]
    ]
    more = [f"and {len(rows) - MOST_SPOKEN:,} more"] if len(rows) > MOST_SPOKEN else []
    return "; ".join([*named, *more])
