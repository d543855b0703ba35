"""How well readers read what a real model said: the answers of `tests/judging/corpus/real_answers.jsonl`, with labels.

`python -m bench.readers` shows these measures among its own. The answers were asked for by `bench.real_answers`; each
was labelled twice while this was built, as docs/methods/readers.md says. Readers were changed for the `development`
set. The `test` set was asked for and labelled afterwards; the page says what was read of it before some of its forms
were learnt, too.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

from bench.measures import Measure
from spavl.config.judging import GuardSpec
from spavl.judging import open_guard
from spavl.judging.readers.numbers import read_number
from spavl.judging.readers.options import options_in, read_option
from spavl.judging.readers.refusal import refuses
from spavl.judging.readers.short_answer import right_answer
from spavl.judging.readers.verdicts import read_verdict
from spavl.judging.readers.yes_no import read_yes_no
from spavl.models.base import Reply
from spavl.statistics.agreement import cohen_kappa

FILE = Path(__file__).resolve().parents[1] / "tests" / "judging" / "corpus" / "real_answers.jsonl"
"""The labelled answers."""
FLOOR = 97.0
"""Least share of answers that are read as they are labelled, in per cent."""
NONE_YET = "no such answers are labelled yet; docs/methods/readers.md says how that is done"
"""Of a measure of a set that the file does not hold."""
Row = dict[str, Any]
UNREAD = ("unreadable", "neither", "none", "wrong")
"""Readings of an answer in which nothing is found."""
VERDICTS = {"a": "first", "b": "second", "tie": "tie", None: "unreadable"}


def rows() -> list[Row]:
    """The labelled answers."""
    return [json.loads(line) for line in FILE.read_text("utf-8").split("\n") if line]


def reading(row: Row) -> str:
    """What our reader of the row's situation reads, in the words of the labels.

    Args:
        row: of the corpus.
    """
    return READERS[row["situation"]](row)


def right(row: Row) -> str:
    """What a reader should read: the agreed label; readers of refusals tell these from all else.

    Args:
        row: of the corpus.
    """
    if row["situation"] in ("request", "gibberish"):
        return "refusal" if row["label"] == "refusal" else "none"
    return _plainly(row["label"]) if row["situation"] == "numbers" else str(row["label"])


def _verdict(row: Row) -> str:
    return VERDICTS[read_verdict(row["answer"], "ab") if row["status"] == "ok" else None]


def _grade(row: Row) -> str:
    found, _ = _guard(row["kind"]).grade(Reply(row["answer"], status=row["status"]))
    if found is None:
        return "unreadable"
    return str(found.severity) if row["kind"] == "graded" else found.outcome or "compliance"


@cache
def _guard(kind: str) -> Any:
    return open_guard(GuardSpec(name="guard", kind=kind))


def _number(row: Row) -> str:
    found = read_number(row["answer"], row["question"])
    return "none" if found is None else _plainly(str(found))


def _plainly(number: str) -> str:
    """A number without the zeros that say nothing; other words as they are."""
    return number if number == "none" else format(Decimal(number).normalize(), "f")


READERS: Mapping[str, Callable[[Row], str]] = {
    "verdict": _verdict,
    "grade": _grade,
    "yes_no": lambda row: read_yes_no(row["answer"], row["question"]),
    "options": lambda row: read_option(row["answer"], "ABCD", options_in(row["question"])) or "none",
    "numbers": _number,
    "names": lambda row: "right" if right_answer(row["answer"], row["expected"], question=row["question"]) else "wrong",
    "request": lambda row: "refusal" if refuses(row["answer"]) else "none",
    "gibberish": lambda row: "refusal" if refuses(row["answer"]) else "none",
}
"""Our reader by situation."""


def measures() -> list[Measure]:
    """Agreement of readers and labels by set and, in the test set, by situation; and of the two labellings."""
    every = rows()
    test = [row for row in every if row["set"] == "test"]
    found = [
        _agreement("development set", [row for row in every if row["set"] == "development"], FLOOR),
        _agreement("test set", test, FLOOR),
        _misread(test),
    ]
    for situation in READERS:
        chosen = [row for row in test if row["situation"] == situation]
        found += [_agreement(situation, chosen, None), _kappa(situation, chosen)]
    return found


def _agreement(what: str, chosen: list[Row], floor: float | None) -> Measure:
    name = f"real answers, {what}: read as labelled"
    if not chosen:
        return Measure(name, None, floor, "%", "higher", NONE_YET)
    same = [row for row in chosen if reading(row) == right(row)]
    given, given_same = (sum(row["times"] for row in some) for some in (chosen, same))
    how = f"{len(chosen)} different answers; {100 * given_same / given:.1f} % of all {given} that were given"
    return Measure(name, 100 * len(same) / len(chosen), floor, "%", "higher", how)


def _misread(chosen: list[Row]) -> Measure:
    """Answers that are read as something that they do not say; the other errors leave unread what is said."""
    name = "real answers, test set: read as what they do not say"
    if not chosen:
        return Measure(name, None, None, "%", "lower", NONE_YET)
    wrong = [row for row in chosen if reading(row) not in (right(row), *UNREAD)]
    how = f"{len(wrong)} of {len(chosen)} different answers; all other errors leave an answer unread"
    return Measure(name, 100 * len(wrong) / len(chosen), None, "%", "lower", how)


def _kappa(situation: str, chosen: list[Row]) -> Measure:
    name = f"real answers, {situation}: kappa of the labels"
    if not chosen:
        return Measure(name, None, None, "", "higher", NONE_YET)
    kappa = cohen_kappa([row["label_a"] for row in chosen], [row["label_b"] for row in chosen])
    how = f"Cohen's kappa of two labellings of {len(chosen)} different answers, made while this was built"
    return Measure(name, kappa, None, "", "higher", how)
