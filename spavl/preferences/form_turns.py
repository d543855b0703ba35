"""The turns and answers of a row in each of the public forms: functions of the row's values and nothing else."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from spavl.config.align import PairForm, Preference
from spavl.preferences import rated_answers, two_answers
from spavl.preferences.messages import RowError, Turn, answer_text, is_messages, messages_of, text_of, transcript_of
from spavl.rows import brief

Values = Mapping[str, Any]
"""A row of a file: value by column."""
Found = tuple[Sequence[Turn], Turn, Turn]
"""The turns before the answers, the chosen and the rejected answer."""
ANSWERS = ("chosen", "rejected")
"""Columns of the answers, in most forms."""


def _asked(name: str) -> Callable[[Values, Preference | None], Found]:
    """Reads a column with the question or the conversation so far, beside two answers."""

    def read(values: Values, _prefer: Preference | None) -> Found:
        prompt = values.get(name)
        before, chosen, rejected = _answers(values["chosen"], values["rejected"])
        if is_messages(prompt):
            turns = messages_of(prompt, name)
            if before and before != turns:
                raise RowError(f"`{name}` and the first turns of `chosen` differ")
            return turns, chosen, rejected
        text = text_of(prompt, name)
        if prompt is None and before:
            return before, chosen, rejected
        if not before:
            if name not in values:
                raise RowError(f"there is no `{name}`")
            return [*_earlier(values), Turn("user", text)], chosen, rejected
        if text not in [turn.text for turn in before if turn.role == "user"]:
            raise RowError(f"`{name}` is none of the user's turns in `chosen`")
        return before, chosen, rejected

    return read


def _earlier(values: Values) -> list[Turn]:
    """Turns of the column `earlier`, as our own files have them: role, text, images."""
    turns = values.get("earlier")
    if not isinstance(turns, (list, type(None))):
        raise RowError("`earlier` is not a list of turns")
    return [_earlier_turn(turn) for turn in turns or ()]


def _earlier_turn(turn: Any) -> Turn:
    role = turn.get("role") if isinstance(turn, Mapping) else None
    if role not in ("user", "assistant"):
        raise RowError(f"a turn of `earlier` has the role {brief(role)}, neither `user` nor `assistant`")
    return Turn(role, text_of(turn.get("text"), "earlier"), tuple(several(turn.get("images"))))


def _answers(chosen: Any, rejected: Any) -> tuple[list[Turn], Turn, Turn]:
    """The turns that both answers begin with, and the answers themselves."""
    (before, first), (other, second) = _answer(chosen, "chosen"), _answer(rejected, "rejected")
    if before != other:
        raise RowError("`chosen` and `rejected` differ before their last turn")
    return before, first, second


def _answer(value: Any, name: str) -> tuple[list[Turn], Turn]:
    """The turns before an answer that a column has too, and the answer."""
    if not is_messages(value):
        return [], Turn("assistant", answer_text(value, name))
    turns = messages_of(value, name)
    if not turns or turns[-1].role != "assistant":
        raise RowError(f"the last turn of `{name}` is not the assistant's")
    return turns[:-1], turns[-1]


def _implicit(values: Values, _prefer: Preference | None) -> Found:
    return _answers(values["chosen"], values["rejected"])


def _transcripts(values: Values, _prefer: Preference | None) -> Found:
    if values.get("prompt") is not None:
        prompt = transcript_of(text_of(values["prompt"], "prompt"), "prompt")
        open_turn = prompt[-1].role == "assistant" and not prompt[-1].text
        _, chosen, rejected = _answers(values["chosen"], values["rejected"])
        return prompt[:-1] if open_turn else prompt, chosen, rejected
    (*turns, first), (*others, second) = (transcript_of(text_of(values[name], name), name) for name in ANSWERS)
    if first.role != "assistant" or second.role != "assistant":
        raise RowError("the last turn is not the assistant's")
    if turns != others:
        raise RowError("`chosen` and `rejected` differ before their last turn")
    return turns, first, second


def _listed(name: str) -> Callable[[Values, Preference | None], Found]:
    """Reads a column of messages before the answers, beside each answer as one message."""

    def read(values: Values, _prefer: Preference | None) -> Found:
        before, chosen, rejected = _answers(values["chosen"], values["rejected"])
        if before:
            raise RowError("`chosen` is more than one message")
        return messages_of(values[name], name), chosen, rejected

    return read


def _instruction(values: Values, _prefer: Preference | None) -> Found:
    asked = [text_of(values.get(name), name) for name in ("instruction", "input")]
    turns = [*_history(values), Turn("user", "\n".join(text for text in asked if text))]
    _, chosen, rejected = _answers(values["chosen"], values["rejected"])
    return turns, chosen, rejected


def _history(values: Values) -> list[Turn]:
    """Turns of the column `history`: pairs of a question and its answer."""
    history = values.get("history") or []
    if not isinstance(history, list) or not all(isinstance(one, list) and len(one) == 2 for one in history):
        raise RowError("`history` is not a list of questions with their answers")
    return [
        Turn(role, text_of(text, "history"))
        for one in history
        for role, text in zip(("user", "assistant"), one, strict=True)
    ]


def _swift(values: Values, _prefer: Preference | None) -> Found:
    if "messages" in values:
        before, chosen = _answer(values["messages"], "messages")
    else:
        before = [*_history(values), Turn("user", text_of(values["query"], "query"))]
        chosen = Turn("assistant", answer_text(values["response"], "response"))
    if values.get("rejected_images") not in (None, [], values.get("images")):
        raise RowError("the rejected answer is about other pictures (`rejected_images`)")
    if values.get("rejected_messages") is not None:
        other, rejected = _answer(values["rejected_messages"], "rejected_messages")
        if other != before:
            raise RowError("`messages` and `rejected_messages` differ before their last turn")
        return before, chosen, rejected
    return before, chosen, Turn("assistant", answer_text(values.get("rejected_response"), "rejected_response"))


def _in_json(values: Values, prefer: Preference | None) -> Found:
    """Question and answers inside the column `text`, as JSON."""
    return _asked("question")(json_pair(values["text"]), prefer)


def json_pair(value: Any) -> Mapping[str, Any]:
    """The object with question and answers that a cell holds, itself or as JSON.

    Args:
        value: the cell.

    Raises:
        RowError: it is something else.
    """
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            raise RowError("`text` is no JSON") from None
    if not isinstance(value, Mapping):
        raise RowError("`text` is no object with question, chosen and rejected")
    return value


def _sharegpt(values: Values, prefer: Preference | None) -> Found:
    return _listed("conversations" if "conversations" in values else "messages")(values, prefer)


def _trl(values: Values, prefer: Preference | None) -> Found:
    return _asked("prompt")(values, prefer) if "prompt" in values else _implicit(values, prefer)


def _spa_vl(values: Values, prefer: Preference | None) -> Found:
    turns, chosen, rejected = _asked("question")(values, prefer)
    thoughts = [text_of(values.get(f"{name}_thought"), f"{name}_thought") for name in ("chosen", "rejected")]
    first, second = (
        replace(answer, thought=thought) if thought else answer
        for answer, thought in zip((chosen, rejected), thoughts, strict=True)
    )
    return turns, first, second


def _labelled(values: Values, prefer: Preference | None) -> Found:
    """One answer with a label; the other answer of the pair is empty."""
    label, answer = _label(values["label"]), _only_answer(values["completion"])
    both = (answer, _NONE) if label else (_NONE, answer)
    prompt = values["prompt"]
    turns = messages_of(prompt, "prompt") if is_messages(prompt) else [Turn("user", text_of(prompt, "prompt"))]
    return turns, *both


def _only_answer(value: Any) -> Turn:
    """The one answer of a row, a text or one message."""
    before, answer = _answer(value, "completion")
    if before:
        raise RowError("`completion` is more than one message")
    if not answer.text.strip():
        raise RowError("`completion` is empty")
    return answer


def _label(value: Any) -> bool:
    """Whether an answer is wanted: true or false, also as CSV has them, or 1 and 0."""
    text = str(value).strip().lower()
    if text not in _LABELS:
        raise RowError(f"the `label` {brief(value)} is neither true nor false")
    return _LABELS[text]


_NONE = Turn("assistant", "")
_LABELS: Mapping[str, bool] = {"true": True, "1": True, "1.0": True, "false": False, "0": False, "0.0": False}


_TURNS: Mapping[PairForm, Callable[[Values, Preference | None], Found]] = {
    "spa-vl": _spa_vl, "trl": _trl, "hh-rlhf": _transcripts, "sharegpt": _sharegpt, "alpaca": _instruction,
    "ms-swift": _swift, "two-responses": two_answers.read, "rlhf-v": _in_json,
    "vlfeedback": rated_answers.read, "trl-unpaired": _labelled,
}  # fmt: skip


def turns_of(form: PairForm, values: Values, prefer: Preference | None) -> Found:
    """The turns before the answers, and the chosen and the rejected answer, of a row.

    Args:
        form: of the file.
        values: of the row.
        prefer: which answer is preferred, where the file has an opinion on both counts.

    Raises:
        RowError: the row does not say what a pair needs.
    """
    try:
        return _TURNS[form](values, prefer)
    except KeyError as error:
        raise RowError(f"there is no `{error.args[0]}`") from None


def several(value: Any) -> list[Any]:
    """The values of a cell that holds one, a list of them, or a list as JSON.

    Args:
        value: the cell.
    """
    if isinstance(value, str) and value.lstrip().startswith("["):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return [value]
    if value is None or value == "":
        return []
    return value if isinstance(value, list) else [value]
