"""A finding of an audit, and which findings are faults: of all with a limit, those that chance does not explain."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from scipy.special import betainc, ndtri

from spavl.statistics.intervals import LEVEL, Rate
from spavl.statistics.multiple import holm

Weight = Literal["fault", "note"]
"""`fault`: the dataset breaks a limit, and the verdict says so. `note`: worth knowing, and no fault by itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something that an audit found."""

    kind: str
    """Its term, such as `position_bias` or `contradictions`: by it `spavl clean` is told what to drop."""
    weight: Weight = "note"
    """Whether it is a fault; only `weighed` says so."""
    what: str
    """A sentence that says what was found, with its numbers."""
    try_: str
    """What to do about it where it is a fault; empty: nothing."""
    rate: Rate | None = None
    """The share that it speaks of, with its interval; None where it speaks of no share."""
    limit: float | None = None
    """From where on that share is a fault; None: it never is."""
    below: bool = False
    """Whether it is a fault below its limit, and not above it."""
    subject: str = ""
    """What it speaks of alone, such as a judge, a domain or a source; empty: the whole dataset."""
    pairs: int = 0
    """How many pairs it names in the table of findings."""
    grouped: bool = False
    """One of a group whose members are looked at one by one, and which are told of only where they are faults."""
    p: float | None = None
    """P-value of its limit, corrected for all limits that the audit looked at; None: it has no limit."""


def weighed(findings: Sequence[Finding], *, level: float = LEVEL) -> list[Finding]:
    """The findings with their weights; those of a group that are no fault are left out, and advice that none needs.

    A finding is a fault where its share lies beyond its limit by more than chance explains. The p-values of all limits
    of an audit are corrected together (Holm), so that a dataset within all of them has any fault in at most 5 % of
    audits (a level of 0.95), however many judges, domains and sources are looked at.

    Args:
        findings: all of an audit.
        level: confidence level of their intervals, and of all faults together.
    """
    tested = [one for one in findings if one.rate is not None and one.limit is not None]
    corrected = dict(zip(map(id, tested), holm([p_of(one, level=level) for one in tested]), strict=True))
    found = []
    for one in findings:
        p = corrected.get(id(one))
        fault = p is not None and p < 1 - level
        if fault or not one.grouped:
            weight: Weight = "fault" if fault else "note"
            found.append(replace(one, weight=weight, p=p, try_=one.try_ if fault else ""))
    return found


def p_of(finding: Finding, *, level: float = LEVEL) -> float:
    """P-value of the limit of a finding: how likely its share is at least as far beyond it, by chance, doubled.

    An exact binomial tail over as many independent items as the interval is worth: the number by which Wilson's
    interval would have the same bound. So pairs that share a picture count here as they do in the interval. An interval
    without width is no estimate but a count, and decides alone. Unread verdicts count for the limit.

    Args:
        finding: with a share and a limit.
        level: confidence level of its interval.

    Source: Clopper & Pearson 1934; Korn & Graubard 1998 (effective sample size in an exact interval).
    """
    rate, limit = finding.rate, finding.limit
    assert rate is not None and limit is not None, "only what has a limit is tested"
    if rate.value is None or not rate.n:
        return 1.0
    share, bound = rate.value * (1 - rate.unreadable / rate.n), rate.low
    if finding.below:
        share, bound, limit = 1 - share - rate.unreadable / rate.n, 1 - rate.high, 1 - limit
    if share <= limit:
        return 1.0
    if bound >= share or limit == 0:
        return 0.0 if bound > limit else 1.0
    size = float(ndtri((1 + level) / 2)) ** 2 * bound * (1 - bound) / (share - bound) ** 2
    hits = share * size
    return min(1.0, 2 * float(betainc(hits, size - hits + 1, limit))) if hits > 0 else 1.0


def percent(rate: Rate | None, digits: int = 1) -> str:
    """A share with its interval, as findings say it.

    Args:
        rate: the share; None or without a value: a dash.
        digits: behind the point.
    """
    if rate is None or rate.value is None:
        return "–"
    assert not math.isnan(rate.value)
    return f"{100 * rate.value:.{digits}f} % [{100 * rate.low:.{digits}f}, {100 * rate.high:.{digits}f}]"
