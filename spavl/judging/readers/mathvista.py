"""Whether an answer is right by the rule published with MathVista, as far as it needs no language model.

MathVista has a language model extract the answer from what was said, unless that is the answer already: the text of a
choice, an integer, a number, or `The answer is "…".`. What was extracted is made alike and compared as text: a float
rounded to the precision of its question, an integer cut, and for a choice the letter in brackets, the letter, or the
choice that is spelt most like it, however far that is.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

AnswerType = Literal["text", "integer", "float", "list"]
"""What the right answer is; `text` is that of a question with choices."""
_QUOTED = re.compile(r'The answer is "(.*)"\.')
_BRACKETED = re.compile(r"\(([a-zA-Z])\)")


@dataclass(frozen=True, slots=True, kw_only=True)
class MathVistaQuestion:
    """What the rule has to know of a question."""

    answer: str
    """The right answer; of choices the text of the right one."""
    type: AnswerType
    """What it is."""
    choices: tuple[str, ...] = ()
    """The texts to choose from; none: nothing is chosen."""
    precision: int | None = None
    """Decimals of a float."""


def mathvista_right(text: str, question: MathVistaQuestion) -> bool | None:
    """Whether an answer is right; None where MathVista would ask a language model what the answer is.

    Args:
        text: the answer.
        question: what was asked.

    Source: `extract_answer.py` (with `--quick_extract`) and `calculate_score.py` in
    https://github.com/lupantech/MathVista/tree/main/evaluation
    """
    found = _extracted(text, question)
    return None if found is None else _made_alike(found, question) == question.answer


def _extracted(text: str, question: MathVistaQuestion) -> str | None:
    if not text or text in question.choices:
        return text
    try:
        if question.type == "integer":
            return str(int(text))
        if question.type == "float":
            return str(float(text))
    except ValueError:
        pass
    quoted = _QUOTED.search(text)
    return quoted.group(1) if quoted else None


def _made_alike(found: str, question: MathVistaQuestion) -> str | None:
    if question.choices:
        return _choice(found.strip(), question.choices)
    try:
        if question.type == "integer":
            return str(int(float(found)))
        if question.type == "float":
            return str(round(float(found), question.precision))
    except (ValueError, OverflowError):
        return None
    return found


def _choice(found: str, choices: Sequence[str]) -> str:
    bracketed = _BRACKETED.findall(found)
    named = bracketed[0].upper() if bracketed else found
    letters = [chr(ord("A") + place) for place in range(len(choices))]
    if named in letters:
        return choices[letters.index(named)]
    distances = [edit_distance(named, choice) for choice in choices]
    return choices[distances.index(min(distances))]


def edit_distance(one: str, other: str) -> int:
    """Fewest letters that are put in, taken out or replaced to make one text of another (Levenshtein's distance).

    Args:
        one: a text.
        other: another text.
    """
    row = list(range(len(other) + 1))
    for done, letter in enumerate(one, start=1):
        before, row = row, [done]
        for place, wanted in enumerate(other, start=1):
            row.append(min(before[place] + 1, row[-1] + 1, before[place - 1] + (letter != wanted)))
    return row[-1]
