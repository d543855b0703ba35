"""Filters and places as addresses have them: what they say is read back, and what is none of theirs changes nothing."""

from __future__ import annotations

from urllib.parse import parse_qsl

import duckdb
from hypothesis import given
from hypothesis import strategies as st

from spavl.serve.filters import FLAGS, SORTS, Cursor, PairFilter, chosen_words
from spavl.serve.index import FACETS

WORDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
FILTERS = st.builds(
    PairFilter,
    facets=st.dictionaries(st.sampled_from(sorted(FACETS)), WORDS.filter(bool), max_size=3).map(
        lambda said: {name: said[name] for name in FACETS if name in said}
    ),
    finding=WORDS, text=WORDS.map(str.strip), sort=st.sampled_from(sorted(SORTS)),
    flags=st.sampled_from([{}, *({name: choice} for name, (_, choices) in FLAGS.items() for choice in choices)]),
)  # fmt: skip


@given(FILTERS)
def test_the_address_of_a_filter_is_read_back_as_that_filter(wanted: PairFilter) -> None:
    assert PairFilter.read(dict(parse_qsl(wanted.address().removeprefix("?")))) == wanted


NAMES = st.sampled_from([*FACETS, *FLAGS, "finding", "text", "sort"])


@given(text=WORDS.filter(bool), before=WORDS, after=WORDS)
def test_letters_are_looked_for_as_they_stand_whatever_they_mean_elsewhere(text: str, before: str, after: str) -> None:
    where, values = PairFilter(text=text).where()
    for words in before + text + after, before:
        sql = f"SELECT {where}, contains(words, lower(?)) FROM (SELECT lower(?) AS words)"
        found, plain = duckdb.execute(sql, [*values, text, words]).fetchall()[0]
        assert found == plain


@given(st.dictionaries(NAMES | WORDS, WORDS, max_size=5))
def test_any_address_is_a_filter_whose_values_never_stand_in_the_query(said: dict[str, str]) -> None:
    marked = {name: f"«{value}»" for name, value in said.items()}
    where, values = PairFilter.read(marked).where()
    assert where.count("?") == len(values) == len(set(marked) & {*FACETS, "finding", "text"}) and "«" not in where


@given(st.integers(-(10**14), 10**14), st.integers(0, 10**14))
def test_a_place_is_read_back(value: int, number: int) -> None:
    assert Cursor.read(str(Cursor(value, number))) == Cursor(value, number)


@given(WORDS)
def test_what_is_no_place_is_none(text: str) -> None:
    found = Cursor.read(text)
    assert found is None or Cursor.read(str(found)) == found


def test_each_part_of_a_filter_can_be_taken_away_alone() -> None:
    wanted = PairFilter.read({"type": "hard_question", "finding": "duplicates", "benign": "yes", "text": "teapot",
                              "sort": "gap", "unknown": "x"})  # fmt: skip
    shown = chosen_words(wanted, {})
    assert [words for _, words in shown] == ["hard question", "duplicates", "benign: yes", "“teapot”"]
    assert wanted.narrows and wanted.without("text").said.keys() == wanted.said.keys() - {"text"}
    for name, _ in shown:
        wanted = wanted.without(name)
    assert not wanted.narrows and wanted.said == {"sort": "gap"}
