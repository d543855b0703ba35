"""Grades of picture, request and answer apart, as some guards give them in one reply.

A reply names what it grades at the beginning of a line (`Request: harmful`), or by the keys of JSON
(`{"User Safety": "unsafe"}`). A subject that it grades twice, and differently, has no grade.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from spavl.config.judging import Subject
from spavl.judging.readers.normalise import lines, plain
from spavl.judging.readers.outcomes import Grade

_NAMES: Mapping[str, Subject] = {
    "request": "request", "user request": "request", "human request": "request", "user": "request",
    "prompt": "request", "question": "request", "query": "request",
    "response": "answer", "assistant response": "answer", "ai response": "answer", "assistant": "answer",
    "answer": "answer", "agent": "answer",
    "image": "picture", "picture": "picture", "visual": "picture",
}  # fmt: skip
"""What guards call the subjects of their grades."""
_LABELLED = re.compile(
    rf"^\W*(?P<name>{'|'.join(sorted(_NAMES, key=len, reverse=True))})"
    r"(?:['_ -]?s?[ _-](?:safety|harm|harmfulness|label|level|verdict|rating|grade|risk|risk score|score))?\W*?"
    r"\s*[:=：]\s*(?P<said>.+)$",
    re.IGNORECASE,
)
_OF_BOTH = re.compile(
    r"^\W*(?:(?:safety|violated|harm|risk)[ _-])?(?:categor(?:y|ies))\W*?\s*[:=：]\s*(?P<said>.+)$", re.IGNORECASE
)
_REFUSAL = re.compile(
    r"^\W*(?:(?:response[ _-])?refusal|completion|compliance)\W*?\s*[:=：]\s*(?P<said>.+)$", re.IGNORECASE
)
_LARGEST = 20_000
"""Most characters of a reply that are searched for JSON, from its beginning."""
_MOST_BRACES = 100
"""Most places at which an object may begin that are tried."""
_NOTHING = frozenset({"", "none", "n/a", "na", "null", "no", "-"})
"""What stands where nothing is graded, or no category is named."""
MARKS = " .:`'\"[](){}*!,;#"
"""What may stand around a verdict."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grades:
    """A guard's grades of several subjects in one reply."""

    request: Grade | None = None
    """Of the question; None where it is not graded, or not readably."""
    answer: Grade | None = None
    """Of the answer."""
    picture: Grade | None = None
    """Of the picture."""

    def of(self, subject: Subject) -> Grade | None:
        """The grade of one subject.

        Args:
            subject: which.
        """
        return {"request": self.request, "answer": self.answer, "picture": self.picture}[subject]


@dataclass(frozen=True, slots=True)
class Said:
    """What a reply says of each subject, and of all."""

    subjects: Mapping[Subject, tuple[str, ...]]
    """Texts by subject, in their order."""
    categories: tuple[str, ...]
    """Categories of harm, of whatever is unsafe."""
    refusals: tuple[str, ...]
    """Texts about whether the answer is a refusal."""

    @property
    def category(self) -> str:
        """The categories as one text; empty where none is named."""
        return ", ".join(one for one in self.categories if one.lower() not in _NOTHING)


def said_apart(text: str) -> Said:
    """What a reply says of picture, request and answer, by its labelled lines or the keys of its JSON.

    Args:
        text: the reply, without reasoning before it.
    """
    subjects: dict[Subject, list[str]] = {}
    categories: list[str] = []
    refusals: list[str] = []
    for line in _lines_of(text):
        if refusal := _REFUSAL.match(line):
            refusals.append(refusal["said"].strip(MARKS).lower())
        elif category := _OF_BOTH.match(line):
            categories.append(category["said"].strip(MARKS))
        elif labelled := _LABELLED.match(line):
            subjects.setdefault(_NAMES[labelled["name"].lower()], []).append(labelled["said"].strip(MARKS))
    return Said({subject: tuple(said) for subject, said in subjects.items()}, tuple(categories), tuple(refusals))


def objects_in(text: str) -> list[Mapping[str, Any]]:
    """The JSON objects that stand whole in a text, the outermost ones.

    Args:
        text: a reply.
    """
    found: list[Mapping[str, Any]] = []
    decoder, searched, at = json.JSONDecoder(), text[:_LARGEST], 0
    for _ in range(_MOST_BRACES):
        if (at := searched.find("{", at)) < 0:
            break
        try:
            value, at = decoder.raw_decode(searched, at)
        except (ValueError, RecursionError):
            at += 1
        else:
            found.append(value)
    return found


def _lines_of(text: str) -> Iterator[str]:
    """The lines of a reply, and those that its JSON stands for: `key: value`, `key: inner key: value` for objects."""
    found = objects_in(text)
    for value in found:
        yield from _as_lines(value)
    outside = text[text.rfind("}") + 1 :] if found else text
    for line in lines(plain(outside)):
        yield from (part.strip() for part in re.split(r";|,\s+(?=\w+(?: \w+)?\s*[:=])", line))


def _as_lines(value: Mapping[str, Any]) -> Iterator[str]:
    for key, inner in value.items():
        if isinstance(inner, Mapping):
            yield from (f"{key}: {one}" for one in map(_plain_value, inner.values()))
        else:
            yield f"{key}: {_plain_value(inner)}"


def _plain_value(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return str(value)
