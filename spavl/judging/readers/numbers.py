"""The number that an answer gives, with its sign, and whether it is the expected one."""

from __future__ import annotations

import re
from collections.abc import Collection
from decimal import Decimal, InvalidOperation

from spavl.judging.readers.normalise import folded, plain
from spavl.judging.readers.refusal import refuses

_UNITS = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
]
_TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
_WORDS = {word: value for value, word in enumerate(_UNITS)} | {word: 20 + 10 * n for n, word in enumerate(_TENS)}
_SCALES = {"hundred": 100, "thousand": 1000, "million": 10**6, "billion": 10**9}
_ONE_WORD = rf"(?:{'|'.join([*_TENS, *reversed(_UNITS)])})"
_IN_WORDS = re.compile(
    rf"(?<![\w-])((?:minus |negative )?{_ONE_WORD}(?:[ -](?:and )?(?:{_ONE_WORD}|{'|'.join(_SCALES)}))*)(?![\w-])",
    re.IGNORECASE,
)
_DIGITS = r"(?:\d{1,3}(?:,\d{3}){1,9}(?!\d)|\d{1,40})(?:\.\d{1,40})?(?:[eE][+-]?\d{1,3})?|\.\d{1,40}"
_NUMBER = re.compile(
    rf"(?<![\w.,])(?:(?<![\d)\]])(?P<sign>[-+])\s?)?(?:[$€£¥]\s?)?(?P<digits>{_DIGITS})(?:\s*/\s*(?P<below>\d+(?:\.\d+)?))?(?P<scale>\s?(?:{'|'.join(_SCALES)})\b)?"
    r"(?!\d|\s?[x×*]\s?\d|[A-Za-z]\d)",
    re.IGNORECASE,
)
_NOT_A_NUMBER = "±"
"""Stands for number words that are none together, such as "two five"."""
_OTHER_NUMBER = re.compile(
    r"[≥≤±√π]|(?<![-=])[<>]=?\s*\d|\d[¹²³⁰-⁹½⅓⅔¼¾]|\d\+(?!\s*\d)|\d\s?[kKMBD]\b"
    r"|\d\s(?:dozens?|and a (?:half|quarter|third)|point \d)|\bpoint \d|\d\.\d+\.\d|\d,\d{1,2},\d|\bsqrt\b|\\d?frac"
    r"|\d[ -](?:half|halves|(?:third|quarter|fourth|fifth|sixth|seventh|eighth|ninth|tenth|hundredth|thousandth)s?)\b"
    r"|\b(?:hundred|thousand|million|billion)(?: and)? \d"
    r"|\b(?:[Oo]ver|[Uu]nder|[Uu]p to|[Aa]bove|[Bb]elow) \d"
)
"""What makes another number, or a limit, of the digits beside it: no part of it is the answer."""
_NAMES = re.compile(
    r"(?<![A-Za-z-])[A-Za-z]+-\d[\w.]*|\b(?:no|the|this|that|each|every|which|any) one\b|\bone (?:of|another)\b"
    r"|\b\d{1,3}(?:\.\d+)?\s?(?:%|percent) (?:sure|certain|confident)\b",
    re.IGNORECASE,
)
"""Digits and words that name and do not count: "GPT-4", "no one", "90% sure"."""
_DENIED = re.compile(
    rf"(?:\b(?:not|neither|never|anything but)|n't)\s+(?:(?!(?:but|only|and|so|just)\b)[\w']+\s+){{0,3}}[-$€£]?"
    rf"(?:{_DIGITS})(?![\w/])|\b(?:wrong|incorrect)\s*:\s*(?:{_DIGITS})"
    rf"|(?<![\w.,])(?:{_DIGITS})\s+(?:(?:is|was|would be|seems)\s+(?:not|wrong|incorrect|false)|isn't|wasn't)\b",
    re.IGNORECASE,
)
"""A number that is ruled out."""
_RANGE = re.compile(
    rf"(?<![\d.,])(?:{_DIGITS})\s*(?:%|°)?\s*(?:-|to|or|and|through|~)\s*(?:{_DIGITS})|\bbetween\b|\b(?:more|less|fewer"
    rf"|greater|at least|at most)\b",
    re.IGNORECASE,
)
_DECIMAL_COMMA = re.compile(r"(?<![\d,])\d+,\d{1,2}(?![\d,])|\d,\d{4,}")
_COUNTS_STEPS = re.compile(
    r"\b(?:part|step|section|option|chapter)\s+(?:one|two|three|four|five|\d{1,2})\b|(?<=:)\s*1[.)]\s+(?=[A-Z])"
    r"|\b(?:image|picture|photo|figure|page|question)\s\d{1,2}(?=\W*[).:,]|$)",
    re.IGNORECASE,
)
_MARKED = re.compile(r"\\boxed\s*\{([^{}]*)\}|\"(?:answer|result|value|number|prediction)\"\s*:\s*\"?([^\",}]*)")
FEW_WORDS = 6
"""Words of an answer that is taken for its number, wherever that stands."""
_GIVEN = re.compile(
    rf"(?:^|[.!?:;]\s+|\b(?:is|are|was|were|be|equals?|has|have|see|sees|count|counted|shows?|contains?|need|makes?|got"
    rf"|about|approximately|around|roughly|exactly|only|in|at|total|answer|just|says?|reads?)\s+|[=≈*\"'($€£]\s*)[-+(*$€£]*"
    rf"(?:{_DIGITS})|(?:{_DIGITS})\W*$",
    re.IGNORECASE,
)
"""Where a number that is given as the answer stands."""
_STATED = re.compile(
    r"(?:\banswer(?: to (?:the|this|your) question)?\s*(?:is|=|:|would be)|=|\btotal (?:is|of)"
    r"|\bresult is)\s*:?\s*(.{1,60}?)\s*$",
    re.IGNORECASE | re.MULTILINE,
)


