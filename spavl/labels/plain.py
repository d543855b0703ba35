"""Items and labels as plain data, for JSON, and back, with a sentence for what cannot be."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final, get_args

from spavl.errors import DataError
from spavl.labels.record import Answer, Item, ItemKind, Label, LabelStatus, Preference, Shown
from spavl.records import ImageRef, Outcome, Role, Turn
from spavl.rows import brief

MOST_SEVERE: Final = 4
"""The highest severity."""
MOST_NUMBER: Final = 1e12
"""The highest of other numbers, which no text of digits exceeds that became infinite."""
Check = Callable[[Any], bool]


def plain_item(item: Item) -> dict[str, Any]:
    """An item as JSON holds it.

    Args:
        item: the item.
    """
    earlier = [
        {"role": turn.role, "text": turn.text, "images": [[str(one.path), one.sha256] for one in turn.images]}
        for turn in item.earlier
    ]
    answers = [{"text": one.text, "source": one.source, "outcome": one.outcome} for one in item.answers]
    plain: dict[str, Any] = asdict(item)
    return plain | {
        "answers": answers, "images": list(item.images), "earlier": earlier, "about": dict(item.about),
    }  # fmt: skip


def item_of(values: Mapping[str, Any], where: str) -> Item:
    """The item of plain data.

    Args:
        values: from `plain_item`.
        where: they stand, for messages.

    Raises:
        DataError: it is none.
    """
    _checked(values, ITEM, where)
    answers = tuple(_answer(one, where) for one in values["answers"])
    if len(answers) != (2 if values["kind"] == "pair" else 1):
        raise DataError(f"A {values['kind']} with {len(answers)} answers", where=where)
    earlier = tuple(_turn(one, where) for one in values.get("earlier") or ())
    known = {name: values[name] for name in ITEM if name in values}
    known |= {"images": tuple(values.get("images") or ()), "about": dict(values.get("about") or {})}
    return Item(**known | {"answers": answers, "earlier": earlier})


def _answer(values: Any, where: str) -> Answer:
    if not isinstance(values, Mapping):
        raise DataError(f"An answer is {brief(values)}", where=where)
    _checked(values, ANSWER, where)
    return Answer(**{name: values[name] for name in ANSWER if name in values})


def _turn(values: Any, where: str) -> Turn:
    if not isinstance(values, Mapping):
        raise DataError(f"A turn is {brief(values)}", where=where)
    _checked(values, TURN, where)
    images = tuple(ImageRef(Path(path), key) for path, key in values.get("images") or ())
    return Turn(values["role"], values["text"], images)


def plain_label(label: Label) -> dict[str, Any]:
    """A label as JSON holds it.

    Args:
        label: the label.
    """
    return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(label).items()}


def label_of(values: Mapping[str, Any], where: str) -> Label:
    """The label of plain data; what it does not say is as `Label` has it.

    Args:
        values: from `plain_label`, or from a file of another hand.
        where: they stand, for messages.

    Raises:
        DataError: it is none.
    """
    _checked(values, LABEL, where)
    known = {name: values[name] for name in LABEL if name in values}
    lists = {name: tuple(value) for name, value in known.items() if isinstance(value, list | tuple)}
    seconds = {"seconds": float(known["seconds"])} if "seconds" in known else {}
    return Label(**known | lists | seconds)


def _checked(values: Mapping[str, Any], checks: Mapping[str, tuple[bool, str, Check]], where: str) -> None:
    for name, (needed, wanted, is_right) in checks.items():
        if name not in values:
            if needed:
                raise DataError(f"There is no `{name}`", where=where)
        elif not is_right(values[name]):
            raise DataError(f"`{name}` is {brief(values[name])}", where=where, try_=f"wanted is {wanted}")


def _is_text(value: Any) -> bool:
    if not isinstance(value, str) or "\0" in value:
        return False
    try:
        value.encode()
    except UnicodeEncodeError:  # half of a character, which no file can hold
        return False
    return True


def _is_name(value: Any) -> bool:
    return _is_text(value) and bool(value.strip())


def _one_of(words: Any, *more: Any) -> tuple[str, Check]:
    allowed = (*get_args(words), *more)
    named = ", ".join("nothing" if word is None else word for word in allowed)
    return f"one of: {named}", lambda value: value in allowed if isinstance(value, str | None) else False


def _list_of(check: Check) -> Check:
    return lambda value: isinstance(value, list | tuple) and all(map(check, value))


def _is_severity(value: Any) -> bool:
    return value is None or (type(value) is int and 0 <= value <= MOST_SEVERE)


def _is_flag(value: Any) -> bool:
    return isinstance(value, bool | None)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= MOST_NUMBER


def _is_share(value: Any) -> bool:
    return _is_number(value) and value <= 1


def _is_picture(value: Any) -> bool:
    return isinstance(value, list | tuple) and len(value) == 2 and all(map(_is_text, value))


def _is_about(value: Any) -> bool:
    return isinstance(value, Mapping) and all(_is_text(k) and _is_text(v) for k, v in value.items())


def _is_list(value: Any) -> bool:
    return isinstance(value, list | tuple)


Checks = Mapping[str, tuple[bool, str, Check]]
"""By field whether it must be there, what is wanted, and what tells."""
_OUTCOMES = _one_of(Outcome, None)
ITEM: Checks = {
    "item_id": (True, "a name", _is_name), "kind": (True, *_one_of(ItemKind)), "stratum": (True, "a text", _is_text),
    "question": (True, "a text", _is_text), "answers": (True, "a list", _is_list),
    "images": (False, "a list of keys", _list_of(_is_text)), "earlier": (False, "a list of turns", _is_list),
    "system": (False, "a text", _is_text), "flagged": (False, "true or false", lambda value: isinstance(value, bool)),
    "about": (False, "an object of texts", _is_about), "probability": (False, "from 0 to 1", _is_share),
}  # fmt: skip
"""The fields of an item."""
ANSWER: Checks = {
    "text": (True, "a text", _is_text), "source": (False, "a text", _is_text), "outcome": (False, *_OUTCOMES),
}  # fmt: skip
"""Those of an answer."""
TURN: Checks = {
    "role": (True, *_one_of(Role)), "text": (True, "a text", _is_text),
    "images": (False, "a list of files and keys", _list_of(_is_picture)),
}  # fmt: skip
"""Those of a turn."""
LABEL: Checks = {
    "item_id": (True, "a name", _is_name), "annotator": (True, "a name", _is_name),
    "status": (False, *_one_of(LabelStatus)), "preference": (False, *_one_of(Preference, None)),
    "outcomes": (False, f"a list of, each, {_OUTCOMES[0]}", _list_of(_OUTCOMES[1])),
    "categories": (False, "a list of texts", _list_of(_is_text)),
    "severities": (False, "a list of whole numbers from 0 to 4", _list_of(_is_severity)),
    "picture_needed": (False, "true, false or nothing", _is_flag), "note": (False, "a text", _is_text),
    "skip_reason": (False, "a text", _is_text), "shown_first": (False, *_one_of(Shown, None)),
    "seconds": (False, "a number from 0", _is_number), "created": (False, "a time", _is_text),
    "answers_hash": (False, "a text", _is_text),
}  # fmt: skip
"""Those of a label."""
