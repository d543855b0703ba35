"""The report as Markdown and as JSON: the same numbers as the page, from the same data; no answer is in them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import asdict
from pathlib import Path
from typing import Any

from spavl.report import numbers, phrases
from spavl.report.cost_data import StageCost, total_of
from spavl.report.data import MetricShown, ModelShown, ReportData
from spavl.report.heat import HeatCell, HeatMap, HeatRow, heat_map
from spavl.report.markdown import cell, table_lines
from spavl.report.summary_phrases import basis, cost_words, money, proportions
from spavl.report.verdict import AxisChange, axis_changes

FORMAT = "spavl report 1"
"""Name and version of the JSON, its first field."""
BEGINS = f'{{\n "format": "{FORMAT}"'
"""How the JSON begins."""
MARK = f"<!-- {FORMAT} -->"
"""First line of the Markdown."""
LEFT_OUT = ("examples", "hide_harmful", "blur_pictures", "picture_pixels")
"""Fields of the data that the JSON does not hold: texts and pictures that may do harm, and how the page shows them."""


def as_json(data: ReportData) -> str:
    """The report as JSON: all that the page shows but the examples, and its verdict and axes as they stand there.

    Args:
        data: the page.
    """
    said = phrases.headline(data)
    tree = {
        "format": FORMAT, "verdict": said.lead, "basis": basis(data), "points": list(said.points),
        "axes": [_axis(change) for change in axis_changes(data)],
        **{name: _plain(value) for name, value in asdict(data).items() if name not in LEFT_OUT},
    }  # fmt: skip
    return json.dumps(tree, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _axis(change: AxisChange) -> dict[str, Any]:
    return {
        "axis": change.metric.axis, "metric": change.metric.name, "model": change.model.name, "verdict": change.word,
        "difference": change.paired.difference, "low": change.paired.low, "high": change.paired.high,
        "n": change.paired.n, "unreadable": change.paired.unreadable,
    }  # fmt: skip


def _plain(value: Any) -> Any:
    """A value as JSON holds it; a path by its name alone."""
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, AbstractSet):
        return sorted(value)
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return value.name if isinstance(value, Path) else value


def as_markdown(data: ReportData) -> str:
    """The report as Markdown: verdict, numbers, subjects, funnel, cost and protocols.

    Args:
        data: the page.
    """
    said = phrases.headline(data)
    lines = [MARK, "", f"# {cell(data.title)}", ""]
    lines += [cell(data.subject), ""] if data.subject else []
    lines += [f"**{cell(said.lead)}**", ""]
    lines += [cell(basis(data)), ""] if basis(data) else []
    lines += [f"- {cell(sentence)}" for sentence in (*data.verdicts, *said.points)]
    for title, found in (
        ("Alarms", _alarms(data)), ("All numbers", _numbers(data)), ("By subject", _subjects(data)),
        ("What was built", _built(data)),
        ("Judges", _judges(data)), ("Examples", _shares(data)), ("Trainings", _trainings(data)),
        ("Time and cost", _cost(data)), ("Protocols", _protocols(data)),
        ("Limits", [f"- {cell(limit)}" for limit in data.limits]),
    ):  # fmt: skip
        lines += ["", f"## {title}", "", *found] if found else []
    return "\n".join(lines) + "\n"


def _alarms(data: ReportData) -> list[str]:
    """What rings, what is quiet, and what could not be looked at."""
    if data.alarms is None:
        return []
    lines = [f"- **{cell(one.sign.capitalize())}** ({cell(one.subject)}): {cell(one.what)} Rings {cell(one.limit)}."
            for one in data.alarms.ringing]  # fmt: skip
    lines += [f"- {cell(one.what)} Quiet: rings {cell(one.limit)}." for one in data.alarms.quiet]
    return [cell(data.alarms.lead), "", *lines, *(f"- {cell(why)}" for why in data.alarms.missing)]


def _numbers(data: ReportData) -> list[str]:
    """A row for every metric and model."""
    rows = []
    for metric in data.metrics:
        named = metric.label
        for model in data.models:
            if metric.name in model.rates:
                rows.append((named, model.label, *_cells(metric, model, data)))
                named = ""
    head = ("metric", "model", "n", "rate", "change in points", "fixed", "broke", "p", "verdict")
    level = f"Intervals at {100 * data.level:g} %; changes on the same items, p and verdict of each test alone."
    return [*table_lines(head, rows), "", level] if rows else []


def _cells(metric: MetricShown, model: ModelShown, data: ReportData) -> tuple[str, ...]:
    rate, paired = model.rates[metric.name], model.paired.get(metric.name)
    unread = f", {numbers.count(rate.unreadable)} unread" if rate.unreadable else ""
    value = "unread" if rate.value is None else (numbers.score if metric.graded else numbers.percent)(rate.value)
    between = numbers.span(rate) if metric.graded else numbers.interval(rate)
    shown = (f"{numbers.count(rate.n)}{unread}", f"{value} ({between})")
    if paired is None:
        return (*shown, "", "", "", "", "")
    moved = "unread" if paired.difference is None else numbers.points(paired.difference)
    return (
        *shown, f"{moved} ({numbers.points(paired.low)} to {numbers.points(paired.high)})",
        numbers.count(paired.fixed), numbers.count(paired.broken), numbers.p_value(paired.p),
        phrases.verdict(metric, paired, data),
    )  # fmt: skip


def _subjects(data: ReportData) -> list[str]:
    heat = heat_map(data)
    if heat is None:
        return []
    head = ["subject", heat.before.label, *([heat.after.label, "change in points"] if heat.after else [])]
    rows = [row for domain in heat.domains for row in _domain_rows(domain.whole, domain.rows, heat)]
    return [cell(phrases.still_failing(data)), "", *table_lines(head, rows)]


def _domain_rows(whole: HeatRow | None, rows: Sequence[HeatRow], heat: HeatMap) -> Iterator[tuple[str, ...]]:
    if whole is not None:
        yield _heat_cells(whole, whole.label.upper(), heat)
    for row in rows:
        yield _heat_cells(row, f"{row.label} (held out)" if row.heldout else row.label, heat)


def _heat_cells(row: HeatRow, label: str, heat: HeatMap) -> tuple[str, ...]:
    shown = (row.before, row.after) if heat.after else (row.before,)
    change = (row.change.words if row.change else "—",) if heat.after else ()
    return (label, *(_heat_words(one) for one in shown), *change)


def _heat_words(shown: HeatCell | None) -> str:
    return " ".join(filter(None, [shown.words, f"({shown.small})" if shown.small else ""])) if shown else "—"


def _built(data: ReportData) -> list[str]:
    rows = []
    for step in data.funnel:
        lost = ", ".join(f"{numbers.count(n)} {reason}" for reason, n in step.losses.items() if n)
        rows.append((step.name, numbers.count(step.count), lost))
    lines = table_lines(("made", "count", "not passed on"), rows) if rows else []
    if data.composition:
        head = (data.composition_by, "harmful", "harmless counterparts")
        bars = [(one.label, numbers.count(one.harmful), numbers.count(one.benign)) for one in data.composition]
        lines += ["", *table_lines(head, bars)]
    return lines


def _judges(data: ReportData) -> list[str]:
    rows = []
    for judge in data.judges:
        error = judge.error.value if judge.error else None
        same = judge.agreement.agree.value if judge.agreement else None
        rows.append((
            judge.name, judge.what, "" if same is None else numbers.percent(same),
            "" if judge.bias is None or judge.bias.value is None else numbers.points(judge.bias.value),
            "" if error is None else numbers.percent(error),
        ))  # fmt: skip
    head = ("judge", "what", "same winner in both orders", "decided by position, points", "wrong")
    return table_lines(head, rows) if rows else []


def _shares(data: ReportData) -> list[str]:
    return [cell(proportions(data.example_shares))] if any(one.count for one in data.example_shares) else []


def _trainings(data: ReportData) -> list[str]:
    head = ("training", "method", "time", "device", "facts")
    rows = [
        (one.name, one.method, numbers.seconds(one.seconds), one.device,
         "; ".join(f"{name} {value}" for name, value in one.facts.items()))
        for one in data.trainings
    ]  # fmt: skip
    return table_lines(head, rows) if rows else []


def _cost(data: ReportData) -> list[str]:
    if not data.stages:
        return []
    total = total_of(data.stages)
    head = ("stage", "time", "calls made", "from the store", "tokens now", "tokens earlier", "cost now", "cost earlier")
    rows = [_stage(one) for one in (*data.stages, total)]
    return [cell(cost_words(total, data.trainings)), "", *table_lines(head, rows)]


def _stage(stage: StageCost) -> tuple[str, ...]:
    now, earlier = stage.now, stage.earlier
    tokens = ["?" if one is None else numbers.count(one[0]) for one in (now, earlier)]
    cost = ["?" if one is None else money(one[1]) for one in (now, earlier)]
    return (stage.name, numbers.seconds(stage.seconds), numbers.count(stage.calls), numbers.count(stage.stored),
            *tokens, *cost)  # fmt: skip


def _protocols(data: ReportData) -> list[str]:
    head = ("benchmark", "source", "items", "standard", "protocol")
    rows = [(one.benchmark, one.source, numbers.count(one.items), one.standard, one.hash) for one in data.protocols]
    return table_lines(head, rows) if rows else []
