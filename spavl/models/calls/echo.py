"""Reasons without the words of their request: some servers repeat a prompt in their errors, and a prompt may do harm.

Reasons are shown on terminals and pages, where questions stay closed.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator
from itertools import groupby
from operator import itemgetter
from typing import Final

from spavl.models.base import Prompt

TOGETHER: Final = 5
"""So many words of a request that stand together in a reason are its own; fewer are those of anybody."""
CLOSED: Final = "(words of the request)"
"""What stands in their place."""
_ALONE = "\u0e00-\u0e7f\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af"
_WORD = re.compile(rf"[{_ALONE}]|[^\W{_ALONE}]+")
"""A word, or a letter of a script that writes no spaces."""


def repeats(text: str, prompt: Prompt) -> bool:
    """Whether words of a request stand in a text, such as an answer that says what it declines.

    Args:
        text: an answer, or a reason.
        prompt: what was asked.
    """
    return any(_repeated([word.casefold() for word in _WORD.findall(text)], set(_runs(prompt))))


def without_echo(reason: str, prompt: Prompt) -> str:
    """A reason in which no words of the request stand, as they are or as JSON or HTML writes them.

    Args:
        reason: why a call has no answer.
        prompt: what was asked.
    """
    found = list(_WORD.finditer(reason))
    repeated = _repeated([one.group().casefold() for one in found], set(_runs(prompt)))
    at, pieces = 0, []
    for is_repeated, members in groupby(zip(found, repeated, strict=True), key=itemgetter(1)):
        stretch = [one for one, _ in members]
        if is_repeated:
            pieces += [reason[at : stretch[0].start()], CLOSED]
            at = stretch[-1].end()
    return "".join([*pieces, reason[at:]])


def _repeated(words: list[str], runs: set[tuple[str, ...]]) -> list[bool]:
    """Whether each word of a reason belongs to a run of the request's."""
    repeated = [False] * len(words)
    for length in {len(run) for run in runs}:
        for at in range(len(words) - length + 1):
            if tuple(words[at : at + length]) in runs:
                repeated[at : at + length] = [True] * length
    return repeated


def _runs(prompt: Prompt) -> Iterator[tuple[str, ...]]:
    """All runs of `TOGETHER` words of a request; the whole of a shorter text of more than one."""
    for text in (prompt.text, prompt.system, *(turn.text for turn in prompt.earlier)):
        for written in {text, json.dumps(text), json.dumps(text, ensure_ascii=False), html.escape(text)}:
            words = [one.casefold() for one in _WORD.findall(written)]
            for at in range(max(1, len(words) - TOGETHER + 1) if len(words) > 1 else 0):
                yield tuple(words[at : at + TOGETHER])
