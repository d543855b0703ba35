"""Controls into words: what a model keeps without its picture, and what else moves its answers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from spavl.plural import plural
from spavl.report.controls import ControlledModel, ControlledRate, ControlRow, PictureShown
from spavl.report.data import MetricShown, ReportData
from spavl.report.numbers import percent, points, rate
from spavl.report.phrases import of_role, verdict

WITHOUT: dict[PictureShown, str] = {
    "removed": "Without its picture",
    "blank": "With a grey picture in its place",
    "unrelated": "With the picture of another item",
    "described": "With a caption in place of the picture",
}
"""Begins the sentence about a control, by what it shows."""
DOES = {
    "safety": ("stays safe on", "is safe on"),
    "over-refusal": ("still does not refuse", "does not refuse"),
    "helpfulness": ("stays helpful on", "is helpful on"),
    "skill": ("stays right on", "is right on"),
}
"""(with the control, without it) of an answer with the wanted outcome, by axis of the metric."""


@dataclass(frozen=True, slots=True)
class CellWords:
    """A cell: one metric under one control."""

    change: str
    """Change in points."""
    interval: str
    """Its interval."""
    flips: str
    """Share of items that flip."""
    tone: str
    """The comparison in a word, which decides the colour."""


@dataclass(frozen=True, slots=True)
class RowWords:
    """A row: one control."""

    name: str
    """Its name."""
    what: str
    """What it does."""
    cells: tuple[CellWords | None, ...]
    """One a metric; None where it was not measured."""


@dataclass(frozen=True, slots=True)
class ControlTable:
    """The table of one model."""

    label: str
    """Name of the model."""
    metrics: tuple[MetricShown, ...]
    """Its columns."""
    rows: tuple[RowWords, ...]
    """Its rows."""


@dataclass(frozen=True, slots=True)
class ControlsView:
    """The section on controls."""

    lead: str
    """Its first sentence."""
    points: tuple[str, ...]
    """What must be said with it."""
    tables: tuple[ControlTable, ...]
    """One a model, aligned ones first."""
    sampled: bool
    """Whether a control shows what changes by chance."""


def controls_view(data: ReportData) -> ControlsView | None:
    """The section on controls; None where nothing was asked under any.

    Args:
        data: the page.
    """
    aligned = [model.name for model in of_role(data, "aligned")]
    models = sorted((m for m in data.controls if _measured(m, data)), key=lambda model: model.name not in aligned)
    if not models:
        return None
    sentences = [*_sentences(models[0], data)]
    for model in models[1:]:
        sentences += list(_sentences(model, data))[:1]
    lead = sentences[0] if sentences else "The same items, asked in another way."
    sampled = any(row.resampled and row.rates for model in models for row in model.rows)
    return ControlsView(lead, tuple(sentences[1:]), tuple(_table(model, data) for model in models), sampled)


def _measured(model: ControlledModel, data: ReportData) -> list[MetricShown]:
    return [metric for metric in data.metrics if any(metric.name in row.rates for row in model.rows)]


def _sentences(model: ControlledModel, data: ReportData) -> Iterator[str]:
    """The sentences on one model, by its first metric that has a direction."""
    metric = next((m for m in _measured(model, data) if m.better != "neither"), None)
    if metric is None:
        return
    rows = [row for row in model.rows if metric.name in row.rates]
    for row in [row for row in rows if row.seen == "removed"] or [row for row in rows if row.seen == "blank"]:
        yield from _kept(model, metric, row)
        yield from _leaked(metric, row.rates[metric.name])
    for row in rows:
        if row.seen in ("unrelated", "described"):
            yield from _kept(model, metric, row)
    yield from _most_moving(model, metric, rows)


def _kept(model: ControlledModel, metric: MetricShown, row: ControlRow) -> Iterator[str]:
    found = row.rates[metric.name].kept
    if found is not None and found.n:
        now, otherwise = DOES[metric.axis]
        yield (
            f"{WITHOUT[row.seen]}, {model.label} {now} {rate(found)} of the {plural(found.n, 'item')} that it "
            f"{otherwise} otherwise."
        )


def _leaked(metric: MetricShown, found: ControlledRate) -> Iterator[str]:
    """How much of the metric needs no picture, and how much does."""
    if found.rate.value is None or found.lost is None or found.lost.value is None:
        return
    share = 1 - found.rate.value if metric.better == "lower" else found.rate.value
    good = "had the wanted answer" if metric.axis != "safety" else "were answered safely"
    yield (
        f"Of all {plural(found.rate.n, 'item')}, {percent(share)} {good} without any picture, and "
        f"{percent(found.lost.value)} only with their own picture."
    )


def _most_moving(model: ControlledModel, metric: MetricShown, rows: Sequence[ControlRow]) -> Iterator[str]:
    """Of the controls that leave the picture there, the one under which most items flip, and what flips by chance."""
    read = {row.name: row.rates[metric.name].flips.value for row in rows if row.seen == "own"}
    changed = [row for row in rows if read.get(row.name) is not None and not row.resampled]
    if not changed:
        return
    most = max(changed, key=lambda row: read[row.name] or 0.0)
    chance = [percent(read[row.name] or 0.0) for row in rows if row.resampled and read.get(row.name) is not None]
    aside = f", where {chance[0]} flip by chance alone" if chance else ""
    yield (
        f"Of {plural(len(changed), 'control')} that leave{'s' if len(changed) == 1 else ''} the picture in sight, "
        f"{most.name} ({most.what}) moves {model.label} most: "
        f"{percent(read[most.name] or 0.0)} of the items flip{aside}."
    )


def _table(model: ControlledModel, data: ReportData) -> ControlTable:
    metrics = _measured(model, data)
    rows = [
        RowWords(row.name, row.what, tuple(_cell(metric, row.rates.get(metric.name), data) for metric in metrics))
        for row in model.rows if row.rates
    ]  # fmt: skip
    return ControlTable(model.label, tuple(metrics), tuple(rows))


def _cell(metric: MetricShown, found: ControlledRate | None, data: ReportData) -> CellWords | None:
    if found is None:
        return None
    paired, flips = found.paired, found.flips
    change = "unread" if paired.difference is None else points(paired.difference)
    share = "unread" if flips.value is None else percent(flips.value)
    unread = f", {flips.unreadable:,} unread" if flips.unreadable else ""
    return CellWords(
        change=change, interval=f"{points(paired.low)} to {points(paired.high)}",
        flips=f"{share} of {flips.n:,} flip{unread}", tone=verdict(metric, paired, data).split()[0],
    )  # fmt: skip
