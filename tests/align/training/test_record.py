"""Trainings are kept by what they were made from: resumed, done already, or refused; never deleted unasked."""

import json
from dataclasses import replace

import pytest

from spavl.align.dpo.train import train_dpo
from spavl.align.reward.train import train_reward
from spavl.align.training.record import TrainingRecord, begin, read_finished, refuse_other_training
from spavl.errors import DataError, RunError
from spavl.models.families import ChatTurn
from spavl.pictures import Picture
from spavl.preferences.table import pairs_fingerprint
from tests.align.dpo.test_train import RecordingProgress, metrics, same, weights


def stopped(out, record, settings):
    """A folder as a training leaves it that was stopped after step 4."""
    begin(out, record, settings)
    (out / "state" / "checkpoint-4").mkdir(parents=True)
    return out


@pytest.mark.parametrize(
    "changed",
    [
        {"validation": {"over_refusal": 0.1}},
        {"saving": {"every": 1}},
        {"machine": {"gradient_checkpointing": True}},
        {"reference": {"mode": "live"}},
        {"ppo": {"kl_coef": 0.2}},
        {"reward": {"centre": 0.1}},
    ],
    ids=lambda changed: next(iter(changed)),
)
def test_a_stopped_training_goes_on_under_settings_that_do_not_change_the_weights(
    pairs, settings_for, tmp_path, changed
):
    first, second = settings_for(), settings_for(**changed)
    stopped(tmp_path, TrainingRecord.of(pairs, first), first)
    again = TrainingRecord.of(pairs, second)
    refuse_other_training(tmp_path, again, replace=False)
    begin(tmp_path, again, second)
    assert (tmp_path / "state" / "checkpoint-4").is_dir()


@pytest.mark.parametrize(
    ("before", "now"),
    [
        ({"every": None}, {"every": 2}),
        ({"every": 2, "items": 5}, {"every": 2, "items": 6}),
        ({"every": 2, "items": 5}, {"every": 2, "items": 5, "other": True}),
    ],
    ids=["none before", "more", "others"],
)
def test_a_stopped_training_is_not_measured_on_other_items_than_before(pairs, settings_for, tmp_path, before, now):
    items = "others" if now.pop("other", False) else "some"
    first, second = settings_for(validation=before), settings_for(validation=now)
    stopped(tmp_path, TrainingRecord.of(pairs, first, items="some"), first)
    with pytest.raises(RunError, match="stopped after 4, from where it would go on: "):
        refuse_other_training(tmp_path, TrainingRecord.of(pairs, second, items=items), replace=False)
    off = TrainingRecord.of(pairs, settings_for(validation={"every": None}))
    refuse_other_training(tmp_path, off, replace=False)


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"loss": {"beta": 0.3}}, "loss.beta: 0.1 → 0.3"),
        ({"freeze": {"rank": 2}}, "freeze.rank: 4 → 2"),
        ({"blind": True}, "blind: False → True"),
        ({"optimiser": {"learning_rate": 1e-5}}, "optimiser.learning_rate: 0.003 → 1e-05"),
        ({"machine": {"dtype": "bfloat16"}}, "dtype: float32 → bfloat16"),
        ({"validation": {"held_out": 0.2}}, "held_out: 0.0 → 0.2"),
        ({"seed": 9}, "seed: 1 → 9"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_under_settings_that_do_it_is_refused_with_both_values_and_nothing_is_touched(
    pairs, settings_for, tmp_path, changed, says
):
    first, second = settings_for(), settings_for(**changed)
    stopped(tmp_path, TrainingRecord.of(pairs, first), first)
    again = TrainingRecord.of(pairs, second)
    with pytest.raises(RunError, match="holds another training, stopped after 4") as error:
        refuse_other_training(tmp_path, again, replace=False)
    assert says in error.value.what and "--name" in error.value.try_ and "--replace" in error.value.try_
    assert (tmp_path / "state" / "checkpoint-4").is_dir()
    refuse_other_training(tmp_path, again, replace=True)
    begin(tmp_path, again, second)
    assert not (tmp_path / "state").exists()


def test_other_pairs_another_model_and_another_reward_model_are_named_in_words(pairs, settings_for, tmp_path):
    settings = settings_for()
    record = TrainingRecord.of(pairs, settings, reward_model="one")
    others = {
        "the pairs": TrainingRecord.of(pairs[1:], settings, reward_model="one"),
        "the reward model": TrainingRecord.of(pairs, settings, reward_model="two"),
        "the model before training": replace(record, weights={**record.weights, "model": "local:other"}),
    }
    for words, other in others.items():
        assert record.differences(other) == [words] and record.id != other.id
    assert record.differences(record) == []


def test_what_is_not_known_is_refused_too_and_folders_of_others_are_left_alone(pairs, settings_for, tmp_path):
    record = TrainingRecord.of(pairs, settings_for())
    (tmp_path / "old" / "checkpoint").mkdir(parents=True)
    (tmp_path / "old" / "made-from.json").write_text('{"pairs": "of an earlier version"}')
    with pytest.raises(RunError, match="which is finished: what it was made from is not known"):
        refuse_other_training(tmp_path / "old", record, replace=False)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("kept")
    refuse_other_training(tmp_path / "mine", record, replace=False)
    begin(tmp_path / "mine", record, settings_for())
    assert (tmp_path / "mine" / "notes.txt").read_text() == "kept"


def test_a_finished_training_is_done_and_with_another_setting_it_is_kept_until_its_replacement_is_asked_for(
    pairs, settings_for, tmp_path
):
    first = settings_for(saving={"every": 2}, optimiser={"max_steps": 3})
    made = train_dpo(pairs, first, tmp_path / "out")
    before = (tmp_path / "out" / "checkpoint" / "model.safetensors").stat()
    again = train_dpo(pairs, first, tmp_path / "out")
    assert again == made and (tmp_path / "out" / "checkpoint" / "model.safetensors").stat() == before
    second = settings_for(saving={"every": 2}, optimiser={"max_steps": 3}, loss={"beta": 0.3})
    with pytest.raises(RunError, match=r"which is finished: loss.beta: 0.1 → 0.3"):
        train_dpo(pairs, second, tmp_path / "out")
    assert (tmp_path / "out" / "checkpoint" / "model.safetensors").stat() == before
    train_dpo(pairs, second, tmp_path / "out", replace=True)
    train_dpo(pairs, second, tmp_path / "plain")
    same(weights(tmp_path / "out"), weights(tmp_path / "plain"))
    assert "beta: 0.3" in (tmp_path / "out" / "settings.yaml").read_text()


def test_replacing_spares_a_stopped_training_of_the_same_content(pairs, settings_for, tmp_path):
    settings = settings_for(saving={"every": 2, "log_every": 1})
    with pytest.raises(KeyboardInterrupt):
        train_dpo(pairs, settings, tmp_path, progress=RecordingProgress(stop_at=5))
    again = RecordingProgress()
    train_dpo(pairs, settings, tmp_path, replace=True, progress=again)
    assert again.first == 5, "it went on after its checkpoint 4"
    assert [line["step"] for line in metrics(tmp_path)] == [1, 2, 3, 4, 5, 6]


def test_a_refused_training_leaves_nothing_behind(pairs, settings_for, tmp_path):
    broken = [replace(pairs[0], rejected=pairs[0].chosen), *pairs[1:]]
    with pytest.raises(DataError, match="equal answers"):
        train_dpo(broken, settings_for(), tmp_path / "new")
    assert not (tmp_path / "new").exists()
    kept = train_dpo(pairs, settings_for(optimiser={"max_steps": 1}), tmp_path / "old")
    files = {path: path.stat().st_mtime_ns for path in (tmp_path / "old").rglob("*")}
    with pytest.raises(DataError, match="equal answers"):
        train_dpo(broken, settings_for(), tmp_path / "old", replace=True)
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "old").rglob("*")} == files
    assert kept.checkpoint.is_dir(), "even where its replacement was asked for: the new one never began"


