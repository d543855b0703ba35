"""Grades from 0 to 1: a number alone on the first or last line, a fraction, or under a key of JSON."""

from __future__ import annotations

import re

from spavl.judging.readers.grades import MARKS, objects_in
from spavl.judging.readers.normalise import lines, plain

VERSION = 1
"""Changes with what is read here."""
_LABEL = re.compile(
    r"^(?:(?:my|the|final|overall|correctness) )*(?:score|grade|rating|correctness|verdict|answer|result)"
    r"(?: is)?\s*[:=]?\s*(?=[\d.])",
    re.IGNORECASE,
)
_SHARE = re.compile(r"^(0?[.,]\d{1,3}|[01](?:[.,]\d{1,3})?)$")
_FRACTION = re.compile(r"^(\d{1,3}(?:\.\d+)?)\s*(?:/|out of|of)\s*(\d{1,3}(?:\.\d+)?)$", re.IGNORECASE)
_KEYS = ("score", "grade", "rating", "correctness", "result")
_TAKEN_BACK = re.compile(r"^(?:wait|actually|correction|no[,.]|but|however|or|sorry)\b", re.IGNORECASE)
"""How a line begins that leaves the number above it open."""


def read_share(text: str) -> float | None:
    """The grade from 0 to 1 that a reply states; None where it states none, or several that differ.

    A bare number is on that scale or none: `7` is not guessed to mean 7 of 10. `7/10` is 0.7.

    Args:
        text: the reply.
    """
    objects = [value for value in objects_in(text) if any(key in value for key in _KEYS)]
    if objects:
        said = [_share(str(value[key])) for value in objects for key in _KEYS if key in value]
        return said[0] if len(set(said)) == 1 else None
    shown = lines(plain(text))
    read = [_share(_LABEL.sub("", line.strip(MARKS.replace(".", "")))) for line in shown]
    found = {share for share in read if share is not None}
    if len(found) != 1 or (read[0] is None and read[-1] is None) or any(map(_TAKEN_BACK.match, shown)):
        return None
    return found.pop()


def _share(said: str) -> float | None:
    said = said.strip().rstrip(".")
    if fraction := _FRACTION.match(said):
        part, whole = float(fraction[1]), float(fraction[2])
        return part / whole if 0 <= part <= whole and whole > 0 else None
    if not _SHARE.match(said):
        return None
    share = float(said.replace(",", "."))
    return share if 0 <= share <= 1 else None
