"""The same training as TRL's DPOTrainer: identical model, pairs and order give identical losses, step after step."""

import pytest

from bench.trl_comparison import spavl_dpo, trl_dpo
from bench.trl_comparison.run_spec import RunSpec
from bench.trl_comparison.workload import ModelShape, random_pairs

TINY = ModelShape("tiny", 32, 48, 2, 2, 200, 16, 32, 2, 2, image_size=28)
SPEC = RunSpec(pairs_per_step=2, forward_pairs=2, timed_steps=49, grouping="pair", learning_rate=3e-3, beta=0.3)


@pytest.fixture(scope="module")
def data():
    return random_pairs(TINY, SPEC.pairs)


@pytest.fixture(scope="module")
def trl_losses(data):
    return trl_dpo.run(TINY, data, SPEC).losses


def gap(one, other):
    return max(abs(a - b) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("reference", [pytest.param("live", marks=pytest.mark.slow), "cached"])
def test_the_loss_follows_trl_for_fifty_steps_while_it_falls(data, trl_losses, reference):
    losses = spavl_dpo.run(TINY, data, SPEC.replace(reference=reference)).losses
    assert len(losses) == len(trl_losses) == 50
    assert sum(trl_losses[:5]) / 5 - sum(trl_losses[-5:]) / 5 >= 0.2
    assert gap(losses, trl_losses) <= 1e-3


def test_another_order_of_the_pairs_does_not_follow_trl(data, trl_losses):
    assert gap(spavl_dpo.run(TINY, data[::-1], SPEC).losses, trl_losses) > 1e-2


def test_accumulation_cut_otherwise_than_trl_cuts_it_gives_trl_s_loss(data):
    spec = SPEC.replace(pairs_per_step=6, timed_steps=3)
    cut = trl_dpo.run(TINY, data, spec.replace(forward_pairs=2)).losses
    trees = spavl_dpo.run(TINY, data, spec.replace(forward_pairs=3, grouping="picture")).losses
    assert gap(trees, cut) <= 1e-3
