"""Rows of files as people and spreadsheets leave them: words in capitals, TRUE for true, a comma for a point."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from functools import lru_cache
from typing import Any, Final, get_args

from spavl.errors import DataError
from spavl.labels.plain import LABEL
from spavl.labels.record import Label, LabelStatus, Preference, Shown
from spavl.records import Outcome
from spavl.rows import brief
from spavl.rows.json_values import parsed

EXTRA: Final = ("item", "made_from")
"""What a row says beside the label."""
CODED: Final = ("outcomes", "categories", "severities", "picture_needed", "seconds")
"""Columns of CSV that hold JSON."""
_WORDS: Mapping[str, tuple[str, ...]] = {
    "status": get_args(LabelStatus), "preference": get_args(Preference), "shown_first": get_args(Shown),
    "outcomes": get_args(Outcome),
}  # fmt: skip
_FLAGS: Mapping[str, bool] = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
_EXAMPLES: Mapping[str, str] = {
    "outcomes": '["unsafe", null]', "categories": '["", "fraud"]', "severities": "[3, null]",
    "picture_needed": "true or false", "seconds": "12.5",
}  # fmt: skip
_SIGNS: Final = ("=", "+", "-", "@", "\t", "\r")
"""With what a text begins that a spreadsheet takes for a formula."""


def decoded(values: Mapping[str, Any], where: str) -> dict[str, Any]:
    """A row without what it leaves open and what no label has; cells of CSV that hold JSON as what they hold.

    Spreadsheets cut long cells off: a label stands though its item is cut.

    Args:
        values: of the row.
        where: it stands, for messages.

    Raises:
        DataError: a cell that is to hold JSON does not, or two columns differ in capitals alone.
    """
    found: dict[str, Any] = {}
    for name, value in values.items():
        known = known_name(name)
        if not known or value is None:
            continue
        if known in found:
            raise DataError(f"Two columns are called `{known}`", where=where, try_="leave one of them out")
        found[known] = _value(known, value, where)
    if isinstance(found.get("item"), str):
        if not found.get("annotator"):
            raise DataError(f"`item` is {brief(found['item'])}", where=where, try_="wanted is JSON; it was cut off")
        del found["item"]
    return found


@lru_cache(maxsize=1024)
def known_name(name: str) -> str:
    """What a column is called in capitals or not, with blanks or not; empty where no label has it.

    Args:
        name: of the column.
    """
    plain = _folded(name)
    return plain if plain in LABEL or plain in EXTRA else ""


def _folded(text: str) -> str:
    return "_".join(text.strip().casefold().replace("-", " ").split())


def _value(name: str, value: Any, where: str) -> Any:
    if isinstance(value, str) and name == "item":
        with suppress(ValueError):
            return parsed(value)
    if isinstance(value, str) and name in CODED:
        value = _of_json(name, value, where)
    if isinstance(value, list):
        return [_word(name, one) for one in value]
    return _word(name, value)


def _word(name: str, value: Any) -> Any:
    """A word of a few, in small letters; anything else as it is."""
    folded = _folded(value) if isinstance(value, str) else ""
    return folded if folded in _WORDS.get(name, ()) else value


def _of_json(name: str, text: str, where: str) -> Any:
    if name == "picture_needed" and text.strip().casefold() in _FLAGS:
        return _FLAGS[text.strip().casefold()]
    try:
        return parsed(text.replace(",", ".") if name == "seconds" else text)
    except ValueError as error:
        wanted = f"wanted is JSON, such as {_EXAMPLES[name]}"
        raise DataError(f"`{name}` is {brief(text)}", where=where, try_=wanted) from error


def says_nothing(label: Label) -> bool:
    """Whether a label judges its item and yet says nothing of it.

    Args:
        label: the label.
    """
    said = (label.preference, label.picture_needed, *label.outcomes, *label.severities)
    return label.status == "labelled" and not any(one is not None for one in said) and not label.note


def closed(text: str) -> str:
    """A text of CSV that no spreadsheet takes for a formula: a quote stands before its sign, and before its quotes.

    Args:
        text: of the cell.
    """
    return f"'{text}" if text.lstrip("'").startswith(_SIGNS) else text


def opened(text: str) -> str:
    """The text of `closed`.

    Args:
        text: of the cell.
    """
    return text[1:] if text.startswith("'") and text.lstrip("'").startswith(_SIGNS) else text
