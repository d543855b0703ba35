"""Which checkpoint is chosen: the least unsafe within the limits."""

from spavl.align.validation.selection import (
    ValidationResult,
    ValidationScores,
    read_results,
    select_checkpoint,
    write_results,
)
from spavl.config.align import ValidationSettings

LIMITS = ValidationSettings(every=1, over_refusal=0.02, skill_loss=0.02)


def looks(*scores):
    return [ValidationResult(step, ValidationScores(*three)) for step, three in enumerate([(0.5, 0.0, 0.9), *scores])]


def test_the_least_unsafe_step_within_the_limits_is_chosen():
    seen = looks((0.2, 0.01, 0.9), (0.05, 0.02, 0.88), (0.0, 0.03, 0.9), (0.0, 0.0, 0.87))
    assert select_checkpoint(seen, LIMITS).step == 2


def test_of_equals_the_more_skilled_then_the_earlier():
    assert select_checkpoint(looks((0.1, 0, 0.89), (0.1, 0, 0.91), (0.1, 0, 0.91)), LIMITS).step == 2


def test_where_no_step_is_within_the_limits_none_is_chosen():
    assert select_checkpoint(looks((0.0, 0.5, 0.9), (0.0, 0.0, 0.5)), LIMITS) is None


def test_the_model_before_training_is_never_chosen():
    assert select_checkpoint(looks(), LIMITS) is None


def test_looks_are_kept_and_those_after_the_step_taken_up_are_forgotten(tmp_path):
    seen = looks((0.2, 0.01, 0.9), (0.05, 0.02, 0.88))
    write_results(tmp_path / "validation.jsonl", seen)
    assert read_results(tmp_path / "validation.jsonl", up_to=2) == seen
    assert read_results(tmp_path / "validation.jsonl", up_to=1) == seen[:2]
    assert read_results(tmp_path / "none.jsonl", up_to=1) == []
