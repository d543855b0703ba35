"""The same training as TRL's DPOTrainer: identical model, pairs and order give identical losses, step after step."""

from dataclasses import replace

import pytest

from bench.trl_comparison import ours, theirs
from bench.trl_comparison.workload import Shape, pairs
from bench.trl_comparison.protocol import Terms

TINY = Shape("tiny", 32, 48, 2, 2, 200, 16, 32, 2, 2, side=28)
TERMS = Terms(step=2, batch=2, timed=49, grouping="pair", rate=3e-3, beta=0.3)


@pytest.fixture(scope="module")
def data():
    return pairs(TINY, TERMS.pairs)


@pytest.fixture(scope="module")
def trl_losses(data):
    return theirs.run(TINY, data, TERMS).losses


def apart(one, other):
    return max(abs(a - b) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("reference", ["live", "cached"])
def test_the_loss_follows_trl_for_fifty_steps_while_it_falls(data, trl_losses, reference):
    losses = ours.run(TINY, data, TERMS.of(reference=reference)).losses
    assert len(losses) == len(trl_losses) == 50
    assert sum(trl_losses[:5]) / 5 - sum(trl_losses[-5:]) / 5 >= 0.2
    assert apart(losses, trl_losses) <= 1e-3


def test_another_order_of_the_pairs_does_not_follow_trl(data, trl_losses):
    assert apart(ours.run(TINY, data[::-1], TERMS).losses, trl_losses) > 1e-2


def test_accumulation_cut_otherwise_than_trl_cuts_it_gives_trl_s_loss(data):
    recipe = replace(TERMS, step=6, timed=3)
    cut = theirs.run(TINY, data, recipe.of(batch=2)).losses
    trees = ours.run(TINY, data, recipe.of(batch=3, grouping="picture")).losses
    assert apart(trees, cut) <= 1e-3
