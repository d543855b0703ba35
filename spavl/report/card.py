"""What a model's card says of its evaluation: the verdict and the numbers of the report, between two marks."""

from __future__ import annotations

from collections.abc import Iterator

from spavl.report import numbers, phrases
from spavl.report.data import MetricShown, ModelShown, ReportData
from spavl.report.markdown import cell, table_lines
from spavl.report.verdict import verdict_sentence
from spavl.statistics.intervals import Rate

BEGIN, END = "<!-- spavl evaluation -->", "<!-- /spavl evaluation -->"
"""Marks around the section; what stands outside them is never changed."""
HEAD = ("metric", "n", "base", "this model", "change in points", "verdict")


def with_evaluation(card: str, model: ModelShown, data: ReportData) -> str:
    """A card with the section on the evaluation, in place of the one that it has, else at its end.

    Args:
        card: the text of the card.
        model: the card's model.
        data: the report.
    """
    before, _, rest = card.partition(BEGIN)
    _, found, after = rest.partition(END)
    if not found:  # without its end a section cannot be told from your words: a mark alone is dropped, no word is
        before, after = f"{before}{rest}", "\n"
    return f"{before.rstrip()}\n\n{BEGIN}\n{evaluation(model, data)}{END}{after}"


def evaluation(model: ModelShown, data: ReportData) -> str:
    """The section: verdict, a row a metric, and how they were measured.

    Args:
        model: the model, compared with the base.
        data: the report.
    """
    base = phrases.base_of(data)
    lines = ["## Evaluation", ""]
    lines += [cell(verdict_sentence(model, base, data)), ""] if base and (model.paired or model.uncompared) else []
    lines += [*table_lines(HEAD, list(_rows(model, base, data))), ""]
    named = ", ".join(" ".join(filter(None, (p.benchmark, p.standard, p.hash))) for p in data.protocols)
    known = f" Protocols: {cell(named)}." if named else ""
    how = f"Intervals at {100 * data.level:g} %, changes on the same items, every verdict of its test alone."
    lines += [f"{how}{known}", ""]
    return "\n".join(lines)


def _rows(model: ModelShown, base: ModelShown | None, data: ReportData) -> Iterator[tuple[str, ...]]:
    for metric in data.metrics:
        if metric.name not in model.rates:
            continue
        rate, paired = model.rates[metric.name], model.paired.get(metric.name)
        before = base.rates.get(metric.name) if base else None
        between = numbers.span(rate) if metric.graded else numbers.interval(rate)
        moved = "" if paired is None else f"{numbers.points(paired.low)} to {numbers.points(paired.high)}"
        yield (metric.label, numbers.count(rate.n), _value(before, metric) if before else "",
               f"{_value(rate, metric)} ({between})", moved, phrases.verdict(metric, paired, data))  # fmt: skip


def _value(rate: Rate, metric: MetricShown) -> str:
    if rate.value is None:
        return "unread"
    return numbers.score(rate.value) if metric.graded else numbers.percent(rate.value)