def test_weights_that_were_deleted_by_hand_are_trained_anew(pairs, settings_for, tmp_path):
    settings = settings_for(optimiser={"max_steps": 2})
    made = train_dpo(pairs, settings, tmp_path)
    for folder in (made.checkpoint, made.adapter):
        folder.rename(tmp_path / f"moved-{folder.name}")
    assert read_finished(tmp_path) is None
    assert train_dpo(pairs, settings, tmp_path).checkpoint.is_dir()


@pytest.mark.parametrize("train", [train_dpo, train_reward])
@pytest.mark.parametrize("when_finished", ["remove", "keep"])
def test_what_was_kept_to_resume_is_removed_at_the_end_unless_it_is_to_be_kept(
    pairs, settings_for, tmp_path, train, when_finished
):
    settings = settings_for(
        saving={"every": 2, "keep": 2, "when_finished": when_finished},
        validation={"held_out": 0.2, "measure_every": 2},
    )
    train(pairs, settings, tmp_path)
    left = {path.name for path in (tmp_path / "state").rglob("*") if path.name.endswith((".safetensors", ".pt"))}
    saved = {path.name for path in (tmp_path / "state").glob("checkpoint-*")}
    if when_finished == "remove":
        assert (left, saved) == (set(), set())
    else:
        assert "optimizer.pt" in left and saved == {"checkpoint-4", "checkpoint-6"}
    done = json.loads((tmp_path / "training.json").read_text())
    asked = settings.model_copy(update={"method": done["method"]})
    assert done["id"] == TrainingRecord.of(pairs, asked).id and done["held_out"] > 0


def test_the_fingerprint_of_pairs_is_of_their_content_and_order_and_not_of_their_ids(pairs):
    renamed = [replace(pair, pair_id=f"other {pair.pair_id}") for pair in pairs]
    assert pairs_fingerprint(pairs) == pairs_fingerprint(renamed)
    one, other = pairs[:2]
    moved = replace(one, chosen=one.chosen + "\x00" + one.rejected, rejected="")
    others = [[other, one], [one], [moved, other], [one.with_pictures(lambda picture: Picture("other", None)), other]]
    others += [[replace(one, **{name: "other"}), other] for name in ("question", "chosen", "rejected", "system")]
    others += [[replace(one, earlier=(ChatTurn("user", "other", turn),)), other] for turn in ((), one.pictures)]
    others += [[replace(one, weight=2.0), other]]
    assert len({pairs_fingerprint(some) for some in [[one, other], *others]}) == 1 + len(others)
