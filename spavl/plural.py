"""Numbers with their nouns: 1 answer, 2 answers."""

from __future__ import annotations


def plural(number: int, one: str, several: str = "") -> str:
    """A number with its noun, such as `1 answer` or `1,200 answers`.

    Args:
        number: how many.
        one: the noun for one.
        several: the noun for several; `one` with an s unless given.
    """
    return f"{number:,} {one if number == 1 else several or f'{one}s'}"
