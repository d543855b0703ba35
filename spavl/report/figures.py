"""Figures of what was measured, built and trained: on the page inline SVG, on paper files (see `sheet`)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from matplotlib.ticker import MaxNLocator, PercentFormatter

from spavl.report.data import Bar, Curve, MetricShown, ModelShown, ResponderShown
from spavl.report.numbers import percent, score
from spavl.report.scale_figure import scale_figure
from spavl.report.sheet import PAGE, Sheet, canvas
from spavl.report.summary_figures import axes_summary, frontier
from spavl.report.tones import colour_of
from spavl.statistics.intervals import Rate
from spavl.visible_text import visible

__all__ = ["axes_summary", "composition", "curve", "frontier", "rates", "responders", "scale_figure"]

ENDS: dict[str, Any] = {"solid_capstyle": "round", "clip_on": False, "zorder": 2}
"""Of a whisker: it may reach over the edge of the axes, where its rate is 0 or 1."""


def rates(metric: MetricShown, models: Sequence[ModelShown], sheet: Sheet = PAGE) -> str:
    """Figure of one metric: a dot with its interval for every model, on a scale from 0 to 100 %.

    Args:
        metric: the metric.
        models: all models; those that lack the metric are left out.
        sheet: what it is drawn on.
    """
    shown = [m for m in models if metric.name in m.rates]
    labels = [(m.label, m.rates[metric.name], colour_of(m, models), m.role == "control") for m in shown]
    described = "; ".join(f"{m.label} {_described(m.rates[metric.name], graded=metric.graded)}" for m in shown)
    said = score if metric.graded else percent
    return _dots(labels, sheet, alt=f"{metric.label}: {described}", name=metric.name, said=said)


def responders(rows: Sequence[ResponderShown], sheet: Sheet = PAGE) -> str:
    """Figure of the unsafe rate of every responder, the safest group first.

    Args:
        rows: the responders, in any order.
        sheet: what it is drawn on.
    """
    ordered = sorted(rows, key=lambda r: (r.group, r.unsafe.value or 0.0))
    labels = [(f"{r.name}  ·  group {r.group + 1}", r.unsafe, "harm", False) for r in ordered]
    described = "; ".join(f"{r.name}, group {r.group + 1}, {_described(r.unsafe)}" for r in ordered)
    return _dots(labels, sheet, alt=f"Unsafe rate of the responders: {described}", name="responders")


def _described(value: Rate, *, graded: bool = False) -> str:
    if graded:
        between = f"{score(value.low)} to {score(value.high)}"
        return between if value.value is None else f"mean score {score(value.value)}, {between}"
    between = f"{percent(value.low)} to {percent(value.high)}"
    return between if value.value is None else f"{percent(value.value)}, {between}"


def _dots(
    rows: Sequence[tuple[str, Rate, str, bool]], sheet: Sheet, *, alt: str, name: str,
    said: Callable[[float], str] = percent,
) -> str:  # fmt: skip
    """Dots with whiskers, the label above each line, the value at its right."""
    with sheet.drawing(name):
        figure, axes = canvas(height=34 * len(rows) + 28, left=8, right=56)
        for place, (label, value, tone, hollow) in enumerate(rows):
            y, colour = -place, sheet.colour(tone)
            axes.plot([0, 1], [y, y], color=sheet.colour("line"), linewidth=1, zorder=1)
            axes.plot([value.low, value.high], [y, y], color=colour, linewidth=5, alpha=0.35, **ENDS)
            if value.value is not None:
                face = sheet.colour("card") if hollow else colour
                axes.plot(value.value, y, "o", markersize=9, color=face, mec=colour, mew=2, clip_on=False, zorder=3)
            axes.annotate(
                visible(label), (0, y), (0, 9), textcoords="offset points", color=sheet.colour("muted"), fontsize=10
            )
            text = "unread" if value.value is None else said(value.value)
            axes.annotate(text, (1, y), (10, -4), textcoords="offset points", fontweight="bold")
        axes.set_ylim(-len(rows) + 0.4, 0.75)
        axes.set_xlim(0, 1)
        axes.set_xticks([0, 0.25, 0.5, 0.75, 1])
        axes.xaxis.set_major_formatter(PercentFormatter(1, symbol=""))
        axes.set_yticks([])
        return sheet.finish(figure, alt)


def composition(rows: Sequence[Bar], of: str, by: str, sheet: Sheet = PAGE) -> str:
    """Figure of the composition of a dataset: stacked bars of harmful and benign records by domain.

    Args:
        rows: the domains.
        of: what is counted, such as `pictures`.
        by: what the rows are, such as `domain`.
        sheet: what it is drawn on.
    """
    described = "; ".join(f"{r.label}: {r.harmful} harmful, {r.benign} benign" for r in rows)
    with sheet.drawing("composition"):
        figure, axes = canvas(height=34 * len(rows) + 30, left=8, right=44)
        for place, row in enumerate(rows):
            axes.barh(-place, row.harmful, height=0.32, color=sheet.colour("harm"))
            axes.barh(-place, row.benign, left=row.harmful, height=0.32, color=sheet.colour("benign"))
            axes.annotate(
                visible(row.label),
                (0, -place),
                (0, 8),
                textcoords="offset points",
                color=sheet.colour("muted"),
                fontsize=10,
            )
            total = row.harmful + row.benign
            axes.annotate(f"{total:,}", (total, -place), (6, -4), textcoords="offset points", fontweight="bold")
        axes.set_ylim(-len(rows) + 0.5, 0.7)
        axes.set_yticks([])
        axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
        return sheet.finish(figure, f"{of.capitalize()} by {by}: {described}")


def curve(shown: Curve, sheet: Sheet = PAGE) -> str:
    """Figure of a training curve: lines over steps.

    Args:
        shown: the curve.
        sheet: what it is drawn on.
    """
    tones = ("aligned-1", "harm", *(f"aligned-{n}" for n in range(2, 6)))
    colours = [sheet.colour(tone) for tone in tones]
    with sheet.drawing(shown.title, axes_grid_axis="y"):
        figure, axes = canvas(height=190, left=42, right=12, bottom=30)
        ends = []
        for (label, points), colour in zip(shown.series.items(), colours * len(shown.series), strict=False):
            steps, values = [p[0] for p in points], [p[1] for p in points]
            mark = "o" if len(points) <= 12 else None
            axes.plot(steps, values, color=colour, linewidth=1.8, marker=mark, markersize=4)
            if band := shown.bands.get(label):
                at, low, high = ([point[place] for point in band] for place in range(3))
                axes.fill_between(at, low, high, color=colour, alpha=0.16, linewidth=0)
            ends.append(f"{label} from {values[0]:.3g} to {values[-1]:.3g}" if values else f"{label}: no points")
        if shown.percent:
            axes.set_ylim(0, 1)
            axes.yaxis.set_major_formatter(PercentFormatter(1, symbol=""))
        if len(shown.series) > 1:
            lines = axes.get_lines()  # named, for the legend leaves out what begins with an underscore
            axes.legend(lines, [visible(label) for label in shown.series], loc="best")
        axes.set_xlabel("step")
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        axes.yaxis.set_major_locator(MaxNLocator(5))
        return sheet.finish(figure, f"{shown.title}: {'; '.join(ends)}")
