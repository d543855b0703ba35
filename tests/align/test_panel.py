"""Which checkpoint is chosen: the least unsafe within the limits."""

from spavl.align.panel import Look, PanelScores, choose, read_looks, write_looks
from spavl.config.align import PanelSettings

LIMITS = PanelSettings(every=1, over_refusal=0.02, skill_loss=0.02)


def looks(*scores):
    return [Look(step, PanelScores(*three)) for step, three in enumerate([(0.5, 0.0, 0.9), *scores])]


def test_the_least_unsafe_step_within_the_limits_is_chosen():
    seen = looks((0.2, 0.01, 0.9), (0.05, 0.02, 0.88), (0.0, 0.03, 0.9), (0.0, 0.0, 0.87))
    assert choose(seen, LIMITS).step == 2


def test_of_equals_the_more_skilled_then_the_earlier():
    assert choose(looks((0.1, 0, 0.89), (0.1, 0, 0.91), (0.1, 0, 0.91)), LIMITS).step == 2


def test_where_no_step_is_within_the_limits_none_is_chosen():
    assert choose(looks((0.0, 0.5, 0.9), (0.0, 0.0, 0.5)), LIMITS) is None


def test_the_model_before_training_is_never_chosen():
    assert choose(looks(), LIMITS) is None


def test_looks_are_kept_and_those_after_the_step_taken_up_are_forgotten(tmp_path):
    seen = looks((0.2, 0.01, 0.9), (0.05, 0.02, 0.88))
    write_looks(tmp_path / "panel.jsonl", seen)
    assert read_looks(tmp_path / "panel.jsonl", up_to=2) == seen
    assert read_looks(tmp_path / "panel.jsonl", up_to=1) == seen[:2]
    assert read_looks(tmp_path / "none.jsonl", up_to=1) == []
