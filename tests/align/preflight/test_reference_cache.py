"""Reference log-probabilities are computed once, cached, and checked whenever they are used again."""

import numpy as np
import pytest

from spavl.align.preflight.reference_cache import ReferenceCache, reference_logprobs
from spavl.errors import RunError


class Numbers:
    """Stands for a dataset: every tree has two answers, keyed by its pairs."""

    def __init__(self, count):
        self.pairs = list(range(count))

    def keys(self, tree):
        return {f"{pair}/{answer}" for pair in tree for answer in "ab"}

    def size(self, tree):
        return 10 * len(tree)


class Model:
    """Stands for a model: log-probabilities made from the key, shifted; counts what it is asked."""

    def __init__(self, shift=0.0):
        self.shift = shift
        self.asked = 0

    def __call__(self, trees):
        self.asked += len(trees)
        keys = sorted(key for tree in trees for key in Numbers(0).keys(tree))
        return {key: np.full(3, -float(key[0]) + self.shift, dtype=np.float32) for key in keys}


def run(folder, model, trees, identity="local:abc"):
    cache = ReferenceCache(folder, identity)
    return reference_logprobs(cache, Numbers(9), trees, model, token_budget=20, tolerance=1e-3)


def test_what_was_computed_is_not_computed_again(tmp_path):
    first, second = Model(), Model()
    made = run(tmp_path, first, [(0,), (1,), (2,)])
    read = run(tmp_path, second, [(0,), (1,), (2,)])
    assert first.asked == 3 and second.asked == 3, "the second only checks"
    assert made.keys() == read.keys() and all(np.array_equal(made[key], read[key]) for key in made)


def test_a_larger_set_of_pairs_computes_only_what_is_new(tmp_path):
    run(tmp_path, Model(), [(n,) for n in range(6)])
    model = Model()
    found = run(tmp_path, model, [(n,) for n in range(8)])
    assert model.asked == 4 + 2 and len(found) == 16


def test_rows_of_another_model_are_never_read(tmp_path):
    run(tmp_path, Model(), [(0,)])
    model = Model(shift=0.5)
    assert run(tmp_path, model, [(0,)], identity="local:other")["0/a"][0] == 0.5
    assert model.asked == 1


def test_a_cache_of_other_log_probabilities_than_the_models_is_refused(tmp_path):
    run(tmp_path, Model(), [(n,) for n in range(4)])
    with pytest.raises(RunError, match="does not hold the log-probabilities of this model"):
        run(tmp_path, Model(shift=0.01), [(n,) for n in range(4)])


def test_a_damaged_part_is_a_sentence(tmp_path):
    run(tmp_path, Model(), [(0,)])
    next(tmp_path.rglob("*.parquet")).write_bytes(b"half of it")
    with pytest.raises(RunError, match="cannot be read") as error:
        run(tmp_path, Model(), [(0,)])
    assert "Delete that file" in str(error.value)


def test_a_part_that_was_never_finished_is_not_there(tmp_path):
    run(tmp_path, Model(), [(0,)])
    whole = next(tmp_path.rglob("*.parquet"))
    whole.rename(whole.with_suffix(".new"))
    model = Model()
    run(tmp_path, model, [(0,)])
    assert model.asked == 1
