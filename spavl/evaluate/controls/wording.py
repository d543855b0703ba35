"""Controls of the words: the question reworded or translated, another system prompt, or the same again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from spavl.errors import DataError
from spavl.evaluate.controls.control import Control, always_fit, one_by_one
from spavl.evaluate.item import Item
from spavl.evaluate.loaders.read_files import text_of
from spavl.rows import rows_of


def reworded(name: str, kind: str, path: Path) -> Control:
    """The items with their questions as a file has them.

    Args:
        name: of the control.
        kind: `paraphrase` or `language`.
        path: the file; columns `id` and `question`.

    Raises:
        DataError: the file cannot be read, lacks a column, or has an id twice.
    """
    questions = read_questions(path)
    return Control(
        name=name, what="in other words" if kind == "paraphrase" else "translated", seen="own",
        unfit=lambda item: "" if item.item_id in questions else f"not in {path.name}",
        change=one_by_one(lambda item: replace(item, question=questions[item.item_id])),
    )  # fmt: skip


def read_questions(path: Path) -> dict[str, str]:
    """Question by id of its item.

    Args:
        path: JSON lines, CSV, TSV or Parquet with the columns `id` and `question`.

    Raises:
        DataError: the file cannot be read, lacks a column, or has an id twice.
    """
    found: dict[str, str] = {}
    for row in rows_of(path):
        item = row.values.get("id")
        if isinstance(item, bool) or not isinstance(item, str | int) or item == "":
            raise DataError("A row has no `id`, which is that of an item", where=row.where)
        if str(item) in found:
            raise DataError(f"Two rows are of the item `{item}`", where=row.where)
        found[str(item)] = text_of(row.values, "question", row.where)
    if not found:
        raise DataError("The file has no row", where=str(path))
    return found


def with_system(name: str, text: str) -> Control:
    """The items with a system prompt in place of their own.

    Args:
        name: of the control.
        text: the system prompt.
    """

    def changed(item: Item) -> Item:
        return replace(item, system=text)

    what = "another system prompt" if text else "no system prompt"
    return Control(name=name, what=what, unfit=always_fit, change=one_by_one(changed))


def sampled_again(name: str) -> Control:
    """The very same requests with another seed.

    Args:
        name: of the control.
    """
    return Control(
        name=name, what="the same, sampled again", unfit=always_fit, change=one_by_one(lambda item: item),
        resampled=True,
    )  # fmt: skip
