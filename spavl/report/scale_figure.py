"""The scale curve: a metric over the number of pairs, with its fit, its band and the knee."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, NullFormatter, PercentFormatter

from spavl.report.numbers import percent
from spavl.report.sheet import PAGE, Sheet, canvas


@dataclass(frozen=True, slots=True)
class ScalePoint:
    """A place on a scale curve."""

    at: float
    """How many pairs."""
    value: float
    """The rate there, as a share."""
    low: float
    """Lower bound."""
    high: float
    """Upper bound."""


def scale_figure(
    points: Sequence[ScalePoint], band: Sequence[ScalePoint] = (), knee: tuple[float, float, float] | None = None, *,
    name: str, across: str = "pairs", tone: str = "aligned-1", sheet: Sheet = PAGE,
) -> str:  # fmt: skip
    """Figure of a rate over the number of pairs: dots with whiskers, the fit with its band, the knee with its interval.

    Args:
        points: what was measured, pooled over seeds; several may stand at one place.
        band: the fit with its interval, at as many places as make it smooth; empty: nothing could be fitted.
        knee: the number of pairs from which more are worth little, its lower and its upper bound; None: not known.
        name: what the rate is of, such as "Unsafe answers".
        across: what is counted along the axis.
        tone: name of the colour.
        sheet: what it is drawn on.
    """
    colour, muted = sheet.colour(tone), sheet.colour("muted")
    with sheet.drawing(f"scale {name}", axes_grid_axis="y"):
        figure, axes = canvas(height=220, left=42, right=14, bottom=36, top=16 if knee else 8)
        axes.set_xscale("symlog", linthresh=_threshold(points), linscale=0.4)
        if band:
            at = [one.at for one in band]
            axes.fill_between(at, [b.low for b in band], [b.high for b in band], color=colour, alpha=0.16, linewidth=0)
            axes.plot(at, [one.value for one in band], color=colour, linewidth=1.8)
        for one in points:
            axes.plot([one.at, one.at], [one.low, one.high], color=colour, linewidth=2.2, alpha=0.5, zorder=2)
            axes.plot(one.at, one.value, "o", color=colour, mec=sheet.colour("card"), mew=1, markersize=7, zorder=3,
                      clip_on=False)  # fmt: skip
        if knee:
            axes.axvspan(knee[1], knee[2], color=muted, alpha=0.12, linewidth=0, zorder=0)
            axes.axvline(knee[0], color=muted, linewidth=1.2, linestyle=(0, (3, 3)), zorder=1)
            axes.annotate(f"knee, {_plain(knee[0])}", (knee[0], 1), (0, 4), xycoords=("data", "axes fraction"),
                          textcoords="offset points", ha="center", fontsize=10, color=muted)  # fmt: skip
        _label(axes, points, across)
        return sheet.finish(figure, _described(points, band, knee, name, across))


def _threshold(points: Sequence[ScalePoint]) -> float:
    """Where the scale begins to be logarithmic: at the smallest number that is not zero."""
    return min((one.at for one in points if one.at > 0), default=1.0)


def _label(axes: Axes, points: Sequence[ScalePoint], across: str) -> None:
    places = sorted({one.at for one in points})
    shown = [at for n, at in enumerate(places) if n == 0 or at >= 1.6 * max(places[n - 1], 1e-9) or len(places) <= 6]
    axes.set_xticks(shown)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda at, _: _plain(at)))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.minorticks_off()
    axes.set_xlabel(across)
    high = max((one.high for one in points), default=1.0)
    axes.set_ylim(0, min(1.0, 1.15 * high) or 1.0)
    axes.yaxis.set_major_formatter(PercentFormatter(1, symbol=""))


def _described(
    points: Sequence[ScalePoint], band: Sequence[ScalePoint], knee: tuple[float, float, float] | None, name: str,
    across: str,
) -> str:  # fmt: skip
    places = "; ".join(
        f"{_plain(p.at)} {across} {percent(p.value)} ({percent(p.low)} to {percent(p.high)})" for p in points
    )
    fit = "with a fitted curve" if band else "without a fit"
    end = f"; knee at {_plain(knee[0])} ({_plain(knee[1])} to {_plain(knee[2])})" if knee else ""
    return f"{name} over {across}, {fit}: {places}{end}"


def _plain(at: float) -> str:
    """A number of pairs, such as 300 or 30k."""
    if at >= 1000:
        return f"{at / 1000:.3g}k"
    return f"{at:.3g}"
