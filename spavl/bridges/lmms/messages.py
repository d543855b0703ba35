"""The chat messages of lmms-eval's tasks, and how it wants answers, in our words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from spavl.bridges.chat import ChatTurn, Shown
from spavl.errors import DataError
from spavl.models.base import Sampling

MOST_TOKENS = 1024
"""Most new tokens where a task names no limit, as lmms-eval's LLaVA runner has it."""


def chat_turns(messages: Sequence[Mapping[str, Any]], where: str) -> list[ChatTurn]:
    """lmms-eval's messages as turns.

    Args:
        messages: `{"role", "content": [{"type": "text", "text"} | {"type": "image", "url"}]}`.
        where: names the item, for the message.

    Raises:
        DataError: a part is neither words nor a picture.
    """
    return [ChatTurn(str(one["role"]), _parts(one["content"], where)) for one in messages]


def _parts(content: Any, where: str) -> list[str | Shown]:
    if isinstance(content, str):
        return [content]
    parts: list[str | Shown] = []
    for part in content:
        if part["type"] == "text":
            parts.append(str(part["text"]))
        elif part["type"] == "image":
            parts.append(Shown(part["url"]))
        else:
            raise DataError(
                f"The task shows a part of type `{part['type']}`; words and pictures can be asked", where=where
            )
    return parts


def sampling_for(wanted: Mapping[str, Any], seed: int = 0) -> Sampling:
    """How answers are sampled, by a task's `generation_kwargs`.

    Args:
        wanted: what the task wants; what has no counterpart here is left out.
        seed: where it samples.
    """
    temperature = wanted.get("temperature") or 0.0
    if not wanted.get("do_sample", temperature > 0):
        temperature = 0.0
    return Sampling(
        temperature=float(temperature), top_p=float(wanted.get("top_p") or 1.0) if temperature else 1.0,
        max_tokens=int(wanted.get("max_new_tokens") or wanted.get("max_gen_toks") or MOST_TOKENS), seed=seed,
    )  # fmt: skip


def cut_at(text: str, until: Any) -> str:
    """An answer up to the first of the words that end it.

    Args:
        text: the answer.
        until: a task's `until`: nothing, one text or several.
    """
    stops = [until] if isinstance(until, str) else until or []
    return text[: min((place for stop in stops if stop and (place := text.find(stop)) >= 0), default=len(text))]
