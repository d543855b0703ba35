"""The index of pairs: every filter finds what a plain look at all pairs finds, page after page, forwards and back."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import chain
from pathlib import Path

import pytest

from spavl.errors import DataError, RunError
from spavl.records import PreferencePair
from spavl.run import Run
from spavl.serve.filters import SORTS, Cursor, PairFilter
from spavl.serve.index import HELD, Indexes
from spavl.serve.pair import pair_details
from spavl.serve.pairs import facets_of, neighbours, page_of, pair_at
from spavl.tables import read_table, write_table
from spavl.tables.kept import KeptDatabase
from tests.serve.runs import built, labelled


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return built(tmp_path_factory.mktemp("run") / "first")


@pytest.fixture(scope="module")
def index(run: Run, tmp_path_factory: pytest.TempPathFactory) -> Iterator[KeptDatabase]:
    indexes = Indexes(tmp_path_factory.mktemp("cache"))
    made = indexes.of(run, "first")
    assert made is not None
    yield made
    indexes.close()


FOUND: dict[str, tuple[dict[str, str], Callable[[PreferencePair], bool]]] = {
    "subcategory": ({"subcategory": "weapon"}, lambda one: True),
    "nothing": ({"subcategory": "teapot"}, lambda one: False),
    "kind": ({"type": "hard_question"}, lambda one: one.query.question_type == "hard_question"),
    "outcome": ({"chosen_outcome": "refusal"}, lambda one: one.chosen_outcome == "refusal"),
    "source": ({"rejected": "birch", "chosen": "amber"}, lambda one: True),
    "benign": ({"benign": "yes"}, lambda one: not one.query.harmful),
    "held-out": ({"heldout": "yes"}, lambda one: one.query.image.heldout),
    "judges": ({"agree": "some"}, lambda one: bool(one.judges_against)),
    "orders": ({"orders": "differ"}, lambda one: one.verdict_ab != one.verdict_ba),
    "text": ({"text": "ANSWER 1"}, lambda one: "answer 1" in one.chosen),
    "no wildcard": ({"text": "answer %"}, lambda one: False),
    "no pattern": ({"text": "answer .|."}, lambda one: False),
    "two": ({"type": "easy_question", "heldout": "no"},
            lambda one: one.query.question_type == "easy_question" and not one.query.image.heldout),
}  # fmt: skip


@pytest.mark.parametrize("name", FOUND)
def test_a_filter_leaves_the_pairs_that_a_plain_look_leaves(name: str, run: Run, index: KeptDatabase) -> None:
    said, is_wanted = FOUND[name]
    plain = [one.pair_id for one in read_table(run.pairs, PreferencePair) if is_wanted(one)]
    found = page_of(index, PairFilter.read(said), size=200)
    assert [one.row["pair_id"] for one in found.pairs] == plain and found.total == len(plain)
    assert (found.all_pairs, found.before, found.next, found.previous) == (60, 0, None, None)


@pytest.mark.parametrize("sort", SORTS)
def test_pages_of_every_order_hold_each_pair_once_and_lead_back_the_same_way(sort: str, index: KeptDatabase) -> None:
    wanted = PairFilter(sort=sort)
    pages = [page_of(index, wanted, size=7)]
    while pages[-1].next:
        pages.append(page_of(index, wanted, after=pages[-1].next, size=7))
    numbers = [[one.row["number"] for one in page.pairs] for page in pages]
    assert sorted(chain.from_iterable(numbers)) == list(range(60)) and [page.before for page in pages] == list(
        range(0, 60, 7)
    )
    keys = [one.row[SORTS[sort][1]] * SORTS[sort][2] for page in pages for one in page.pairs]
    assert keys == sorted(keys)
    for page, before in zip(reversed(pages), reversed(numbers[:-1]), strict=False):
        back = page_of(index, wanted, before=page.previous, size=7)
        assert [one.row["number"] for one in back.pairs] == before and back.next
    assert page_of(index, wanted, after=Cursor(10**12 * SORTS[sort][2], 10**12), size=7).before == 0


def test_neighbours_are_those_of_the_filtered_order(index: KeptDatabase) -> None:
    wanted = PairFilter.read({"type": "hard_question", "sort": "gap"})
    shown = page_of(index, wanted, size=60).pairs
    ids = [one.row["pair_id"] for one in shown]
    assert neighbours(index, wanted, shown[0]) == (None, ids[1])
    assert neighbours(index, wanted, shown[5]) == (ids[4], ids[6])
    assert neighbours(index, wanted, shown[-1]) == (ids[-2], None)


def test_values_are_counted_and_what_an_audit_found_is_among_them(index: KeptDatabase) -> None:
    facets = facets_of(index)
    assert facets["type"] == [("easy_question", 20), ("hard_question", 20), ("hard_statement", 20)]
    assert dict(facets["finding"]) == {"duplicates": 6, "flipped_labels": 3}
    assert page_of(index, PairFilter.read({"finding": "flipped_labels"})).total == 3
    assert page_of(index, PairFilter.read({"audit": "clean"})).total == 54


def test_a_pair_has_all_answers_votes_in_both_orders_findings_and_labels(run: Run, index: KeptDatabase) -> None:
    shown = page_of(index, PairFilter.read({"finding": "flipped_labels"})).pairs[-1]
    labelled(run, shown.row["pair_id"])
    found = pair_details(run, index, pair_at(index, shown.row["pair_id"]))
    assert [one.response.responder for one in found.answers] == ["amber", "birch", "cedar"]
    assert [one.role for one in found.answers] == ["chosen", "rejected", ""]
    assert [(one.order, one.better) for one in found.verdicts] == [
        ("chosen first", "chosen"),
        ("rejected first", "chosen"),
    ]
    assert {kind for kind, _, _ in found.findings} == {"duplicates", "flipped_labels"}
    assert [(review, label.annotator) for review, label in found.labels] == [("first", "ana")]
    assert len(found.others) == 2 and found.record.pair_id == shown.row["pair_id"]
    with pytest.raises(DataError, match="no pair"):
        pair_at(index, "another")


def test_a_pair_is_found_too_where_tables_have_other_slices(tmp_path: Path) -> None:
    run = built(tmp_path / "run", 9)
    write_table(run.pairs, read_table(run.pairs, PreferencePair), PreferencePair)
    indexes = Indexes(tmp_path)
    index = indexes.of(run, "first")
    assert index is not None
    found = pair_details(run, index, page_of(index, PairFilter()).pairs[-1])
    assert len(found.answers) == 3 and len(found.verdicts) == 2
    indexes.close()


def test_an_index_is_kept_made_anew_when_a_table_changed_and_the_run_folder_is_never_written(tmp_path: Path) -> None:
    run = built(tmp_path / "run", 3)
    before = {path: path.stat().st_mtime_ns for path in run.folder.rglob("*")}
    indexes = Indexes(tmp_path / "cache")
    indexes.cache.mkdir()
    first = indexes.of(run, "first")
    assert first is not None and indexes.of(run, "first") is first
    (made,) = indexes.cache.iterdir()
    indexes.close()
    again = Indexes(tmp_path / "cache")
    kept = again.of(run, "first")
    assert kept is not None and list(indexes.cache.iterdir()) == [made]
    assert {path: path.stat().st_mtime_ns for path in run.folder.rglob("*")} == before
    (run.folder / "audit/findings.parquet").unlink()
    changed = again.of(run, "first")
    assert changed is not None and facets_of(changed).keys() == facets_of(kept).keys() - {"finding"}
    again.close()


def test_a_page_that_closes_anything_can_be_opened(run: Run, index: KeptDatabase) -> None:
    shown = next(one for one in page_of(index, PairFilter(flags={"benign": "yes"})).pairs)
    bare = replace(shown, chosen_closed=False, rejected_closed=False)
    found = replace(pair_details(run, index, shown), shown=bare, others=())
    assert not bare.is_closed and found.is_closed, "an answer of a third model is closed"
    harmless = replace(found, answers=[one for one in found.answers if not one.closed])
    assert not harmless.is_closed and replace(harmless, others=[{"harmful": True}]).is_closed


def test_a_damaged_index_is_made_anew(run: Run, tmp_path: Path) -> None:
    for _ in range(2):
        indexes = Indexes(tmp_path)
        found = indexes.of(run, "first")
        assert found is not None and page_of(found, PairFilter()).total == 60
        indexes.close()
        (path,) = tmp_path.glob("*.duckdb")
        path.write_bytes(b"another thing")


@pytest.mark.parametrize("held", [False, True])
def test_a_run_that_is_looked_at_again_keeps_its_index(held: bool, run: Run, tmp_path: Path) -> None:
    indexes = Indexes(tmp_path)
    asked, stamps = [], set()
    for _ in range(3):
        for number in range(HELD + 2):
            found = indexes.of(run, f"key{number}")
            assert found is not None and page_of(found, PairFilter()).total == 60
            asked += [found] if held else []  # as requests that still read hold it
            stamps.add((number, next(tmp_path.glob(f"key{number}-*")).stat().st_ino))
    assert len(stamps) == HELD + 2, "none is made anew"
    assert all(page_of(one, PairFilter()).total == 60 for one in asked)
    indexes.close()


def test_an_index_that_nobody_holds_is_closed_at_once(run: Run, tmp_path: Path) -> None:
    indexes = Indexes(tmp_path)
    first = indexes.of(run, "key")
    assert first is not None and page_of(first, PairFilter()).total == 60
    gone = weakref.ref(first)
    gc.disable()
    try:
        del first
        for number in range(HELD):
            indexes.of(run, f"key{number}")
        assert gone() is None, "without the collector of cycles"
    finally:
        gc.enable()
        indexes.close()


def test_a_damaged_table_is_a_sentence_each_time_and_a_run_without_pairs_too(tmp_path: Path) -> None:
    run = built(tmp_path / "run", 3)
    run.pairs.write_bytes(b"PAR1 and nothing else")
    indexes = Indexes(tmp_path)
    for _ in range(2):
        with pytest.raises(RunError, match="cannot be read"):
            indexes.of(run, "first")
    run.pairs.unlink()
    with pytest.raises(RunError, match="no pairs yet"):
        indexes.of(run, "first")
