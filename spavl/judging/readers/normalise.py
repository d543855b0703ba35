"""Text as every reader sees it: one spelling of each letter, without markdown, control tokens and wrapping quotes."""

from __future__ import annotations

import re
import unicodedata

_CONTROL_TOKEN = re.compile(
    r"<\|start_header_id\|>\w+<\|end_header_id\|>|<\|im_start\|>(?:assistant|user|system)\b|<\|[\w.▁\- ]{1,40}\|>"
    r"|</?(?:b|i|u|em|strong|p|code|s|eos|bos|pad|unk|end_of_turn|start_of_turn|endoftext)>|\[/?INST\]",
    re.IGNORECASE,
)
_EMPHASIS = re.compile(r"\*+|`+|(?<!\w)_{1,2}(?=\S)|(?<=\S)_{1,2}(?!\w)|~~|^[ \t]*(?:#{1,6}|>)[ \t]+", re.MULTILINE)
_INVISIBLE = re.compile("[\u200b-\u200f\u2060\ufeff\u00ad]")
_BLANKS = re.compile(r"[^\S\n]+")
_SPELLINGS = str.maketrans(
    {
        "’": "'", "‘": "'", "ʼ": "'", "`": "'", "´": "'", "“": '"', "”": '"', "„": '"', "«": '"', "»": '"',
        "「": '"', "」": '"', "−": "-", "–": "-", "—": " - ", "…": "...", "。": ".", "、": ",",
    }
)  # fmt: skip
LONGEST = 6000
"""Characters of a text that are read: where it is longer, half of them at its beginning and half at its end."""
_QUOTES = "\"'"


def ends(text: str) -> str:
    """The text, or both ends of one that is longer than any answer has to be, so that reading takes no time.

    Args:
        text: what a model wrote.
    """
    return text if len(text) <= LONGEST else f"{text[: LONGEST // 2]}\n{text[-LONGEST // 2 :]}"


def folded(text: str) -> str:
    """The text with one spelling of each letter: composed, full-width letters as plain ones, typographic quotes too.

    Superscripts and fractions stay what they are: `²` is no 2.

    Args:
        text: what a model wrote.
    """
    if text.isascii():
        return text
    composed = unicodedata.normalize("NFC", text).translate(_SPELLINGS)
    return _INVISIBLE.sub("", "".join(c if c.isascii() or _is_number_sign(c) else _compatible(c) for c in composed))


def plain(text: str) -> str:
    """The folded text without control tokens of chat templates, markdown emphasis, headings and wrapping quotes.

    Args:
        text: what a model wrote.
    """
    words = _BLANKS.sub(" ", _EMPHASIS.sub("", _CONTROL_TOKEN.sub(" ", folded(ends(text))))).strip()
    while len(words) > 1 and words[0] in _QUOTES and words[-1] == words[0] and words.count(words[0]) == 2:
        words = words[1:-1].strip()
    return words


def lines(text: str) -> list[str]:
    """The lines of a text that hold something, without blanks around them.

    Args:
        text: any text.
    """
    return [line.strip() for line in text.splitlines() if line.strip()]


def _compatible(character: str) -> str:
    return unicodedata.normalize("NFKC", character)


def _is_number_sign(character: str) -> bool:
    return unicodedata.category(character) == "No"
