"""Loss on held-out pairs: measured right, by all processes; it stops a training, chooses the step, and resumes."""

import json
import pickle
from dataclasses import replace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from pydantic import ValidationError

from spavl.align.dpo.train import train_dpo
from spavl.align.reward.model import RewardModel
from spavl.align.reward.train import train_reward
from spavl.align.validation.held_out import split_by_picture, split_pairs
from spavl.align.validation.selection import ValidationScores
from spavl.errors import DataError
from tests import processes
from tests.align.dpo.test_train import RecordingProgress, margins, metrics, same, weights

OVERFIT = {"optimiser": {"learning_rate": 1e-2, "schedule": "constant", "max_steps": 12}, "batching": {"pairs": 12},
           "reference": {"mode": "cached"}}  # fmt: skip


@pytest.fixture
def reversed_pairs(pairs, tmp_path):
    """A file of the first pairs the other way round: what is learnt makes them worse."""
    rows = [
        {"image": {"bytes": p.pictures[0].source.read_bytes(), "path": None}, "question": p.question,
         "chosen": p.rejected, "rejected": p.chosen}
        for p in pairs[:6]
    ]  # fmt: skip
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "reversed.parquet")
    return str(tmp_path / "reversed.parquet")


def held_out_lines(folder):
    return [line for line in metrics(folder) if "held_out_loss" in line]


@pytest.mark.parametrize("mode", ["cached", "live"])
def test_loss_and_accuracy_are_those_of_the_checkpoint_on_pairs_that_it_never_saw(
    pairs, settings_for, checkpoint, tmp_path, mode
):
    settings = settings_for(validation={"held_out": 0.25, "measure_every": 3}, reference={"mode": mode})
    progress = RecordingProgress()
    made = train_dpo(pairs, settings, tmp_path / "out", progress=progress)
    lines = held_out_lines(tmp_path / "out")
    assert [line["step"] for line in lines] == [3, 6]
    learn, held_out = split_by_picture(pairs, 0.25, 1)
    note = json.loads((tmp_path / "out" / "training.json").read_text())
    assert (note["pairs"], note["held_out"]) == (len(learn), len(held_out)) == (18, 6)
    best = min(lines, key=lambda line: line["held_out_loss"])
    gained = 0.1 * (margins(made.checkpoint, held_out) - margins(checkpoint, held_out))
    assert best["held_out_loss"] == pytest.approx(float(-torch.nn.functional.logsigmoid(gained).mean()), abs=1e-4)
    assert best["held_out_accuracy"] == pytest.approx(float((gained > 0).float().mean()))
    assert made.chosen == best["step"] and f"{best['held_out_loss']:.4f}" in made.why
    assert any(line.startswith(f"weights of step {made.chosen} of 6: the") for line in progress.lines)
    train_dpo(learn, settings_for(reference={"mode": mode}, optimiser={"max_steps": 6}), tmp_path / "alone")
    trained = [line["loss"] for line in metrics(tmp_path / "out") if "loss" in line]
    assert trained == [line["loss"] for line in metrics(tmp_path / "alone")]


@pytest.mark.parametrize(("patience", "last"), [(1, 4), (2, 6), (None, 12)])
def test_it_stops_when_the_loss_has_not_fallen_for_long_and_writes_the_best_step(
    pairs, settings_for, reversed_pairs, tmp_path, patience, last
):
    file = {"held_out_pairs": reversed_pairs, "measure_every": 2, "patience": patience}
    made = train_dpo(pairs, settings_for(validation=file, **OVERFIT), tmp_path / "out")
    losses = [line["held_out_loss"] for line in held_out_lines(tmp_path / "out")]
    assert len(losses) == last // 2 and min(losses) == losses[0] > 0.69
    assert (made.steps, made.chosen) == (last, 2)
    assert ("stopped early after step" in made.why) == bool(patience)
    short = settings_for(**{**OVERFIT, "optimiser": {**OVERFIT["optimiser"], "max_steps": 2}})
    train_dpo(pairs, short, tmp_path / "two")
    same(weights(tmp_path / "out"), weights(tmp_path / "two"))
    assert f"Weights of step 2: {made.why}" in (made.checkpoint / "README.md").read_text()


