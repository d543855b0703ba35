"""Margins while a model trains: the right numbers, the same pairs, also after a stop; and nothing where it is off."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from spavl.align.diagnostics.margins import places
from spavl.align.dpo.train import train_dpo
from spavl.align.reward.train import train_reward
from spavl.align.training.record import TrainingRecord
from tests.align.dpo.test_train import RecordingProgress, margins, metrics, same, weights

LONG = {"optimiser": {"learning_rate": 1e-2, "schedule": "constant", "max_steps": 16}, "batching": {"pairs": 24}}
"""The 24 pairs in every step, 16 times, so that all of them are measured."""


def diagnosed(folder):
    return [line for line in metrics(folder) if "margin_own" in line]


def noted(folder):
    return json.loads((folder / "training.json").read_text())["diagnostics"]


@pytest.fixture(scope="module")
def trained(pairs, settings_of_module, tmp_path_factory):
    folder = tmp_path_factory.mktemp("diagnosed") / "mine"
    train_dpo(pairs, settings_of_module(**LONG), folder)
    return folder


@pytest.mark.parametrize("mode", ["live", "cached"])
def test_the_margin_is_that_of_the_checkpoint_against_the_model_before_training(
    pairs, settings_for, checkpoint, tmp_path, mode
):
    made = train_dpo(pairs, settings_for(reference={"mode": mode}, **LONG), tmp_path / "out")
    (line,) = diagnosed(tmp_path / "out")
    kept = noted(tmp_path / "out")
    assert line["step"] == kept["step"] == 16 and not kept["held_out"]
    gained = 0.1 * (margins(made.checkpoint, pairs) - margins(checkpoint, pairs))
    assert line["margin_own"] == pytest.approx(float(gained.mean()), abs=1e-4)
    assert line["accuracy_measured"] == pytest.approx(float((gained > 0).float().mean()))
    assert line["margin_swapped"] != pytest.approx(line["margin_own"], abs=1e-6)


def test_it_changes_no_weight_and_no_line_of_the_training(pairs, settings_for, trained, tmp_path):
    folder = trained
    train_dpo(pairs, settings_for(diagnostics={"pairs": None}, **LONG), tmp_path / "off")
    same(weights(folder), weights(tmp_path / "off"))
    assert diagnosed(tmp_path / "off") == []
    assert "diagnostics" not in json.loads((tmp_path / "off" / "training.json").read_text())
    rows = [{k: v for k, v in line.items() if k != "epochs"} for line in metrics(folder) if "loss" in line]
    assert rows == [{k: v for k, v in line.items() if k != "epochs"} for line in metrics(tmp_path / "off")]


def test_what_is_measured_is_no_other_training(pairs, settings_for):
    on, off = (settings_for(diagnostics={"pairs": count}) for count in (32, None))
    assert TrainingRecord.of(pairs, on) == TrainingRecord.of(pairs, off)


def test_an_alarm_is_logged_with_its_sentence_and_kept(pairs, settings_for, tmp_path):
    limits = {"limits": {"length_correlation": 0.0, "picture_share": 1.0}}
    progress = RecordingProgress()
    train_dpo(pairs, settings_for(diagnostics=limits, **LONG), tmp_path / "named", progress=progress)
    rings = [one for one in noted(tmp_path / "named")["alarms"] if one["rings"]]
    assert [one["name"] for one in rings]
    for one in rings:
        assert f"step 16: alarm {one['name']}: {one['what']}" in progress.lines
        assert one["what"].startswith("`named` ")


def test_held_out_pairs_are_measured_where_there_are_enough_and_the_gap_is_told(pairs, settings_for, tmp_path):
    rows = [
        {"image": {"bytes": p.pictures[0].source.read_bytes(), "path": None}, "question": p.question,
         "chosen": p.rejected, "rejected": p.chosen}
        for p in pairs
    ]  # fmt: skip
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "apart.parquet")
    validation = {"held_out_pairs": str(tmp_path / "apart.parquet"), "measure_every": None, "keep": "last"}
    train_dpo(pairs, settings_for(validation=validation, **LONG), tmp_path / "out")
    (line,) = diagnosed(tmp_path / "out")
    assert noted(tmp_path / "out")["held_out"] and {"accuracy_trained", "accuracy_measured"} <= set(line)
    assert line["accuracy_trained"] > 0.8 > 0.2 > line["accuracy_measured"]
    assert line["accuracy_gap"] == pytest.approx(line["accuracy_trained"] - line["accuracy_measured"])


def test_a_reward_model_is_measured_by_its_rewards(pairs, settings_for, tmp_path):
    train_reward(pairs, settings_for(**LONG), tmp_path / "reward")
    (line,) = diagnosed(tmp_path / "reward")
    assert "first_tokens_share" not in line and line["margin_own"] == line["margin_own"]
    assert noted(tmp_path / "reward")["margin_own"] == line["margin_own"]


def test_of_fewer_than_twenty_pairs_nothing_is_told(pairs, settings_for, tmp_path):
    train_dpo(pairs, settings_for(), tmp_path / "short")
    assert diagnosed(tmp_path / "short") == []
    assert "diagnostics" not in json.loads((tmp_path / "short" / "training.json").read_text())


def test_tokens_are_counted_from_the_start_of_each_answer():
    owner = torch.tensor([0, 0, 0, 1, 2, 2])
    assert places(owner, 4).tolist() == [0, 1, 2, 0, 0, 1]
