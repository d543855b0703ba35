"""The order in which questions are asked, so that those which share work come together; replies go back in place."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from spavl.models.base import Prompt

R = TypeVar("R")


def sharing_order(prompts: Sequence[Prompt]) -> list[int]:
    """Places of the prompts in the order in which they are asked.

    Prompts with the same pictures stand together, for a picture is encoded once for all questions of a batch about it,
    and those with the same beginning beside each other; groups and the prompts in them are sorted by their length, for
    a batch is as long as its longest prompt. Equal prompts keep their order.

    Args:
        prompts: in any order.
    """
    pictures = [tuple([image.sha256 for image in prompt.pictures]) for prompt in prompts]
    lengths = [_length(prompt) for prompt in prompts]
    longest: dict[tuple[str, ...], int] = {}
    first: dict[tuple[str, ...], int] = {}
    for index, (shown, length) in enumerate(zip(pictures, lengths, strict=True)):
        longest[shown] = max(length, longest.get(shown, 0))
        first.setdefault(shown, index)

    def place(index: int) -> tuple[int, int, int, str, int]:
        shown, prompt = pictures[index], prompts[index]
        if not shown:  # nothing but a beginning is shared: a group would be the whole benchmark
            return 0, 0, 0, "", lengths[index]
        before = "\n".join([prompt.system, *[turn.text for turn in prompt.earlier]])
        return len(shown), longest[shown], first[shown], before, lengths[index]

    return sorted(range(len(prompts)), key=place)


def put_back(replies: Sequence[R], order: Sequence[int], samples: int = 1) -> list[R]:
    """The replies in the order of the prompts as they were before.

    Args:
        replies: all samples of the first prompt that was asked, then of the second, and so on.
        order: places of the prompts in the order in which they were asked.
        samples: replies to each prompt.
    """
    begins = [0] * len(order)
    for asked, place in enumerate(order):
        begins[place] = asked * samples
    return [reply for begin in begins for reply in replies[begin : begin + samples]]


def _length(prompt: Prompt) -> int:
    return len(prompt.system) + len(prompt.text) + sum([len(turn.text) for turn in prompt.earlier])
