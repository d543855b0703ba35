"""The public forms of preference files, each told by its columns and their structure, never guessed between two.

    form = form_of(first_row, where="train.jsonl")
    conversation = form.read(row, prefer)

A form turns a row's values into a `Conversation`; what pictures are and where they lie is decided later.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from spavl.align.data.messages import (
    PLACEHOLDER,
    RowError,
    Turn,
    is_messages,
    is_transcript,
    messages_of,
    place_pictures,
    text_of,
    transcript_of,
)
from spavl.config.align import PairForm, Preference
from spavl.errors import DataError

Values = Mapping[str, Any]
"""A row of a file: value by column."""
PICTURES = ("image", "images")
"""Columns of pictures: one, or a list; those of `images` follow that of `image`."""
PATHS = ("image_path", "image_paths")
"""Columns of pictures where there is none of `PICTURES`."""
SHARED = (*PICTURES, *PATHS, "pair_id", "system")
"""Columns that are read in every form."""
_PREFERRED: Mapping[Preference, tuple[str, ...]] = {
    "safer": ("safer_response_id",),
    "more_helpful": ("more_helpful_response_id", "better_response_id"),
}


@dataclass(frozen=True, slots=True)
class Conversation:
    """What a row says: the turns before the answers, and the two answers."""

    turns: tuple[Turn, ...]
    """A system turn or none, earlier turns, and the user turn that is answered; with their pictures, as the file has
    them."""
    chosen: Turn
    """The preferred answer."""
    rejected: Turn
    """The other answer."""


@dataclass(frozen=True, slots=True)
class Form:
    """A public form of preference files."""

    name: PairForm
    """Its name in the settings."""
    what: str
    """The columns that it needs, for messages."""
    fits: Callable[[Values], bool]
    """Whether a row is in this form."""
    turns: Callable[[Values, Preference | None], tuple[Sequence[Turn], Turn, Turn]]
    """The turns before the answers, and the chosen and the rejected answer, of a row."""
    columns: tuple[str, ...]
    """The columns that are read beside `SHARED`."""
    unmarked: Literal["first", "last"] = "first"
    """The user turn that pictures of the row belong to where no placeholder says so."""

    def read(self, values: Values, prefer: Preference | None = None) -> Conversation:
        """The conversation of a row.

        Args:
            values: of the row.
            prefer: which answer is preferred, where the file has an opinion on both counts.

        Raises:
            RowError: the row does not say what a pair needs.
        """
        try:
            turns, chosen, rejected = self.turns(values, prefer)
        except KeyError as error:
            raise RowError(f"there is no `{error.args[0]}`") from None
        turns = _with_system(turns, text_of(values.get("system"), "system"))
        if not turns or turns[-1].role != "user":
            raise RowError("the turn before the answers is not the user's")
        if any(PLACEHOLDER in answer.text for answer in (chosen, rejected)):
            raise RowError(f"the placeholder `{PLACEHOLDER}` stands in an answer")
        if chosen.pictures or rejected.pictures:
            raise RowError("an answer has a picture")
        users = [number for number, turn in enumerate(turns) if turn.role == "user"]
        unmarked = users[0] if self.unmarked == "first" else users[-1]
        return Conversation(tuple(place_pictures(turns, pictures_of(values), unmarked=unmarked)), chosen, rejected)


def _with_system(turns: Sequence[Turn], system: str) -> list[Turn]:
    """The turns, after the system turn of a column of its own; none but the first is by the system."""
    found = [Turn("system", system)] if system else []
    if any(turn.role == "system" for turn in (*turns[1:], *(turns[:1] if found else ()))):
        raise RowError("a system turn stands behind other turns")
    return [*found, *turns]


def pictures_of(values: Values) -> list[Any]:
    """The pictures of a row, as the file has them.

    Args:
        values: of the row.

    Raises:
        RowError: a column of pictures holds what is neither one nor a list.
    """
    names = PICTURES if any(name in values for name in PICTURES) else PATHS
    return [one for name in names for one in _several(values.get(name)) if one is not None]


def _several(value: Any) -> list[Any]:
    if isinstance(value, str) and value.lstrip().startswith("["):
        try:
            value = json.loads(value)
        except ValueError:
            return [value]
    if value is None or value == "":
        return []
    return value if isinstance(value, list) else [value]


# ---- forms


def _asked(name: str) -> Callable[[Values, Preference | None], tuple[Sequence[Turn], Turn, Turn]]:
    """Reads a column with the question or the conversation so far, beside two answers."""

    def read(values: Values, _: Preference | None) -> tuple[Sequence[Turn], Turn, Turn]:
        prompt = values.get(name)
        before, chosen, rejected = _answers(values["chosen"], values["rejected"])
        if is_messages(prompt):
            turns = messages_of(prompt, name)
            if before and before != turns:
                raise RowError(f"`{name}` and the first turns of `chosen` differ")
            return turns, chosen, rejected
        text = text_of(prompt, name)
        if not before:
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
        raise RowError(f"a turn of `earlier` has the role {role!r}, neither `user` nor `assistant`")
    return Turn(role, text_of(turn.get("text"), "earlier"), tuple(_several(turn.get("images"))))


def _answers(chosen: Any, rejected: Any) -> tuple[list[Turn], Turn, Turn]:
    """The turns that both answers begin with, and the answers themselves."""
    (before, first), (other, second) = _answer(chosen, "chosen"), _answer(rejected, "rejected")
    if before != other:
        raise RowError("`chosen` and `rejected` differ before their last turn")
    return before, first, second


def _answer(value: Any, name: str) -> tuple[list[Turn], Turn]:
    """The turns before an answer that a column has too, and the answer."""
    if not is_messages(value):
        return [], Turn("assistant", text_of(value, name))
    turns = messages_of(value, name)
    if not turns or turns[-1].role != "assistant":
        raise RowError(f"the last turn of `{name}` is not the assistant's")
    return turns[:-1], turns[-1]


def _implicit(values: Values, _: Preference | None) -> tuple[Sequence[Turn], Turn, Turn]:
    return _answers(values["chosen"], values["rejected"])


def _transcripts(values: Values, _: Preference | None) -> tuple[Sequence[Turn], Turn, Turn]:
    if values.get("prompt") is not None:
        prompt = transcript_of(text_of(values["prompt"], "prompt"), "prompt")
        open_turn = prompt[-1].role == "assistant" and not prompt[-1].text
        _, chosen, rejected = _answers(values["chosen"], values["rejected"])
        return prompt[:-1] if open_turn else prompt, chosen, rejected
    chosen, rejected = (transcript_of(text_of(values[n], n), n) for n in ("chosen", "rejected"))
    if chosen[-1].role != "assistant" or rejected[-1].role != "assistant":
        raise RowError("the last turn is not the assistant's")
    if chosen[:-1] != rejected[:-1]:
        raise RowError("`chosen` and `rejected` differ before their last turn")
    return chosen[:-1], chosen[-1], rejected[-1]


def _listed(name: str) -> Callable[[Values, Preference | None], tuple[Sequence[Turn], Turn, Turn]]:
    """Reads a column of messages before the answers, beside each answer as one message."""

    def read(values: Values, _: Preference | None) -> tuple[Sequence[Turn], Turn, Turn]:
        before, chosen, rejected = _answers(values["chosen"], values["rejected"])
        if before:
            raise RowError("`chosen` is more than one message")
        return messages_of(values[name], name), chosen, rejected

    return read


def _instruction(values: Values, _: Preference | None) -> tuple[Sequence[Turn], Turn, Turn]:
    asked = [text_of(values.get(name), name) for name in ("instruction", "input")]
    turns = [*_history(values), Turn("user", "\n".join(text for text in asked if text))]
    _, chosen, rejected = _answers(values["chosen"], values["rejected"])
    return turns, chosen, rejected


def _history(values: Values) -> list[Turn]:
    """Turns of the column `history`: pairs of a question and its answer."""
    history = values.get("history") or []
    if not all(isinstance(one, list) and len(one) == 2 for one in history):
        raise RowError("`history` is not a list of questions with their answers")
    return [
        Turn(role, text_of(text, "history"))
        for one in history
        for role, text in zip(("user", "assistant"), one, strict=True)
    ]


def _swift(values: Values, _: Preference | None) -> tuple[Sequence[Turn], Turn, Turn]:
    if "messages" in values:
        before, chosen = _answer(values["messages"], "messages")
    else:
        before = [*_history(values), Turn("user", text_of(values["query"], "query"))]
        chosen = Turn("assistant", text_of(values["response"], "response"))
    if values.get("rejected_images") not in (None, [], values.get("images")):
        raise RowError("the rejected answer is about other pictures (`rejected_images`)")
    if values.get("rejected_messages") is not None:
        other, rejected = _answer(values["rejected_messages"], "rejected_messages")
        if other != before:
            raise RowError("`messages` and `rejected_messages` differ before their last turn")
        return before, chosen, rejected
    return before, chosen, Turn("assistant", text_of(values.get("rejected_response"), "rejected_response"))


def _two_responses(values: Values, prefer: Preference | None) -> tuple[Sequence[Turn], Turn, Turn]:
    asked = "question" if "question" in values else "prompt"
    names = [f"response_{number}" for number in _numbers(values)]
    marks = [values[name] for name in _PREFERRED[prefer or "safer"] if name in values]
    if not marks:
        raise RowError(f"no column says which answer is {prefer}")
    mark = int(marks[0]) if isinstance(marks[0], str) and marks[0].strip().isdecimal() else marks[0]
    if isinstance(mark, bool) or mark not in _numbers(values):
        raise RowError(f"none of the two answers is marked as {prefer}")
    better, other = names if mark == _numbers(values)[0] else names[::-1]
    chosen, rejected = (Turn("assistant", text_of(values.get(name), name)) for name in (better, other))
    return [Turn("user", text_of(values[asked], asked))], chosen, rejected


def _numbers(values: Values) -> tuple[int, int]:
    return (0, 1) if "response_0" in values else (1, 2)


# ---- which form


def _has(*names: str) -> Callable[[Values], bool]:
    return lambda values: all(name in values for name in names)


def _fits_trl(values: Values) -> bool:
    if not _has("chosen", "rejected")(values) or _fits_transcripts(values):
        return False
    elsewhere = any(name in values for name in ("question", "instruction", "conversations"))
    whole = is_messages(values["chosen"]) and not isinstance(values["chosen"], Mapping)
    return "prompt" in values or (whole and not elsewhere)


def _fits_transcripts(values: Values) -> bool:
    return _has("chosen", "rejected")(values) and is_transcript(
        values["prompt"] if "prompt" in values else values["chosen"]
    )


def _fits_sharegpt(values: Values) -> bool:
    if not _has("chosen", "rejected")(values):
        return False
    return "conversations" in values or ("messages" in values and isinstance(values["chosen"], Mapping))


def _fits_swift(values: Values) -> bool:
    asked = "messages" in values or _has("query", "response")(values)
    return asked and ("rejected_response" in values or "rejected_messages" in values)


def _fits_two_responses(values: Values) -> bool:
    marked = any(name in values for names in _PREFERRED.values() for name in names)
    both = _has("response_1", "response_2")(values) or _has("response_0", "response_1")(values)
    return marked and both and ("question" in values or "prompt" in values)


def _read_sharegpt(values: Values, prefer: Preference | None) -> tuple[Sequence[Turn], Turn, Turn]:
    return _listed("conversations" if "conversations" in values else "messages")(values, prefer)


def _read_trl(values: Values, prefer: Preference | None) -> tuple[Sequence[Turn], Turn, Turn]:
    return _asked("prompt")(values, prefer) if "prompt" in values else _implicit(values, prefer)


def _read_spa_vl(values: Values, prefer: Preference | None) -> tuple[Sequence[Turn], Turn, Turn]:
    turns, chosen, rejected = _asked("question")(values, prefer)
    thoughts = [text_of(values.get(f"{name}_thought"), f"{name}_thought") for name in ("chosen", "rejected")]
    first, second = (
        replace(answer, thought=thought or answer.thought)
        for answer, thought in zip((chosen, rejected), thoughts, strict=True)
    )
    return turns, first, second


ANSWERS = ("chosen", "rejected")
FORMS: tuple[Form, ...] = (
    Form(
        "spa-vl", "question, chosen, rejected (SPA-VL, RLAIF-V)", _has("question", *ANSWERS), _read_spa_vl,
        ("question", *ANSWERS, "earlier", "chosen_thought", "rejected_thought"), unmarked="last",
    ),
    Form("trl", "prompt, chosen, rejected as texts or messages (TRL)", _fits_trl, _read_trl, ("prompt", *ANSWERS)),
    Form(
        "hh-rlhf", "chosen, rejected as texts of `Human:` and `Assistant:` (HH-RLHF)", _fits_transcripts, _transcripts,
        ("prompt", *ANSWERS),
    ),
    Form(
        "sharegpt", "conversations, chosen, rejected (LLaMA-Factory)", _fits_sharegpt, _read_sharegpt,
        ("conversations", "messages", *ANSWERS),
    ),
    Form(
        "alpaca", "instruction, chosen, rejected (LLaMA-Factory)", _has("instruction", *ANSWERS), _instruction,
        ("instruction", "input", "history", *ANSWERS), unmarked="last",
    ),
    Form(
        "ms-swift", "messages and rejected_response or rejected_messages (ms-swift)", _fits_swift, _swift,
        ("messages", "query", "response", "history", "rejected_response", "rejected_messages", "rejected_images"),
    ),
    Form(
        "two-responses", "response_1, response_2 and safer_response_id or more_helpful_response_id (BeaverTails-V)",
        _fits_two_responses, _two_responses,
        ("question", "prompt", "response_0", "response_1", "response_2", *(n for ns in _PREFERRED.values() for n in ns)),
        unmarked="last",
    ),
)  # fmt: skip
"""All forms."""


def form_of(values: Values, where: str, *, name: PairForm | None = None, prefer: Preference | None = None) -> Form:
    """The form of a file, told by its first row.

    Args:
        values: of the first row.
        where: names the file, for errors.
        name: the form that the settings name, if they do.
        prefer: which answer is preferred, if the settings say so.

    Raises:
        DataError: the row is in none of the forms, or in several.
    """
    found = [form for form in FORMS if (form.name == name if name else form.fits(values))]
    columns = ", ".join(values) or "none"
    if not found:
        raise DataError(
            f"no form of preference pairs has these columns: {columns}", where=where,
            try_="one of: " + "; ".join(form.what for form in FORMS),
        )  # fmt: skip
    if len(found) > 1:
        raise DataError(
            f"the columns fit {' and '.join(form.name for form in found)}: {columns}", where=where,
            try_=f"say which with align.data.form={found[0].name}",
        )  # fmt: skip
    _check_choice(found[0], values, where, prefer)
    return found[0]


def _check_choice(form: Form, values: Values, where: str, prefer: Preference | None) -> None:
    """Refuse a form with columns that it lacks, or with a preference that nobody has stated."""
    if not form.fits(values):
        raise DataError(
            f"not in the form {form.name}, which needs {form.what}; there are: {', '.join(values)}", where=where,
            try_="leave align.data.form out, or name another",
        )  # fmt: skip
    if form.name == "two-responses" and prefer is None:
        raise DataError(
            "the file says which answer is safer and which is more helpful, and not which is to be preferred",
            where=where, try_="align.data.prefer=safer, or align.data.prefer=more_helpful",
        )  # fmt: skip
