"""Numbers, money, bytes and lengths of time in a few letters, as tables show them."""

from __future__ import annotations


def amount(number: float) -> str:
    """A number in at most seven letters, such as `12,300`, `1.23 M`, `45.6 bn`.

    Args:
        number: not negative.
    """
    for unit, name in ((1e9, "bn"), (1e6, "M")):
        if number >= 0.9995 * unit:
            return f"{_three_digits(number / unit)} {name}"
    return f"{number:,.0f}"


def size(number: float) -> str:
    """Bytes, such as `12.0 MB`.

    Args:
        number: of bytes.
    """
    for unit, name in ((1e12, "TB"), (1e9, "GB"), (1e6, "MB")):
        if number >= 0.9995 * unit:
            return f"{_three_digits(number / unit)} {name}"
    return f"{number / 1e3:,.0f} kB"


def duration(seconds: float) -> str:
    """A length of time, such as `12 s`, `34 min`, `5.6 h`.

    Args:
        seconds: how long.
    """
    if seconds < 99.5:
        return f"{seconds:.0f} s" if seconds >= 0.95 or not seconds else f"{seconds:.1f} s"
    if seconds < 99.5 * 60:
        return f"{seconds / 60:.0f} min"
    return f"{_three_digits(seconds / 3600)} h"


def money(cost: float | None) -> str:
    """An amount of money, with two digits of what is less than one; a question mark for one that is not known.

    Args:
        cost: in whatever currency.
    """
    if cost is None:
        return "?"
    if cost >= 1_000:
        return f"{cost:,.0f}"
    return f"{cost:,.2f}" if cost >= 0.995 or not cost else f"{cost:.2g}"


def _three_digits(number: float) -> str:
    """At least three digits of a number, the whole part never cut."""
    if number >= 99.95:
        return f"{number:,.0f}"
    return f"{number:.1f}" if number >= 9.995 else f"{number:.2f}"
