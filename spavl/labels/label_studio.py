"""Label Studio: items as its tasks, the page that it shows them on, and its JSON export as labels.

Annotators there see no source, no outcome and no order: which answer stands left is decided by the item's id.
Format: the project's documentation of its raw JSON of completed tasks, and of its tags `Pairwise` and `Choices`.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any, get_args

from spavl.atomic import write_text
from spavl.errors import DataError
from spavl.labels.plain import label_of
from spavl.labels.record import Item, Label, hash_of_answers
from spavl.records import Outcome
from spavl.rows import brief

LOCAL_FILES = "/data/local-files/?d="
"""Where Label Studio serves files of its own disk."""
CANCELLED = "skipped in Label Studio"
"""Reason of a label whose annotation was cancelled there."""
_NO_ITEM = "tasks of Label Studio that name no item of ours (`data.item_id`)"
_EMPTY = "annotations of Label Studio that say nothing"
_SIDES = {"left": 0, "right": 1}
_PAGE = """<View>
  <Text name="conversation" value="$conversation"/>
  <Image name="picture" valueList="$images"/>
{body}
  <Choices name="picture_needed" toName="conversation" choice="single">
    <Choice value="yes"/><Choice value="no"/>
  </Choices>
  <TextArea name="note" toName="conversation"/>
