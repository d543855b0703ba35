"""The batch schedule: every pair is seen as often as asked, whatever the machine."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spavl.align.data.schedule import cut_large_trees, group_equal, schedule_steps
from spavl.config.align import BatchingSettings, OptimiserSettings


def length(tree):
    return 10 + 3 * len(tree) + tree[0] % 5


def flat(step, *, padding_batches=True):
    """Pairs of the forward passes, padding batches left out if asked."""
    for own, idle in zip(step.micro_batches, step.padding_batches, strict=True):
        for trees in own if padding_batches else own[: len(own) - idle]:
            for tree in trees:
                yield from tree


def test_pairs_with_one_picture_stay_together_in_order_of_appearance():
    assert group_equal(["a", "b", "a", "c", "b"]) == [(0, 2), (1, 4), (3,)]


@settings(max_examples=60, deadline=None)
@given(
    keys=st.lists(st.integers(0, 6), min_size=1, max_size=40),
    pairs=st.integers(1, 9),
    ranks=st.integers(1, 3),
    forward=st.one_of(st.none(), st.integers(1, 4)),
    budget=st.integers(1, 200),
    epochs=st.sampled_from([0.5, 1.0, 2.0, 2.5]),
)
def test_every_pair_is_seen_as_often_as_asked(keys, pairs, ranks, forward, budget, epochs):
    batching = BatchingSettings(pairs=pairs, forward_pairs=forward, token_budget=budget)
    made = schedule_steps(group_equal(keys), length, batching, OptimiserSettings(epochs=epochs), seed=1, ranks=ranks)
    seen = Counter(pair for step in made for pair in flat(step, padding_batches=False))
    assert sum(seen.values()) == round(epochs * len(keys)) == sum(step.pairs for step in made)
    assert max(seen.values(), default=0) - min((seen[p] for p in range(len(keys))), default=0) <= 1
    for step in made:
        assert len({len(own) for own in step.micro_batches}) == 1 and all(own for own in step.micro_batches)
        assert step.pairs == len(list(flat(step, padding_batches=False))) <= pairs
        for own in step.micro_batches:
            for trees in own:
                assert len(trees) == 1 or max(map(length, trees)) * len(trees) <= budget
                assert sum(map(len, trees)) <= (forward or pairs)


@given(ranks=st.integers(1, 4), forward=st.one_of(st.none(), st.integers(1, 4)), budget=st.integers(1, 500))
@settings(max_examples=30, deadline=None)
def test_the_machine_does_not_change_which_pairs_a_step_holds(ranks, forward, budget):
    keys = [number // 3 for number in range(50)]
    plain = schedule_steps(group_equal(keys), length, BatchingSettings(pairs=8), OptimiserSettings(), seed=3)
    batching = BatchingSettings(pairs=8, forward_pairs=forward, token_budget=budget)
    other = schedule_steps(group_equal(keys), length, batching, OptimiserSettings(), seed=3, ranks=ranks)
    assert [sorted(flat(step)) for step in plain] == [sorted(flat(step, padding_batches=False)) for step in other]


def test_steps_can_be_counted_instead_of_epochs():
    made = schedule_steps(
        group_equal(range(10)), length, BatchingSettings(pairs=4), OptimiserSettings(max_steps=7), seed=0
    )
    assert [step.pairs for step in made] == [4, 4, 2, 4, 4, 2, 4]
    assert made[-1].epoch == pytest.approx(2.4)


def test_without_shuffling_the_order_is_that_of_the_data():
    batching = BatchingSettings(pairs=4, shuffle=False, forward_pairs=1)
    made = schedule_steps(group_equal(range(8)), lambda _: 1, batching, OptimiserSettings(), seed=0)
    assert [list(flat(step)) for step in made] == [[0, 1, 2, 3], [4, 5, 6, 7]]


def test_each_epoch_has_its_own_order_and_each_seed_too():
    def first_steps(seed):
        batching, twice = BatchingSettings(pairs=8), OptimiserSettings(epochs=2)
        made = schedule_steps(group_equal(range(64)), lambda _: 1, batching, twice, seed=seed)
        return sorted(flat(made[0])), sorted(flat(made[8]))

    assert first_steps(0) == first_steps(0)
    assert first_steps(0)[0] != first_steps(0)[1] != first_steps(1)[1]


def test_a_tree_beyond_the_token_budget_is_cut_between_its_pairs():
    trees = [tuple(range(7)), (7,), (8, 9)]
    pieces = cut_large_trees(trees, lambda tree: 10 * len(tree), 25)
    assert [number for piece in pieces for number in piece] == list(range(10))
    assert max(map(len, pieces)) == 2 and (8, 9) in pieces
    assert cut_large_trees([(1, 2)], lambda tree: 10 * len(tree), 5) == [(1,), (2,)]
