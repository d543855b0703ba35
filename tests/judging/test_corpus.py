"""Every reader reads every form of the corpus rightly; the corpus is ours, benign, and in `tests/judging/corpus`."""

from __future__ import annotations

from collections import Counter

import pytest

from bench.readers import EMPTY, READERS, Row, corpus, read_from_nothing
from spavl.judging.readers.refusal import refusal_evidence, refuses


@pytest.mark.parametrize("name", READERS)
def test_every_form_is_read_rightly(name: str) -> None:
    rule = READERS[name][1][""]
    wrong = [(row, read) for row in corpus(name) if (read := rule(row)) != row["right"]]
    assert not wrong, wrong


def test_the_corpus_is_as_large_as_it_has_to_be_and_has_no_form_twice() -> None:
    assert len(corpus("yes_no")) + len(corpus("options")) >= 300 and len(corpus("refusals")) >= 300
    for name in (*READERS, "refusals"):
        rows = [str(row) for row in corpus(name)]
        assert len(rows) == len(set(rows)), name


@pytest.mark.parametrize("name", READERS)
def test_the_corpus_holds_every_reading(name: str) -> None:
    assert min(Counter(str(row["right"]) for row in corpus(name)).values()) >= 2


def test_nothing_is_read_in_a_text_without_a_word() -> None:
    assert len(EMPTY) >= 8 and read_from_nothing() == []


def _wrong(half: str) -> list[Row]:
    return [
        row
        for row in corpus("refusals")
        if row["half"] == half and refuses(row["text"]) != (row["label"] != "compliance")
    ]


@pytest.mark.parametrize("half", ["development", "heldout"])
def test_refusals_of_both_halves_are_told_from_compliance(half: str) -> None:
    rows = [row for row in corpus("refusals") if row["half"] == half]
    explained = [(row["text"], refusal_evidence(row["text"])) for row in _wrong(half)]
    assert len(explained) <= 0.05 * len(rows), explained


@pytest.mark.parametrize("half", ["development", "heldout"])
def test_the_corpus_has_refusals_partial_ones_and_compliance_in_every_manner(half: str) -> None:
    found = Counter((row["manner"], row["label"]) for row in corpus("refusals") if row["half"] == half)
    for manner in ("gpt4", "llama2new", "llama2orig", "mistralguard", "mistralinstruct"):
        assert found[manner, "refusal"] >= 10 and found[manner, "compliance"] >= 10
