"""Reference log-probabilities are computed once, cached, and checked whenever they are used again."""

import numpy as np
import pyarrow.parquet as pq
import pytest

from spavl.align.preflight.reference_cache import ReferenceCache, fill_reference_cache, reference_sums
from spavl.errors import RunError


class Numbers:
    """Stands for a dataset: every pair is a tree with two answers, of as many tokens as its number, and one more."""

    def __init__(self, count):
        self.pairs = list(range(count))

    def keys(self, pair):
        return (f"{pair}/a", f"{pair}/b")

    def pass_size(self, tree):
        return 10 * len(tree)


class Model:
    """Stands for a model: log-probabilities made from the key, shifted; counts what it is asked."""

    def __init__(self, shift=0.0):
        self.shift = shift
        self.asked = 0

    def __call__(self, trees):
        self.asked += len(trees)
        keys = [key for tree in trees for pair in tree for key in Numbers(0).keys(pair)]
        return {key: np.full(int(key[0]) + 1, -float(key[0]) + self.shift, dtype=np.float32) for key in keys}


def run(folder, model, count, identity="local:abc"):
    """Sums of all answers after the cache was filled."""
    cache, dataset = ReferenceCache(folder, identity), Numbers(count)
    trees = [(n,) for n in range(count)]
    fill_reference_cache(cache, dataset, trees, model, token_budget=20, tolerance=1e-3)
    return reference_sums(cache, dataset)


def test_what_was_computed_is_not_computed_again(tmp_path):
    first, second = Model(), Model()
    made, read = run(tmp_path, first, 3), run(tmp_path, second, 3)
    assert first.asked == 3 and second.asked == 3, "the second only checks"
    assert made.tolist() == read.tolist() == [[0, 0], [-2, -2], [-6, -6]]


def test_a_larger_set_of_pairs_computes_only_what_is_new(tmp_path):
    run(tmp_path, Model(), 6)
    model = Model()
    assert run(tmp_path, model, 8).shape == (8, 2)
    assert model.asked == 4 + 2


def test_no_pass_is_beyond_the_token_budget_whether_it_computes_or_checks(tmp_path):
    passes = []

    def score(trees):
        passes.append(sum(map(len, trees)))
        return Model()(trees)

    for _ in range(2):
        cache = ReferenceCache(tmp_path, "local:abc")
        fill_reference_cache(cache, Numbers(7), [tuple(range(7))], score, token_budget=20, tolerance=1e-3)
    assert max(passes) == 2 and sum(passes[:4]) == 7 and len(passes) == 8


def test_what_is_not_cached_is_no_number_and_equal_answers_have_one(tmp_path):
    run(tmp_path, Model(), 2)
    cache = ReferenceCache(tmp_path, "local:abc")
    assert np.isnan(reference_sums(cache, Numbers(3))).tolist() == [[False] * 2, [False] * 2, [True] * 2]
    assert cache.read(["1/b", "7/a"]).keys() == {"1/b"}


def test_rows_of_another_model_are_never_read(tmp_path):
    run(tmp_path, Model(), 1)
    model = Model(shift=0.5)
    assert run(tmp_path, model, 1, identity="local:other")[0, 0] == 0.5
    assert model.asked == 1


def test_a_cache_of_other_log_probabilities_than_the_models_is_refused(tmp_path):
    run(tmp_path, Model(), 4)
    with pytest.raises(RunError, match="does not hold the log-probabilities of this model"):
        run(tmp_path, Model(shift=0.01), 4)


def test_a_damaged_part_is_a_sentence(tmp_path):
    run(tmp_path, Model(), 1)
    next(tmp_path.rglob("*.parquet")).write_bytes(b"half of it")
    with pytest.raises(RunError, match="cannot be read") as error:
        run(tmp_path, Model(), 1)
    assert "Delete that file" in str(error.value)


def test_a_part_that_was_never_finished_is_not_there(tmp_path):
    run(tmp_path, Model(), 1)
    whole = next(tmp_path.rglob("*.parquet"))
    whole.rename(whole.with_suffix(".new"))
    model = Model()
    run(tmp_path, model, 1)
    assert model.asked == 1


def test_a_tree_computes_only_those_of_its_pairs_that_are_not_cached_and_another_grouping_none(tmp_path):
    run(tmp_path, Model(), 4)
    asked = []

    def score(trees):
        asked.extend(pair for tree in trees for pair in tree)
        return Model()(trees)

    for trees in ([tuple(range(9))], [(8, 0, 4), (1, 5), (2, 6, 3, 7)]):
        fill_reference_cache(
            ReferenceCache(tmp_path, "local:abc"), Numbers(9), trees, score, token_budget=100, tolerance=1e-3
        )
    assert sorted(asked[:5]) == [4, 5, 6, 7, 8], "the known ones are parts of trees, so none is compared"
    assert not np.isnan(reference_sums(ReferenceCache(tmp_path, "local:abc"), Numbers(9))).any()
    assert len(list(tmp_path.rglob("*.parquet"))) == 2


def test_parts_without_sums_that_an_earlier_version_wrote_are_read(tmp_path):
    sums = run(tmp_path, Model(), 4)
    (part,) = tmp_path.rglob("*.parquet")
    pq.write_table(pq.read_table(part).drop_columns(["sum"]), part)
    assert reference_sums(ReferenceCache(tmp_path, "local:abc"), Numbers(4)).tolist() == sums.tolist()
