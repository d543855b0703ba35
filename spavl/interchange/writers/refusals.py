"""What a form cannot hold: rows that its trainer or our own reader would read otherwise than they are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from spavl.interchange.writers.cells import Refused
from spavl.interchange.writers.forms import ExportForm
from spavl.interchange.writers.layouts import spoken
from spavl.interchange.writers.row import ExportRow
from spavl.preferences.about import about_of
from spavl.preferences.forms import FORMS
from spavl.preferences.messages import RowError, text_of
from spavl.preferences.pairs import Pair


def refuse_unfit(row: ExportRow, form: ExportForm) -> None:
    """Refuse a row that has more than the form has room for.

    Args:
        row: to be written.
        form: that it is written in.

    Raises:
        Refused: the row does not fit.
    """
    pair = row.pair
    if pair.malformed:
        raise Refused(f"it is no pair: {pair.malformed}")
    least, most = form.pictures
    if not least <= len(pair.all_pictures) <= most:
        raise Refused(f"the form has room for {_count(least, most)}")
    if pair.earlier and form.earlier == "none":
        raise Refused("the form has no room for earlier turns")
    if form.earlier == "alternating" and [role for role, *_ in spoken(pair)] != _alternating(len(pair.earlier) + 1):
        raise Refused("the form needs turns of user and assistant that alternate")
    if pair.system and form.system == "none":
        raise Refused("the form has no room for a system turn")
    if form.unequal and pair.chosen == pair.rejected:
        raise Refused("both answers are the same, which its trainer does not take")
    marks = [mark for mark in form.marks if any(mark in text for text in _texts(pair))]
    if marks:
        raise Refused(f"its trainer would take {' and '.join(marks)} in a text for something else")


def _count(least: int, most: int) -> str:
    return f"{most} picture" if least == most == 1 else f"at most {most} pictures"


def _alternating(turns: int) -> list[str]:
    return [("user", "assistant")[place % 2] for place in range(turns)]


def _texts(pair: Pair) -> Iterator[str]:
    yield from (pair.system, pair.chosen, pair.rejected)
    yield from (text for _, text, _ in spoken(pair))


def refuse_misread(values: Mapping[str, Any], row: ExportRow, form: ExportForm) -> None:
    """Refuse a row that would be read back otherwise than it is.

    Args:
        values: of the row as a reader of the file gets them, the keys of pictures in their cells.
        row: what was written.
        form: that it was written in.

    Raises:
        Refused: a field differs, or the row fits another form.
    """
    if form.kind == "csv" and any(isinstance(cell, str) and "\0" in cell for cell in values.values()):
        raise Refused("a text of it holds a NUL, and no CSV file does")
    if form.kind == "csv" and not (row.pair.chosen and row.pair.rejected):
        raise Refused("an answer of it is empty, which CSV does not tell from none")
    if [one.name for one in FORMS if one.fits(values)] != [form.read_as]:
        raise Refused("a text of it looks like another form of file")
    reader = next(one for one in FORMS if one.name == form.read_as)
    try:
        found = reader.read(values)
        named = text_of(values.get("pair_id"), "pair_id")
    except RowError as error:
        raise Refused(error.reason) from None
    pair = row.pair
    said = [(turn.role, turn.text, turn.pictures) for turn in found.turns]
    wanted = [(role, text, tuple(one.key for one in pictures)) for role, text, pictures in spoken(pair)]
    same = {
        "the pictures": [one[::2] for one in said] == [one[::2] for one in wanted],
        "the text of a turn (white space beside a picture?)": [one[1] for one in said] == [one[1] for one in wanted],
        "the system turn": found.system == pair.system,
        "an answer": (found.chosen.text, found.rejected.text) == (pair.chosen, pair.rejected),
        "`pair_id`": not form.extra or named == pair.pair_id,
        "what is known of it": not form.extra or about_of(values) == row.about,
    }
    wrong = [what for what, holds in same.items() if not holds]
    if wrong:
        raise Refused(f"{wrong[0]} would not be read back as it is")


def trimmed(row: ExportRow) -> ExportRow:
    """The row without white space at the start of the texts of turns that have pictures.

    Args:
        row: to be written.
    """
    pair = row.pair
    earlier = tuple(replace(turn, text=turn.text.lstrip()) if turn.pictures else turn for turn in pair.earlier)
    question = pair.question.lstrip() if pair.pictures else pair.question
    return replace(row, pair=replace(pair, earlier=earlier, question=question))
