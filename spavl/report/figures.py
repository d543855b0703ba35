"""Figures as inline SVG that take their colours and fonts from the page.

Matplotlib draws in placeholder colours, each replaced by a CSS variable, so one figure serves light, dark and print.
All are 340 units wide, the width of a card, so that their letters have the size of the text around them.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Sequence
from html import escape
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from spavl.report.data import Bar, Curve, MetricShown, ModelShown, ResponderShown
from spavl.report.numbers import percent, score
from spavl.statistics.intervals import Rate
from spavl.visible_text import visible

WIDTH = 340
"""Width of every figure, in units of its viewBox."""
INK, MUTED, GRID, BASE, CONTROL, HARM, BENIGN, PAPER = (f"#00000{n}" for n in range(1, 9))
ALIGNED = tuple(f"#0000{n}0" for n in range(1, 6))
VARIABLES = {
    INK: "ink",
    MUTED: "muted",
    GRID: "line",
    BASE: "base",
    CONTROL: "control",
    HARM: "harm",
    BENIGN: "benign",
    PAPER: "card",
    **{colour: f"aligned-{n}" for n, colour in enumerate(ALIGNED, start=1)},
}
ENDS: dict[str, Any] = {"solid_capstyle": "round", "clip_on": False, "zorder": 2}
"""Of a whisker: it may reach over the edge of the axes, where its rate is 0 or 1."""
STYLE = {
    "svg.fonttype": "none",
    "text.parse_math": False,
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 11,
    "text.color": INK,
    "axes.edgecolor": GRID,
    "axes.labelcolor": MUTED,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "axes.grid": True,
    "axes.grid.axis": "x",
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "legend.frameon": False,
    "legend.fontsize": 10,
}


def colour_of(model: ModelShown, models: Sequence[ModelShown]) -> str:
    """The placeholder colour of a model: that of its role, of which aligned models have one each.

    Args:
        model: the model that is drawn.
        models: all models of the page.
    """
    if model.role == "base":
        return BASE
    if model.role == "control":
        return CONTROL
    index = [m.name for m in models if m.role == "aligned"].index(model.name)
    return ALIGNED[index % len(ALIGNED)]


def rates(metric: MetricShown, models: Sequence[ModelShown]) -> str:
    """Figure of one metric: a dot with its interval for every model, on a scale from 0 to 100 %.

    Args:
        metric: the metric.
        models: all models; those that lack the metric are left out.
    """
    shown = [m for m in models if metric.name in m.rates]
    labels = [(m.label, m.rates[metric.name], colour_of(m, models), m.role == "control") for m in shown]
    described = "; ".join(f"{m.label} {_described(m.rates[metric.name], graded=metric.graded)}" for m in shown)
    return _dots(labels, alt=f"{metric.label}: {described}", name=metric.name, said=score if metric.graded else percent)


def responders(rows: Sequence[ResponderShown]) -> str:
    """Figure of the unsafe rate of every responder, the safest group first.

    Args:
        rows: the responders, in any order.
    """
    ordered = sorted(rows, key=lambda r: (r.group, r.unsafe.value or 0.0))
    labels = [(f"{r.name}  ·  group {r.group + 1}", r.unsafe, HARM, False) for r in ordered]
    described = "; ".join(f"{r.name}, group {r.group + 1}, {_described(r.unsafe)}" for r in ordered)
    return _dots(labels, alt=f"Unsafe rate of the responders: {described}", name="responders")


def _described(value: Rate, *, graded: bool = False) -> str:
    if graded:
        between = f"{score(value.low)} to {score(value.high)}"
        return between if value.value is None else f"mean score {score(value.value)}, {between}"
    between = f"{percent(value.low)} to {percent(value.high)}"
    return between if value.value is None else f"{percent(value.value)}, {between}"


def _dots(
    rows: Sequence[tuple[str, Rate, str, bool]], *, alt: str, name: str, said: Callable[[float], str] = percent
) -> str:
    """Dots with whiskers, the label above each line, the value at its right."""
    with matplotlib.rc_context({**STYLE, "svg.hashsalt": name}):
        figure, axes = canvas(height=34 * len(rows) + 28, left=8, right=56)
        for place, (label, value, colour, hollow) in enumerate(rows):
            y = -place
            axes.plot([0, 1], [y, y], color=GRID, linewidth=1, zorder=1)
            axes.plot([value.low, value.high], [y, y], color=colour, linewidth=5, alpha=0.35, **ENDS)
            if value.value is not None:
                face = PAPER if hollow else colour
                axes.plot(value.value, y, "o", markersize=9, color=face, mec=colour, mew=2, clip_on=False, zorder=3)
            axes.annotate(visible(label), (0, y), (0, 9), textcoords="offset points", color=MUTED, fontsize=10)
            text = "unread" if value.value is None else said(value.value)
            axes.annotate(text, (1, y), (10, -4), textcoords="offset points", fontweight="bold")
        axes.set_ylim(-len(rows) + 0.4, 0.75)
        axes.set_xlim(0, 1)
        axes.set_xticks([0, 0.25, 0.5, 0.75, 1])
        axes.xaxis.set_major_formatter(PercentFormatter(1, symbol=""))
        axes.set_yticks([])
        return svg(figure, alt)


def composition(rows: Sequence[Bar], of: str, by: str) -> str:
    """Figure of the composition of a dataset: stacked bars of harmful and benign records by domain.

    Args:
        rows: the domains.
        of: what is counted, such as `pictures`.
        by: what the rows are, such as `domain`.
    """
    described = "; ".join(f"{r.label}: {r.harmful} harmful, {r.benign} benign" for r in rows)
    with matplotlib.rc_context({**STYLE, "svg.hashsalt": "composition"}):
        figure, axes = canvas(height=34 * len(rows) + 30, left=8, right=44)
        for place, row in enumerate(rows):
            axes.barh(-place, row.harmful, height=0.32, color=HARM)
            axes.barh(-place, row.benign, left=row.harmful, height=0.32, color=BENIGN)
            axes.annotate(visible(row.label), (0, -place), (0, 8), textcoords="offset points", color=MUTED, fontsize=10)
            total = row.harmful + row.benign
            axes.annotate(f"{total:,}", (total, -place), (6, -4), textcoords="offset points", fontweight="bold")
        axes.set_ylim(-len(rows) + 0.5, 0.7)
        axes.set_yticks([])
        axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
        return svg(figure, f"{of.capitalize()} by {by}: {described}")


def curve(shown: Curve) -> str:
    """Figure of a training curve: lines over steps.

    Args:
        shown: the curve.
    """
    colours = (ALIGNED[0], HARM, *ALIGNED[1:])
    with matplotlib.rc_context({**STYLE, "axes.grid.axis": "y", "svg.hashsalt": shown.title}):
        figure, axes = canvas(height=190, left=42, right=12, bottom=30)
        ends = []
        for (label, points), colour in zip(shown.series.items(), colours * len(shown.series), strict=False):
            steps, values = [p[0] for p in points], [p[1] for p in points]
            mark = "o" if len(points) <= 12 else None
            axes.plot(steps, values, color=colour, linewidth=1.8, label=label, marker=mark, markersize=4)
            if band := shown.bands.get(label):
                at, low, high = ([point[place] for point in band] for place in range(3))
                axes.fill_between(at, low, high, color=colour, alpha=0.16, linewidth=0)
            ends.append(f"{label} from {values[0]:.3g} to {values[-1]:.3g}" if values else f"{label}: no points")
        if shown.percent:
            axes.set_ylim(0, 1)
            axes.yaxis.set_major_formatter(PercentFormatter(1, symbol=""))
        if len(shown.series) > 1:
            axes.legend(loc="best")
        axes.set_xlabel("step")
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        axes.yaxis.set_major_locator(MaxNLocator(5))
        return svg(figure, f"{shown.title}: {'; '.join(ends)}")


def canvas(*, height: float, left: float, right: float, bottom: float = 24) -> tuple[Figure, Axes]:
    """A figure of the page's width with its axes.

    Args:
        height: of the figure, in units of its viewBox, as are the margins.
        left: margin.
        right: margin.
        bottom: margin.
    """
    figure = Figure(figsize=(WIDTH / 72, height / 72), dpi=72)
    figure.patch.set_alpha(0)
    FigureCanvasSVG(figure)
    box = (left / WIDTH, bottom / height, 1 - (left + right) / WIDTH, 1 - (bottom + 4) / height)
    axes = figure.add_axes(box)
    axes.patch.set_alpha(0)
    return figure, axes


def svg(figure: Figure, alt: str) -> str:
    """The SVG element of a figure, in the colours and fonts of the page.

    Args:
        figure: the figure.
        alt: what it shows, for screen readers.
    """
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r"<style[^>]*>.*?</style>", "", text, flags=re.DOTALL)
    view = re.search(r'viewBox="([^"]*)"', text)
    opening = f'<svg viewBox="{view[1] if view else ""}" role="img" aria-label="{escape(visible(alt))}">'
    text = opening + text[text.index(">") + 1 :]
    text = re.sub(r"font-family: [^;\"]*;? ?", "", text)
    text = re.sub(r"(font:[^;\"]*?[\d.]+px) [^;\"]*", r"\1 var(--sans)", text)  # as Matplotlib before 3.10 wrote it
    text = re.sub(r'<g id="[^"]*"', "<g", text)
    for colour, name in VARIABLES.items():
        text = text.replace(colour, f"var(--{name})")
    return re.sub(r"\s*\n\s*", "\n", text).strip()