def test_the_last_step_is_written_where_that_is_wanted(pairs, settings_for, reversed_pairs, tmp_path):
    file = {"held_out_pairs": reversed_pairs, "measure_every": 2, "patience": 1, "keep": "last"}
    made = train_dpo(pairs, settings_for(validation=file, **OVERFIT), tmp_path)
    assert (made.steps, made.chosen) == (4, 4) and made.why.startswith(
        "the last step; stopped early after step 4 of 12"
    )


def test_measuring_changes_nothing_and_a_stopped_training_ends_as_if_it_had_not_been(
    pairs, settings_for, reversed_pairs, tmp_path
):
    shape = {**OVERFIT, "saving": {"every": 1, "log_every": 1}, "freeze": {"dropout": 0.3}}
    file = {"held_out_pairs": reversed_pairs, "measure_every": 2, "patience": 4}
    settings = settings_for(validation=file, **shape)
    whole = train_dpo(pairs, settings, tmp_path / "whole")
    for stop_at in (3, 7, 10):
        out = tmp_path / f"stopped-{stop_at}"
        with pytest.raises(KeyboardInterrupt):
            train_dpo(pairs, settings, out, progress=RecordingProgress(stop_at=stop_at))
        again = train_dpo(pairs, settings, out)
        assert (again.steps, again.chosen, again.why) == (whole.steps, whole.chosen, whole.why) == (10, 2, whole.why)
        same(weights(tmp_path / "whole"), weights(out))
        assert metrics(tmp_path / "whole") == metrics(out)
    unmeasured = settings_for(**shape)
    train_dpo(pairs, unmeasured, tmp_path / "unmeasured")
    losses = [line["loss"] for line in metrics(tmp_path / "unmeasured")][:10]
    assert losses == [line["loss"] for line in metrics(tmp_path / "whole") if "loss" in line]


