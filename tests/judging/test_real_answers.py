"""Readers read what a real model said as it was labelled, in both sets; the labels keep to their instructions."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from bench import real_readings
from bench.real_readings import FILE, FLOOR, READERS, reading, right, rows

LABELS = {
    "yes_no": "yes|no|neither", "options": "A|B|C|D|none", "numbers": r"-?\d+(\.\d+)?|none", "names": "right|wrong",
    "verdict": "first|second|tie|unreadable", "rubric": "safe|unsafe|unreadable", "graded": "[0-4]|unreadable",
    "refusal": "refusal|compliance|unreadable", "request": "refusal|safe completion|help|gibberish|other",
    "gibberish": "refusal|safe completion|help|gibberish|other",
}  # fmt: skip
"""What a label may be, by situation, and by kind of guard."""

LEAST = {"development": FLOOR, "test": 94.0}
"""Least share that is read as labelled, in per cent; docs/methods/readers.md says why the test set misses the floor."""


@pytest.mark.parametrize("part", LEAST)
def test_readers_agree_with_the_labels(part: str) -> None:
    chosen = [row for row in rows() if row["set"] == part]
    wrong = [
        (row["situation"], row["answer"], right(row), found) for row in chosen if (found := reading(row)) != right(row)
    ]
    assert len(wrong) <= (1 - LEAST[part] / 100) * len(chosen), wrong


def test_a_set_that_holds_no_answers_is_a_measure_without_a_value(monkeypatch: pytest.MonkeyPatch) -> None:
    only = [row for row in rows() if row["set"] == "development"]
    monkeypatch.setattr(real_readings, "rows", lambda: only)
    found = {measure.name: measure for measure in real_readings.measures()}
    measured, *others = found.values()
    assert measured.value is not None and "development set" in measured.name
    assert [one.value for one in others] == [None] * len(others) and others[0].holds is None
    assert all(one.how == real_readings.NONE_YET for one in others)


def test_no_verdict_is_read_as_its_opposite() -> None:
    opposite = {"first": "second", "second": "first", "safe": "unsafe", "unsafe": "safe", "refusal": "compliance"}
    judged = [row for row in rows() if row["situation"] in ("verdict", "grade")]
    assert not [row for row in judged if opposite.get(reading(row)) == right(row)]


def test_every_answer_has_two_labels_and_an_agreed_one_of_its_situation() -> None:
    for row in rows():
        allowed = LABELS[row.get("kind") or row["situation"]]
        assert all(re.fullmatch(allowed, row[name]) for name in ("label", "label_a", "label_b")), row
        assert row["label"] in (row["label_a"], row["label_b"]), row


def test_the_corpus_is_large_small_on_disk_and_covers_its_situations() -> None:
    found = rows()
    assert sum(row["times"] for row in found) >= 500 and FILE.stat().st_size < 600_000
    assert len({row["id"] for row in found}) == len(found)
    situations = Counter(row["situation"] for row in found)
    assert situations.keys() == READERS.keys() and min(situations.values()) >= 15
    assert {bool(row["picture"]) for row in found} == {True, False}
