"""Reasoning before an answer: written by models, and kept apart from the answer here, for every backend alike."""

from __future__ import annotations

from spavl.records import Status

START, END = "<think>", "</think>"
CUT: frozenset[Status] = frozenset(["truncated", "filtered"])
"""Statuses of an answer that was cut: one that began to think and did not end has a thought and no answer."""


def split_thought(text: str, status: Status) -> tuple[str, str]:
    """The thought and the answer of a model's text: a leading `<think>…</think>` block is the thought.

    A block that was opened and not closed is all thought if generation was cut, and is left in the answer otherwise.
    Where a chat template opens the block in the prompt, the text has its end alone: what stands before is the thought.

    Args:
        text: what the model wrote.
        status: what became of the call.
    """
    opened = text.lstrip().startswith(START)
    if not opened and (START in text or text.count(END) != 1):
        return "", text
    thought, closed, answer = text.lstrip().removeprefix(START).partition(END)
    if not closed and status not in CUT:
        return "", text
    return thought.strip(), answer.lstrip()
