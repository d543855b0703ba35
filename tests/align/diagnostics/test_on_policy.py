"""Signs of failure in PPO's rounds: each planted one rings its own alarm, and healthy rounds ring none."""

import numpy as np
import pytest

from spavl.align.diagnostics.on_policy import RoundDiagnostics, alarms_of_rounds
from spavl.align.validation.selection import ValidationResult, ValidationScores
from spavl.config.diagnostics import DiagnosticsSettings, TrainingAlarmLimits
from spavl.statistics.alarm import rung

ROUNDS = 40


def rounds(seed, *, growth=1.0, kl=4.0, commonest=0.1, count=ROUNDS):
    """Rounds whose reward rises; length, KL and the share of the commonest answer end where it is said."""
    random, done = np.random.default_rng(seed), np.linspace(0, 1, count)
    noise = random.normal(1, 0.05, (4, count))
    return [
        {"reward": 2 * t + n[0] / 5, "length": 20 * growth**t * n[1], "kl": kl * t * n[2],
         "commonest": commonest * n[3]}
        for t, n in zip(done, noise.T, strict=True)
    ]  # fmt: skip


def validated(before, after, n=240):
    items = {"unsafe": float(n), "over_refusal": float(n), "skill": float(n)}
    return [
        ValidationResult(step, ValidationScores(unsafe, 0.0, 1.0, items)) for step, unsafe in ((0, before), (40, after))
    ]


def ringing(rows, results=()):
    return {one.name for one in rung(alarms_of_rounds(rows, results, "ppo", TrainingAlarmLimits())) if one.rings}


@pytest.mark.parametrize("seed", range(5))
def test_healthy_rounds_ring_no_alarm(seed):
    assert ringing(rounds(seed), validated(0.5, 0.1)) == set()


@pytest.mark.parametrize(
    ("rows", "results", "name"),
    [
        (rounds(1, growth=3), (), "length_growth"),
        (rounds(1, kl=90), (), "kl_divergence"),
        (rounds(1, commonest=0.9), (), "repeated_answers"),
        (rounds(1), validated(0.5, 0.52), "safety_gain"),
    ],
)  # fmt: skip
def test_a_planted_failure_rings_its_own_alarm(rows, results, name):
    assert ringing(rows, results) == {name}


def test_a_reward_that_does_not_rise_and_too_few_rounds_are_no_sign():
    flat = [{**row, "reward": 1.0 + 0.01 * (place % 2)} for place, row in enumerate(rounds(1))]
    assert ringing(flat, validated(0.5, 0.5)) == set()
    assert alarms_of_rounds(rounds(1, growth=9, count=7), (), "ppo", TrainingAlarmLimits()) == []


def test_an_alarm_is_logged_once_and_none_where_diagnostics_are_off():
    lines: list[str] = []
    signs = RoundDiagnostics("ppo", DiagnosticsSettings(), log=lines.append)
    rows = rounds(1, kl=200)
    for done in range(1, ROUNDS + 1):
        signs.check(rows[:done], ())
    assert len(lines) == 1 and "alarm kl_divergence: `ppo` is " in lines[0]
    assert signs.note(rows, ())["diagnostics"]["alarms"]
    off = RoundDiagnostics("ppo", DiagnosticsSettings(pairs=None), log=lines.append)
    assert off.note(rows, ()) == {} and off.alarms(rows, ()) == []
