"""Figures of a study: a measure over its arms, with what seeds and items leave open."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator, PercentFormatter

from spavl.report.figures import ENDS
from spavl.report.numbers import percent, score
from spavl.report.scale_figure import ScalePoint, scale_figure
from spavl.report.sheet import PAGE, Sheet, canvas
from spavl.report.study_data import ArmShown, MeasureShown
from spavl.visible_text import visible

ROW = 34
"""Height of an arm."""
LONGEST = 58
"""Letters of an arm's name that fit; the table has the rest."""


def of_measure(measure: MeasureShown, across: str, sheet: Sheet = PAGE) -> str:
    """Figure of one measure: a curve where its arms have places and a law was fitted, else a row for every arm.

    Args:
        measure: the measure.
        across: what the places of arms are.
        sheet: what it is drawn on.
    """
    if measure.law is None:
        return arms(measure, sheet)
    placed = [arm for arm in measure.arms if (arm.value is not None or arm.is_base) and arm.rate.value is not None]
    points = [ScalePoint(arm.value or 0.0, arm.rate.value or 0.0, arm.rate.low, arm.rate.high) for arm in placed]
    band = [ScalePoint(*one) for one in measure.law.curve]
    return scale_figure(points, band, measure.law.knee, name=measure.label, across=across, sheet=sheet)


def arms(measure: MeasureShown, sheet: Sheet = PAGE) -> str:
    """Figure of one measure: for every arm a dot with its interval, a ring for each seed, and a line for the base.

    Args:
        measure: the measure.
        sheet: what it is drawn on.
    """
    trained = [arm for arm in measure.arms if not arm.is_base]
    bases = [arm for arm in measure.arms if arm.is_base]
    said = score if measure.graded else percent
    with sheet.drawing(f"{measure.label} {measure.subset}"):
        figure, axes = canvas(height=ROW * len(trained) + 34, left=8, right=62)
        low, high = _range(measure.arms)
        if len(bases) == 1:
            _base_line(axes, bases[0], sheet)
        for place, arm in enumerate(trained):
            axes.plot([low, high], [-place, -place], color=sheet.colour("line"), linewidth=1, zorder=1)
            _arm(axes, arm, -place, sheet)
            _label(axes, arm.label, (low, -place), sheet)
            text = "unread" if arm.rate.value is None else said(arm.rate.value)
            axes.annotate(text, (high, -place), (10, -4), textcoords="offset points", fontweight="bold")
        axes.set_ylim(-len(trained) + 0.4, 0.75)
        axes.set_xlim(low, high)
        axes.xaxis.set_major_locator(MaxNLocator(4))
        axes.xaxis.set_major_formatter(PercentFormatter(1, symbol=""))
        axes.set_yticks([])
        return sheet.finish(figure, _alt(measure))


def _arm(axes: Axes, arm: ArmShown, y: float, sheet: Sheet) -> None:
    tone, card = sheet.colour("aligned-1"), sheet.colour("card")
    axes.plot([arm.rate.low, arm.rate.high], [y, y], color=tone, linewidth=5, alpha=0.35, **ENDS)
    seeds = [seed for seed in arm.seeds if seed is not None]
    if len(seeds) > 1:
        axes.plot(seeds, [y] * len(seeds), "o", markersize=4, mfc=card, mec=tone, mew=1, clip_on=False, zorder=3)
    if arm.rate.value is not None:
        axes.plot(arm.rate.value, y, "o", markersize=9, color=tone, alpha=0.9, clip_on=False, zorder=2.5)


def _label(axes: Axes, text: str, at: tuple[float, float], sheet: Sheet) -> None:
    """The name of an arm above its line; what is behind it shines through a little."""
    behind = {"facecolor": sheet.colour("card"), "edgecolor": "none", "alpha": 0.75, "pad": 0.6}
    shown = visible(text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…")
    axes.annotate(shown, at, (0, 9), textcoords="offset points", color=sheet.colour("muted"), fontsize=10, bbox=behind)


def _base_line(axes: Axes, base: ArmShown, sheet: Sheet) -> None:
    """The model before training: a line through all rows, and its interval behind it."""
    axes.axvspan(base.rate.low, base.rate.high, color=sheet.colour("base"), alpha=0.12, linewidth=0, zorder=0)
    if base.rate.value is not None:
        axes.axvline(base.rate.value, color=sheet.colour("base"), linewidth=1.4, linestyle=(0, (4, 3)), zorder=1)


def _range(shown: Sequence[ArmShown]) -> tuple[float, float]:
    """Ends of the axis: all intervals and seeds are inside, within 0 and 1."""
    low = min([arm.rate.low for arm in shown] + [s for arm in shown for s in arm.seeds if s is not None])
    high = max([arm.rate.high for arm in shown] + [s for arm in shown for s in arm.seeds if s is not None])
    room = max(0.02, 0.06 * (high - low))
    return max(0.0, low - room), min(1.0, high + room)


def _alt(measure: MeasureShown) -> str:
    said = score if measure.graded else percent
    parts = [
        f"{arm.label} " + ("unread" if arm.rate.value is None else said(arm.rate.value))
        + f", {said(arm.rate.low)} to {said(arm.rate.high)}"
        for arm in measure.arms
    ]  # fmt: skip
    return f"{measure.label}: {'; '.join(parts)}"