</View>
"""
_PAIR = """  <Pairwise name="preference" toName="left,right"/>
  <Text name="left" value="$left"/>
  <Text name="right" value="$right"/>
  <Choices name="neither" toName="conversation" choice="single">
    <Choice value="tie"/><Choice value="both_bad"/>
  </Choices>"""
_OUTCOME = """  <Choices name="outcome_{side}" toName="{side}" choice="single">
{choices}
  </Choices>"""


def page_of(kind: str) -> str:
    """The labelling configuration for a project of one kind of items.

    Args:
        kind: of the items.
    """
    choices = "\n".join(f'    <Choice value="{word}"/>' for word in get_args(Outcome))
    sides = ("left", "right") if kind == "pair" else ("left",)
    shown = _PAIR if kind == "pair" else '  <Text name="left" value="$left"/>'
    return _PAGE.format(body="\n".join([shown, *(_OUTCOME.format(side=side, choices=choices) for side in sides)]))


def tasks_of(items: Iterable[Item], *, pictures_at: str) -> Iterator[dict[str, Any]]:
    """The tasks of items.

    Args:
        items: the items.
        pictures_at: address of the pictures, before their keys.
    """
    for item in items:
        order = 1 if item.kind == "pair" and sha256(item.item_id.encode()).digest()[0] % 2 else 0
        texts = [one.text for one in item.answers]
        shown = texts[::-1] if order else texts
        turns = [f"{turn.role}: {turn.text}" for turn in item.earlier]
        said = [f"system: {item.system}"] * bool(item.system) + turns + [f"user: {item.question}"]
        keys = [one.sha256 for turn in item.earlier for one in turn.images] + list(item.images)
        yield {"data": {
            "item_id": item.item_id, "shown_first": "second" if order else "first", "conversation": "\n\n".join(said),
            "images": [f"{pictures_at}{key}" for key in keys], **dict(zip(_SIDES, shown, strict=False)),
        }}  # fmt: skip


def write_tasks(path: Path, items: Iterable[Item], *, pictures_at: str = LOCAL_FILES) -> Path:
    """Write items as tasks of Label Studio, and its page beside them. Returns the path of the page.

    Args:
        path: the JSON file of the tasks.
        items: the items, of one kind.
        pictures_at: address of the pictures, before their keys.

    Raises:
        DataError: there are no items, they are of two kinds, or another file is in the place of the page.
        RunError: the disk is full.
    """
    every = list(items)
    kinds = {item.kind for item in every}
    if len(kinds) != 1:
        what = "There are no items" if not kinds else "Pairs and answers cannot be of one project"
        raise DataError(what, where=str(path), try_="name the folder of a review")
    page = path.with_suffix(".xml")
    if page == path:
        raise DataError("The page would take the place of the tasks", where=str(path),
                        try_="a file of tasks that ends with .json")  # fmt: skip
    if page.exists() and not page.read_bytes().startswith(_PAGE.partition("\n")[0].encode()):
        raise DataError("There is another file in the place of the page", where=str(page),
                        try_="name the file of the tasks otherwise")  # fmt: skip
    write_text(path, json.dumps(list(tasks_of(every, pictures_at=pictures_at)), indent=1) + "\n")
    write_text(page, page_of(kinds.pop()))
    return page


def holds_tasks(path: Path) -> bool:
    """Whether a file holds tasks as `write_tasks` writes them, and no label.

    Args:
        path: any file.
    """
    try:
        rows = json.loads(path.read_text("utf-8"))
    except (OSError, RecursionError, ValueError):
        return False
    return isinstance(rows, list) and all(
        isinstance(row, dict) and row.keys() == {"data"} and isinstance(row["data"], dict) and "item_id" in row["data"]
        for row in rows
    )


def is_task(values: Mapping[str, Any], where: str) -> bool:
    """Whether a row is a task of Label Studio's JSON export.

    Args:
        values: of the row.
        where: it stands, for messages.

    Raises:
        DataError: it is of another export of Label Studio, which says less.
    """
    if not isinstance(values.get("data"), Mapping) and "annotation_id" in values:
        raise DataError("This is Label Studio's JSON-MIN or CSV", where=where, try_="export the project as JSON")
    if isinstance(values.get("data"), Mapping) and isinstance(values.get("completions"), list):
        raise DataError("This was exported by a Label Studio before 1.0", where=where,
                        try_="open the project in Label Studio 1.0 or later, and export it as JSON")  # fmt: skip
    return isinstance(values.get("data"), Mapping) and isinstance(values.get("annotations"), list)


def labels_of(task: Mapping[str, Any], where: str, left_out: Counter[str]) -> list[Label]:
    """The labels of a task.

    Args:
        task: from the export.
        where: it stands, for messages.
        left_out: counts what is no label, by the reason.

    Raises:
        DataError: an annotation is not as Label Studio writes it.
    """
    item_id = task["data"].get("item_id")
    if not isinstance(item_id, str) or not item_id:
        left_out[_NO_ITEM] += 1
        return []
    found = [_label(one, task["data"], where) for one in task["annotations"]]
    left_out[_EMPTY] += found.count(None)
    if not left_out[_EMPTY]:
        del left_out[_EMPTY]
    return [one for one in found if one is not None]


def _label(annotation: Any, data: Mapping[str, Any], where: str) -> Label | None:
    if not isinstance(annotation, Mapping):
        raise DataError(f"An annotation is {brief(annotation)}", where=where)
    first = data.get("shown_first", None if "right" in data else "first")
    if first is None:
        raise DataError("A task does not say which answer stood on the left (`data.shown_first`)", where=where,
                        try_="import the whole of `data` into the project, as `--label-studio` writes it")  # fmt: skip
    known = {
        "item_id": data["item_id"], "annotator": _who(annotation.get("completed_by"), where), "shown_first": first,
        "created": annotation.get("created_at") or "", "seconds": annotation.get("lead_time") or 0.0,
        "answers_hash": _hash(data, first),
    }  # fmt: skip
    if annotation.get("was_cancelled"):
        return label_of(known | {"status": "skipped", "skip_reason": CANCELLED}, where)
    said = _said(annotation.get("result"), where)
    if not said:
        return None
    sides = ("left", "right") if "right" in data else ("left",)
    outcomes = [said.get(f"outcome_{side}") for side in sides]
    known["outcomes"] = [] if not any(outcomes) else outcomes[::-1] if first == "second" else outcomes
    known["preference"] = said.get("neither") or _preference(said.get("preference"), first)
    known["note"] = said.get("note") or ""
    needed = said.get("picture_needed")
    return label_of(known | {"picture_needed": None if needed is None else needed == "yes"}, where)


def _hash(data: Mapping[str, Any], first: Any) -> str:
    """What tells the answers that were shown, in the order of the item."""
    shown = [data[side] for side in _SIDES if isinstance(data.get(side), str)]
    return hash_of_answers(shown[::-1] if first == "second" else shown) if shown else ""


def _who(value: Any, where: str) -> str:
    """The annotator: the address, or the number that Label Studio gave."""
    if isinstance(value, Mapping):
        value = value.get("email") or value.get("id")
    if isinstance(value, bool) or not isinstance(value, str | int) or value == "":
        raise DataError("An annotation does not say who made it (`completed_by`)", where=where,
                        try_="export the project as JSON, not as JSON-MIN or CSV")  # fmt: skip
    return str(value)


def _preference(side: Any, first: Any) -> str | None:
    """The better answer in the order of the item."""
    if side not in _SIDES:
        return None
    return ("first", "second")[_SIDES[side] ^ (first == "second")]


def _said(result: Any, where: str) -> dict[str, str]:
    """What an annotation says, by the name of the control."""
    if not isinstance(result, list) or not all(isinstance(one, Mapping) for one in result):
        raise DataError("`result` of an annotation is no list of objects", where=where)
    return {str(one.get("from_name")): said for one in result if (said := _value(one.get("value")))}


def _value(value: Any) -> str:
    """The one thing that a control says; empty: nothing."""
    if not isinstance(value, Mapping):
        return ""
    found = value.get("selected") or value.get("choices") or value.get("text") or ""
    lines: Sequence[Any] = found if isinstance(found, list) else [found]
    return "\n".join(str(one) for one in lines)
