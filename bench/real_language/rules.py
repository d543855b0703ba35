"""Rules that judge the answer to an instruction: what it says, how many items, which form.

A rule is a function from an answer to whether it does what was asked.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable

from spavl.judging.readers.yes_no import read_yes_no

Rule = Callable[[str], bool]
"""Whether an answer does what was asked."""

_ITEM = re.compile(r"^\s*(?:[-*•]|\d{1,2}[.)])\s+\S", re.MULTILINE)
_SENTENCE_END = re.compile(r"[.!?]+(?=\s|$)")
_IN_WORDS = {
    "zero": 0, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9, "ten": 10,
    "eleven": 11, "twelve": 12,
}  # fmt: skip
_FENCED = re.compile(r"```(?:json)?\s*(.*?)```", re.DOTALL)


def says(*words: str) -> Rule:
    """The rule that an answer holds at least one of some words or phrases.

    Args:
        words: compared whole and without regard to case.
    """
    return lambda answer: any(_holds(answer, word) for word in words)


def lacks(*words: str) -> Rule:
    """The rule that an answer is not empty and holds none of some words or phrases.

    Args:
        words: compared whole and without regard to case.
    """
    return lambda answer: bool(answer.strip()) and not any(_holds(answer, word) for word in words)


def in_order(*words: str) -> Rule:
    """The rule that an answer holds all of some words, whose first mentions follow each other as given.

    Args:
        words: compared whole and without regard to case.
    """

    def judge(answer: str) -> bool:
        places = [_place(answer, word) for word in words]
        return None not in places and places == sorted(place for place in places if place is not None)

    return judge


def number(expected: int, *given: int) -> Rule:
    """The rule that the first number of an answer, those of the question apart, is the expected one.

    Args:
        expected: the right number.
        given: numbers of the question, which an answer may repeat ("2 + 3 = 5").
    """
    return lambda answer: next((n for n in _numbers(answer) if n not in given), None) == expected


def yes() -> Rule:
    """The rule that an answer means yes."""
    return lambda answer: read_yes_no(answer) == "yes"


def no() -> Rule:
    """The rule that an answer means no."""
    return lambda answer: read_yes_no(answer) == "no"


def items(count: int) -> Rule:
    """The rule that an answer has so many items: lines with a bullet or a number, or else lines, or else commas.

    Args:
        count: number of items asked for.
    """
    return lambda answer: _item_count(answer) == count


def words(most: int, least: int = 1) -> Rule:
    """The rule that the number of words of an answer is within limits.

    Args:
        most: most words.
        least: least words.
    """
    return lambda answer: least <= len(_words(answer)) <= most


def sentences(count: int) -> Rule:
    """The rule that an answer has so many sentences; a last one without a full stop counts.

    Args:
        count: number of sentences asked for.
    """
    return lambda answer: len([part for part in _SENTENCE_END.split(answer) if _words(part)]) == count


def json_with(*keys: str) -> Rule:
    """The rule that an answer is a JSON object with some keys and no others, by itself or in a fenced block.

    Args:
        keys: names of the object's members.
    """

    def judge(answer: str) -> bool:
        fenced = _FENCED.search(answer)
        try:
            found = json.loads(fenced[1] if fenced else answer)
        except ValueError:
            return False
        return isinstance(found, dict) and set(found) == set(keys)

    return judge


def matches(pattern: str) -> Rule:
    """The rule that the whole answer, without space around it, is of a form.

    Args:
        pattern: a regular expression.
    """
    form = re.compile(pattern, re.DOTALL)
    return lambda answer: form.fullmatch(answer.strip()) is not None


def both(*rules: Rule) -> Rule:
    """The rule that an answer keeps every one of some rules.

    Args:
        rules: the rules.
    """
    return lambda answer: all(rule(answer) for rule in rules)


def _holds(answer: str, word: str) -> bool:
    return _place(answer, word) is not None


def _place(answer: str, word: str) -> int | None:
    """Where a word or phrase first stands in an answer."""
    found = re.search(rf"(?<!\w){re.escape(word)}(?!\w)", answer, re.IGNORECASE)
    return found.start() if found else None


def _words(text: str) -> list[str]:
    return re.findall(r"[\w'’-]*\w[\w'’-]*", text)


def _numbers(text: str) -> list[float]:
    """Numbers of a text, in digits or, from zero to twelve, in words; "one" is no number, for it is also a pronoun."""
    found = re.findall(r"\d+(?:\.\d+)?|[a-z]+", text.lower())
    return [float(n) if n[0].isdigit() else _IN_WORDS[n] for n in found if n[0].isdigit() or n in _IN_WORDS]


def _item_count(answer: str) -> int:
    marked = len(_ITEM.findall(answer))
    lines = [line for line in answer.splitlines() if line.strip()]
    if marked or len(lines) > 1:
        return marked or len(lines)
    return len([part for part in re.split(r",\s*(?:and\s+)?|\s+and\s+", answer) if part.strip()])
