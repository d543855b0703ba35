"""The same training as TRL's trainers under other losses than DPO's own: identical model and order, the same losses."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from bench.trl_comparison import spavl_dpo, trl_dpo, trl_kto
from bench.trl_comparison.run_spec import RunSpec
from bench.trl_comparison.workload import random_pairs
from spavl.preferences.pairs import Pair
from tests.align.dpo.test_trl_parity import SPEC, TINY, gap

KINDS: dict[str, dict[str, Any]] = {
    "hinge": {"kind": "hinge"},
    "ipo": {"kind": "ipo"},
    "robust": {"kind": "robust", "label_smoothing": 0.2},
    "sft": {"kind": "sft"},
}
STEPS = 20


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_the_loss_follows_dpo_trainer_while_it_falls(kind: str) -> None:
    spec = SPEC.replace(timed_steps=STEPS - 1, **KINDS[kind])
    data = random_pairs(TINY, spec.pairs)
    theirs, ours = trl_dpo.run(TINY, data, spec).losses, spavl_dpo.run(TINY, data, spec).losses
    assert len(ours) == len(theirs) == STEPS and max(theirs) - min(theirs) > 0.05
    assert gap(ours, theirs) <= 1e-3 * max(1.0, max(map(abs, theirs)))


def single_answers(pairs: list[Pair]) -> list[Pair]:
    """Wanted and unwanted answers by turns, of one prompt each."""
    cut = [{"rejected": ""}, {"chosen": ""}]
    return [replace(pair, unpaired=True, **cut[number % 2]) for number, pair in enumerate(pairs)]


@pytest.mark.slow
@pytest.mark.parametrize("reference", ["live", "cached"])
def test_the_loss_follows_kto_trainer_while_it_falls(reference: Any) -> None:
    """Every step has all rows, so that both take the answers to other prompts from the row before."""
    spec = RunSpec(pairs_per_step=6, forward_pairs=6, timed_steps=STEPS - 1, grouping="pair", learning_rate=1e-2,
                   beta=0.3, kind="kto", reference=reference)  # fmt: skip
    answers = single_answers(random_pairs(TINY, spec.pairs_per_step))
    theirs, ours = trl_kto.losses(TINY, answers, spec), spavl_dpo.run(TINY, answers, spec).losses
    assert len(ours) == len(theirs) == STEPS and theirs[0] - theirs[-1] > 0.1
    assert gap(ours, theirs) <= 1e-3
    passes = spavl_dpo.run(TINY, answers, spec.replace(forward_pairs=2)).losses
    assert gap(passes, theirs) <= 1e-3, "the baseline is the step's, however it is cut"
