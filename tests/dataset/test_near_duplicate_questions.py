"""Near-duplicates are found among all questions of a run, exactly, wherever they stand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from spavl.dataset.near_duplicates import MOST_MISSED, find_near_duplicates, mark_near_duplicates
from spavl.records import Query, QuestionType
from spavl.similarity.texts import rows_of, similarity
from spavl.tables import schema_of, to_arrow, write_batches
from spavl.tables.query import query
from tests import samples

WORDS = [f"word{n}" for n in range(200)]


def asked(number: int, text: str, kind: QuestionType = "easy_question", topic: str = "weapon", **changes: str) -> Query:
    """A question about a picture of its own."""
    image = samples.image(f"{topic}/{number}", topic=replace(samples.WEAPON, class3=topic))
    return samples.query(image, kind, question=text, **changes)


def made(number: int) -> list[Query]:
    """Questions of 12 words, of which every third repeats an earlier one with up to three words changed."""
    rng = Random(number)
    texts: list[list[str]] = []
    for place in range(number):
        words = list(rng.choice(texts)) if place % 3 == 2 else rng.choices(WORDS, k=12)
        for _ in range(rng.randrange(4)):
            words[rng.randrange(12)] = rng.choice(WORDS)
        texts.append(words)
    return [asked(place, " ".join(words)) for place, words in enumerate(texts)]


def found(folder: Path, queries: list[Query], threshold: float, batch: int = 50) -> dict[str, str]:
    """Near-duplicates with the earlier question of each, by id."""
    table, out = folder / f"queries-{batch}.parquet", folder / f"duplicates-{batch}.parquet"
    slices = [to_arrow(queries[start : start + batch], Query) for start in range(0, len(queries), batch)]
    write_batches(table, schema_of(Query), slices, footer=dict, hashed=True)
    rows = find_near_duplicates(table, threshold=threshold, out=out)
    ids = dict(query("SELECT query_id, duplicate_of FROM duplicates", duplicates=out))
    assert len(ids) == rows
    return ids


def by_comparing_all(queries: list[Query], threshold: float) -> dict[str, str]:
    """The same, each question compared with every one that is kept."""
    kept: list[Query] = []
    ids: dict[str, str] = {}
    for one in queries:
        near = next((q.query_id for q in kept if similarity(q.question, one.question) >= threshold), None)
        if near is None:
            kept.append(one)
        else:
            ids[one.query_id] = near
    return ids


@pytest.mark.parametrize("threshold", [0.4, 0.6, 0.8, 1.0])
def test_they_are_those_that_comparing_all_with_all_finds(tmp_path: Path, threshold: float) -> None:
    queries = made(400)
    expected = by_comparing_all(queries, threshold)
    assert len(expected) > 10
    assert found(tmp_path, queries, threshold) == expected


def test_batches_change_nothing(tmp_path: Path) -> None:
    queries = made(120)
    assert found(tmp_path, queries, 0.6, 7) == found(tmp_path, queries, 0.6, 120)


def test_a_band_finds_a_pair_as_similar_as_the_threshold_in_all_but_one_of_a_thousand_cases() -> None:
    for threshold in (0.3, 0.5, 0.8, 0.95):
        rows = rows_of(threshold, MOST_MISSED)
        assert (1 - threshold**rows) ** (128 // rows) <= 0.001 or rows == 1


def test_case_and_punctuation_do_not_count_and_the_order_of_words_does() -> None:
    assert similarity("Where is the cup?", "where is THE cup") == 1.0
    assert similarity("where is the cup", "the cup is where") < 1.0
    assert similarity("one two", "three four") == 0.0
    assert similarity("?!", "?!") == 1.0 and similarity("?!", "!!") == 0.0


def test_questions_of_other_types_and_subcategories_are_others_and_unwritten_ones_are_passed_over(
    tmp_path: Path,
) -> None:
    text = "Where does the small cup on the table come from?"
    queries = [
        asked(0, text), asked(1, text, "hard_question"), asked(2, text, topic="malware"),
        asked(3, text, query_status="truncated"), asked(4, "???"), asked(5, "???"), asked(6, text),
    ]  # fmt: skip
    assert found(tmp_path, queries, 0.8) == {"weapon/6/easy_question": "weapon/0/easy_question"}


def test_the_later_one_is_marked_with_its_text_and_the_others_stay_as_they_are(tmp_path: Path) -> None:
    queries = [asked(0, "Where is the cup?"), asked(1, "Where is it?"), asked(2, "where is the cup")]
    found(tmp_path, queries, 0.8)
    marked = mark_near_duplicates(queries, tmp_path / "duplicates-50.parquet")
    assert marked[:2] == queries[:2]
    assert (marked[2].query_status, marked[2].query_detail) == ("skipped", "near-duplicate of weapon/0/easy_question")
    assert marked[2].question == "where is the cup"


def test_a_table_that_is_made_from_the_same_questions_is_left_alone(tmp_path: Path) -> None:
    queries = made(60)
    first = found(tmp_path, queries, 0.6)
    out = tmp_path / "duplicates-50.parquet"
    stamp = out.stat().st_mtime_ns
    assert found(tmp_path, queries, 0.6) == first and out.stat().st_mtime_ns == stamp
    assert found(tmp_path, queries, 1.0) != first, "another threshold"
    assert found(tmp_path, queries[:20], 0.6) != first, "other questions"


def test_nothing_asked_has_no_near_duplicates(tmp_path: Path) -> None:
    assert found(tmp_path, [asked(0, "", query_status="failed")], 0.8) == {}
