"""Pairs are drawn by a seed, keep the shares of their strata, and a smaller number is inside a larger one."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spavl.errors import DataError
from spavl.preferences.dataset import PreferenceDataset, open_dataset
from spavl.study.arm import ArmPairs
from spavl.study.selection import available, benign_share, draw, evenly
from spavl.tables.query import query
from tests.study.samples import TYPES, write_pairs


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> PreferenceDataset:
    place = tmp_path_factory.mktemp("pairs")
    return open_dataset(write_pairs(place / "train.parquet", 240), cache=place / "cache")


def shares(dataset: PreferenceDataset, numbers: np.ndarray, column: str) -> Counter[object]:
    sql = f"SELECT {column} FROM pairs WHERE list_contains(?, number)"
    return Counter(row[0] for row in query(sql, [numbers.tolist()], pairs=dataset.rows))


@given(count=st.integers(1, 3000), first=st.floats(0, 1))
def test_every_beginning_of_the_order_is_spread_evenly(count: int, first: float) -> None:
    order = evenly(count)
    assert sorted(order) == list(range(count))
    taken = order[: max(1, round(first * count))]
    halves = np.sum(taken < 2 ** ((count - 1).bit_length() - 1)) if count > 1 else 1
    expected = len(taken) * (2 ** ((count - 1).bit_length() - 1)) / count if count > 1 else 1
    assert abs(halves - expected) <= 1 + np.log2(count) / 4


@settings(max_examples=25)
@given(seed=st.integers(0, 50), small=st.integers(1, 239), more=st.integers(0, 100))
def test_a_smaller_number_is_inside_a_larger_one(dataset: PreferenceDataset, seed: int, small: int, more: int) -> None:
    large = min(240, small + more)
    few, many = (draw(dataset.rows, ArmPairs(size=size), seed) for size in (small, large))
    assert (len(few), len(many)) == (small, large)
    assert set(few.tolist()) <= set(many.tolist())
    assert (np.diff(few) > 0).all()  # in the order of the dataset, so that equal sets are equal trainings


@pytest.mark.parametrize("seed", range(5))
def test_strata_keep_their_shares(dataset: PreferenceDataset, seed: int) -> None:
    drawn = draw(dataset.rows, ArmPairs(size=60), seed)
    assert abs(shares(dataset, drawn, "benign")[True] - 20) <= 1
    assert all(abs(count - 20) <= 2 for count in shares(dataset, drawn, "question_type").values())
    assert all(abs(count - 15) <= 3 for count in shares(dataset, drawn, "class3").values())


def test_seeds_draw_other_pairs_and_the_same_seed_the_same(dataset: PreferenceDataset) -> None:
    first, again, other = (set(draw(dataset.rows, ArmPairs(size=60), seed).tolist()) for seed in (1, 1, 2))
    assert first == again
    assert len(first & other) < 40


def test_every_pair_is_drawn_about_equally_often(dataset: PreferenceDataset) -> None:
    counts = np.zeros(240)
    for seed in range(60):
        counts[draw(dataset.rows, ArmPairs(size=60), seed)] += 1
    assert counts.sum() == 60 * 60
    assert counts.min() >= 2  # 15 expected of each, standard deviation 3.4
    assert counts.max() <= 30


def test_pairs_of_some_responders_and_of_a_question_type(dataset: PreferenceDataset) -> None:
    bag = draw(dataset.rows, ArmPairs(responders=("ash", "cob")), 1)
    assert set(shares(dataset, bag, "chosen_source")) | set(shares(dataset, bag, "rejected_source")) == {"ash", "cob"}
    of_type = draw(dataset.rows, ArmPairs(question_type=TYPES[1], size=20), 1)
    assert set(shares(dataset, of_type, "question_type")) == {TYPES[1]}


@settings(max_examples=25)
@given(share=st.floats(0, 1), size=st.integers(1, 80))
def test_a_share_of_harmless_pairs_is_met(dataset: PreferenceDataset, share: float, size: int) -> None:
    wanted = ArmPairs(benign_share=share, size=size)
    if size <= available(dataset.rows, wanted):
        drawn = draw(dataset.rows, wanted, 3)
        assert len(drawn) == size
        assert shares(dataset, drawn, "benign")[True] == round(size * share)
    else:
        with pytest.raises(DataError, match="fit"):
            draw(dataset.rows, wanted, 3)


def test_the_most_pairs_of_a_share_can_be_drawn(dataset: PreferenceDataset) -> None:
    assert benign_share(dataset.rows) == pytest.approx(1 / 3)
    for share in (0.0, 0.1, 1 / 3, 0.5, 1.0):
        most = available(dataset.rows, ArmPairs(benign_share=share))
        assert len(draw(dataset.rows, ArmPairs(benign_share=share, size=most), 1)) == most


def test_more_pairs_than_there_are_is_a_sentence_that_says_which(dataset: PreferenceDataset) -> None:
    with pytest.raises(DataError, match="500 pairs are wanted, and 80 fit") as error:
        draw(dataset.rows, ArmPairs(size=500, question_type=TYPES[0]), 1)
    assert TYPES[0] in error.value.where


def test_pairs_that_do_not_say_what_is_harmless_have_no_share(tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    path = write_pairs(tmp_path / "train.parquet", 8)
    pq.write_table(pq.read_table(path).drop_columns(["benign"]), path)
    rows = open_dataset(path, cache=tmp_path / "cache").rows
    assert benign_share(rows) is None
    with pytest.raises(DataError, match="do not say which of them are about harmless"):
        available(rows, ArmPairs(benign_share=0.2))
