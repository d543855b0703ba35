"""Short answers in free text: whether one is the expected one."""

from __future__ import annotations

import re

from spavl.config.benchmarks import AnswerForm
from spavl.judging.readers.normalise import plain
from spavl.judging.readers.numbers import is_number, same_number
from spavl.judging.readers.options import LETTERS, options_in, read_option
from spavl.judging.readers.refusal import refuses

_ARTICLE = re.compile(r"\b(?:a|an|the)\s+(?=\S)")
_LEAD_IN = re.compile(
    r"^(?:(?:the|my) )?(?:(?:correct|right|final|short) )?answer(?: is|:)\s*|^(?:it is|it's|this is|that is|that's"
    r"|these are|those are)\s+"
)
_SEEN = re.compile(
    r"^(?:(?:i|we|you)(?:'ve| have)? (?:can )?(?:see|noticed?)|there (?:is|are)|it (?:is|shows)"
    r"|(?:the|this|that) (?:picture|image|photo) (?:shows|depicts|contains)"
    r"|(?:the |this )?(?:main )?object (?:(?:in the (?:picture|image)|here|shown) )?is)"
    r" (?:only )?((?:(?!\b(?:not|no|or|and|but)\b)[^.,;:!?])+?)"
    r"(?: (?:in|on) (?:the|this) (?:picture|image|photo)| here)?"
    r"(?: (?:on|in|beside|next to|near) an? \w+)?$",
    re.IGNORECASE,
)
"""One sentence that says what is seen, and nothing else."""
_NEXT_TO = re.compile(r"^(an? (?:\w+ ){0,3}\w+) (?:beside|next to) an? \w+$", re.IGNORECASE)
_RESTATED = re.compile(r"^(.{1,120}?) (?:is|are|means|equals) ([^.,;:!?]+)$", re.IGNORECASE)
_WORD = re.compile(r"\w+")
_SENTENCE = re.compile(r"(?<=[.!?])\s+|\n+")
_IT_IS = re.compile(r"^(?:it is|it's|this is|that is|that's|these are|those are)\b", re.IGNORECASE)
_TAKES_BACK = re.compile(r"\b(?:no|or|actually|wait|rather|instead|sorry, it|correction|also|another)\b", re.IGNORECASE)
"""Words after an answer that may change it."""
_LOOSE = re.compile(r"(?<!\d)[.,](?!\d)|(?<=\d)[.,](?!\d)|[!?;:\"()\[\]{}|\\]|(?<=\w)-(?=\w)|_")


def right_answer(text: str, expected: str, *, form: AnswerForm = "auto", question: str = "") -> bool:
    """Whether an answer is the expected one; a refusal and an empty answer never are.

    Args:
        text: the answer, without the thought.
        expected: the right answer.
        form: what the right answer is; `auto`: an option where it is a single capital letter up to J, a number where it
            is one, else text.
        question: the question, whose options may be answered by their text.
    """
    if not plain(text) or not expected.strip():
        return False
    form = _form_of(expected) if form == "auto" else form
    if form == "option":
        return read_option(text, options=options_in(question)) == expected.strip().strip("().").upper()
    if form == "number":
        return same_number(text, expected, question=question)
    given = _first_sentence(text, question)
    if given and not refuses(given) and normalised(expected) == normalised(_unframed(given, question)):
        return True
    return not refuses(text) and normalised(expected) in (normalised(text), normalised(_unframed(text, question)))


def _first_sentence(text: str, question: str) -> str:
    """The first of several sentences where it says what is seen, or restates the question, and no other one does."""
    first, *rest = [one for one in _SENTENCE.split(plain(text).strip()) if one.strip()]
    gives = [one for one in (first, *rest) if _unframed(one, question) != one.strip().rstrip(".!") or _IT_IS.match(one)]
    return first if rest and gives == [first] and not _TAKES_BACK.search(" ".join(rest)) else ""


def _unframed(text: str, question: str) -> str:
    """What one sentence gives as the answer: after "The picture shows" and the like, or after the question's words."""
    words = plain(text).strip().rstrip(".!")
    seen = _SEEN.match(words)
    if seen := seen or _NEXT_TO.match(words):
        return seen.group(1)
    restated = _RESTATED.match(words)
    known = set(_WORD.findall(plain(question).casefold())) | {"the", "a", "an", "it", "this"}
    if restated:
        for asked, answer in ((1, 2), (2, 1)):
            if set(_WORD.findall(restated.group(asked).casefold())) <= known:
                return restated.group(answer)
    return words


def normalised(text: str) -> str:
    """A short answer without regard to case, punctuation, articles and what leads it in; signs of its words stay.

    `C++` stays `c++`, and `-5` is not `5`; an article that is the whole answer stays too.

    Args:
        text: the answer.
    """
    words = _LEAD_IN.sub("", plain(text).casefold()).strip()
    words = " ".join(_LOOSE.sub(" ", words).split())
    return " ".join(_ARTICLE.sub("", words).split())


def _form_of(expected: str) -> AnswerForm:
    word = expected.strip()
    if len(word) == 1 and word in LETTERS:
        return "option"
    return "number" if is_number(word) else "text"
