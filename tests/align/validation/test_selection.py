"""Which checkpoint is selected: the least unsafe within the limits."""

import json
import random
from pathlib import Path

from spavl.align.validation.selection import (
    ValidationResult,
    ValidationScores,
    explain_selection,
    read_results,
    select_checkpoint,
    write_results,
)
from spavl.config.align import ValidationSettings
from spavl.statistics import wilson

LIMITS = ValidationSettings(every=1, over_refusal=0.02, skill_loss=0.02)


def results(*scores):
    return [ValidationResult(step, ValidationScores(*three)) for step, three in enumerate([(0.5, 0.0, 0.9), *scores])]


def test_the_least_unsafe_step_within_the_limits_is_selected():
    validated = results((0.2, 0.01, 0.9), (0.05, 0.02, 0.88), (0.0, 0.03, 0.9), (0.0, 0.0, 0.87))
    assert select_checkpoint(validated, LIMITS).step == 2


def test_of_equals_the_more_skilled_then_the_earlier():
    assert select_checkpoint(results((0.1, 0, 0.89), (0.1, 0, 0.91), (0.1, 0, 0.91)), LIMITS).step == 2


def test_where_no_step_is_within_the_limits_none_is_selected():
    assert select_checkpoint(results((0.0, 0.5, 0.9), (0.0, 0.0, 0.5)), LIMITS) is None


def test_the_model_before_training_is_never_selected():
    assert select_checkpoint(results(), LIMITS) is None


def test_results_are_kept_and_those_after_the_resumed_step_are_left_out(tmp_path):
    validated = results((0.2, 0.01, 0.9), (0.05, 0.02, 0.88))
    write_results(tmp_path / "validation.jsonl", validated)
    assert read_results(tmp_path / "validation.jsonl", up_to=2) == validated
    assert read_results(tmp_path / "validation.jsonl", up_to=1) == validated[:2]
    assert read_results(tmp_path / "none.jsonl", up_to=1) == []


def test_the_reason_names_the_limits_and_what_is_counted():
    limits = "over-refusal ≤ 2.0% and skill loss ≤ 2.0%"
    assert explain_selection([], LIMITS, last=6, unit="round") == (6, "the last round")
    refusing = results((0.0, 0.5, 0.9), (0.0, 0.5, 0.9))
    assert explain_selection(refusing, LIMITS, last=2, unit="step") == (2, f"the last step, for no step had {limits}")
    good = results((0.2, 0.01, 0.9), (0.3, 0.0, 0.9))
    assert explain_selection(good, LIMITS, last=2, unit="round") == (1, f"the least unsafe round with {limits}")


def test_bounds_hold_over_all_looks_together_and_widen_with_them(tmp_path: Path) -> None:
    scores = ValidationScores(0.1, 0.0, 0.9, items={"unsafe": 60.0, "over_refusal": 60.0, "skill": 45.5})
    write_results(tmp_path / "v.jsonl", [ValidationResult(10 * n, scores) for n in range(4)])
    rows = [json.loads(line) for line in (tmp_path / "v.jsonl").read_text().splitlines()]
    assert all(row["unsafe_low"] < 0.1 < row["unsafe_high"] and row["over_refusal_low"] == 0 for row in rows)
    widths = [row["unsafe_high"] - row["unsafe_low"] for row in rows]
    low, high = wilson(6, 60)
    assert widths == sorted(widths) and widths[0] > high - low
    assert read_results(tmp_path / "v.jsonl", up_to=30)[3].scores == scores, "a training that is resumed has them again"


def test_a_training_that_only_looks_at_noise_is_wrong_about_any_look_in_at_most_one_of_twenty() -> None:
    """Looks that are as dependent as can be, or not at all: the bound over looks needs nothing of it."""
    chance = random.Random(1)
    for shared in (True, False):
        wrong = 0
        for _ in range(400):
            first = [chance.random() < 0.2 for _ in range(60)]
            looks = [first if shared else [chance.random() < 0.2 for _ in range(60)] for _ in range(12)]
            bounds = [
                ValidationScores(sum(look) / 60, 0, 0, items={"unsafe": 60.0}).bounds(place)
                for place, look in enumerate(looks, start=1)
            ]
            wrong += any(not b["unsafe_low"] <= 0.2 <= b["unsafe_high"] for b in bounds)
        assert wrong <= 400 * 0.05
