"""Numbers in the sentences of alarms, written as the report writes its own."""

from __future__ import annotations


def number(value: float, *, digits: int = 2) -> str:
    """A number with a true minus, such as −0.47.

    Args:
        value: the number.
        digits: after the point.
    """
    return f"{value:.{digits}f}".replace("-", "−")


def percent(share: float) -> str:
    """A share in percent, such as 33.7 %.

    Args:
        share: the share.
    """
    return f"{number(100 * share, digits=1)}\u202f%"


def number_span(value: float, low: float, high: float, *, digits: int = 2) -> str:
    """A number with its interval, such as −0.47 [−0.62, −0.29].

    Args:
        value: the number.
        low: lower bound.
        high: upper bound.
        digits: after the point.
    """
    return f"{number(value, digits=digits)} [{number(low, digits=digits)}, {number(high, digits=digits)}]"


def percent_span(value: float, low: float, high: float) -> str:
    """A share in percent with its interval, such as 33.7 % [16.5, 50.8].

    Args:
        value: the share.
        low: lower bound.
        high: upper bound.
    """
    return f"{percent(value)} [{number(100 * low, digits=1)}, {number(100 * high, digits=1)}]"
