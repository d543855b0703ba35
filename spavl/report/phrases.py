"""Sentences made from numbers: every one of the page that contains a number is made here, from the number."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from spavl.plural import plural
from spavl.report.coverage_data import CoverageShown
from spavl.report.data import MetricShown, ModelShown, ReportData
from spavl.report.numbers import count, mean_score, p_value, percent, rate, score
from spavl.report.verdict import corrected_p, tests_of, verdict_sentence
from spavl.statistics.intervals import Rate
from spavl.statistics.paired import Better, PairedComparison


@dataclass(frozen=True, slots=True)
class Headline:
    """The first sentences of the page."""

    lead: str
    """What happened to the first metric."""
    points: tuple[str, ...]
    """What must be said with it: the other metrics, models and controls."""


def change(
    metric: MetricShown, before: Rate, after: Rate, paired: PairedComparison | None, data: ReportData, *,
    corrected: float | None = None, uncompared: str = "",
) -> str:  # fmt: skip
    """What happened to one metric between two models, and how sure that is; without a full stop.

    Args:
        metric: the metric.
        before: its rate under the base.
        after: its rate under the other model.
        paired: their comparison on the same items; None where there is none.
        data: the page, for level and margin.
        corrected: the p of the comparison, corrected for all tests; None: that of the test alone decides.
        uncompared: why there is no comparison; empty: the items are not the same.
    """
    if before.value is None or after.value is None:
        unread = before.unreadable or after.unreadable
        return (
            f"{metric.label} cannot be compared: {'verdicts could not be read' if unread else 'no item counts in it'}"
        )
    moved = after.value - before.value
    said = mean_score if metric.graded else rate
    if uncompared:
        return (
            f"{metric.label} were {said(before)} before and {said(after)} after, which were not compared: {uncompared}"
        )
    text = f"{metric.label} {_moved(before, after, paired, data, said=said, corrected=corrected)}"
    worse = moved < 0 if metric.better == "higher" else moved > 0
    if paired is not None and metric.better == "higher" and (worse or abs(moved) < 0.0005):
        text += f"; a loss of {_margin(data)} is {'' if kept(paired, data) else 'not '}ruled out"
    return text


def _moved(
    before: Rate, after: Rate, paired: PairedComparison | None, data: ReportData, *, said: Callable[[Rate], str],
    corrected: float | None,
) -> str:  # fmt: skip
    """How a rate moved; that it rose or fell is said only where the same items show it, among all tests."""
    moved = (after.value or 0.0) - (before.value or 0.0)
    if abs(moved) < 0.0005:
        return f"stayed at {said(after)}"
    if paired is None:
        return f"were {said(before)} before and {said(after)} after, which were not compared on the same items"
    if max(paired.p, corrected or 0.0) < 1 - data.level:
        own = " by its own test" if corrected is None and tests_of(data) > 1 else ""
        return f"{'rose' if moved > 0 else 'fell'} from {said(before)} to {said(after)}{own}"
    alone = paired.p < 1 - data.level
    among = f"among {tests_of(data)} tests" if alone else f"on {plural(paired.n, 'item')}"
    p = f"{p_value(paired.p)}{' alone' if alone else ''}"
    return f"were {said(before)} before and {said(after)} after, which {among} may be chance ({p})"


def kept(paired: PairedComparison, data: ReportData) -> bool:
    """Whether a skill was kept: the interval of the difference lies above −margin (non-inferiority).

    Args:
        paired: the comparison with the base.
        data: the page, for the margin.
    """
    return paired.low > -data.margin


def verdict(metric: MetricShown, paired: PairedComparison | None, data: ReportData) -> str:
    """A comparison in a few words: better, worse, kept or no change shown; more or fewer where neither is better.

    Args:
        metric: the metric.
        paired: the comparison with the base; None for the base itself, of which nothing is said.
        data: the page, for level and margin.
    """
    if paired is None:
        return ""
    if paired.p < 1 - data.level:
        words = ("more", "fewer") if metric.better == "neither" else ("better", "worse")
        moved = paired.difference or 0.0
        rose = -moved if metric.better == "lower" else moved
        return words[0] if rose > 0 else words[1]
    if metric.better == "higher" and kept(paired, data):
        return f"kept within {_margin(data)}"
    return "no change shown"


def paired_words(paired: PairedComparison, better: Better) -> str:
    """The counts of a comparison, such as: fixed 225, broke 0, p < 0.001.

    Args:
        paired: the comparison with the base.
        better: direction of an improvement; where there is none, nothing is fixed or broken.
    """
    words = ("became so", "ceased to be") if better == "neither" else ("fixed", "broke")
    text = f"{words[0]} {count(paired.fixed)}, {words[1]} {count(paired.broken)}, {p_value(paired.p)}"
    return f"{text}, {count(paired.unreadable)} unread" if paired.unreadable else text


def headline(data: ReportData) -> Headline:
    """The first sentence of the page, and what must be said with it.

    Args:
        data: the page.
    """
    if not data.models:
        return Headline(_built(data), ())
    base, aligned, main = base_of(data), of_role(data, "aligned"), main_metric(data)
    if base is None or not aligned:
        return Headline(_plain(main, data.models[0]) + ".", ())
    first = aligned[0]
    lead = verdict_sentence(first, base, data)
    sentences = [_sentence(main, base, first, data)] if main.name in first.rates and main.name in base.rates else []
    if main.name in first.paired and main.better != "neither":
        sentences.append(f"On the same {count(first.paired[main.name].n)} items {_fixed(first.paired[main.name])}.")
    sentences += [
        _sentence(metric, base, first, data)
        for metric in data.metrics
        if metric is not main and metric.name in base.rates and metric.name in first.rates
    ]
    sentences += [f"{other.label}: {_lower(_sentence(main, base, other, data))}" for other in aligned[1:]]
    sentences += [sentence for control in of_role(data, "control") for sentence in _control(control, first, data)]
    sentences += list(_unread(data))
    return Headline(lead, tuple(sentences))


def _built(data: ReportData) -> str:
    """What a dataset was made of, and how large it is."""
    if not data.funnel:
        return "A dataset was begun, and nothing is finished yet."
    first, last = data.funnel[0], data.funnel[-1]
    if first is last:
        return f"{count(first.count)} {first.name}."
    return f"{count(first.count)} {first.name} became {count(last.count)} {last.name}."


def _sentence(metric: MetricShown, base: ModelShown, other: ModelShown, data: ReportData) -> str:
    """What happened to a metric, by its corrected test where the page has any.

    A comparison that was left out of the correction then shows nothing, as in the lead; a metric without a better
    direction is never corrected, and its sentence says so.
    """
    paired, known = other.paired.get(metric.name), corrected_p(data)
    corrected = known.get((other.name, metric.name), 1.0) if known and metric.better != "neither" else None
    before, after = base.rates[metric.name], other.rates[metric.name]
    said = change(metric, before, after, paired, data, corrected=corrected, uncompared=other.uncompared)
    return f"{said}."


def _plain(metric: MetricShown, model: ModelShown) -> str:
    said = mean_score if metric.graded else rate
    return f"{metric.label} of {model.label}: {said(model.rates[metric.name])}"


def _fixed(paired: PairedComparison) -> str:
    return f"it fixed {plural(paired.fixed, 'answer')} and broke {count(paired.broken)} ({p_value(paired.p)})"


def _control(control: ModelShown, aligned: ModelShown, data: ReportData) -> Iterable[str]:
    """Errors of a blind control beside those of the aligned model; were they equal, pictures would not be needed."""
    directed = {metric.axis: metric for metric in reversed(data.metrics) if metric.better != "neither"}
    both = [directed[axis] for axis in ("safety", "over-refusal") if axis in directed]
    theirs, ours = _errors(control, both), _errors(aligned, both)
    if len(both) == 2 and theirs is not None and ours is not None:
        yield (
            f"{control.label}: {_called(both[0])} and {_called(both[1])} add up to {percent(theirs)}, "
            f"against {percent(ours)} for {aligned.label}; the gap is what seeing the picture adds."
        )


def _errors(model: ModelShown, both: Sequence[MetricShown]) -> float | None:
    """Unsafe rate plus over-refusal rate, low neither for always refusing nor for never refusing."""
    rates = [(metric, model.rates.get(metric.name)) for metric in both]
    errors = [
        found.value if metric.better == "lower" else 1 - found.value
        for metric, found in rates
        if found is not None and found.value is not None
    ]
    return sum(errors) if len(errors) == len(rates) else None


def _called(metric: MetricShown) -> str:
    """The errors that a metric counts, or leaves."""
    return _lower(metric.label) if metric.better == "lower" else f"missing {_lower(metric.label)}"


def _unread(data: ReportData) -> Iterable[str]:
    unread = sum(r.unreadable for model in data.models for r in model.rates.values())
    if unread:
        yield (
            f"{count(unread)} verdicts could not be read. They are in no rate, and every bound holds whatever they "
            "would have said."
        )


def coverage(shown: CoverageShown) -> str:
    """How many subcategories have pictures, and how many have few of something.

    Args:
        shown: how the dataset covers its taxonomy.
    """
    there = shown.subcategories - len(shown.without_pictures)
    named = plural(shown.subcategories, "subcategory", "subcategories")
    said = f"Coverage: {there:,} of {named} {'has' if there == 1 else 'have'} pictures."
    if not shown.thin:
        return said
    return f"{said} {shown.thin:,} {'has' if shown.thin == 1 else 'have'} few records of some kind."


def still_failing(data: ReportData) -> str:
    """In how many subjects the first aligned model still fails, and which are the worst; empty where none is a failure.

    Args:
        data: the page, with groups.
    """
    aligned = of_role(data, "aligned") or list(data.models)
    name, main = aligned[0].name, main_metric(data)
    if main.better == "neither":
        return ""
    asked = [(g.label, g.rates[name]) for g in data.groups if name in g.rates]
    unread = sum(value.unreadable for _, value in asked)
    among_unread = f"{plural(unread, 'verdict')} {'is' if unread == 1 else 'are'} unread" if unread else ""
    rates_alone = main.graded or any(group.weighted for group in data.groups)
    worst = (_worst_rates if rates_alone else _most_failures)(asked, aligned[0].label, main)
    if worst:
        return f"{worst}; {among_unread}." if unread else f"{worst}."
    aside = among_unread or "each alone was asked about few times"
    return f"{aligned[0].label} has no {'known ' if unread else ''}failure in any of {len(asked)} subjects; {aside}."


def _most_failures(asked: Sequence[tuple[str, Rate]], model: str, main: MetricShown) -> str:
    """In which subjects most answers fail; empty where none does."""
    bad = [(label, _failures(r, main)) for label, r in asked]
    worst = sorted([(label, n) for label, n in bad if n], key=lambda found: -found[1])
    if not worst:
        return ""
    named = ", ".join(f"{label} ({n})" for label, n in worst[:5])
    most = ", most in" if len(worst) > 5 else ":"
    return f"{model} still fails in {len(worst)} of {len(asked)} subjects{most} {named}"


def _worst_rates(asked: Sequence[tuple[str, Rate]], model: str, main: MetricShown) -> str:
    """In which subjects the rate is worst; scores and weighted items have no single failures that could be counted."""
    best = 1.0 if main.better == "higher" else 0.0
    known = [(label, value.value) for label, value in asked if value.value is not None]
    failing = [(label, share) for label, share in known if abs(share - best) > 1e-9]  # sums of weights are rounded
    worst = sorted(failing, key=lambda one: one[1], reverse=main.better == "lower")[:5]
    if not worst:
        return ""
    side = "lowest" if main.better == "higher" else "highest"
    said = score if main.graded else percent
    whose = f"{model} scores" if main.graded else f"{main.label} of {model} are"
    return f"{whose} {side} in {', '.join(f'{label} ({said(value)})' for label, value in worst)}"


def _failures(value: Rate, metric: MetricShown) -> int:
    return value.count if metric.better == "lower" else value.n - value.unreadable - value.count


def main_metric(data: ReportData) -> MetricShown:
    """The headline metric: the first of which lower or higher is better; where there is none, the first.

    Args:
        data: the page.
    """
    return next((metric for metric in data.metrics if metric.better != "neither"), data.metrics[0])


def base_of(data: ReportData) -> ModelShown | None:
    """The model that the others are compared with; None where no model is the base.

    Args:
        data: the page.
    """
    return next((model for model in data.models if model.role == "base"), None)


def of_role(data: ReportData, role: str) -> list[ModelShown]:
    """The models of a role, in their order on the page.

    Args:
        data: the page.
        role: `base`, `aligned` or `control`.
    """
    return [model for model in data.models if model.role == role]


def _margin(data: ReportData) -> str:
    amount = 100 * data.margin
    return f"{amount:g} point{'' if amount == 1 else 's'}"


def _lower(sentence: str) -> str:
    return sentence[:1].lower() + sentence[1:]
