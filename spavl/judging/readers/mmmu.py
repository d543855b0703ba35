"""What an answer says by the rules published with MMMU, for options and for open questions."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

_ENDS = ",.!?;:'"
_LEADS_IN = ("could be ", "so ", "is ", "thus ", "therefore ", "final ", "answer ", "result ")
_SENTENCE = re.compile(r"\.\s(?=[A-Z])|\n")
_NUMBERS = (
    re.compile(r"-?\b\d{1,3}(?:,\d{3})+\b"),
    re.compile(r"-?\d+(?:\.\d+)?[eE][+-]?\d+"),
    re.compile(r"-?(?:\d+\.\d+|\.\d+|\d+\b)(?![eE][+-]?\d+)(?![,\d])"),
)
"""Numbers with commas, with an exponent, and plain ones."""
_TRIVIAL = frozenset(":,.!?;'")
_FEW_WORDS = 5
"""Words of an answer up to which the text of an option in it is not looked for."""


def mmmu_option(text: str, options: Mapping[str, str], *, lmms_eval: bool = False) -> str | None:
    """The letter in brackets, else alone, else the option whose text stands in a longer answer; of several the last.

    Args:
        text: the answer.
        options: text of the options by letter.
        lmms_eval: the rule as lmms-eval has it, which also takes a letter at the end of a word, or with a full stop.

    Returns:
        The letter; None where the rule guesses one at random.

    Source: `parse_multi_choice_response` in https://github.com/MMMU-Benchmark/MMMU/blob/main/mmmu/utils/eval_utils.py
    """
    padded = f" {_stripped(text)} "
    bracketed = [letter for letter in options if f"({letter})" in padded]
    if bracketed:
        return _last(bracketed, [padded.rfind(f"({letter})") for letter in bracketed])
    named = [letter for letter in options if (f"{letter} " if lmms_eval else f" {letter} ") in padded]
    if lmms_eval and not named:
        named = [letter for letter in options if f"{letter}." in padded]
    if named:
        return _last(named, [padded.rfind(f" {letter} ") for letter in named])
    if len(padded.split()) <= _FEW_WORDS:
        return None
    lower = padded.lower()
    held = [letter for letter, option in options.items() if option.lower() in lower]
    return _last(held, [lower.rfind(options[letter].lower()) for letter in held]) if held else None


def mmmu_open_right(text: str, answers: Sequence[str]) -> bool:
    """Whether an answer to an open question is right: an expected text stands in what it gives, or a number equals one.

    What it gives is the shortest end of each sentence after words such as "is" and "so". Numbers are rounded to two
    decimals.

    Args:
        text: the answer.
        answers: the right answers.

    Source: `parse_open_response` and `eval_open`, in the same file.
    """
    expected = [one for answer in answers for one in _made_alike(answer)]
    given = [one for said in _said(text) for one in _made_alike(said)]
    numbers = {one for one in expected if isinstance(one, float)}
    texts = [one for one in expected if isinstance(one, str)]
    return any(
        one in numbers if isinstance(one, float) else any(text_of_one in one for text_of_one in texts) for one in given
    )


def _stripped(text: str) -> str:
    """Each mark in turn is taken off both ends, once: what one leaves behind another may not see."""
    for mark in _ENDS:
        text = text.strip(mark)
    return text


def _last(letters: Sequence[str], places: Sequence[int]) -> str:
    """The letter that stands last; the first of those at one place."""
    return letters[places.index(max(places))]


def _said(text: str) -> Iterator[str]:
    """What an answer gives, and the numbers in it."""
    whole = text.strip().strip(".").lower()
    sentences = _SENTENCE.split(whole)
    ends = [_shortest_end(one, last=place == len(sentences) - 1) for place, one in enumerate(sentences)]
    given = [end for end in ends if end and end not in _TRIVIAL] or [whole]
    yield from given
    for one in given:
        for form in _NUMBERS:
            yield from form.findall(one)


def _shortest_end(sentence: str, *, last: bool) -> str:
    """What follows the last of the words that lead an answer in; a last sentence may be an equation."""
    shortest = ""
    for lead_in in (*_LEADS_IN, "=") if last else _LEADS_IN:
        if lead_in in sentence:
            end = sentence.rpartition(lead_in)[2].strip()
            if not shortest or len(end) < len(shortest):
                shortest = end
    return shortest


def _made_alike(text: str) -> list[str | float]:
    """The number; or the text, one letter with a blank before or after it."""
    words = text.strip()
    try:
        return [round(float(words.replace(",", "")), 2)]
    except ValueError:
        words = words.lower()
    return [f" {words}", f"{words} "] if len(words) == 1 else [words]
