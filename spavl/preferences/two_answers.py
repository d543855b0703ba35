"""Rows of two answers and marks on them: which is safer, which is more helpful, which is better over all.

BeaverTails-V, PKU-SafeRLHF and align-anything have such rows. What they say of each answer is read too.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from spavl.config.align import Preference
from spavl.preferences.messages import RowError, Turn, answer_text, text_of

Values = Mapping[str, Any]
"""A row of a file: value by column."""
PREFERRED: Mapping[Preference, tuple[str, ...]] = {
    "safer": ("safer_response_id",),
    "more_helpful": ("more_helpful_response_id", "better_response_id"),
}
"""Columns that say which of two answers is preferred."""
OVERALL = "overall_response"
"""Column that says which of two answers is preferred, harmlessness and helpfulness taken together (align-anything)."""
AXES: Mapping[Preference, str] = {"safer": "more_harmless", "more_helpful": "more_helpful"}
"""The column of a pair that keeps an opinion."""
SAFE: Mapping[str, bool] = {"yes": True, "no": False, "true": True, "false": False}
"""What files say of whether an answer is safe, beside true and false."""
CATEGORY = "category"
"""Column of the subject (BeaverTails-V)."""
_ANSWER = re.compile(r"\s*([012])(?:\.0*)?\s*")
"""The number of an answer; pandas writes `1.0` in a column with an empty cell."""
_OF_ANSWER = ("is_response_{}_safe", "response_{}_harmless_rate", "response_{}_severity_level", "response_{}_from",
              "response_{}_source")  # fmt: skip
COLUMNS = (
    "question", "prompt", CATEGORY, OVERALL, "response_0", "response_1", "response_2",
    *(name for names in PREFERRED.values() for name in names),
    *(name.format(number) for name in _OF_ANSWER for number in (0, 1, 2)),
)  # fmt: skip
"""The columns that are read."""


def fits(values: Values) -> bool:
    """Whether a row is in this form.

    Args:
        values: of the row.
    """
    marked = OVERALL in values or any(name in values for names in PREFERRED.values() for name in names)
    both = all(name in values for name in ("response_1", "response_2"))
    both = both or all(name in values for name in ("response_0", "response_1"))
    return marked and both and ("question" in values or "prompt" in values)


def opinions(values: Values) -> list[Preference]:
    """The counts on which a row says which of two answers is the better one; none: it says so over all.

    Args:
        values: of the row.

    Raises:
        RowError: it does not say so at all.
    """
    there: list[Preference] = [one for one, names in PREFERRED.items() if any(name in values for name in names)]
    if not there and OVERALL not in values:
        raise RowError("no column says which answer is preferred")
    return there


def read(values: Values, prefer: Preference | None) -> tuple[list[Turn], Turn, Turn]:
    """The turns before the answers, the chosen and the rejected answer.

    Args:
        values: of the row.
        prefer: which answer is preferred, where the row has an opinion on both counts.

    Raises:
        RowError: the row does not say what a pair needs.
    """
    asked = "question" if "question" in values else "prompt"
    better, other = _numbers(values, prefer)
    chosen, rejected = (
        Turn("assistant", answer_text(values.get(f"response_{number}"), f"response_{number}"))
        for number in (better, other)
    )
    return [Turn("user", text_of(values[asked], asked))], chosen, rejected


def said_of_answers(values: Values, prefer: Preference | None) -> dict[str, Any]:
    """What a row says of its answers, by the columns of `spavl.preferences.about`.

    A rate of harmlessness below zero (BeaverTails-V: −1 minor, −2 moderate, −3 severe) is a severity; one above zero
    is severity 0.

    Args:
        values: of the row.
        prefer: which answer is preferred.

    Raises:
        RowError: the row does not say which answer that is.
    """
    better, other = _numbers(values, prefer)
    found: dict[str, Any] = {"class3": values.get(CATEGORY)}
    for one, column in AXES.items():
        marked = _marked(values, PREFERRED[one])
        found[column] = {better: "chosen", other: "rejected"}.get(marked) if marked is not None else None
    for role, number in (("chosen", better), ("rejected", other)):
        safe = _safe(values.get(f"is_response_{number}_safe"))
        found[f"{role}_safe"] = safe
        found[f"{role}_outcome"] = None if safe is None else "safe" if safe else "unsafe"
        found[f"{role}_severity"] = _severity(values, number)
        found[f"{role}_source"] = values.get(f"response_{number}_from") or values.get(f"response_{number}_source")
    return found


def _numbers(values: Values, prefer: Preference | None) -> tuple[int, int]:
    """The numbers of the preferred and of the other answer."""
    there = opinions(values)
    names: tuple[str, ...] = (OVERALL,)
    if not there and prefer:
        raise RowError(f"no column says which answer is {prefer}")
    if OVERALL in values and prefer is None:
        what = "preferred"
    elif prefer is None and len(there) > 1:
        raise RowError("it says which answer is safer and which is more helpful, and not which is to be preferred")
    else:
        what = prefer or there[0]
        names = PREFERRED[prefer or there[0]]
        if not any(name in values for name in names):
            raise RowError(f"no column says which answer is {what}")
    first, second = _ids(values)
    marked = _marked(values, names)
    if marked not in (first, second):
        raise RowError(f"none of the two answers is marked as {what}")
    return (first, second) if marked == first else (second, first)


def _ids(values: Values) -> tuple[int, int]:
    return (0, 1) if "response_0" in values else (1, 2)


def _marked(values: Values, names: tuple[str, ...]) -> int | None:
    """The number in the first of some columns that is there."""
    mark = next((values[name] for name in names if name in values), None)
    if isinstance(mark, bool) or not isinstance(mark, (str, int, float)):
        return None
    found = _ANSWER.fullmatch(str(mark) if isinstance(mark, (str, float)) or mark in (0, 1, 2) else "")
    return int(found[1]) if found else None


def _safe(value: Any) -> bool | None:
    if isinstance(value, str):
        return SAFE.get(value.strip().lower())
    return value if isinstance(value, bool) else None


def _severity(values: Values, number: int) -> int | None:
    level, rate = values.get(f"response_{number}_severity_level"), values.get(f"response_{number}_harmless_rate")
    if isinstance(level, int) and not isinstance(level, bool):
        return level
    return max(0, -rate) if isinstance(rate, int) and not isinstance(rate, bool) else None
