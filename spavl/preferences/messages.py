"""Conversations as files and trainers write them: lists of messages, single messages, `Human:`/`Assistant:` texts.

Everything is typed: a value that is neither a text nor a message is a `RowError`, never turned into text by `str`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from spavl.records import Role
from spavl.rows import brief

PLACEHOLDER = "<image>"
"""Where a picture stands in the texts of public files; such a place is matched with a picture and never trained on."""
SPEAKERS: Mapping[str, Role | str] = {
    "user": "user", "human": "user", "assistant": "assistant", "gpt": "assistant", "system": "system",
}  # fmt: skip
"""Who speaks, by the words that public files have for it."""
_KEYS = (("role", "content"), ("from", "value"))
"""Entries of a message that say who speaks and what."""
_JSON_START = re.compile(r'\s*(\[\s*)?\{\s*"')
_PYTHON_START = re.compile(r"\s*(\[\s*)?\{\s*'(role|content|from|value)'\s*:")
_TRANSCRIPT = re.compile(r"(?:^|\n\n)(Human|Assistant):[ \t]?")


class RowError(Exception):
    """A row does not say what a pair needs.

    Args:
        reason: what is wrong, in a few words; equal for rows with the same fault.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Turn:
    """A turn as a file has it."""

    role: str
    """`system`, `user` or `assistant`."""
    text: str
    """What is said; `PLACEHOLDER` stands where a picture of the row belongs."""
    pictures: tuple[Any, ...] = ()
    """Pictures that the turn itself brings, as the file has them."""
    thought: str = ""
    """Reasoning before the text, where the file keeps it apart."""


def text_of(value: Any, name: str) -> str:
    """A text; an absent one is empty.

    Args:
        value: from a file.
        name: of the column, for errors.

    Raises:
        RowError: it is no text, or one that holds messages as Python writes them.
    """
    if value is None:
        return ""
    if not isinstance(value, str):
        raise RowError(f"`{name}` is {_kind(value)}, not a text")
    if not value[:1].isalnum() and _is_python(value):
        raise RowError(f"`{name}` is a list of messages in Python's own writing; save the file as Parquet or JSON")
    if value.isascii():
        return value
    try:
        value.encode()
    except UnicodeEncodeError:
        raise RowError(f"`{name}` holds half of a character (a lone surrogate)") from None
    return value


def answer_text(value: Any, name: str) -> str:
    """The text of an answer, which may be empty, and may not be absent: nobody has preferred nothing to something.

    Args:
        value: from a file.
        name: of the column, for errors.

    Raises:
        RowError: it is absent, or no text.
    """
    if value is None:
        raise RowError(f"there is no `{name}`")
    return text_of(value, name)


def is_messages(value: Any) -> bool:
    """Whether a value is a message or a list of them, also where it is JSON in a text.

    Args:
        value: from a file.
    """
    if isinstance(value, str):
        return not value[:1].isalnum() and (_parsed(value) is not None or _is_python(value))
    return isinstance(value, Mapping) or (isinstance(value, list) and all(isinstance(one, Mapping) for one in value))


def is_one_message(value: Any) -> bool:
    """Whether a value is a message and no list, also where it is JSON in a text.

    Args:
        value: from a file.
    """
    return is_messages(value) and (isinstance(value, Mapping) or (isinstance(value, str) and value.lstrip()[0] == "{"))


def messages_of(value: Any, name: str) -> list[Turn]:
    """The turns of a list of messages, or of a single message.

    Args:
        value: a list, a mapping, or either as JSON.
        name: of the column, for errors.

    Raises:
        RowError: it is something else, or a message is not one of a user, an assistant or the system.
    """
    if isinstance(value, str):
        value = _parsed(text_of(value, name))
    if not is_messages(value):
        raise RowError(f"`{name}` is {_kind(value)}, not a list of messages")
    return [_turn(one, name) for one in ([value] if isinstance(value, Mapping) else value)]


def _parsed(text: str) -> Any:
    """The message or messages that a text is as JSON; None: it is something else."""
    if not _JSON_START.match(text):
        return None
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    every = value if isinstance(value, list) else [value]
    whole = all(isinstance(one, dict) and any(set(keys) <= set(one) for keys in _KEYS) for one in every)
    return value if whole else None


def _is_python(text: str) -> bool:
    """Whether a text is a message, or a list of them, as Python prints it."""
    return bool(_PYTHON_START.match(text)) and any(all(f"'{key}'" in text for key in keys) for keys in _KEYS)


def _turn(message: Mapping[str, Any], name: str) -> Turn:
    said_by = message.get("role") if message.get("role") is not None else message.get("from")
    role = SPEAKERS.get(said_by) if isinstance(said_by, str) else None
    if role is None:
        raise RowError(f"a message of `{name}` is by {brief(said_by)}, neither user, assistant nor system")
    if message.get("tool_calls"):
        raise RowError(f"a message of `{name}` calls a tool")
    content = message.get("content") if message.get("content") is not None else message.get("value")
    thought = text_of(message.get("reasoning_content") or message.get("thinking"), "reasoning_content")
    if isinstance(content, list):
        return _mixed_turn(role, content, name, thought)
    if content is None:
        raise RowError(f"a message of `{name}` has no text")
    return Turn(role, text_of(content, name), (), thought)


