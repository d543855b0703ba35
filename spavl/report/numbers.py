"""Numbers as the page writes them: shares, scores, rates with their intervals, p-values, durations, counts."""

from __future__ import annotations

from spavl.statistics.intervals import Rate

THIN = "\u202f"
"""Narrow no-break space, between a number and its unit."""
NO_BREAK = "\u00a0"
"""No-break space."""


def percent(share: float, digits: int = 1) -> str:
    """A share in percent, such as 47.2 %; what is more than zero is never rounded to 0.0, nor less than all to 100.0.

    Args:
        share: from 0 to 1.
        digits: after the point.
    """
    smallest = 10**-digits
    shown = round(100 * share, digits)
    if shown == 0 and share > 0:
        return f"<{THIN}{smallest:.{digits}f}{THIN}%"
    if shown == 100 and share < 1:
        return f">{THIN}{100 - smallest:.{digits}f}{THIN}%"
    return f"{shown:.{digits}f}{THIN}%"


def points(difference: float) -> str:
    """A difference of two rates, in percentage points with its sign.

    Args:
        difference: from -1 to 1.
    """
    shown = round(100 * difference, 1)
    return f"{shown:+.1f}".replace("-", "−") if shown else "0.0"


def score(share: float) -> str:
    """A mean score, from 0 to 100.

    Args:
        share: from 0 to 1.
    """
    return f"{100 * share:.1f}"


def span(value: Rate) -> str:
    """The interval of a mean score, such as 42.8–51.7.

    Args:
        value: the mean score.
    """
    return f"{score(value.low)}–{score(value.high)}"


def mean_score(value: Rate) -> str:
    """A mean score as part of a sentence.

    Args:
        value: the mean; its interval is said where verdicts could not be read.
    """
    if value.value is None:
        return f"between {score(value.low)} and {score(value.high)}"
    if value.flagged:
        return f"{score(value.value)} ({span(value)} with {count(value.unreadable)} unread)"
    return score(value.value)


def rate(value: Rate) -> str:
    """A rate as part of a sentence; with 0 % and 100 % stands the bound of the interval.

    Args:
        value: the rate; its interval is said where verdicts could not be read.
    """
    if value.value is None:
        return f"between {percent(value.low)} and {percent(value.high)}"
    if value.flagged:
        return f"{percent(value.value)} ({interval(value)} with {count(value.unreadable)} unread)"
    if value.value == 0:
        return f"0{THIN}% (at most {percent(value.high)})"
    if value.value == 1:
        return f"100{THIN}% (at least {percent(value.low)})"
    return percent(value.value)


def interval(value: Rate) -> str:
    """The interval of a rate, such as 42.8–51.7 %.

    Args:
        value: the rate.
    """
    return f"{100 * value.low:.1f}–{100 * value.high:.1f}{THIN}%"


def p_value(p: float) -> str:
    """A p-value, such as p < 0.001, p = 0.012 or p = 0.25.

    Args:
        p: from 0 to 1.
    """
    text = "p < 0.001" if p < 0.001 else f"p = {p:.3f}" if p < 0.1 else f"p = {p:.2f}"
    return text.replace(" ", NO_BREAK)


def seconds(amount: float) -> str:
    """A duration, such as 0.4 s, 12 s, 3 min 20 s or 2 h 05 min.

    Args:
        amount: in seconds.
    """
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
    """A count with thousands separators, such as 19,080.

    Args:
        number: the count.
    """
    return f"{number:,}"
