"""The verdict in one sentence: only what a test and an interval both bear out, so that few items can show nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from spavl.report.data import MetricShown, ModelShown, ReportData
from spavl.report.numbers import count, mean_score, points, rate
from spavl.statistics.multiple import holm
from spavl.statistics.paired import PairedComparison

AXIS_WORDS: Mapping[str, tuple[str, str]] = {
    "safety": ("is safer", "is less safe"),
    "over-refusal": ("over-refuses less", "over-refuses more"),
    "helpfulness": ("is more helpful", "is less helpful"),
    "skill": ("has better skills", "has worse skills"),
}
"""What an improvement on an axis is called, and the opposite."""
HANDLED = ("handles requests better", "handles requests worse")
"""The same of over-refusal where more is better, as of pairs handled rightly: unsafe answers are in it too."""
SKILLS = ("helpfulness", "skill")
"""Axes on which a loss by the margin is to be ruled out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AxisChange:
    """How a model differs from the base on one axis, by the first metric of the axis, on the same items."""

    metric: MetricShown
    """The metric."""
    model: ModelShown
    """The model that is compared with the base."""
    paired: PairedComparison
    """Its comparison with the base."""
    gain: float | None
    """Change in the direction that is better; None where nothing was read."""
    low: float
    """Lower bound of the gain."""
    high: float
    """Upper bound of the gain."""
    shown: bool
    """Whether a change is shown: by the test, corrected for all tests of the page, and by an interval without zero."""
    kept: bool
    """Whether a loss by the margin is ruled out."""

    @property
    def word(self) -> str:
        """What is shown: better, worse, kept or open."""
        if self.shown:
            return "better" if self.low > 0 else "worse"
        return "kept" if self.kept and self.metric.axis in SKILLS else "open"


def axis_changes(data: ReportData) -> list[AxisChange]:
    """The change of every aligned model on every axis, axis by axis.

    Args:
        data: the page.
    """
    aligned = [m for m in data.models if m.role == "aligned"]
    own = {model.name: changes_of(model, data) for model in aligned}
    return [own[model.name][axis][0] for axis in AXIS_WORDS for model in aligned if axis in own[model.name]]


def changes_of(model: ModelShown, data: ReportData) -> dict[str, list[AxisChange]]:
    """The changes of a model by axis, of which the first metric leads; what has no better direction says nothing.

    Args:
        model: compared with the base.
        data: the page.
    """
    corrected = corrected_p(data)
    found: dict[str, list[AxisChange]] = {}
    for axis in AXIS_WORDS:
        for metric in data.metrics:
            if metric.axis == axis and metric.better != "neither" and metric.name in model.paired:
                p = corrected.get((model.name, metric.name), 1.0)
                change = _axis_change(metric, model, p, data)
                found.setdefault(axis, []).append(change)
    return found


def _axis_change(metric: MetricShown, model: ModelShown, p: float, data: ReportData) -> AxisChange:
    paired = model.paired[metric.name]
    sign = 1 if metric.better == "higher" else -1
    low, high = sorted((sign * paired.low, sign * paired.high))
    return AxisChange(
        metric=metric, model=model, paired=paired, gain=None if paired.difference is None else sign * paired.difference,
        low=low, high=high, shown=p < 1 - data.level and (paired.low > 0 or paired.high < 0),
        kept=low > -data.margin if model.kept is None else metric.name in model.kept,
    )  # fmt: skip


def corrected_p(data: ReportData) -> dict[tuple[str, str], float]:
    """The p of every comparison by model and metric: as corrected by who compared them, else by Holm over the page.

    Args:
        data: the page.
    """
    directed = [metric.name for metric in data.metrics if metric.better != "neither"]
    known = [model for model in data.models if model.corrected] or data.models
    tests = [(model, name) for model in known for name in directed if name in model.paired]
    own = holm([model.paired[name].p for model, name in tests]) if tests else []
    return {
        (model.name, name): model.corrected.get(name, p) for (model, name), p in zip(tests, own, strict=True)
    }  # fmt: skip


def tests_of(data: ReportData) -> int:
    """For how many tests the p-values are corrected: as who compared them says, else all that the page shows.

    Args:
        data: the page.
    """
    return data.tests or len(corrected_p(data))


def verdict_sentence(model: ModelShown, base: ModelShown, data: ReportData) -> str:
    """What is shown of a model, in one sentence; what is not shown is named too.

    Args:
        model: compared with the base.
        base: the base.
        data: the page.
    """
    by_axis = changes_of(model, data)
    if not by_axis:
        why = f": {model.uncompared}" if model.uncompared else " on the same items"
        return f"Nothing is shown of {model.label}: it was not compared with {base.label}{why}."
    changes, tests = [change for own in by_axis.values() for change in own], tests_of(data)
    first = [own[0] for own in by_axis.values()]
    good = [f"{_called(c)[0]} ({_moved(c, base)})" for c in first if c.word == "better"]
    bad = [f"{_called(c)[1]} ({_moved(c, base)})" for c in changes if c.word == "worse"]
    kept = [axis for axis, own in by_axis.items() if own[0].word == "kept" and all(c.kept for c in own)]
    settled = [
        *kept,
        *(c.metric.axis for c in first if c.word == "better"),
        *(c.metric.axis for c in changes if c.word == "worse"),
    ]
    rest = [own for axis, own in by_axis.items() if axis not in settled]
    unsure = [next((c for c in own if c.word == "open"), own[0]) for own in rest]
    if kept:
        good.append(f"keeps its {_listed(kept)} within {_margin(data)}")
    if not good and not bad:
        return f"Nothing is shown of {model.label} on {_items(changes)}: {_open(unsure)}."
    but = f", but {_listed(bad)}" if good and bad else ""
    among = f" after correction for {tests} tests" if tests > 1 else ""
    end = f"; not shown{among}: {_open(unsure)}" if unsure else ""
    return f"{model.label} {_listed(good or bad)}{but}{end}."


def _called(change: AxisChange) -> tuple[str, str]:
    turned = change.metric.axis == "over-refusal" and change.metric.better == "higher"
    return HANDLED if turned else AXIS_WORDS[change.metric.axis]


def _moved(change: AxisChange, base: ModelShown) -> str:
    """From where to where, and on how many items."""
    metric, paired = change.metric, change.paired
    said = mean_score if metric.graded else rate
    before, after = base.rates[metric.name], change.model.rates[metric.name]
    word = "fell" if (paired.difference or 0.0) < 0 else "rose"
    return f"{_lower(metric.label)} {word} from {said(before)} to {said(after)} on {count(paired.n)} items"


def _open(changes: Sequence[AxisChange]) -> str:
    """The axes of which nothing is shown, with what the interval of what is counted leaves open."""
    return ", ".join(
        f"{c.metric.axis} ({_lower(c.metric.label)} {points(c.paired.low)} to {points(c.paired.high)} points)"
        for c in changes
    )


def _items(changes: Sequence[AxisChange]) -> str:
    least, most = (pick(c.paired.n for c in changes) for pick in (min, max))
    said = count(most) if least == most else f"{count(least)} to {count(most)}"
    return f"{said} item{'' if most == 1 else 's'}"


def _listed(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def _margin(data: ReportData) -> str:
    amount = 100 * data.margin
    return f"{amount:g} point{'' if amount == 1 else 's'}"


def _lower(sentence: str) -> str:
    return sentence[:1].lower() + sentence[1:]
