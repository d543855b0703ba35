"""Whether a stopped training may be resumed: unless what decides its weights has changed."""

from dataclasses import replace

import pytest

from spavl.align.data.table import pairs_fingerprint
from spavl.align.training.resume import keep_or_clear_state, training_fingerprint
from spavl.models.families import ChatTurn
from spavl.pictures import Picture
from spavl.progress import NoProgress


def resumes(out, first, second):
    """Whether what a training left in its folder is still there after another has begun."""
    keep_or_clear_state(out, first, NoProgress())
    (out / "state" / "checkpoint-4").mkdir()
    keep_or_clear_state(out, second, NoProgress())
    return (out / "state" / "checkpoint-4").is_dir()


@pytest.mark.parametrize(
    "changed",
    [
        {"validation": {"every": 2, "over_refusal": 0.1}},
        {"saving": {"every": 1}},
        {"machine": {"gradient_checkpointing": True}},
        {"reference": {"mode": "live"}},
    ],
    ids=lambda changed: next(iter(changed)),
)
def test_settings_that_do_not_change_the_weights_do_not_begin_a_training_anew(pairs, settings_for, tmp_path, changed):
    first = training_fingerprint(pairs, settings_for(), "model")
    assert resumes(tmp_path, first, training_fingerprint(pairs, settings_for(**changed), "model"))


@pytest.mark.parametrize("changed", [{"loss": {"beta": 0.3}}, {"freeze": {"rank": 2}}, {"blind": True}])
def test_settings_that_change_the_weights_do(pairs, settings_for, tmp_path, changed):
    first = training_fingerprint(pairs, settings_for(), "model")
    assert not resumes(tmp_path, first, training_fingerprint(pairs, settings_for(**changed), "model"))


def test_another_model_or_reward_model_begins_a_training_anew(pairs, settings_for, tmp_path):
    settings = settings_for()
    first = training_fingerprint(pairs, settings, "model", reward_model={"pairs": 3})
    for name, second in {
        "model": training_fingerprint(pairs, settings, "other", reward_model={"pairs": 3}),
        "reward": training_fingerprint(pairs, settings, "model", reward_model={"pairs": 4}),
    }.items():
        assert not resumes(tmp_path / name, first, second)


def test_the_fingerprint_of_pairs_is_of_their_content_and_order_and_not_of_their_ids(pairs):
    same = [replace(pair, pair_id=f"other {pair.pair_id}") for pair in pairs]
    assert pairs_fingerprint(pairs) == pairs_fingerprint(same)
    one, other = pairs[:2]
    moved = replace(one, chosen=one.chosen + "\x00" + one.rejected, rejected="")
    others = [[other, one], [one], [moved, other], [one.with_pictures(lambda picture: Picture("other", None)), other]]
    others += [[replace(one, **{name: "other"}), other] for name in ("question", "chosen", "rejected", "system")]
    others += [[replace(one, earlier=(ChatTurn("user", "other", turn),)), other] for turn in ((), one.pictures)]
    assert len({pairs_fingerprint(some) for some in [[one, other], *others]}) == 1 + len(others)
