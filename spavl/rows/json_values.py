"""JSON values, stricter than `json`, and the members of an array one by one."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import islice
from typing import Any, final

from spavl.errors import DataError
from spavl.rows.brief import brief

MOST = 2**29
"""Largest row, largest file that is one JSON object, and largest cell, in bytes."""
LONGEST_WORD = 32
"""An error so near to the end of what was read may be no error but a word or number that goes on."""
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
_SPACE = re.compile(r"[ \t\n\r]*")


def parsed(text: str) -> Any:
    """A JSON value.

    Args:
        text: JSON.

    Raises:
        ValueError: it is none, names a key twice, or could not be written again as UTF-8.
    """
    try:
        value = _DECODER.decode(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    _refuse_half_characters(value, text)
    return value


def _refuse_half_characters(value: Any, text: str) -> None:
    """A ValueError where a value could not be written again as UTF-8."""
    if not _SURROGATE.search(text):
        return
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise ValueError("it holds half a character (a surrogate without its other half)") from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for place, name in enumerate(names) if name in names[:place])
        raise ValueError(f"the key {brief(twice)} stands twice in one object")
    return found


_DECODER = json.JSONDecoder(object_pairs_hook=_unique)


@final
class Members:
    """The members of a JSON array, one by one; never more of the text is held than one of them and a piece.

    Args:
        chunks: the text in pieces.
        where: the file, for errors.
        alone: whether nothing may follow the array.
    """

    def __init__(self, chunks: Iterator[str], where: str, *, alone: bool = True) -> None:
        self._chunks = chunks
        self._where = where
        self._alone = alone
        self._text = ""
        self._at = 0
        self._line = 1

    def __iter__(self) -> Iterator[Any]:
        if self._sign("[") and self._peek() == "]":
            self._at += 1
        else:
            yield self._value()
            while self._sign(",]") == ",":
                yield self._value()
        if self._alone and self._peek():
            raise self._error("Extra data", self._at)

    def _sign(self, expected: str) -> str:
        """The next character, which is one of the expected ones."""
        found = self._peek()
        if not found or found not in expected:
            raise self._error(f"Expecting {' or '.join(expected)}", self._at)
        self._at += 1
        return found

    def _peek(self) -> str:
        """The next character that is no white space; empty at the end."""
        while True:
            space = _SPACE.match(self._text, self._at)
            self._at = space.end() if space else self._at
            if self._at < len(self._text) or not self._more(1):
                return self._text[self._at : self._at + 1]

    def _value(self) -> Any:
        """The next value; the text is read on for as long as the value may go on there."""
        self._peek()
        pieces = 1
        while True:
            try:
                value, end = _DECODER.raw_decode(self._text, self._at)
                _refuse_half_characters(value, self._text[self._at : end])
                self._at = end
                return value
            except json.JSONDecodeError as error:
                place = error.pos - self._at
                cut = error.msg.startswith("Unterminated string") or error.pos > len(self._text) - LONGEST_WORD
                if not (cut and self._more(pieces)):
                    raise self._error(error.msg, self._at + place) from None
                pieces *= 2
            except (RecursionError, ValueError) as error:
                what = str(error) if isinstance(error, ValueError) else "it is nested too deeply"
                raise DataError(f"This JSON is not usable: {what}", where=f"{self._where}, line {self._line}") from None

    def _more(self, pieces: int) -> bool:
        """Read on by so many pieces; whether there was one."""
        self._line += self._text.count("\n", 0, self._at)
        found = list(islice(self._chunks, pieces))
        self._text, self._at = "".join([self._text[self._at :], *found]), 0
        if len(self._text) > MOST:
            raise DataError(f"A row of more than {MOST // 2**20} MiB", where=f"{self._where}, line {self._line}")
        return bool(found)

    def _error(self, what: str, at: int) -> DataError:
        line = self._line + self._text.count("\n", 0, at)
        more = "write every object on a line of its own: `jq -c '.[]' FILE`" if what == "Extra data" else ""
        return DataError(f"This line is not JSON: {what}", where=f"{self._where}, line {line}", try_=more)