def read_number(text: str, question: str = "") -> Decimal | None:
    """The number in an answer, in digits or in English words; None where there is none, several, or a range.

    A unit or a percent sign after it does not count; `1,000` is a thousand, and `1,5` is not guessed. A number that is
    only mentioned is none: in a text of more than a few words it stands after a verb or begins a sentence.

    Args:
        text: the answer, without the thought.
        question: what was asked; the answer may repeat its numbers.
    """
    words = plain(text)
    marked = ["".join(one) for one in _MARKED.findall(words)]
    if marked:
        return _only(marked)
    found = _only([words], known=frozenset(_numbers(plain(question))))
    if found is None:
        stated = _STATED.findall(words)
        return _only(stated[-1:]) if stated else None
    if refuses(text) or (len(words.split()) > FEW_WORDS and not _GIVEN.search(_worded(words))):
        return None
    return found


def same_number(text: str, expected: str, precision: int | None = None, question: str = "") -> bool:
    """Whether an answer gives the expected number.

    Args:
        text: the answer.
        expected: the right number.
        precision: decimals to which both are rounded; None: they must be equal.
        question: what was asked; the answer may repeat its numbers.
    """
    given, right = read_number(text, question), read_number(expected)
    if given is None or right is None:
        return False
    if precision is None:
        return given == right
    return round(given, precision) == round(right, precision)


def is_number(text: str) -> bool:
    """Whether a text is a number and nothing else, such as an expected answer.

    Args:
        text: the text.
    """
    return re.fullmatch(rf"[-+]?\s?(?:{_DIGITS})", folded(text).strip()) is not None


def _only(texts: list[str], known: Collection[Decimal | None] = ()) -> Decimal | None:
    """The one number in all the texts, or the only one beside those that are known."""
    found = {number for text in texts for number in _numbers(text)}
    if len(found) > 1:
        found -= set(known) - {None}
    return found.pop() if len(found) == 1 else None


def _numbers(text: str) -> list[Decimal | None]:
    words = _DENIED.sub(" ", _worded(text))
    if _RANGE.search(words) or _DECIMAL_COMMA.search(words) or _OTHER_NUMBER.search(words):
        return [None]
    return [_value(found) for found in _NUMBER.finditer(words)]


def _worded(text: str) -> str:
    """The text with number words in digits, without what only names or counts steps: "part one", "GPT-4", "no one"."""
    text = _NAMES.sub(" ", _COUNTS_STEPS.sub(" ", text))
    return _IN_WORDS.sub(lambda found: _in_digits(found.group(1)), text)


def _in_digits(words: str) -> str:
    """Number words as a number in digits, or as what stands for none: "five six", and a year such as "nineteen ten"."""
    total = part = 0
    sign, before = "", ""
    for word in re.split(r"[ -]+", words.lower()):
        if word in ("minus", "negative"):
            sign = "-"
            continue
        if not _follows(word, before):
            return _NOT_A_NUMBER
        if word in _WORDS:
            part += _WORDS[word]
        elif word == "hundred":
            part = max(part, 1) * 100
        elif word in _SCALES:
            total, part = total + max(part, 1) * _SCALES[word], 0
        before = word
    return f"{sign}{total + part}"


def _follows(word: str, before: str) -> bool:
    """Whether a number word may stand after another one; empty: none is before it."""
    if word == "and":
        return before in _SCALES
    if word in _SCALES:
        return before != "and"
    return before in ("", "and", *_SCALES) or (before in _TENS and 0 < _WORDS[word] < 10)


def _value(found: re.Match[str]) -> Decimal | None:
    try:
        value = Decimal(found.group("digits").replace(",", ""))
        if found.group("below"):
            value /= Decimal(found.group("below"))
        if found.group("scale"):
            value *= _SCALES[found.group("scale").strip().lower()]
    except (InvalidOperation, ZeroDivisionError):
        return None
    return -value if found.group("sign") == "-" else value
