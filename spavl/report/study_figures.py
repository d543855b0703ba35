"""Figures of a study: a measure over its arms, with what seeds and items leave open."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator, PercentFormatter

from spavl.report.figures import ALIGNED, BASE, ENDS, GRID, MUTED, PAPER, STYLE, canvas, svg
from spavl.report.numbers import percent, score
from spavl.report.study_data import ArmShown, MeasureShown
from spavl.visible_text import visible

ROW = 34
"""Height of an arm."""


def arms(measure: MeasureShown) -> str:
    """Figure of one measure: for every arm a dot with its interval, a ring for each seed, and a line for the base.

    Args:
        measure: the measure.
    """
    trained = [arm for arm in measure.arms if not arm.is_base]
    bases = [arm for arm in measure.arms if arm.is_base]
    said = score if measure.graded else percent
    with matplotlib.rc_context({**STYLE, "svg.hashsalt": f"{measure.label} {measure.subset}"}):
        figure, axes = canvas(height=ROW * len(trained) + 34, left=8, right=62)
        low, high = _range(measure.arms)
        if len(bases) == 1:
            _base_line(axes, bases[0], len(trained))
        for place, arm in enumerate(trained):
            axes.plot([low, high], [-place, -place], color=GRID, linewidth=1, zorder=1)
            _arm(axes, arm, -place)
            _label(axes, arm.label, (low, -place))
            text = "unread" if arm.rate.value is None else said(arm.rate.value)
            axes.annotate(text, (high, -place), (10, -4), textcoords="offset points", fontweight="bold")
        axes.set_ylim(-len(trained) + 0.4, 0.75)
        axes.set_xlim(low, high)
        axes.xaxis.set_major_locator(MaxNLocator(4))
        axes.xaxis.set_major_formatter(PercentFormatter(1, symbol=""))
        axes.set_yticks([])
        return svg(figure, _alt(measure))


def _arm(axes: Axes, arm: ArmShown, y: float) -> None:
    axes.plot([arm.rate.low, arm.rate.high], [y, y], color=ALIGNED[0], linewidth=5, alpha=0.35, **ENDS)
    seeds = [seed for seed in arm.seeds if seed is not None]
    if len(seeds) > 1:
        axes.plot(seeds, [y] * len(seeds), "o", markersize=4, mfc=PAPER, mec=ALIGNED[0], mew=1, clip_on=False, zorder=3)
    if arm.rate.value is not None:
        axes.plot(arm.rate.value, y, "o", markersize=9, color=ALIGNED[0], alpha=0.9, clip_on=False, zorder=2.5)


def _label(axes: Axes, text: str, at: tuple[float, float]) -> None:
    """The name of an arm above its line; what is behind it shines through a little."""
    behind = {"facecolor": PAPER, "edgecolor": "none", "alpha": 0.75, "pad": 0.6}
    axes.annotate(visible(text), at, (0, 9), textcoords="offset points", color=MUTED, fontsize=10, bbox=behind)


def _base_line(axes: Axes, base: ArmShown, rows: int) -> None:
    """The model before training: a line through all rows, and its interval behind it."""
    axes.axvspan(base.rate.low, base.rate.high, color=BASE, alpha=0.12, linewidth=0, zorder=0)
    if base.rate.value is not None:
        axes.axvline(base.rate.value, color=BASE, linewidth=1.4, linestyle=(0, (4, 3)), zorder=1)


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