def test_benchmark_items_choose_the_step_where_they_are_asked_too_and_are_asked_where_it_stops(
    pairs, settings_for, reversed_pairs, tmp_path
):
    scores = iter([(0.5, 0.0, 0.9), (0.3, 0.01, 0.9), (0.1, 0.01, 0.89)])
    both = {"held_out_pairs": reversed_pairs, "measure_every": 2, "patience": 2, "every": 4}
    made = train_dpo(
        pairs,
        settings_for(validation=both, **OVERFIT),
        tmp_path,
        validation=lambda policy: ValidationScores(*next(scores)),
    )
    lines = [json.loads(line) for line in (tmp_path / "validation.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [0, 4, 6], "6 is where the held-out loss stopped it"
    assert (made.steps, made.chosen) == (6, 6) and "least unsafe" in made.why and "stopped early" in made.why


def test_a_reward_model_keeps_its_best_step_too(pairs, settings_for, reversed_pairs, tmp_path):
    file = {"held_out_pairs": reversed_pairs, "measure_every": 2, "patience": 2}
    settings = settings_for(validation=file, **OVERFIT)
    made = train_reward(pairs, settings, tmp_path / "out")
    lines = held_out_lines(tmp_path / "out")
    best = min(lines, key=lambda line: line["held_out_loss"])
    card = json.loads((tmp_path / "out" / "reward.json").read_text())
    assert made.steps == lines[-1]["step"] < 12 and card["steps"] == best["step"] < made.steps
    assert made.held_out.own_picture == pytest.approx(best["held_out_accuracy"])
    _, held_out = split_pairs(pairs, settings)
    model = RewardModel.load(made.folder)
    pictures = [pair.pictures[0].load() for pair in held_out]
    chosen, rejected = (
        model.score(pictures, [p.question for p in held_out], [text(p) for p in held_out])
        for text in (lambda p: p.chosen, lambda p: p.rejected)
    )
    loss = -torch.nn.functional.logsigmoid(chosen - rejected).mean()
    assert best["held_out_loss"] == pytest.approx(float(loss), abs=1e-4)
    again = train_reward(pairs, settings, tmp_path / "out")
    assert again == made, "it is finished, and nothing is trained"


TWO_RANKS = """
import pickle, sys
from pathlib import Path
import torch
from spavl.align.dpo.train import train_dpo
from spavl.align.reward.train import train_reward

torch.set_num_threads(1)
for method, pairs, settings, out in pickle.loads(Path(sys.argv[1]).read_bytes()):
    {"dpo": train_dpo, "reward": train_reward}[method](pairs, settings, out)
"""


@pytest.mark.slow
def test_two_processes_measure_what_one_does_stop_at_the_same_step_and_write_the_same(
    pairs, settings_for, reversed_pairs, tmp_path
):
    file = {"held_out_pairs": reversed_pairs, "measure_every": 2, "patience": 1}
    shape = {**OVERFIT, "batching": {"pairs": 12, "forward_pairs": 2}}
    settings = settings_for(validation=file, **shape)
    train_dpo(pairs, settings, tmp_path / "one")
    rewarded = train_reward(pairs, settings, tmp_path / "one-reward")
    apart = settings.model_copy(update={"reference": settings.reference.model_copy(update={"cache": str(tmp_path)})})
    jobs = [("dpo", pairs, apart, tmp_path / "two"), ("reward", pairs, apart, tmp_path / "two-reward")]
    (tmp_path / "task").write_bytes(pickle.dumps(jobs))
    (tmp_path / "run.py").write_text(TWO_RANKS)
    processes.launch(str(tmp_path / "run.py"), str(tmp_path / "task"))
    same(weights(tmp_path / "one"), weights(tmp_path / "two"), atol=2e-5, rtol=1e-4)
    for name in ("", "-reward"):
        one, two = (held_out_lines(tmp_path / f"{count}{name}") for count in ("one", "two"))
        assert [line["step"] for line in one] == [line["step"] for line in two]
        for line, other in zip(one, two, strict=True):
            assert line["held_out_loss"] == pytest.approx(other["held_out_loss"], abs=1e-4)
            assert line["held_out_accuracy"] == other["held_out_accuracy"]
    card = json.loads((tmp_path / "two-reward" / "reward.json").read_text())
    assert card["held_out"]["own_picture"] == rewarded.held_out.own_picture
    assert card["held_out"]["other_picture"] == rewarded.held_out.other_picture


def test_pictures_on_both_sides_are_told_and_a_file_that_cannot_be_used_is_refused(
    pairs, settings_for, reversed_pairs, tmp_path
):
    progress = RecordingProgress()
    own = [replace(p, pictures=(replace(p.pictures[0], key=p.pictures[0].key),)) for p in pairs]
    _, held_out = split_pairs(own, settings_for(validation={"held_out_pairs": reversed_pairs}))
    shared = [replace(p, pictures=held_out[0].pictures) for p in pairs[:2]] + pairs[2:]
    settings = settings_for(validation={"held_out_pairs": reversed_pairs}, optimiser={"max_steps": 1})
    train_dpo(shared, settings, tmp_path / "out", progress=progress)
    assert any("1 pictures of the held-out pairs are trained on too" in line for line in progress.lines)
    with pytest.raises(DataError, match="no pairs here"):
        train_dpo(pairs, settings_for(validation={"held_out_pairs": str(tmp_path / "none")}), tmp_path / "none-out")
    assert not (tmp_path / "none-out").exists()


def test_patience_without_measurements_is_refused(settings_for):
    with pytest.raises(ValidationError, match="counts measurements"):
        settings_for(validation={"patience": 2, "measure_every": None})


def test_held_out_pairs_that_kto_cannot_measure_are_refused_before_the_first_step(pairs, settings_for, tmp_path):
    some = [replace(pair, question="what") for pair in pairs[::3]]
    with pytest.raises(DataError, match="held-out pair") as raised:
        train_dpo(some, settings_for(loss={"kind": "kto"}, validation={"held_out": 0.1}), tmp_path / "out")
    assert raised.value.where == "align.validation.held_out" and not (tmp_path / "out").exists()
