"""Values as messages show them: what a user mistyped can be seen, and no text that may do harm."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Final

MOST_WORDS: Final = 3
"""Words of a text that is shown; a question is longer."""
MOST_LETTERS: Final = 60
"""Letters of it."""
MOST_OTHER_LETTERS: Final = 12
"""Letters of it that are not ASCII: some scripts write no spaces, and say more in fewer letters."""
_BASE64 = re.compile(r"(data:[\w/+.-]+;base64,)?[A-Za-z0-9+/=_-]{60,}")
_FILE = re.compile(r"[^\n?]*\.[A-Za-z0-9]{2,7}")


def brief(value: object) -> str:
    """A value as a message may show it: short, no picture's bytes, and of a text of several words its length alone.

    A text that stands in a wrong column, or in the place of a column's name, may be a harmful question.

    Args:
        value: a cell, or the name of a column.
    """
    if isinstance(value, bytes):
        return f"{len(value):,} bytes"
    if isinstance(value, str):
        return _brief_text(value)
    if isinstance(value, Mapping):
        return f"an object with {', '.join(map(brief, list(value)[:6]))}" if value else "an empty object"
    if isinstance(value, list | tuple):
        return f"a list of {len(value):,}"
    return str(value)[:MOST_LETTERS]


def _brief_text(text: str) -> str:
    if _BASE64.match(text):
        return f"{len(text):,} characters of base64"
    return json.dumps(text, ensure_ascii=False) if is_short(text) else f"a text of {len(text):,} letters"


def is_short(text: str) -> bool:
    """Whether a text may be shown: it is a word or three, or the name of a file.

    Args:
        text: a cell, or the name of a column.
    """
    if len(text) > MOST_LETTERS:
        return False
    other = sum(not letter.isascii() for letter in text)
    return bool(_FILE.fullmatch(text)) or (len(text.split()) <= MOST_WORDS and other <= MOST_OTHER_LETTERS)


def listed(names: Iterable[str], quote: str = "") -> str:
    """Names of columns for a message, with a comma between them.

    Args:
        names: the names; one that is a sentence is not shown.
        quote: what stands on both sides of each that is shown.
    """
    return ", ".join(f"{quote}{name}{quote}" if is_short(name) else brief(name) for name in names)
