"""A comparison in words: a verdict sentence a model, every clause of which a test bears out, and tables in Markdown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterator, Sequence

from spavl.config.evaluate import EvaluateSettings
from spavl.evaluate.benchmark import AXES
from spavl.pipeline.compare import Change, ComparedMetric, ComparedModel, Comparison, compare_models
from spavl.pipeline.compared_models import scored_models
from spavl.plural import plural
from spavl.report.data import GroupShown
from spavl.report.markdown import cell, table_lines
from spavl.report.numbers import points
from spavl.run import Run
from spavl.statistics.intervals import Rate

WORDS = {
    "safety": ("safer", "less safe", "no change of safety shown"),
    "over-refusal": ("over-refuses less", "over-refuses more", "no change of over-refusal shown"),
    "helpfulness": ("more helpful", "less helpful", "helpfulness: no change shown"),
    "skill": ("better skills", "worse skills", "skills: no change shown"),
    "handled": ("requests handled better", "requests handled worse", "requests handled: no change shown"),
}
"""What an improvement, the opposite, and neither of them is called, by axis; `handled`: where a rate of over-refusal
also falls by unsafe answers, as that of pairs handled rightly."""
MOST_NAMED = 3
"""Most metrics that a clause names with their numbers."""
HEAD = ("metric", "model", "n", "rate", "change in points", "fixed", "broke", "p", "p corrected", "verdict")
"""Columns of a table of changes."""


def verdict_sentence(model: ComparedModel, comparison: Comparison) -> str:
    """What became of a model on all four axes, in one sentence.

    Args:
        model: compared with the base.
        comparison: the whole, for margin and level.
    """
    clauses = [_axis_clause(said, model, comparison) for said in ("safety", "over-refusal", "handled", "helpfulness")]
    parts = [clause for clause in (*clauses[:3], _kept_clause(model, comparison), clauses[3]) if clause]
    if unread := _unread_clause(model, comparison):
        parts.append(unread)
    return f"{model.name}: {'; '.join(parts)}." if parts else f"{model.name}: nothing could be compared."


def _axis_clause(said: str, model: ComparedModel, comparison: Comparison) -> str:
    """What is shown on one axis, by the first metric of every benchmark, or by the pooled one."""
    own = _first_of_benchmarks(said, model, comparison)
    if not own:
        return ""
    better, worse, none = WORDS[said]
    shown: dict[str, list[str]] = {better: [], worse: []}
    unsure = []
    for metric, change in own:
        word = better if _improved(metric, change) else worse
        amount = _amount(metric, change, named=len(own) > 1)
        if comparison.is_shown(change):
            shown[word].append(amount)
        elif comparison.is_shown(change, corrected=False):
            shown[word].append(f"{amount}, which among {comparison.tests} tests may be chance")
        else:
            unsure.append(metric.known.benchmark)
    clauses = [f"{word} by {' and by '.join(amounts)}" for word, amounts in shown.items() if amounts]
    if unsure:
        clauses.append(none if len(unsure) == len(own) else f"{none} on {', '.join(unsure)}")
    return ", ".join(clauses)


def _first_of_benchmarks(
    said: str, model: ComparedModel, comparison: Comparison
) -> list[tuple[ComparedMetric, Change]]:  # fmt: skip
    there = [m for m in comparison.metrics if _said_as(m) == said and m.is_directed and m.key in model.changes]
    if whole := [m for m in there if m.parts]:
        there = [*whole, *(m for m in there if m.known.graded)]
    first = {m.known.benchmark: m for m in reversed(there)}
    return [(m, model.changes[m.key]) for m in there if first[m.known.benchmark] is m]


def _said_as(metric: ComparedMetric) -> str:
    """Of which clause a metric is: its axis, but for a rate of over-refusal of which more is better."""
    turned = metric.known.axis == "over-refusal" and metric.known.better == "higher"
    return "handled" if turned else metric.known.axis


def _improved(metric: ComparedMetric, change: Change) -> bool:
    moved = change.paired.difference or 0.0
    return moved < 0 if metric.known.better == "lower" else moved > 0


def _amount(metric: ComparedMetric, change: Change, *, named: bool) -> str:
    """By how much a metric moved, without a sign, and by which items."""
    found = change.paired
    low, high = sorted((abs(found.low), abs(found.high)))
    moved = f"{100 * abs(found.difference or 0.0):.1f} points [{100 * low:.1f}, {100 * high:.1f}]"
    where = f" on {metric.known.benchmark}" if named else ""
    return f"{moved}{where} (fixed {found.fixed:,}, broke {found.broken:,})"


def _kept_clause(model: ComparedModel, comparison: Comparison) -> str:
    """Whether the skills are kept, with the numbers of those that are not shown to be."""
    own = [(m, model.changes[m.key]) for m in comparison.metrics if _is_skill(m) and m.key in model.changes]
    if not own:
        return ""
    kept = [(m, c) for m, c in own if comparison.is_kept(c)]
    margin = _margin(comparison)
    if len(kept) == len(own):
        return f"skills non-inferior at {margin} ({_numbers(own)})"
    lost = [(m, c) for m, c in own if not comparison.is_kept(c) and comparison.is_shown(c) and not _improved(m, c)]
    rest = [one for one in own if one not in kept and one not in lost]
    alone = [(m, c) for m, c in rest if c.loss is not None and c.loss.holds]
    open_ = [one for one in rest if one not in alone]
    parts = [f"skills lost: {_numbers(lost)}{_refusals(lost)}"] if lost else []
    if alone:
        parts.append(f"skills non-inferior at {margin} each by itself, which among {comparison.losses} tests may be "
                     f"chance ({_numbers(alone)})")  # fmt: skip
    if open_:
        parts.append(f"a loss of {margin} is not ruled out for {_numbers(open_)}{_refusals(open_)}")
    if kept:
        parts.append(f"{plural(len(kept), 'skill')} non-inferior at {margin}")
    return ", ".join(parts)


def _is_skill(metric: ComparedMetric) -> bool:
    """Whether a metric says how well something is done; lower rates, such as refusals, are reasons and not skills."""
    return metric.known.axis == "skill" and metric.known.better == "higher"


def _numbers(own: Sequence[tuple[ComparedMetric, Change]]) -> str:
    shown = [f"{m.key} {change_words(c)}" for m, c in own[:MOST_NAMED]]
    more = len(own) - MOST_NAMED
    return ", ".join([*shown, f"{more} more"] if more > 0 else shown)


def _refusals(own: Sequence[tuple[ComparedMetric, Change]]) -> str:
    """How much of the change of the first metrics is refusals."""
    named = [(m.key, c.by_refusals) for m, c in own[:MOST_NAMED]]
    found = [f"{points(part)} of {key} by refusals" for key, part in named if part is not None and part < 0]
    return f" ({', '.join(found)})" if found else ""


def change_words(change: Change) -> str:
    """A difference with its interval, such as −0.3 [−0.8, +0.2].

    Args:
        change: of a metric.
    """
    found = change.paired
    moved = "unread" if found.difference is None else points(found.difference)
    return f"{moved} [{points(found.low)}, {points(found.high)}]"


def _margin(comparison: Comparison) -> str:
    amount = 100 * comparison.margin
    return f"{amount:g} point{'' if amount == 1 else 's'}"


def _unread_clause(model: ComparedModel, comparison: Comparison) -> str:
    found = [(m, model.changes[m.key].paired) for m in comparison.metrics if m.key in model.changes and not m.parts]
    unread = [(m, paired) for m, paired in found if paired.unreadable]
    if not unread:
        return ""
    named = ", ".join(f"{paired.unreadable:,} of {paired.n:,} pairs of {m.key}" for m, paired in unread[:MOST_NAMED])
    more = f" and of {len(unread) - MOST_NAMED} more" if len(unread) > MOST_NAMED else ""
    return f"unread: {named}{more}, every bound holds whatever they say"


def verdict_words(metric: ComparedMetric, change: Change, comparison: Comparison) -> str:
    """What is shown of one metric: better, worse or no change shown; and whether a loss by the margin is ruled out.

    Args:
        metric: the metric.
        change: its change.
        comparison: the whole, for margin and level.
    """
    if not metric.is_directed:
        return ""
    words = []
    if comparison.is_shown(change):
        words.append("better" if _improved(metric, change) else "worse")
    if change.loss is not None:
        words.append("kept" if comparison.is_kept(change) else "loss not ruled out")
    return ", ".join(words) or "no change shown"


def rate_words(rate: Rate | None, *, graded: bool = False) -> str:
    """A rate with its interval: a share in percent, or a mean score from 0 to 100.

    Args:
        rate: the rate; None where it was not measured.
        graded: whether it is a mean of scores.
    """
    if rate is None:
        return "–"
    nothing = "unread" if rate.unreadable else "no item counts"
    value = nothing if rate.value is None else f"{100 * rate.value:.1f}{'' if graded else ' %'}"
    return f"{value} [{100 * rate.low:.1f}, {100 * rate.high:.1f}]"


def axis_rows(axis: str, comparison: Comparison) -> Iterator[tuple[str, ...]]:
    """The rows of an axis with the columns of `HEAD`: every metric under the base, then under the other models.

    Args:
        axis: the axis.
        comparison: the whole.
    """
    labels = Counter(m.label for m in comparison.metrics)
    for metric in (m for m in comparison.metrics if m.known.axis == axis):
        of = f", {metric.known.benchmark}" if labels[metric.label] > 1 else ""
        named = f"{metric.label}{of}{' (mean score)' if metric.known.graded else ''}"
        for model in comparison.everyone:
            if rate := model.rates.get(metric.key):
                change = model.changes.get(metric.key)
                cells = _cells(metric, change, comparison) if change else ("",) * 6
                yield named, model.name, f"{rate.n:,}", rate_words(rate, graded=metric.known.graded), *cells
                named = ""


def _cells(metric: ComparedMetric, change: Change, comparison: Comparison) -> tuple[str, ...]:
    found = change.paired
    unread = f", {found.unreadable:,} unread" if found.unreadable else ""
    refused = f", {points(change.by_refusals)} by refusals" if change.by_refusals else ""
    corrected = "–" if change.p_corrected is None else f"{change.p_corrected:.2g}"
    verdict = verdict_words(metric, change, comparison)
    moved = f"{change_words(change)}{refused}{unread}"
    return moved, f"{found.fixed:,}", f"{found.broken:,}", f"{found.p:.2g}", corrected, verdict


def protocols(axis: str, comparison: Comparison) -> list[str]:
    """The protocols of the benchmarks of an axis, such as `pope pope-official 49daba744e56d39f`.

    Args:
        axis: the axis.
        comparison: the whole.
    """
    own = (m for m in comparison.metrics if m.known.axis == axis and m.protocol)
    return list(dict.fromkeys(" ".join(filter(None, (m.known.benchmark, m.standard, m.protocol))) for m in own))


def run_comparison(run: Run, settings: EvaluateSettings, stale: Container[str]) -> Comparison | None:
    """A run's models compared with its first; None where its tables are gone, or there is nothing to compare.

    Args:
        run: the run folder.
        settings: its settings of the evaluation.
        stale: names of models whose weights are gone or have changed.
    """
    manifest = run.manifest()
    names = [name for name in manifest.get("models", {}) if name not in stale]
    if not names or names[0] != next(iter(manifest["models"])):
        return None
    models = [m for m in scored_models([run.folder])[0] if m.has_tables()]
    if len(models) < 2 or models[0].name != names[0]:
        return None
    return compare_models(models[0], models, margin=settings.margin, level=settings.level)


def markdown(comparison: Comparison) -> str:
    """The comparison as Markdown, for a pull request: verdicts, then a table for every axis and model.

    Args:
        comparison: what was compared.
    """
    level = f"{100 * comparison.level:g} %"
    lines = [f"### Compared with {cell(comparison.base.name)}", ""]
    lines += [f"- {cell(verdict_sentence(model, comparison))}" for model in comparison.models]
    lines += [f"- {cell(line)}" for line in people_lines(comparison)]
    lines += [f"- {cell(note)}" for note in comparison.notes]
    for axis in AXES:
        if rows := list(axis_rows(axis, comparison)):
            lines += ["", f"**{axis}**", "", *table_lines(HEAD, rows)]
            lines += ["", f"Protocols: {cell(', '.join(protocols(axis, comparison)))}"]
    if comparison.groups:
        head = ("subject", *(model.name for model in comparison.everyone))
        rows = [group_cells(group, comparison) for group in comparison.groups]
        lines += ["", f"**{cell(comparison.metrics[0].label)} by subject**", "", *table_lines(head, rows)]
    lines += ["", f"Intervals at {level}. p: exact McNemar over the same items, or flipped signs where items share "
              "clusters or have scores or weights; corrected by Holm over all metrics of all models."]  # fmt: skip
    return "\n".join(lines) + "\n"


def people_lines(comparison: Comparison) -> list[str]:
    """A sentence for every change of which it is known how the guard errs under both models.

    Args:
        comparison: the whole.
    """
    return [
        f"{model.name}, {key}, {found.words}" for model in comparison.models for key, found in model.by_people.items()
    ]


def group_cells(group: GroupShown, comparison: Comparison) -> tuple[str, ...]:
    """A row of the heat map: the subject, then rate and items of every model.

    Args:
        group: the subject.
        comparison: the whole.
    """
    found = [group.rates.get(model.name) for model in comparison.everyone]
    return (group.label, *(_group_cell(rate, graded=comparison.metrics[0].known.graded) for rate in found))


def _group_cell(rate: Rate | None, *, graded: bool) -> str:
    if rate is None:
        return "–"
    value = "unread" if rate.value is None else f"{100 * rate.value:.1f}{'' if graded else ' %'}"
    return f"{value} of {rate.n:,}"
