"""The public forms of preference files, each told by its columns and their structure, never guessed between two.

    form = form_of(first_row, where="train.jsonl")
    conversation = form.read(row, prefer)

A form turns a row's values into a `Conversation`; what pictures are and where they lie is decided later.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, final

from spavl.config.align import PairForm, Preference
from spavl.errors import DataError
from spavl.preferences import rated_answers, two_answers
from spavl.preferences.form_about import ORIGIN, REASONS
from spavl.preferences.form_turns import ANSWERS, Values, json_pair, several, turns_of
from spavl.preferences.messages import (
    PLACEHOLDER,
    RowError,
    Turn,
    is_messages,
    is_one_message,
    is_transcript,
    place_pictures,
    text_of,
)
from spavl.rows import listed

PICTURES = ("image", "images")
"""Columns of pictures: one, or a list; those of `images` follow that of `image`."""
PATHS = ("image_path", "image_paths", "img_path")
"""Columns of pictures where `PICTURES` are empty or not there."""
SHARED = (*PICTURES, *PATHS, "pair_id", "system", "weight")
"""Columns that are read in every form."""


@dataclass(frozen=True, slots=True)
class Conversation:
    """What a row says: the turns before the answers, and the two answers."""

    system: str
    """Text of the system turn; empty: none."""
    turns: tuple[Turn, ...]
    """Earlier turns, and the user turn that is answered, with their pictures as the file has them."""
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
    columns: tuple[str, ...]
    """The columns that are read beside `SHARED`."""
    unmarked: Literal["first", "last"] = "first"
    """The user turn that pictures of the row belong to where no placeholder says so."""
    several_opinions: bool = False
    """Whether its rows may say which answer is safer, and which is more helpful."""
    unpaired: bool = False
    """Whether its rows have one answer, which is wanted or not; the other answer of such a pair is empty."""

    def read(self, values: Values, prefer: Preference | None = None) -> Conversation:
        """The conversation of a row.

        Args:
            values: of the row.
            prefer: which answer is preferred, where the file has an opinion on both counts.

        Raises:
            RowError: the row does not say what a pair needs.
        """
        turns, chosen, rejected = turns_of(self.name, values, prefer)
        system, turns = _system_of(turns, text_of(values.get("system"), "system"))
        if not turns or turns[-1].role != "user":
            raise RowError("the turn before the answers is not the user's")
        if any(PLACEHOLDER in text for text in (system, chosen.text, rejected.text)):
            raise RowError(f"the placeholder `{PLACEHOLDER}` stands in an answer or in the system turn")
        if chosen.pictures or rejected.pictures:
            raise RowError("an answer has a picture")
        users = [number for number, turn in enumerate(turns) if turn.role == "user"]
        unmarked = users[0] if self.unmarked == "first" else users[-1]
        placed = place_pictures(turns, pictures_of(values), unmarked=unmarked)
        if not (placed[-1].text or placed[-1].pictures):
            raise RowError("nothing is asked: the last turn has neither a text nor a picture")
        return Conversation(system, tuple(placed), chosen, rejected)


def _system_of(turns: Sequence[Turn], named: str) -> tuple[str, Sequence[Turn]]:
    """The text of the system turn, from the column of that name or the first turn, and the other turns."""
    system = [Turn("system", named)] if named else []
    if turns and turns[0].role == "system":
        system, turns = [*system, turns[0]], turns[1:]
    if len(system) > 1 or any(turn.role == "system" for turn in turns) or any(turn.pictures for turn in system):
        raise RowError("a system turn stands behind other turns, or has a picture")
    return system[0].text if system else "", turns


def pictures_of(values: Values) -> list[Any]:
    """The pictures of a row, as the file has them.

    Args:
        values: of the row.

    Raises:
        RowError: a column of pictures holds what is neither one nor a list.
    """
    for names in (PICTURES, PATHS):
        if found := [one for name in names for one in several(values.get(name)) if not _is_nothing(one)]:
            return found
    return []


def _is_nothing(cell: Any) -> bool:
    """Whether a cell names no picture: None, or a struct of nothing else."""
    return cell is None or (isinstance(cell, Mapping) and all(one is None for one in cell.values()))


# ---- which form


def _has(*names: str) -> Callable[[Values], bool]:
    return lambda values: all(name in values for name in names)


def _fits_trl(values: Values) -> bool:
    if not _has("chosen", "rejected")(values) or _fits_transcripts(values):
        return False
    elsewhere = any(name in values for name in ("question", "instruction", "conversations"))
    whole = is_messages(values["chosen"]) and not is_one_message(values["chosen"])
    return "prompt" in values or (whole and not elsewhere)


def _fits_transcripts(values: Values) -> bool:
    return (
        "question" not in values
        and _has("chosen", "rejected")(values)
        and is_transcript(values["prompt"] if "prompt" in values else values["chosen"])
    )


def _fits_sharegpt(values: Values) -> bool:
    if not _has("chosen", "rejected")(values):
        return False
    return "conversations" in values or ("messages" in values and is_one_message(values["chosen"]))


def _fits_swift(values: Values) -> bool:
    asked = "messages" in values or _has("query", "response")(values)
    return asked and ("rejected_response" in values or "rejected_messages" in values)


def _fits_in_json(values: Values) -> bool:
    if "text" not in values or "chosen" in values:
        return False
    try:
        found = json_pair(values["text"])
    except RowError:
        return False
    return _has("question", *ANSWERS)(found)


FORMS: tuple[Form, ...] = (
    Form(
        "spa-vl", "question, chosen, rejected (SPA-VL, RLAIF-V)", _has("question", *ANSWERS),
        ("question", *ANSWERS, "earlier", "chosen_thought", "rejected_thought", ORIGIN, *REASONS), unmarked="last",
    ),
    Form("trl", "prompt, chosen, rejected as texts or messages (TRL)", _fits_trl, ("prompt", *ANSWERS)),
    Form(
        "hh-rlhf", "chosen, rejected as texts of `Human:` and `Assistant:` (HH-RLHF)", _fits_transcripts,
        ("prompt", *ANSWERS),
    ),
    Form(
        "sharegpt", "conversations, chosen, rejected (LLaMA-Factory)", _fits_sharegpt,
        ("conversations", "messages", *ANSWERS),
    ),
    Form(
        "alpaca", "instruction, chosen, rejected (LLaMA-Factory)", _has("instruction", *ANSWERS),
        ("instruction", "input", "history", *ANSWERS), unmarked="last",
    ),
    Form(
        "ms-swift", "messages and rejected_response or rejected_messages (ms-swift)", _fits_swift,
        ("messages", "query", "response", "history", "rejected_response", "rejected_messages", "rejected_images"),
    ),
    Form(
        "two-responses", "response_1, response_2 and safer_response_id, more_helpful_response_id or overall_response "
        "(BeaverTails-V, align-anything)", two_answers.fits, two_answers.COLUMNS, unmarked="last",
        several_opinions=True,
    ),
    Form("rlhf-v", "text, a JSON object of question, chosen, rejected (RLHF-V)", _fits_in_json, ("text", ORIGIN),
         unmarked="last"),
    Form("vlfeedback", "prompt, completions with ratings (VLFeedback)", rated_answers.fits, rated_answers.COLUMNS,
         unmarked="last", several_opinions=True),
    Form("trl-unpaired", "prompt, completion, label: single answers, wanted or not (TRL, for KTO)",
         _has("prompt", "completion", "label"), ("prompt", "completion", "label"), unpaired=True),
)  # fmt: skip
"""All forms."""


@final
class NoForm(DataError):
    """A row is in none of the forms, or not in the one that is named."""


def form_of(
    values: Values,
    where: str,
    *,
    name: PairForm | None = None,
    prefer: Preference | None = None,
    strict: bool = True,
) -> Form:
    """The form of a file, told by a row.

    Args:
        values: of the row.
        where: names the file, for errors.
        name: the form that the settings name, if they do.
        prefer: which answer is preferred, if the settings say so.
        strict: whether the row must be in the form `name`; else that decides only where the row fits several.

    Raises:
        NoForm: the row is in none of the forms, or not in the one that is named.
        DataError: it is in several, or says not which answer is preferred.
    """
    named = [form for form in FORMS if form.name == name and (strict or form.fits(values))]
    found = named or [form for form in FORMS if form.fits(values)]
    columns = listed(values) or "none"
    if not found:
        raise NoForm(
            f"no form of preference pairs has these columns: {columns}", where=where,
            try_="one of: " + "; ".join(form.what for form in FORMS),
        )  # fmt: skip
    if len(found) > 1:
        raise DataError(
            f"the columns fit {' and '.join(form.name for form in found)}: {columns}", where=where,
            try_=f"say which with align.data.form={found[0].name} (`--as {found[0].name}` of an import)",
        )  # fmt: skip
    _check_choice(found[0], values, where, prefer)
    return found[0]


def _check_choice(form: Form, values: Values, where: str, prefer: Preference | None) -> None:
    """Refuse a form with columns that it lacks, or with a preference that nobody has stated."""
    if not form.fits(values):
        raise NoForm(
            f"not in the form {form.name}, which needs {form.what}; there are: {listed(values)}", where=where,
            try_="leave align.data.form (`--as` of an import) out, or name another",
        )  # fmt: skip
    if form.fits is two_answers.fits:
        _check_opinion(values, where, prefer)


def _check_opinion(values: Values, where: str, prefer: Preference | None) -> None:
    """Refuse two opinions of which none is chosen, and the choice of one that the file does not have."""
    there = two_answers.opinions(values)
    if len(there) > 1 and prefer is None and two_answers.OVERALL not in values:
        raise DataError(
            "the file says which answer is safer and which is more helpful, and not which is to be preferred",
            where=where, try_="align.data.prefer=safer, or align.data.prefer=more_helpful (`--prefer` of an import)",
        )  # fmt: skip
    if prefer and prefer not in there:
        says = there[0] if there else "better over all"
        raise DataError(
            f"the file says only which answer is {says}, and not which is {prefer}", where=where,
            try_="leave align.data.prefer (`--prefer` of an import) out",
        )  # fmt: skip
