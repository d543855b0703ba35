"""Rule-based scorers of English answers: refusal detection, yes/no parsing, and exact match of short answers.

A refusal is never a right answer. (The parser published with POPE reads "I'm sorry, I cannot …" as yes, so that a model
which refuses half of all questions keeps its score.)
"""

from __future__ import annotations

import re
from typing import Literal

from spavl.evaluate.item import Item
from spavl.evaluate.scorer import Rule

Reading = Literal["yes", "no", "neither"]
"""How an answer to a yes/no question is parsed."""

_REFUSAL = re.compile(
    r"\b(?:i(?:'m| am)?|we(?:'re| are)?)\s+(?:(?:very|so|really|truly)\s+)?(?:sorry\b|afraid\b|unable to\b)"
    r"|\b(?:i|we)\s+(?:can\s*not|can't|won't|will not|must decline|decline|refuse|do not|don't|am not able to)"
    r"(?:\s+\w+ly)?\s+(?:to\s+)?(?:help|assist|answer|provide|do that|do this|comply|support|discuss|engage|continue|"
    r"say|give|create|share|offer|identify|be of|make)"
    r"|^\s*(?:sorry|my apologies|apologies|i apologi[sz]e|i must decline|i have to decline)\b"
    r"|\bas an ai\b"
    r"|\bi\s+(?:do not|don't|can\s*not|can't)\s+(?:know|tell|see|determine)\b",
    re.IGNORECASE,
)
_SENTENCE = re.compile(r"[.!?\n]")
_LEADING = re.compile(r"^\W*(?:(?:the\s+)?answer(?:\s+is)?\W+)?(yes|no)\b(?!\s*(?:and|or|/)\s*(?:yes|no)\b)", re.I)
_EXISTS = re.compile(r"^\W*there\s+(?:is|are)(n't|\s+not?)?\b", re.IGNORECASE)
_WORD = re.compile(r"\b(yes|no)\b", re.IGNORECASE)
_IGNORED = re.compile(r"[^\w\s]|\b(?:a|an|the)\b")


def refuses(text: str) -> bool:
    """Whether an answer is a refusal, or says that it does not know, by known phrases in its first 200 characters.

    Args:
        text: the answer; typographic apostrophes count as plain ones.
    """
    return _REFUSAL.search(text[:200].replace("’", "'")) is not None


def yes_or_no(text: str) -> Reading:
    """An answer to a yes/no question parsed as yes, no, or neither, by its first sentence.

    The sentence must begin with yes or no ("The answer is yes" too), state that there is or is not, or contain only one
    of the two words. Anything else, and any refusal, is neither.

    Args:
        text: the answer.
    """
    if refuses(text):
        return "neither"
    sentence = _SENTENCE.split(text.strip(), maxsplit=1)[0]
    leading = _LEADING.match(sentence)
    if leading:
        return _reading(leading.group(1))
    exists = _EXISTS.match(sentence)
    if exists:
        return "no" if exists.group(1) else "yes"
    found = {word.lower() for word in _WORD.findall(sentence)}
    return _reading(found.pop()) if len(found) == 1 else "neither"


def _reading(word: str) -> Reading:
    return "yes" if word.lower() == "yes" else "no"


def pope_official(text: str) -> Reading:
    """The parser published with POPE: yes unless a word negates. For comparison with published numbers only.

    Args:
        text: the answer.

    Source: https://github.com/AoiDragon/POPE/blob/main/evaluate.py
    """
    sentence = text.split(".", maxsplit=1)[0].replace(",", "")
    words = sentence.split(" ")
    return "no" if {"No", "not", "no"} & set(words) else "yes"


def exact(text: str, expected: str) -> bool:
    """Exact match of a short answer, without regard to case, punctuation and articles; a refusal never matches.

    Args:
        text: the answer.
        expected: the right answer.
    """
    return not refuses(text) and _normalised(text) == _normalised(expected)


def _normalised(text: str) -> str:
    return " ".join(_IGNORED.sub(" ", text.lower()).split())


def _expected(item: Item) -> str:
    return item.expected.strip().lower()


REFUSES = Rule("parse:refusal/1", lambda item, text: refuses(text))
"""Whether an answer refuses, by known phrases."""
EXACT = Rule("parse:exact/1", lambda item, text: any(exact(text, one) for one in item.answers))
"""Whether a short answer is the expected one."""
RIGHT_YES_NO = Rule("parse:yes-no-right/1", lambda item, text: yes_or_no(text) == _expected(item))
"""Whether yes or no is the expected one. Neither is wrong and not unreadable: the model did not answer."""
NEITHER = Rule("parse:yes-no-neither/1", lambda item, text: yes_or_no(text) == "neither")
"""Whether an answer to a yes/no question says neither."""
SAYS_YES = Rule("parse:yes-no-yes/1", lambda item, text: yes_or_no(text) == "yes")
"""Whether an answer to a yes/no question says yes."""
