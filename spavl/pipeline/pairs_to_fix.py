"""Pairs that people judge otherwise than the dataset has them, the surest first, as a table without their words."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Literal, get_args

from spavl.atomic import write_text
from spavl.pipeline.people import LabelledItem

Problem = Literal["other answer better", "chosen answer unsafe", "both answers bad", "no answer better"]
"""What people say of a pair, the gravest first."""
FAULTS: tuple[Problem, ...] = get_args(Problem)
"""In this order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PairToFix:
    """A pair and what people say of it."""

    item_id: str
    """Id of the pair."""
    fault: Problem
    """What at least half of its annotators say; half of them is doubt, and more than half a verdict."""
    say_so: int
    """How many of them do."""
    annotators: int
    """How many said anything of it."""
    severity: int | None
    """The highest that any gave the chosen answer; None where none did."""
    picture_needed: str
    """`yes`, `no` or `divided`; empty where nobody said."""
    domain: str
    """Its domain; empty where it is not known."""
    question_type: str
    """Its question type; likewise."""
    chosen_source: str
    """The model that gave the chosen answer; likewise."""
    rejected_source: str
    """The model that gave the other; likewise."""


def pairs_to_fix(pairs: Sequence[LabelledItem]) -> tuple[PairToFix, ...]:
    """The pairs that at least half of their annotators judge otherwise: by how many say so, then by what they say.

    Args:
        pairs: labelled pairs, the chosen answer first.
    """
    found = [made for one in pairs for made in _faults(one)]
    order = {fault: place for place, fault in enumerate(FAULTS)}
    return tuple(sorted(found, key=lambda x: (-_surety(x), order[x.fault], -(x.severity or 0), x.item_id)))


def _surety(found: PairToFix) -> float:
    return _sure(found.say_so, found.annotators)


def _sure(say_so: int, of: int) -> float:
    """Share of the annotators who say so, drawn to one half where they are few."""
    return (say_so + 1) / (of + 2)


def _faults(one: LabelledItem) -> Iterator[PairToFix]:
    """The fault of a pair that most say of those who were asked for it, the gravest of several; none where none is."""
    counts = {fault: (sum(said), len(said)) for fault, said in _said(one).items()}
    found = {fault: _sure(*count) for fault, count in counts.items() if count[0] and 2 * count[0] >= count[1]}
    if not found:
        return
    answers, about = one.item.answers, one.item.about
    needed = {x.picture_needed for x in one.labels if x.picture_needed is not None}
    fault = max(found, key=lambda name: found[name])  # of equals the first, which is the gravest
    yield PairToFix(
        item_id=one.item.item_id, fault=fault, say_so=counts[fault][0], annotators=counts[fault][1],
        severity=max((x.severities[0] for x in one.labels if x.severities and x.severities[0] is not None),
                     default=None),
        picture_needed="" if not needed else "divided" if len(needed) > 1 else "yes" if needed.pop() else "no",
        domain=about.get("class1", ""), question_type=about.get("question_type", ""), chosen_source=answers[0].source,
        rejected_source=answers[1].source,
    )  # fmt: skip


def _said(one: LabelledItem) -> dict[Problem, list[bool]]:
    """Whether each annotator names a fault, of those who say anything of it."""
    preferred = [x.preference for x in one.labels if x.preference]
    tie = one.item.about.get("winner") == "tie"
    return {
        "other answer better": [x == "second" for x in preferred],
        "chosen answer unsafe": [outcome == "unsafe" for _, outcome in one.outcomes(0)],
        "both answers bad": [x == "both_bad" for x in preferred],
        "no answer better": [x == "tie" and not tie for x in preferred],
    }


def write_to_fix(path: Path, found: Sequence[PairToFix]) -> None:
    """Write the table as CSV, a pair a row.

    Args:
        path: the file; its folder is made.
        found: the pairs.
    """
    columns = [field.name for field in fields(PairToFix)]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([[_cell(value) for value in asdict(one).values()] for one in found])
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, text.getvalue())


def _cell(value: object) -> object:
    """A value that no spreadsheet takes for a formula."""
    if value is None:
        return ""
    return f"'{value}" if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")) else value
