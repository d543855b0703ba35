"""The memory estimate of PPO: no answers that a round may bring make a larger pass than was told."""

from __future__ import annotations

import random

import pytest

from spavl.align.ppo.memory import _pass_tokens
from spavl.models.trees.pack import batch_by_tokens


def padded(sizes: list[int], token_budget: int) -> int:
    """Tokens of the largest pass that trees of these sizes make."""
    return max(len(one) * max(sizes[number] for number in one) for one in batch_by_tokens(sizes, token_budget))


def test_shorter_answers_make_a_larger_pass_and_are_counted():
    longest, as_drawn = [420, 420, 420], [301, 299, 300]
    assert padded(longest, 1024) < padded(as_drawn, 1024) <= _pass_tokens(170, longest, 1024)


@pytest.mark.parametrize("budget", [100, 700, 1024, 8192])
@pytest.mark.parametrize("trees", [1, 2, 9])
def test_no_drawn_answers_exceed_what_is_told_and_some_come_near(budget, trees):
    rng, shortest, longest = random.Random(0), 150, [150 + 30 * number + 120 for number in range(trees)]
    told = _pass_tokens(shortest, longest, budget)
    drawn = [padded([rng.randint(shortest, size) for size in longest], budget) for _ in range(300)]
    assert 0.7 * told <= max(max(drawn), padded(longest, budget)) <= told


def test_a_round_that_fits_one_pass_is_as_large_as_its_trees():
    assert _pass_tokens(150, [420, 400], 8192) == 2 * 420
