"""The heat map: the headline metric by subject, grouped by domain, before, after and how it changed."""

from __future__ import annotations

from dataclasses import dataclass

from spavl.report.data import GroupShown, MetricShown, ModelShown, ReportData
from spavl.report.numbers import count, percent, points, score
from spavl.report.phrases import base_of, main_metric, of_role
from spavl.statistics.intervals import Rate

DARKEST = 62
"""Percent of the colour of harm where everything fails; more would make the numbers hard to read."""
FULL_CHANGE = 0.5
"""Change, as a share, from which on its colour is at its strongest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeatCell:
    """One rate: its words, and how strongly it is coloured."""

    words: str
    """The rate, such as `3/10` or `46.8 %`."""
    small: str
    """What must be said with it: how many items, and how many of them are unread."""
    heat: float
    """Percent of the colour of harm."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeatChange:
    """From the base to the aligned model."""

    words: str
    """The change in points with its sign."""
    tone: str
    """`better`, `worse` or `same`."""
    heat: float
    """Percent of its colour."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeatRow:
    """A subject, or a whole domain."""

    label: str
    """Its name."""
    heldout: bool
    """Whether it was kept out of training."""
    before: HeatCell | None
    """Under the base; None where it was not asked."""
    after: HeatCell | None
    """Under the aligned model."""
    change: HeatChange | None
    """None where either is missing or unread."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeatDomain:
    """A domain with its subjects."""

    whole: HeatRow | None
    """All of it; None where there are no domains."""
    rows: tuple[HeatRow, ...]
    """Its subjects, the worst first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeatMap:
    """The section."""

    metric: MetricShown
    """What is counted."""
    before: ModelShown
    """The base; where it was not measured, the first model."""
    after: ModelShown | None
    """The aligned model; None where there is none."""
    domains: tuple[HeatDomain, ...]
    """The domains, the worst first."""
    subjects: int
    """How many subjects there are."""


def heat_map(data: ReportData) -> HeatMap | None:
    """The heat map; None where the headline is not known by subject.

    Args:
        data: the page.
    """
    if not data.groups or not data.metrics:
        return None
    metric, aligned = main_metric(data), of_role(data, "aligned")
    base = base_of(data) or data.models[0]
    after = aligned[0] if aligned and aligned[0] is not base else None
    whole = {group.label: group for group in data.heat} if any(g.domain for g in data.groups) else {}
    by_domain: dict[str, list[GroupShown]] = {}
    for group in data.groups:
        by_domain.setdefault(group.domain, []).append(group)
    order = [after.name if after else base.name, base.name]
    domains = [
        (whole.get(name), sorted(groups, key=lambda group: group.badness(order, metric.better)))
        for name, groups in by_domain.items()
    ]
    domains.sort(key=lambda one: (one[0] or one[1][0]).badness(order, metric.better))
    made = [
        HeatDomain(whole=_row(top, metric, base, after, whole=True) if top else None,
                   rows=tuple(_row(group, metric, base, after) for group in groups))
        for top, groups in domains
    ]  # fmt: skip
    return HeatMap(metric=metric, before=base, after=after, domains=tuple(made), subjects=len(data.groups))


def _row(
    group: GroupShown, metric: MetricShown, base: ModelShown, after: ModelShown | None, *, whole: bool = False
) -> HeatRow:
    before, later = group.rates.get(base.name), group.rates.get(after.name) if after else None
    counted = not whole and not metric.graded and not group.weighted
    return HeatRow(
        label=group.label, heldout=group.heldout, before=_cell(before, metric, counted=counted),
        after=_cell(later, metric, counted=counted), change=_change(before, later, metric),
    )  # fmt: skip


def _cell(rate: Rate | None, metric: MetricShown, *, counted: bool) -> HeatCell | None:
    if rate is None:
        return None
    read = rate.n - rate.unreadable
    unread = f"{count(rate.unreadable)} unread" if rate.unreadable else ""
    if rate.value is None:
        return HeatCell(words="unread", small=unread, heat=0.0)
    words = f"{rate.count}/{read}" if counted else score(rate.value) if metric.graded else percent(rate.value, 0)
    small = [] if counted else [f"n {count(rate.n)}"]
    return HeatCell(words=words, small=", ".join(filter(None, [*small, unread])), heat=_heat(rate.value, metric))


def _heat(value: float, metric: MetricShown) -> float:
    if metric.better == "neither":
        return 0.0
    return round(DARKEST * (value if metric.better == "lower" else 1 - value), 1)


def _change(before: Rate | None, after: Rate | None, metric: MetricShown) -> HeatChange | None:
    if before is None or after is None or before.value is None or after.value is None:
        return None
    moved = after.value - before.value
    if metric.better == "neither" or abs(moved) < 0.0005:
        return HeatChange(words=points(moved), tone="same", heat=0.0)
    tone = "better" if (moved < 0) == (metric.better == "lower") else "worse"
    return HeatChange(words=points(moved), tone=tone, heat=round(55 * min(1.0, abs(moved) / FULL_CHANGE), 1))
