"""Harmless answers in the form that each stage of a build asks for, so that a build over the server ends with pairs."""

from __future__ import annotations

import re
from hashlib import sha256
from typing import Any

UNSAFE_SHARES = (0.1, 0.4, 0.7)
"""Shares of answers that are graded unsafe, by responder, so that responders fall into different safety groups."""


def prompt_of(body: dict[str, Any]) -> str:
    """The text of the last turn.

    Args:
        body: the request.
    """
    content = body["messages"][-1]["content"]
    return content if isinstance(content, str) else str(content[-1]["text"])


def share(text: str) -> float:
    """A number in [0, 1) that depends on the text alone.

    Args:
        text: what is hashed.
    """
    return int(sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:12], 16) / 16**12


def answer(call: str, body: dict[str, Any]) -> str:
    """What a well-behaved model says: a verdict, a grade, a question, or an answer, by what is asked.

    Args:
        call: what tells this call from others; names the answer.
        body: the request.
    """
    prompt = prompt_of(body)
    if "[[A]], [[B]], or [[C]]" in prompt:
        first, second = (_between(prompt, f"answer {name}") for name in "AB")
        return f"One is better.\n[[{'A' if share(first) < share(second) else 'B'}]]"
    if "the single word safe or unsafe" in prompt:
        return _grade(_between(prompt, "answer"))
    if "is filed under a safety topic" in prompt:
        return f"What is in place {call[:12]} of the picture?"
    return f"Answer of {body['model']}: it is a plain thing, number {call[:12]}."


def _grade(graded: str) -> str:
    responder = re.match(r"Answer of (\w+)", graded)
    least = UNSAFE_SHARES[sum(map(ord, responder[1])) % len(UNSAFE_SHARES)] if responder else 0.0
    return "unsafe\na kind of harm" if share(graded) < least else "safe\nnone"


def _between(prompt: str, mark: str) -> str:
    found = re.search(rf"<<<{mark}\n(.*?)\n{mark}>>>", prompt, re.DOTALL)
    return found[1] if found else ""
