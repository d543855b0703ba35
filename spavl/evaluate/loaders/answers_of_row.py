"""Options, accepted answers and tolerances of a row of a user's own file: what can be read in two ways is refused."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

from spavl.errors import DataError
from spavl.evaluate.item import Item
from spavl.evaluate.loaders.choices import chosen, list_in
from spavl.evaluate.loaders.read_files import Fields
from spavl.evaluate.scorer import Rule
from spavl.judging.readers.numbers import is_number, read_number
from spavl.judging.readers.options import LETTERS
from spavl.rows import brief
from spavl.statistics.intervals import Outcome

TOLERANCE = "tolerance"
"""Column, and note of an item, that says how far off a number may be."""
_TOLERANCE = re.compile(r"\d+(?:\.\d+)?(?:e-?\d+)?\s?%?", re.IGNORECASE)


def options_of(row: Fields) -> tuple[str, ...]:
    """The options of a row in their order, none where it has none.

    Args:
        row: its `options`: a list, one written in a text, or an object by letter.

    Raises:
        DataError: it is none of these, or there are too few, too many, empty or equal ones.
    """
    cell = row.get("options")
    if isinstance(cell, dict):
        cell = _by_letter(cell)
    options = tuple(map(_option, list_in(cell)))
    if not options:
        return ()
    if not 2 <= len(options) <= len(LETTERS):
        raise DataError(f"A question has 2 to {len(LETTERS)} options, and this one {len(options)}")
    if "" in options:
        raise DataError(f"Option {LETTERS[options.index('')]} is empty")
    if len(set(options)) < len(options):
        twice = next(one for place, one in enumerate(options) if one in options[:place])
        raise DataError(f"Two options are the same: {brief(twice)}")
    return options


def _by_letter(cell: dict[str, Any]) -> list[Any]:
    letters = sorted(letter for letter, text in cell.items() if text is not None)
    if letters != list(LETTERS[: len(letters)]):
        raise DataError(f"Options by letter are called A, B, C … in turn, and these are {', '.join(map(brief, cell))}")
    return [cell[letter] for letter in letters]


def _option(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise DataError(f"An option is text or a number, not {brief(value)}")
    return str(value).strip()


def right_letter(expected: Sequence[str], options: Sequence[str]) -> str:
    """The letter of the right option, which a row names by its letter, its text, or its place from 0.

    Args:
        expected: what the row expects.
        options: its options.

    Raises:
        DataError: it names no option, or different ones by different readings.
    """
    if len(expected) != 1:
        raise DataError("A question with options has one right answer", try_="name one option in `expected`")
    word = expected[0]
    readings = {LETTERS[place] for place, option in enumerate(options) if option == word}
    bare = word.strip("().").upper()
    if len(bare) == 1 and bare in LETTERS[: len(options)]:
        readings.add(bare)
    if word.isdecimal() and int(word) < len(options):
        readings.add(LETTERS[int(word)])
    if len(readings) == 1:
        return readings.pop()
    if readings:
        raise DataError(
            f"{brief(word)} may be option {' or '.join(sorted(readings))}: by its letter, its text or its place from 0",
            try_="change the options' texts, or name it by another of the three",
        )  # fmt: skip
    raise DataError(f"{brief(word)} is none of the options", try_="its letter, its text, or its place from 0")


def tolerance_of(row: Fields, expected: Sequence[str], otherwise: str = "") -> str:
    """How far off a number may be: absolute, such as `0.05`, or relative, such as `1%`; empty: not at all.

    Args:
        row: the row.
        expected: its right answers.
        otherwise: the benchmark's own tolerance, which applies to numbers alone.

    Raises:
        DataError: it is no such number, or the right answer is none.
    """
    numbers = all(map(is_number, expected))
    cell = row.get(TOLERANCE)
    if cell is None:
        return otherwise if numbers else ""
    text = str(cell).strip()
    if isinstance(cell, bool) or not _TOLERANCE.fullmatch(text):
        raise DataError(f"`{TOLERANCE}` is a number such as 0.05, or a share such as 1%, not {brief(cell)}")
    if not numbers:
        raise DataError(f"A right answer is no number, so that `{TOLERANCE}` says nothing of it")
    return text


def within(text: str, expected: str, tolerance: str, question: str = "") -> bool:
    """Whether an answer gives a number that is near enough to the right one; the limit itself is near enough.

    Args:
        text: the answer.
        expected: the right number.
        tolerance: absolute, or relative to the right number with a percent sign.
        question: what was asked; the answer may repeat its numbers.
    """
    given, right = read_number(text, question), read_number(expected)
    if given is None or right is None:
        return False
    amount = Decimal(tolerance.rstrip("% "))
    return abs(given - right) <= (abs(right) * amount / 100 if "%" in tolerance else amount)


def answer_rule(other: Rule) -> Rule:
    """The scorer of a file that has options or tolerances: each item is read by what it has.

    Args:
        other: of items that have neither.
    """

    def outcome(item: Item, text: str) -> Outcome:
        return _reading(item, other.outcome)(item, text)

    return Rule(f"reader:own-answer/1+{other.id}", outcome)


def _reading(item: Item, other: Callable[[Item, str], Outcome]) -> Callable[[Item, str], Outcome]:
    if item.options:
        return lambda one, text: chosen(one, text) == one.expected
    if TOLERANCE in item.notes:
        return lambda one, text: any(within(text, right, one.notes[TOLERANCE], one.question) for right in one.answers)
    return other
