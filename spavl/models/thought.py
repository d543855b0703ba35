"""Reasoning before an answer: written by models, and kept apart from the answer here, for every backend alike."""

from __future__ import annotations

import re

START, END = "<think>", "</think>"
"""What begins and ends a thought in data, and in most families."""
MARKS = (
    (START, END), ("<thinking>", "</thinking>"), ("<thought>", "</thought>"),
    ("<reasoning>", "</reasoning>"), ("<seed:think>", "</seed:think>"), ("[THINK]", "[/THINK]"),
    ("◁think▷", "◁/think▷"),
)  # fmt: skip
"""What begins and what ends a thought, as families of models write it."""
_CHANNEL = ("<|channel|>analysis<|message|>", "<|end|>")
"""The same for a model that names its channels."""
_FINAL = re.compile(r"^\s*<\|start\|>assistant<\|channel\|>final<\|message\|>|<\|return\|>\s*$", re.IGNORECASE)
"""What stands around such a model's answer."""


def _any_of(marks: tuple[str, ...]) -> str:
    return "|".join(map(re.escape, marks))


_LEADING = re.compile(
    "|".join(rf"\s*{re.escape(start)}(.*?)(?:{re.escape(end)}|\Z)" for start, end in (*MARKS, _CHANNEL)), re.I | re.S
)
_OPENED = re.compile(_any_of(tuple(start for start, _ in MARKS)), re.IGNORECASE)
_CLOSED = re.compile(_any_of(tuple(end for _, end in MARKS)), re.IGNORECASE)


def split_thought(text: str) -> tuple[str, str]:
    """The thought and the answer of a model's text: leading blocks such as `<think>…</think>` are the thought.

    A block that was opened and never closed is all thought, and so is what stands before the end of a block that was
    never opened: some chat templates open it themselves. A block inside an answer stays in it.

    Args:
        text: what the model wrote.
    """
    thoughts = []
    answer = text
    while found := _LEADING.match(answer):
        thoughts.append(next(inside for inside in found.groups() if inside is not None).strip())
        answer = answer[found.end() :]
    if thoughts:
        return "\n\n".join(one for one in thoughts if one), _FINAL.sub("", answer).lstrip()
    end = _CLOSED.search(text)
    if end is None or _OPENED.search(text, 0, end.start()):
        return "", text
    return text[: end.start()].strip(), text[end.end() :].lstrip()
