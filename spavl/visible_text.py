"""Text of models, files and servers made fit to be shown: what would move a cursor or turn text around is spelt out."""

from __future__ import annotations

import re
from typing import Final

HIDDEN: Final = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)
"""Control characters but tab and line feed, marks that turn the direction of text, and halves of surrogate pairs."""


def visible(text: str) -> str:
    r"""The text with every control character spelt out, such as `\x1b` for the one that begins a terminal's commands.

    A terminal obeys such characters, and a page's reader is misled by those that turn text around.

    Args:
        text: any text.
    """
    return HIDDEN.sub(_spelt, text)


def _spelt(found: re.Match[str]) -> str:
    code = ord(found.group())
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
