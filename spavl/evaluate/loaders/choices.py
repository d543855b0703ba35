"""Questions with options: how options are written, and which one an answer chooses."""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence
from typing import Any

from spavl.errors import DataError
from spavl.evaluate.benchmark import Metric
from spavl.evaluate.item import Item
from spavl.evaluate.scorer import Rule, Scorer
from spavl.evaluate.skill_metrics import official_metric, refusal_metric, right_metric, unread_metric
from spavl.judging.readers.options import LETTERS, read_option
from spavl.rows import brief

OptionRule = Callable[[str, Item], str | None]
"""(text of an answer, item) → the letter that it chooses; None where it chooses none."""


def with_options(question: str, options: Sequence[str], before: str = "") -> str:
    """The question with its options under it, a line `A. text` each.

    Args:
        question: the question.
        options: texts of the options.
        before: what stands in a line before the question, such as a hint; empty: nothing.

    Raises:
        DataError: there are fewer than two, or more than there are letters.
    """
    if not 1 < len(options) <= len(LETTERS):
        raise DataError(f"A question has 2 to {len(LETTERS)} options, and this one {len(options)}")
    lines = [f"{letter}. {option}" for letter, option in zip(LETTERS, options, strict=False)]
    return "\n".join([*([before] if before else []), question, *lines])


def lettered(item: Item) -> dict[str, str]:
    """The options of an item by letter.

    Args:
        item: the item.
    """
    return dict(zip(LETTERS, item.options, strict=False))


def letter_at(place: Any, options: Sequence[str]) -> str:
    """The letter of an option.

    Args:
        place: its place, from 0.
        options: all options.

    Raises:
        DataError: there is no such option.
    """
    if not isinstance(place, int) or not 0 <= place < len(options):
        raise DataError(f"The answer is the place of an option, from 0 to {len(options) - 1}, not {brief(place)}")
    return LETTERS[place]


def letter_of(answer: Any, options: Sequence[str]) -> str:
    """The letter of the right option, where the file names it.

    Args:
        answer: the letter.
        options: all options.

    Raises:
        DataError: it is no letter of an option.
    """
    letter = str(answer or "").strip().upper()
    if len(letter) != 1 or letter not in LETTERS[: len(options)]:
        raise DataError(
            f"The answer is one of the letters {', '.join(LETTERS[: len(options)])}, not {brief(answer)}",
            try_="" if answer else "splits without answers are scored by the benchmark's server alone",
        )
    return letter


def list_in(value: Any) -> list[Any]:
    """A list, or one that is written in a text, as the Hub has it for MMMU; an empty one for nothing.

    Args:
        value: the cell.

    Raises:
        DataError: it is neither.
    """
    if isinstance(value, str) and value.strip():
        try:
            value = ast.literal_eval(value.strip())
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            raise DataError(f"A list is written in this text, and it cannot be read: {brief(value)}") from None
    if value is None or value == "":
        return []
    if not isinstance(value, list | tuple):
        raise DataError(f"This is no list: {brief(value)}")
    return list(value)


def chosen(item: Item, text: str) -> str | None:
    """The letter that an answer chooses, by our reading.

    Args:
        item: with its options.
        text: the answer.
    """
    return read_option(text, options=lettered(item))


RIGHT_OPTION = Rule("reader:option-right/1", lambda item, text: chosen(item, text) == item.expected)
"""Whether the option that is chosen is the right one; none is wrong."""
NO_OPTION = Rule("reader:no-option/1", lambda item, text: chosen(item, text) is None)
"""Whether no option is read."""


def option_metrics(name: str, official: OptionRule, rule: str, refuses: Scorer) -> tuple[Metric, ...]:
    """The metrics of questions with options: right by our reading and by the published rule, no option, refusals.

    Args:
        name: of the benchmark in names of metrics.
        official: the published rule.
        rule: that rule in words.
        refuses: True where an answer is a refusal.
    """
    ours = right_metric(name, RIGHT_OPTION)
    by_rule = Rule(f"rule:{name}/1", lambda item, text: official(text, item) == item.expected)
    return (
        ours, official_metric(ours, by_rule, rule), unread_metric(name, NO_OPTION), refusal_metric(name, refuses),
    )  # fmt: skip
