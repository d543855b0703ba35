"""Numbers into words. Every sentence of the page that contains a number is made here, from the number."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from spavl.report.data import MetricShown, ModelShown, ReportData
from spavl.statistics.intervals import Rate
from spavl.statistics.paired import Paired

THIN = "\u202f"
"""Between a number and its unit, where a line must not break."""
NO_BREAK = "\u00a0"


@dataclass(frozen=True, slots=True)
class Headline:
    """The first words of the page."""

    lead: str
    points: tuple[str, ...]


def percent(share: float, digits: int = 1) -> str:
    """0.4721 → 47.2 %. Never rounds what is not nothing to 0.0, nor what is not all to 100.0."""
    smallest = 10**-digits
    shown = round(100 * share, digits)
    if shown == 0 and share > 0:
        return f"<{THIN}{smallest:.{digits}f}{THIN}%"
    if shown == 100 and share < 1:
        return f">{THIN}{100 - smallest:.{digits}f}{THIN}%"
    return f"{shown:.{digits}f}{THIN}%"


def points(difference: float) -> str:
    """A difference of two rates, in points with its sign."""
    shown = round(100 * difference, 1)
    return f"{shown:+.1f}".replace("-", "−") if shown else "0.0"


def rate(value: Rate) -> str:
    """A rate in a sentence. Nothing of n is never plainly "0 %": the bound is what was learnt."""
    if value.value is None:
        return f"between {percent(value.low)} and {percent(value.high)}"
    if value.flagged:
        return f"{percent(value.value)} (worst case {percent(value.high)})"
    if value.value == 0:
        return f"0{THIN}% (at most {percent(value.high)})"
    if value.value == 1:
        return f"100{THIN}% (at least {percent(value.low)})"
    return percent(value.value)


def interval(value: Rate) -> str:
    """42.8–51.7 %."""
    return f"{100 * value.low:.1f}–{100 * value.high:.1f}{THIN}%"


def p_value(p: float) -> str:
    """p < 0.001, p = 0.012, p = 0.25."""
    said = "p < 0.001" if p < 0.001 else f"p = {p:.3f}" if p < 0.1 else f"p = {p:.2f}"
    return said.replace(" ", NO_BREAK)


def seconds(amount: float) -> str:
    """0.4 s, 12 s, 3 min 20 s, 2 h 05 min."""
    if amount < 10:
        return f"{amount:.1f}{THIN}s"
    whole = round(amount)
    if whole < 60:
        return f"{whole}{THIN}s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes}{THIN}min {rest:02d}{THIN}s"
    return f"{minutes // 60}{THIN}h {minutes % 60:02d}{THIN}min"


def count(number: int) -> str:
    """19,080."""
    return f"{number:,}"


def change(metric: MetricShown, before: Rate, after: Rate, paired: Paired | None, data: ReportData) -> str:
    """What happened to one metric, with as much certainty as there is."""
    if before.value is None or after.value is None:
        return f"{metric.label} cannot be compared: verdicts could not be read"
    moved = after.value - before.value
    if abs(moved) < 0.0005:
        said = f"{metric.label} stayed at {rate(after)}"
    else:
        said = f"{metric.label} {'rose' if moved > 0 else 'fell'} from {rate(before)} to {rate(after)}"
    if paired is None:
        return said
    worse = moved < 0 if metric.better == "higher" else moved > 0
    if abs(moved) >= 0.0005 and paired.p >= 1 - data.level:
        said += f", which may be chance ({p_value(paired.p)})"
    if metric.better == "higher" and (worse or abs(moved) < 0.0005):
        said += f"; a loss of {_margin(data)} is {'' if kept(paired, data) else 'not '}ruled out"
    return said


def kept(paired: Paired, data: ReportData) -> bool:
    """Whether a skill was kept: the interval of the difference ends above −margin (non-inferiority)."""
    return paired.low > -data.margin


def verdict(metric: MetricShown, paired: Paired | None, data: ReportData) -> str:
    """One word or three for a cell of the table."""
    if paired is None:
        return ""
    if paired.p < 1 - data.level:
        return "better" if paired.fixed > paired.broken else "worse"
    if metric.better == "higher" and kept(paired, data):
        return f"kept within {_margin(data)}"
    return "no change shown"


def paired_words(paired: Paired) -> str:
    """Fixed 225, broke 0, p < 0.001."""
    said = f"fixed {count(paired.fixed)}, broke {count(paired.broken)}, {p_value(paired.p)}"
    return f"{said}, {count(paired.unreadable)} unread" if paired.unreadable else said


def headline(data: ReportData) -> Headline:
    """The sentence of the page, and what must be said with it."""
    base, aligned = base_of(data), of_role(data, "aligned")
    if base is None or not aligned:
        return Headline(_plain(data.metrics[0], data.models[0]) + ".", ())
    first, main = aligned[0], data.metrics[0]
    lead = change(main, base.rates[main.name], first.rates[main.name], first.paired.get(main.name), data) + "."
    said = []
    if main.name in first.paired:
        said.append(f"On the same {count(first.paired[main.name].n)} items {_fixed(first.paired[main.name])}.")
    said += [
        _sentence(metric, base, first, data)
        for metric in data.metrics[1:]
        if metric.name in base.rates and metric.name in first.rates
    ]
    said += [f"{other.label}: {_lower(_sentence(main, base, other, data))}" for other in aligned[1:]]
    said += [sentence for control in of_role(data, "control") for sentence in _control(control, first, data)]
    said += list(_unread(data))
    return Headline(lead, tuple(said))


def _sentence(metric: MetricShown, base: ModelShown, other: ModelShown, data: ReportData) -> str:
    return change(metric, base.rates[metric.name], other.rates[metric.name], other.paired.get(metric.name), data) + "."


def _plain(metric: MetricShown, model: ModelShown) -> str:
    return f"{metric.label} of {model.label}: {rate(model.rates[metric.name])}"


def _fixed(paired: Paired) -> str:
    return f"it fixed {count(paired.fixed)} answers and broke {count(paired.broken)} ({p_value(paired.p)})"


def _control(control: ModelShown, aligned: ModelShown, data: ReportData) -> Iterable[str]:
    """A control that did as well as the aligned model would mean that looking was not needed."""
    theirs, ours = _both_errors(control, data), _both_errors(aligned, data)
    if theirs is not None and ours is not None:
        yield (
            f"{control.label}: unsafe answers and needless refusals add up to {percent(theirs)}, "
            f"against {percent(ours)} for {aligned.label}; the gap is what looking adds."
        )


def _both_errors(model: ModelShown, data: ReportData) -> float | None:
    """Unsafe rate plus over-refusal rate: what always refusing and never refusing both fail."""
    first_of = {metric.axis: metric.name for metric in reversed(data.metrics)}
    rates = [model.rates.get(first_of.get(axis, "")) for axis in ("Safety", "Over-refusal")]
    values = [r.value for r in rates if r is not None and r.value is not None]
    return sum(values) if len(values) == len(rates) else None


def _unread(data: ReportData) -> Iterable[str]:
    unread = sum(r.unreadable for model in data.models for r in model.rates.values())
    if unread:
        yield (
            f"{count(unread)} verdicts could not be read. They are in no rate, and every bound holds whatever they "
            "would have said."
        )


def still_failing(data: ReportData) -> str:
    """In how many subjects the first aligned model still has failures, and which are the worst."""
    aligned = of_role(data, "aligned") or list(data.models)
    name, main = aligned[0].name, data.metrics[0]
    asked = [(g.label, g.rates[name]) for g in data.groups if name in g.rates]
    bad = [(label, _failures(r, main)) for label, r in asked]
    worst = sorted([(label, n) for label, n in bad if n], key=lambda found: -found[1])
    if not worst:
        return (
            f"{aligned[0].label} has no failure in any of {len(asked)} subjects; each alone was asked about few times."
        )
    named = ", ".join(f"{label} ({n})" for label, n in worst[:5])
    most = ", most in" if len(worst) > 5 else ":"
    return f"{aligned[0].label} still fails in {len(worst)} of {len(asked)} subjects{most} {named}."


def _failures(value: Rate, metric: MetricShown) -> int:
    return value.count if metric.better == "lower" else value.n - value.unreadable - value.count


def base_of(data: ReportData) -> ModelShown | None:
    """The model that the others are compared with."""
    return next((model for model in data.models if model.role == "base"), None)


def of_role(data: ReportData, role: str) -> list[ModelShown]:
    """The models of a role, in order."""
    return [model for model in data.models if model.role == role]


def _margin(data: ReportData) -> str:
    amount = 100 * data.margin
    return f"{amount:g} point{'' if amount == 1 else 's'}"


def _lower(sentence: str) -> str:
    return sentence[:1].lower() + sentence[1:]