def _mixed_turn(role: str, content: Sequence[Any], name: str, thought: str) -> Turn:
    """A turn whose content is a list of parts; its pictures come before its text."""
    texts: list[str] = []
    pictures: list[Any] = []
    for part in content:
        kind = part.get("type") if isinstance(part, Mapping) else "text" if isinstance(part, str) else None
        if kind == "text":
            texts.append(text_of(part if isinstance(part, str) else part.get("text"), name))
        elif kind in ("image", "image_url"):
            pictures.append(_part_picture(part))
        else:
            raise RowError(f"a part of a message of `{name}` is of type {brief(kind)}, neither text nor image")
    missing = [PLACEHOLDER for one in pictures if one is None]
    text = "".join(missing) + "\n".join(texts)
    return Turn(role, text, tuple(one for one in pictures if one is not None), thought)


def _part_picture(part: Mapping[str, Any]) -> Any:
    """What a part of type image brings; None: a place for a picture of the row."""
    for name in ("image", "image_url", "url", "path", "base64"):
        if (value := part.get(name)) is not None:
            return value.get("url") if name == "image_url" and isinstance(value, Mapping) else value
    return None


def transcript_of(text: str, name: str) -> list[Turn]:
    """The turns of a text in the form of HH-RLHF: `Human: …`, `Assistant: …`, with an empty line before each.

    Args:
        text: the whole conversation.
        name: of the column, for errors.

    Raises:
        RowError: it does not begin with such a turn.
    """
    before, *rest = _TRANSCRIPT.split(text)
    if before.strip() or not rest:
        raise RowError(f"`{name}` is not a conversation of `Human:` and `Assistant:`")
    said = zip(rest[::2], rest[1::2], strict=True)
    return [Turn("user" if who == "Human" else "assistant", words.strip()) for who, words in said]


def is_transcript(value: Any) -> bool:
    """Whether a value is a conversation of `Human:` and `Assistant:` as one text.

    Args:
        value: from a file.
    """
    return isinstance(value, str) and value.lstrip().startswith("Human:") and "\n\nAssistant:" in value


def place_pictures(turns: Sequence[Turn], pictures: Sequence[Any], *, unmarked: int) -> list[Turn]:
    """The turns with the row's pictures in them, and without placeholders.

    Args:
        turns: of the conversation before the answers.
        pictures: of the row; none are among the turns' own.
        unmarked: the turn that pictures belong to when no placeholder says where.

    Raises:
        RowError: there are not as many placeholders as pictures.
    """
    marked = sum(turn.text.count(PLACEHOLDER) for turn in turns if not turn.pictures)
    if pictures and any(turn.pictures for turn in turns[unmarked:]) and not marked:
        raise RowError("pictures are in the messages and in a column of their own; leave out one of them")
    if not marked and pictures:
        turns = [replace(turn, pictures=tuple(pictures)) if n == unmarked else turn for n, turn in enumerate(turns)]
    elif marked != len(pictures):
        raise RowError(f"placeholders `{PLACEHOLDER}` in the texts: {marked}, pictures of the row: {len(pictures)}")
    left = iter(pictures if marked else ())
    return [_placed(turn, left) for turn in turns]


def _placed(turn: Turn, left: Any) -> Turn:
    """A turn without placeholders, with as many of the pictures that are left."""
    places = turn.text.count(PLACEHOLDER)
    if not places:
        return turn
    if turn.pictures and places not in (0, len(turn.pictures)):
        raise RowError(f"placeholders `{PLACEHOLDER}` in a turn: {places}, pictures of it: {len(turn.pictures)}")
    if turn.role != "user":
        raise RowError(f"the placeholder `{PLACEHOLDER}` stands in a turn of the {turn.role}")
    pictures = turn.pictures or tuple(next(left) for _ in range(places))
    return replace(turn, text=_without_placeholders(turn.text), pictures=pictures)


def _without_placeholders(text: str) -> str:
    """The text without placeholders and the white space that sets them off; a `RowError` where that makes a new one."""
    result, *rest = text.split(PLACEHOLDER)
    for piece in rest:
        left, right = result.rstrip(), piece.lstrip()
        gap = result[len(left) :] + piece[: len(piece) - len(right)]
        between = "\n" if "\n" in gap else " " if gap else ""
        result = left + (between if left and right else "") + right
    if PLACEHOLDER in result:
        raise RowError(f"a placeholder `{PLACEHOLDER}` stands inside another")
    return result


def _kind(value: Any) -> str:
    """A value's kind in words."""
    kinds = {bool: "true or false", int: "a number", float: "a number", list: "a list", dict: "a mapping"}
    return kinds.get(type(value), "of another kind")
