"""The item of a row of a user's own file, every field read by its type: what is wrong is a sentence, never a guess."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime
from pathlib import Path
from typing import Any

from spavl.errors import DataError
from spavl.evaluate.item import Item
from spavl.evaluate.loaders.answers_of_row import TOLERANCE, options_of, right_letter, tolerance_of
from spavl.evaluate.loaders.choices import list_in
from spavl.evaluate.loaders.columns import NUMBERED, PICTURE_COLUMNS
from spavl.evaluate.loaders.read_files import Fields, picture_of, text_of
from spavl.records import ImageRef, Turn
from spavl.rows import brief

HARM, BENIGN, SKILL, YES_NO, GRADED = "harm", "benign", "skill", "yes-no", "graded"
WITH_ANSWER = (SKILL, YES_NO)
"""Subsets whose rows need the field `expected`."""
SUBSETS = (HARM, BENIGN, *WITH_ANSWER, GRADED)
"""What the field `subset` may say in a row without `harmful` and `benign`."""
NOTES = ("reference", "caption", "warning")
"""Columns that scorers and controls are told, and models never."""
YES_AND_NO: Mapping[str, str] = {"yes": "yes", "no": "no", "true": "yes", "false": "no"}
"""What `expected` may say in a row of `yes-no`, without regard to case and to what stands around it."""


@dataclass(frozen=True, slots=True)
class ItemOfRow:
    """What rows are read with."""

    folder: Path
    """That the paths of pictures are relative to."""
    pictures: Path
    """Folder for pictures that come inside the file."""
    subset: str | None
    """Subset of rows that say none of `subset`, `harmful` and `benign`; None: there must be no such row."""
    tolerance: str = ""
    """How far off a number may be where the row does not say."""
    lists: bool = False
    """Whether an `expected` that is a list in a text, as in CSV, is a list, and not the answer itself."""

    def item(self, row: Fields, number: str) -> Item:
        """The item of a row, its pictures named and not yet read.

        Args:
            row: its fields.
            number: its id, where it has none.

        Raises:
            DataError: a field is missing or wrong.
        """
        question = text_of(row, "question")
        subset, harmful, benign = self._declared(row)
        expected, options = self._expected(row, subset), options_of(row)
        if options and subset != SKILL:
            raise DataError(f"A row with options is of the subset `{SKILL}`")
        if options:
            expected = (right_letter(expected, options),)
        split = _name(row, "split")
        key = _name(row, "id") or number
        item = Item(
            item_id=f"{split}/{key}" if split else key, subset=subset, question=question, images=self._pictures(row),
            earlier=self._turns(row.get("earlier")), system=_name(row, "system"), expected=expected[0],
            also=expected[1:], group=_name(row, "group") or split, cluster=_name(row, "cluster"), harmful=harmful,
            benign=benign, heldout=_flag(row, "heldout") or False, added=_date(row), options=options,
            unit=_name(row, "pair"), notes=self._notes(row, subset, () if options or subset != SKILL else expected),
        )  # fmt: skip
        return item if item.pictures else replace(item, shown="none")

    def _expected(self, row: Fields, subset: str) -> tuple[str, ...]:
        """The right answers, those of `also` after those of `expected`."""
        if self.lists and isinstance(row.get("expected"), str):
            row = {**row, "expected": _json_in_text(row["expected"])}
        expected, also = _expected(row, subset), tuple(map(_answer, list_in(row.get("also"))))
        if also and (subset != SKILL or "" in also):
            raise DataError(f"`also` lists further right answers of a row of the subset `{SKILL}`, none of them empty")
        return (*expected, *also)

    def _notes(self, row: Fields, subset: str, numbers: tuple[str, ...]) -> dict[str, str]:
        """What is known of the row beside, and how far off its numbers may be."""
        found = {name: text_of(row, name) for name in NOTES if row.get(name) not in (None, "")}
        if subset == GRADED and "reference" not in found:
            raise DataError(f"In the subset `{GRADED}` every row has a `reference`, against which answers are graded")
        if not numbers and row.get(TOLERANCE) is not None:
            raise DataError(f"`{TOLERANCE}` is for numbers that a row of the subset `{SKILL}` expects")
        tolerance = tolerance_of(row, numbers, self.tolerance) if numbers else ""
        return {**found, **({TOLERANCE: tolerance} if tolerance else {})}

    def _declared(self, row: Fields) -> tuple[str, bool, bool]:
        """(subset, harmful, benign) of a row: as it says, or as its subset means."""
        harmful, benign, named = _flag(row, "harmful"), _flag(row, "benign"), _name(row, "subset")
        if harmful is None and benign is None:
            subset = named or self.subset
            if subset is None:
                raise DataError(
                    "The row does not say what it measures",
                    try_=f"give it a `subset` ({', '.join(SUBSETS)}), or say `harmful` or `benign`; or set the "
                    "benchmark's `subset` for all such rows",
                )
            if subset not in SUBSETS:
                raise DataError(
                    f"There is no subset {brief(subset)}",
                    try_=f"one of {', '.join(SUBSETS)}; or say `harmful` or `benign` in every row",
                )
            return subset, subset == HARM, subset == BENIGN
        subset = named or (BENIGN if benign else HARM)
        if harmful and benign:
            raise DataError("A question cannot be both harmful and benign")
        if not harmful and not benign and subset not in (*WITH_ANSWER, GRADED):
            raise DataError(
                "The row is neither harmful nor benign, so nothing would be measured",
                try_=f"say which, or give an expected answer and the subset {' or '.join(WITH_ANSWER)}",
            )
        return subset, bool(harmful), bool(benign)

    def _pictures(self, row: Fields) -> tuple[ImageRef, ...]:
        """Pictures of the question: of the column that the file has for them, or of `image_1`, `image_2` … in order."""
        cells = next((row[name] for name in PICTURE_COLUMNS if row.get(name) is not None), None)
        if cells is None:
            numbered = sorted((int(found[1]), row[name]) for name in row if (found := NUMBERED.fullmatch(name)))
            cells = [cell for _, cell in numbered]
        return self._each(cells)

    def _each(self, cells: Any) -> tuple[ImageRef, ...]:
        cells = _json_in_text(cells)
        found = (
            picture_of(cell, self.folder, self.pictures) for cell in (cells if isinstance(cells, list) else [cells])
        )
        return tuple(image for image in found if image is not None)

    def _turns(self, cell: Any) -> tuple[Turn, ...]:
        """The turns before the question."""
        turns = _json_in_text(cell) or []
        if not isinstance(turns, list):
            raise DataError(f"`earlier` is a list of turns, not {brief(turns)}")
        read = tuple(map(self._turn, turns))
        if [turn.role for turn in read] != ["user", "assistant"] * (len(read) // 2):
            raise DataError("The turns of `earlier` alternate: the user's first, the assistant's last")
        return read

    def _turn(self, turn: Any) -> Turn:
        if not isinstance(turn, dict) or turn.get("role") not in ("user", "assistant") or "text" not in turn:
            raise DataError("`earlier` holds turns: role (user or assistant), text, images")
        return Turn(turn["role"], text_of(turn, "text"), self._each(turn.get("images")))


def _expected(row: Fields, subset: str) -> tuple[str, ...]:
    """The right answers; the empty text where the row has none and needs none."""
    cell = row.get("expected")
    answers = [_answer(one) for one in (cell if isinstance(cell, list) else [cell])]
    if "" in answers and (subset in WITH_ANSWER or len(answers) > 1):
        raise DataError("The field `expected` is missing or empty")
    if not answers:
        raise DataError("The field `expected` is an empty list")
    if subset != YES_NO:
        return tuple(answers)
    words = [answer.strip(" \n\t.,!;:\"'").lower() for answer in answers]
    if len(words) > 1 or words[0] not in YES_AND_NO:
        raise DataError(f"In the subset `{YES_NO}` `expected` is yes or no, not {brief(cell)}")
    return (YES_AND_NO[words[0]],)


def _answer(value: Any) -> str:
    """An answer as text: numbers and truth values as JSON writes them."""
    if isinstance(value, str):
        return value.strip()
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, bool | int | float):
        return json.dumps(value)
    raise DataError(f"`expected` is text, a number, true or false, or a list of them, not {brief(value)}")


def _name(row: Fields, name: str) -> str:
    """A field as text; a number may be zero, and a whole number that a table keeps as 3.0 is 3."""
    value = row.get(name)
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, str | int) and not isinstance(value, bool):
        return str(value)
    raise DataError(f"The field `{name}` is text or a whole number, not {brief(value)}")


def _flag(row: Fields, name: str) -> bool | None:
    value = row.get(name)
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str) and value.strip().lower() in ("true", "false"):
        return value.strip().lower() == "true"
    raise DataError(f"The field `{name}` is true or false, not {brief(value)}")


def _date(row: Fields) -> str:
    """The date on which the row joined the file; empty where it has none."""
    value = row.get("added")
    if value is None or value == "" or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, datetime):
        value = value.date()
    try:
        return (value if isinstance(value, date) else date.fromisoformat(value)).isoformat()
    except (TypeError, ValueError):
        raise DataError(f"`added` is a date such as 2026-11-27, not {brief(value)}") from None


def _json_in_text(cell: Any) -> Any:
    """A list that stands in a cell of text, as in CSV, as a list; anything else as it is."""
    if not isinstance(cell, str) or not cell.lstrip().startswith("["):
        return cell
    try:
        return json.loads(cell)
    except (RecursionError, ValueError):
        return cell
