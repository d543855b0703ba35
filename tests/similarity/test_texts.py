"""Texts that are nearly the same are found, and others are not."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spavl.similarity import texts
from spavl.similarity.texts import TextIndex, similarity, words_of

WORDS = [f"word{number}" for number in range(500)]


def sentence(random: Random, words: int = 14) -> str:
    """A text of random words."""
    return " ".join(random.choices(WORDS, k=words))


def test_a_text_is_found_whatever_its_case_white_space_punctuation_and_unicode_form() -> None:
    index = TextIndex(0.6)
    index.add(["Is the caf\u00e9 open, or (perhaps) closed?", "another"])
    (found,) = index.near(["is THE cafe\u0301\n open or perhaps closed"])
    assert [(near.place, near.similarity, near.exact) for near in found] == [(0, 1.0, True)]


def test_similarity_of_what_is_found_is_that_of_its_shingles() -> None:
    random = Random(1)
    texts = [sentence(random) for _ in range(200)]
    asked = [" ".join([*text.split()[:-1], "other"]) for text in texts]
    index = TextIndex(0.6)
    index.add(texts)
    for place, found in enumerate(index.near(asked)):
        assert [near.place for near in found] == [place]
        assert found[0].similarity == pytest.approx(similarity(texts[place], asked[place]))
        assert not found[0].exact


def test_texts_that_share_few_words_are_not_found() -> None:
    random = Random(2)
    index = TextIndex(0.6)
    index.add([sentence(random) for _ in range(500)])
    assert not any(index.near([sentence(random) for _ in range(500)]))


def test_the_most_similar_text_stands_first_and_the_exact_one_before_all() -> None:
    index = TextIndex(0.3)
    index.add(["a b c d e f g x", "a b c d e f g h", "a b c d e f y z"])
    assert [near.place for near in index.near(["A b c d e f g h"])[0]] == [1, 0, 2]


def test_words_in_another_order_are_not_the_exact_text() -> None:
    index = TextIndex(0.2)
    index.add(["a b c d e f"])
    assert [near.exact for near in index.near(["d e f a b c"])[0]] == [False]


def test_a_text_without_words_is_never_found() -> None:
    index = TextIndex(0.5)
    index.add(["", "?!", "word"])
    assert index.near(["", "...", "word"])[:2] == [[], []]
    assert TextIndex(0.5).near(["word"]) == [[]]


def test_a_script_without_spaces_has_a_word_for_each_character() -> None:
    assert words_of("\u56fe\u7247\u91cc\u6709 2 cats") == ["\u56fe", "\u7247", "\u91cc", "\u6709", "2", "cats"]
    index = TextIndex(0.6)
    index.add(["\u8fd9\u5f20\u56fe\u7247\u91cc\u6709\u4ec0\u4e48\u4e1c\u897f"])
    assert len(index.near(["\u8fd9\u5f20\u56fe\u7247\u91cc\u6709\u4ec0\u4e48\u4e1c\u897f\u554a"])[0]) == 1


@given(st.lists(st.text(max_size=30), min_size=1, max_size=8))
def test_every_text_with_words_finds_itself_even_one_with_half_a_character(texts: list[str]) -> None:
    index = TextIndex(0.6)
    index.add(texts)
    for place, found in enumerate(index.near(texts)):
        assert (place in [near.place for near in found]) == bool(words_of(texts[place]))


def test_a_text_of_a_million_words_is_compared_by_its_first_ones() -> None:
    index = TextIndex(0.6)
    index.add(["word " * 1_000_000, " ".join(map(str, range(100_000)))])
    assert [near.exact for near in index.near([" ".join(map(str, range(100_000)))])[0]] == [True]


def test_texts_that_differ_in_a_word_are_not_all_compared_with_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(texts, "MOST_IN_BAND", 50)
    monkeypatch.setattr(texts, "MOST_SHARED", 300)
    said = [f"is there a thing{number} in the image" for number in range(400)]
    index = TextIndex(0.5)
    index.add(said)
    for place, found in enumerate(index.near(said)):
        assert found[0].place == place and found[0].exact and 50 <= len(found) <= texts.MOST_COMPARED


def test_the_best_of_many_are_found_whatever_is_looked_at_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    random = Random(5)
    said = [sentence(random) for _ in range(300)]
    index = TextIndex(0.4)
    index.add(said)
    asked = [" ".join([*text.split()[:-2], "other", "words"]) for text in said]
    before = index.near(asked)
    monkeypatch.setattr(texts, "MOST_SHARED", 1)
    assert index.near(asked) == before
