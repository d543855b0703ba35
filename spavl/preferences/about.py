"""What a row says of a pair beside its conversation: subjects, sources of the answers, outcomes, verdicts of judges.

The columns are those of our own datasets (`spavl.dataset.export`). A value of another type says nothing and is None:
it is never turned into one of the right type, but for what files without types write: whole numbers as floats, and in
CSV the words true and false, digits, and lists as JSON.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

import pyarrow as pa

TEXTS = (
    "class1", "class2", "class3", "question_type", "chosen_source", "rejected_source", "chosen_thought",
    "rejected_thought", "chosen_outcome", "rejected_outcome", "judge", "verdict_ab", "verdict_ba", "reason_ab",
    "reason_ba", "more_harmless", "more_helpful", "license", "image_name", "image_id", "labelled",
)  # fmt: skip
"""Columns of text."""
FLAGS = ("benign", "chosen_safe", "rejected_safe")
"""Columns that are true, false or unknown."""
LEVELS = ("chosen_severity", "rejected_severity")
"""Columns of whole numbers."""
LISTS = ("judges_for", "judges_against", "labelled_by")
"""Columns of names."""
WORDS = {"true": True, "false": False}
"""A flag as CSV has it."""
MOST = 2**31
"""No level is as large."""
_NUMBER = re.compile(r"-?\d{1,6}")
ABOUT = (*TEXTS, *FLAGS, *LEVELS, *LISTS)
"""All these columns."""
_ABOUT = frozenset(ABOUT)
FIELDS = (
    *(pa.field(name, pa.string()) for name in TEXTS),
    *(pa.field(name, pa.bool_()) for name in FLAGS),
    *(pa.field(name, pa.int64()) for name in LEVELS),
    *(pa.field(name, pa.list_(pa.string())) for name in LISTS),
)
"""Their types in a table."""


def about_of(values: Mapping[str, Any]) -> dict[str, Any]:
    """What a row says beside its conversation, by `ABOUT`; what it does not say is left out.

    Args:
        values: of the row.
    """
    found = {name: _value(name, value) for name, value in values.items() if value is not None and name in _ABOUT}
    return {name: value for name, value in found.items() if value is not None}


def _value(name: str, value: Any) -> Any:
    if name in FLAGS:
        return _flag(value)
    if name in LEVELS:
        return _level(value)
    if name in LISTS:
        return _names(value)
    return value if isinstance(value, str) and _is_whole(value) and value else None


def _flag(value: Any) -> bool | None:
    if isinstance(value, str):
        return WORDS.get(value.strip().lower())
    return value if isinstance(value, bool) else None


def _level(value: Any) -> int | None:
    if isinstance(value, str) and _NUMBER.fullmatch(value.strip()):
        return int(value)
    if isinstance(value, float) and value.is_integer() and abs(value) < MOST:
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and abs(value) < MOST else None


def _names(value: Any) -> list[str] | None:
    if isinstance(value, str) and value.lstrip().startswith("["):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return None
    return value if isinstance(value, list) and all(isinstance(one, str) and _is_whole(one) for one in value) else None


def _is_whole(text: str) -> bool:
    """Whether no half of a character stands in a text."""
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
