"""Rows for training or testing a guard: a conversation with its answer, and what the guards of a run said of it.

Columns: `id`; `messages` (the conversation and the answer, in parts, as chat templates take it) with `images`, the
pictures of all turns in order; `label` (safe or unsafe), `outcome`, `category`, `severity`; `verdict`, the lines that a
guard of kind llama-guard would write; and `ABOUT`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from spavl.interchange.writers.cells import PictureBytes, Refused
from spavl.interchange.writers.forms import INSIDE, TEXT
from spavl.interchange.writers.layouts import Cell, Values, spoken
from spavl.interchange.writers.row import ExportRow
from spavl.interchange.writers.tables import table_writer
from spavl.interchange.writers.write import Written
from spavl.models.chat import ChatTurn, all_pictures, template_turn
from spavl.pictures import Picture
from spavl.preferences.pairs import Pair
from spavl.progress import OnProgress
from spavl.records import Response, Turn
from spavl.records.words import is_safe

GUARD_FILE = "data/train.parquet"
"""The file of the rows."""
ABOUT = ("class1", "class2", "class3", "source", "guard", "thought")
"""Columns of what else is known of an answer."""
_PART = pa.struct([("type", TEXT), ("text", TEXT)])
SCHEMA = pa.schema(
    [
        pa.field("id", TEXT),
        pa.field("images", pa.list_(INSIDE)),
        pa.field("messages", pa.list_(pa.struct([("role", TEXT), ("content", pa.list_(_PART))]))),
        *(pa.field(name, TEXT) for name in ("label", "verdict", "outcome", "category")),
        pa.field("severity", pa.int64()),
        *(pa.field(name, TEXT) for name in ABOUT),
    ]
)
"""Columns of the file."""
NEXT = """from datasets import load_dataset
rows = load_dataset("{folder}", split="train")
rows[0]["messages"], rows[0]["verdict"]"""
"""What to do with the rows."""


@dataclass(frozen=True, slots=True)
class GradedAnswer:
    """An answer with what the guards said of it."""

    id: str
    """Names it; unique in a file."""
    pair: Pair
    """Its conversation; the answer is in `chosen`."""
    safe: bool | None
    """Whether it is safe; None: that is not known."""
    outcome: str | None = None
    """The outcome; None where the guard knows only safe and unsafe."""
    category: str = ""
    """Category of an unsafe answer; empty where none was named."""
    severity: int | None = None
    """How bad it is, from 0 to 4; None where that is not known."""
    about: Mapping[str, str | None] = field(default_factory=dict)
    """What else is known, by `ABOUT`."""


def graded_of_responses(responses: Iterable[Response], folder: Path) -> Iterator[GradedAnswer]:
    """The answers of a run.

    Args:
        responses: of the run; those without an answer are passed over.
        folder: the run folder, to which paths of pictures are relative.
    """

    def turn(one: Turn) -> ChatTurn:
        return ChatTurn(one.role, one.text, tuple(Picture(i.sha256, folder / i.path) for i in one.images))

    for one in responses:
        if not one.response:
            continue
        asked, topic = one.query, one.query.image.topic
        pictures = tuple(Picture(image.sha256, folder / image.path) for image in asked.images)
        pair = Pair(one.response_id, pictures, asked.question, one.response, "", tuple(map(turn, asked.earlier)),
                    asked.system)  # fmt: skip
        about = {"class1": topic.class1, "class2": topic.class2, "class3": topic.class3, "source": one.responder,
                 "guard": one.grader, "thought": one.thought}  # fmt: skip
        yield GradedAnswer(one.response_id, pair, one.safe, one.outcome, one.safe_category, one.severity, about)


def graded_of_pairs(rows: Iterable[ExportRow]) -> Iterator[GradedAnswer]:
    """Both answers of every pair.

    Args:
        rows: of a dataset, with what is known of them.
    """
    for row in rows:
        for side, answer in (("chosen", row.pair.chosen), ("rejected", row.pair.rejected)):
            outcome, known = row.about.get(f"{side}_outcome"), row.about
            safe = known.get(f"{side}_safe")
            about = {"source": known.get(f"{side}_source"), "thought": known.get(f"{side}_thought"),
                     **{name: known.get(name) for name in ABOUT[:3]}}  # fmt: skip
            pair = Pair(row.pair.pair_id, row.pair.pictures, row.pair.question, answer, "", row.pair.earlier,
                        row.pair.system, malformed=row.pair.malformed)  # fmt: skip
            yield GradedAnswer(f"{row.pair.pair_id}#{side}", pair, is_safe(outcome) if safe is None else safe, outcome,
                               severity=known.get(f"{side}_severity"), about=about)  # fmt: skip


def write_graded(
    answers: Iterable[GradedAnswer], folder: Path, *, total: int, file: str = GUARD_FILE, on_progress: OnProgress
) -> Written:
    """Write answers as rows for guards; those without a verdict are refused.

    Args:
        answers: to be written.
        folder: of the export.
        total: how many there are at most.
        file: path of the file, relative to the folder.
        on_progress: called with the answers that are done.
    """
    written, cell = Written(file), PictureBytes()
    with table_writer(folder / file, "parquet", SCHEMA) as write:
        for number, answer in enumerate(answers):
            if number % 256 == 0:
                on_progress(number, total)
            try:
                write(_values(answer, cell))
                written.rows += 1
            except Refused as error:
                written.refuse(error.reason, answer.id, number)
    on_progress(total, total)
    return written


def _values(answer: GradedAnswer, cell: Cell) -> Values:
    pair = answer.pair
    if pair.malformed:
        raise Refused(f"it is no pair: {pair.malformed}")
    if answer.safe is None:
        raise Refused("no guard has a verdict on it")
    label = "safe" if answer.safe else "unsafe"
    named = f"\n{answer.category}" if answer.category and not answer.safe else ""
    return {
        "id": answer.id, "images": [cell(one) for one in all_pictures(pair.earlier, pair.pictures)],
        "messages": _messages(pair), "label": label, "verdict": f"{label}{named}", "outcome": answer.outcome,
        "category": answer.category or None, "severity": answer.severity, **answer.about,
    }  # fmt: skip


def _messages(pair: Pair) -> list[dict[str, Any]]:
    system = [template_turn("system", pair.system)] if pair.system else []
    said = [template_turn(role, text, len(pictures)) for role, text, pictures in spoken(pair)]
    return [*system, *said, template_turn("assistant", pair.chosen)]
