"""Figures of a run as a whole: the change on four axes, and safety against what it may cost."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from spavl.report.data import ModelShown
from spavl.report.frontier import Frontier, FrontierPoint, pareto
from spavl.report.numbers import percent, points
from spavl.report.sheet import PAGE, Sheet, canvas
from spavl.report.tones import colour_of
from spavl.report.verdict import AxisChange
from spavl.visible_text import visible

LEAST_SPAN = 0.05
"""Least half width of the scale of changes, as a share; smaller changes are not blown up."""


def axes_summary(changes: Sequence[AxisChange], models: Sequence[ModelShown], sheet: Sheet = PAGE) -> str:
    """Figure of the change on every axis, better to the right: a dot with its interval, hollow where nothing is shown.

    Args:
        changes: of all axes and models.
        models: all models of the page, which decide the colours.
        sheet: what it is drawn on.
    """
    compared = len({c.model.name for c in changes})
    axes_there = list(dict.fromkeys(c.metric.axis for c in changes))
    reach = max(LEAST_SPAN, *(max(abs(c.low), abs(c.high)) for c in changes)) * 1.04
    step = 22 * compared + 26
    with sheet.drawing("axes"):
        figure, axes = canvas(height=step * len(axes_there) + 48, left=10, right=58, bottom=26, top=22)
        axes.axvline(0, color=sheet.colour("ink"), linewidth=1, zorder=1)
        y = 0.0
        for axis in axes_there:
            own = [c for c in changes if c.metric.axis == axis]
            _name_axis(axes, own, y, sheet)
            for change in own:
                y -= 22
                _draw_change(axes, change, y, sheet, colour_of(change.model, models), named=compared > 1)
            y -= 26
        axes.set_ylim(y + 8, 12)
        axes.set_xlim(-reach, reach)
        for where, text, side in ((0, "← worse", "left"), (1, "better →", "right")):
            axes.annotate(text, (where, 1), (0, 6), xycoords="axes fraction", textcoords="offset points", ha=side,
                          color=sheet.colour("muted"), fontsize=10)  # fmt: skip
        axes.set_yticks([])
        axes.xaxis.set_major_locator(MaxNLocator(5, symmetric=True))
        axes.xaxis.set_major_formatter(lambda at, _: points(at).removesuffix(".0"))
        return sheet.finish(figure, f"Change on every axis, in points, better to the right: {_said(changes)}")


def _name_axis(axes: Axes, changes: Sequence[AxisChange], y: float, sheet: Sheet) -> None:
    """The name of an axis above its rows, and what is counted, of one model or another."""
    counted = " or ".join(dict.fromkeys(change.metric.label.lower() for change in changes))
    axes.annotate(changes[0].metric.axis.capitalize(), (0, y), (0, -4), xycoords=("axes fraction", "data"),
                  textcoords="offset points", fontweight="bold", fontsize=10.5)  # fmt: skip
    axes.annotate(visible(counted), (1, y), (0, -4), xycoords=("axes fraction", "data"), ha="right",
                  textcoords="offset points", color=sheet.colour("muted"), fontsize=9.5)  # fmt: skip


def _draw_change(axes: Axes, change: AxisChange, y: float, sheet: Sheet, tone: str, *, named: bool) -> None:
    colour = sheet.colour(tone)
    axes.plot([change.low, change.high], [y, y], color=colour, linewidth=5, alpha=0.35, solid_capstyle="round",
              clip_on=False)  # fmt: skip
    if change.gain is not None:
        face = colour if change.shown else sheet.colour("card")
        axes.plot(change.gain, y, "o", markersize=8.5, color=face, mec=colour, mew=2, clip_on=False, zorder=3)
    moved = "unread" if change.gain is None else points(change.paired.difference or 0.0)
    axes.annotate(moved, (1, y), (8, -4), xycoords=("axes fraction", "data"), textcoords="offset points",
                  fontweight="bold" if change.shown else "normal", fontsize=10.5)  # fmt: skip
    if named:
        axes.annotate(visible(change.model.label), (0, y), (0, -3.5), xycoords=("axes fraction", "data"),
                      textcoords="offset points", color=colour, fontsize=9)  # fmt: skip


def _said(changes: Sequence[AxisChange]) -> str:
    return "; ".join(
        f"{c.model.label}, {c.metric.axis}, {c.metric.label.lower()}: "
        f"{'unread' if c.paired.difference is None else points(c.paired.difference)}, {points(c.paired.low)} to "
        f"{points(c.paired.high)}, {'shown' if c.shown else 'not shown'}"
        for c in changes
    )


def frontier(shown: Frontier, sheet: Sheet = PAGE) -> str:
    """Figure of two rates of which more is better: models with intervals, trainings as trails, and the Pareto front.

    Args:
        shown: safety against another axis.
        sheet: what it is drawn on.
    """
    found = shown.points
    models, muted = [p for p in found if not p.trail], sheet.colour("muted")
    with sheet.drawing(f"frontier {shown.axis}", axes_grid_axis="both", axes_spines_left=True):
        figure, axes = canvas(height=270, left=44, right=16, bottom=38, top=12)
        _frame(axes, found, shown.across, shown.upwards)
        _draw_trails(axes, found, sheet)
        front = pareto(models)
        if len(front) > 1:
            axes.step([p.x[0] for p in front], [p.y[0] for p in front], where="pre", color=muted, linewidth=1.2,
                      linestyle=(0, (4, 3)), zorder=2)  # fmt: skip
        for point in models:
            _draw_model(axes, point, models, sheet)
        return sheet.finish(
            figure, f"{shown.upwards} against {shown.across}, both better upwards and to the right: {_spoken(found)}"
        )


def _draw_trails(axes: Axes, found: Sequence[FrontierPoint], sheet: Sheet) -> None:
    """The steps of every training as a thin line with small dots."""
    for trail in dict.fromkeys(p.trail for p in found if p.trail):
        own = [p for p in found if p.trail == trail]
        colour = sheet.colour(own[0].tone)
        axes.plot([p.x[0] for p in own], [p.y[0] for p in own], "-o", color=colour, linewidth=1, markersize=3,
                  alpha=0.7, zorder=2)  # fmt: skip


def _draw_model(axes: Axes, point: FrontierPoint, models: Sequence[FrontierPoint], sheet: Sheet) -> None:
    """A dot with its intervals; its name towards the middle, and below it where another dot is close above."""
    (x, *across), (y, *upwards), colour = point.x, point.y, sheet.colour(point.tone)
    axes.plot(across, [y, y], color=colour, linewidth=4, alpha=0.3, solid_capstyle="round")
    axes.plot([x, x], upwards, color=colour, linewidth=4, alpha=0.3, solid_capstyle="round")
    axes.plot(x, y, "o", markersize=9, color=colour, mec=sheet.colour("card"), mew=1, zorder=4)
    above = any(p is not point and 0 <= p.y[0] - y < 0.12 and abs(p.x[0] - x) < 0.08 for p in models)
    side, away = ("left", 10) if x < sum(axes.get_xlim()) / 2 else ("right", -10)
    axes.annotate(visible(point.label), (x, y), (away, -16 if above else 9), textcoords="offset points", ha=side,
                  color=colour, fontsize=10, fontweight="bold")  # fmt: skip


def _frame(axes: Axes, found: Sequence[FrontierPoint], across: str, upwards: str) -> None:
    """Both scales, over what the dots and intervals of the models reach."""
    across_all = [p.x[:1] if p.trail else p.x for p in found]
    upwards_all = [p.y[:1] if p.trail else p.y for p in found]
    for set_limits, places in ((axes.set_xlim, across_all), (axes.set_ylim, upwards_all)):
        low, high = min(map(min, places)), max(map(max, places))
        room = max(0.01, 0.12 * (high - low))
        set_limits(max(-0.02, low - room), min(high + room, 1 + 0.04 * (high - low + room)))
    axes.set_xlabel(visible(across))
    axes.set_ylabel(visible(upwards))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(5))
        axis.set_major_formatter(lambda at, _: f"{100 * at:.3g}" if -0.001 < at < 1.001 else "")


def _spoken(found: Sequence[FrontierPoint]) -> str:
    """The models, and of each training where it ended: all its steps would be hundreds of words."""
    ends = {point.trail: point for point in found if point.trail}
    named = [*(p for p in found if not p.trail), *ends.values()]
    return "; ".join(f"{p.label} {percent(p.x[0])} and {percent(p.y[0])}" for p in named)
