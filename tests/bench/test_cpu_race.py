"""The CPU race: its shapes, its rows and floors, and a file in which the runs of several sessions add up."""

import json
from dataclasses import replace

import pytest
import torch

from bench import dpo
from bench.measures import Measure
from bench.trl_comparison import cpu, flops
from bench.trl_comparison.experiments import Experiment, Results
from bench.trl_comparison.run_spec import Timing
from bench.trl_comparison.workload import SMOLLM2, SMOLLM2_SMALL_PICTURES, random_model

MATRICES = 30 * (2 * 576 * 576 + 2 * 576 * 192 + 3 * 576 * 1536)
"""Weights of the matrices of SmolLM2's layers."""


def timing(seconds):
    return Timing(step_seconds=seconds, processor_seconds=seconds, losses=())


def saved(path):
    return {row["name"]: row for row in json.loads(path.read_text("utf-8"))["measures"]}


def test_the_shape_of_smollm2_is_that_of_the_pretrained_model():
    model = random_model(SMOLLM2, "meta", torch.float32)
    layers = model.get_submodule("model.language_model").layers
    assert len(layers) == 30 and layers[0].self_attn.head_dim == 64
    linear = [module for module in layers.modules() if isinstance(module, torch.nn.Linear)]
    assert sum(one.weight.numel() for one in linear) == MATRICES
    assert model.get_output_embeddings().weight is model.get_input_embeddings().weight
    assert (SMOLLM2.image_tokens, SMOLLM2_SMALL_PICTURES.image_tokens) == (576, 36)
    text = MATRICES + 49_152 * 576 + 61 * 576
    assert sum(one.numel() for one in layers.parameters()) + 49_152 * 576 + 576 == text == 134_515_008


def test_flops_count_key_and_value_heads_and_a_tied_head_costs_what_another_does():
    tokens = 2 + 576 + 38 + 100
    by_hand = 2 * (2 * MATRICES * tokens + 4 * 576 * 30 * tokens * (tokens + 1) / 2 + 2 * 576 * 49_152 * 100)
    assert flops.trl(SMOLLM2, score_all=False).forward == pytest.approx(by_hand)
    assert flops.trl(replace(SMOLLM2, tied=False), score_all=True) == flops.trl(SMOLLM2, score_all=True)
    all_heads = replace(SMOLLM2, key_value_heads=None)
    more = flops.trl(all_heads, score_all=False).forward - flops.trl(SMOLLM2, score_all=False).forward
    assert more == pytest.approx(2 * 2 * tokens * 30 * 2 * 576 * (576 - 192))


def test_every_speed_up_is_compared_with_its_own_floor_and_the_helped_one_comes_first():
    small = cpu.SMALL_RACE.planned()
    assert [(row.name.removeprefix(cpu.NAME), row.floor) for row in small[:4]] == [
        (", TRL's head helped, cached reference", 5.0),
        (", TRL's head helped, live reference", 3.8),
        (", cached reference", None),
        (", live reference", None),
    ]
    large, little = (race.planned() for race in cpu.SMOLLM2_RACES)
    assert all("SmolLM2" in row.name and row.value is None for row in (*large, *little))
    bounds = [
        flops.ratio(SMOLLM2, questions=3, live=live, score_all=score_all)
        for score_all in (False, True)
        for live in (False, True)
    ]
    assert [row.floor for row in large] == bounds and [row.floor for row in little] == [None] * 4


def test_rows_divide_the_right_sides():
    timings = {
        name: [timing(seconds)] for name, seconds in {"trl": 12.0, "helped": 8.0, "cached": 1.0, "live": 2.0}.items()
    }
    rows = cpu.SMOLLM2_RACES[0].rows(timings, "made up")
    assert [row.value for row in rows] == [8.0, 4.0, 12.0, 6.0] and all(row.runs == (row.value,) for row in rows)


def test_runs_of_several_sessions_add_up_and_their_median_is_compared(tmp_path):
    out = tmp_path / "race.json"
    planned = [Measure("race", None, 5.0, "×", "higher", "")]
    races = {"race": Experiment(0, lambda: planned, lambda: iter(()))}

    def session(*values, fresh=False):
        results = Results(races, out, fresh=fresh)
        for value in values:  # a session whose later rounds replace the earlier ones
            results.found("race", [planned[0].replace(value=value, runs=(value,), how="timed")])
        return saved(out)["race"]

    old = {key: value for key, value in planned[0].replace(value=5.9).row().items() if key != "runs"}
    out.write_text(json.dumps({"machine": {}, "measures": [old]}), "utf-8")
    assert session(1.0, 4.5)["runs"] == [5.9, 4.5]
    last = session(5.1)
    assert last["runs"] == [5.9, 4.5, 5.1] and last["value"] == 5.1 and last["holds"] is True
    assert last["how"].startswith("median of 3 whole runs, 4.5 to 5.9; the last: timed")
    assert session() == last
    assert session(4.0, fresh=True)["runs"] == [4.0]


def test_an_unknown_race_is_refused_by_name(capsys):
    with pytest.raises(SystemExit):
        dpo.main(["--only", "weather"])
    assert "no experiment weather; there is small, smollm2, losses" in capsys.readouterr().err


@pytest.mark.slow
def test_a_rehearsal_measures_every_row_on_a_tiny_model(tmp_path):
    assert dpo.main(["--rehearse", "--json", str(tmp_path / "race.json")]) == 0
    rows = saved(tmp_path / "race.json").values()
    assert len(rows) == 20 and all(row["value"] for row in rows)
