"""Learning rates by part and over the steps, LoRA's variants, and weights of pairs: each does what it says."""

from dataclasses import replace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import load_file
from transformers import get_scheduler

from spavl.align.data.batches import PairDataset
from spavl.align.dpo.train import train_dpo
from spavl.align.policy.lora import LoraLinear, active, adapter_dropouts
from spavl.align.policy.policy import load_policy, plain_name
from spavl.align.reward.model import new_head
from spavl.align.reward.train import train_reward
from spavl.align.training.rates import rate_factor, rate_schedule
from spavl.config.align import OptimiserSettings
from spavl.errors import SettingsError
from spavl.models.identity import Checkpoint
from spavl.models.trees.score import answer_logprobs
from spavl.preferences.pairs import read_rows
from spavl.preferences.sources import find_pairs
from spavl.preferences.table import open_pairs, pair_weights, select
from tests.align.dpo.test_train import metrics, same, weights


@pytest.mark.parametrize("warmup", [0.0, 0.25, 3.0])
@pytest.mark.parametrize(
    ("kind", "theirs"), [("cosine", "cosine"), ("linear", "linear"), ("constant", "constant_with_warmup")]
)
def test_the_schedule_is_that_of_transformers(kind, theirs, warmup):
    settings = OptimiserSettings(schedule=kind, warmup=warmup, learning_rate=0.5)
    steps = int(warmup if warmup >= 1 else warmup * 12)

    def rates(schedule_of):
        optimiser = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.5)
        schedule, found = schedule_of(optimiser), []
        for _ in range(12):
            found.append(schedule.get_last_lr()[0])
            optimiser.step()
            schedule.step()
        return found

    expected = rates(lambda optimiser: get_scheduler(theirs, optimiser, steps, 12))
    assert rates(lambda optimiser: rate_schedule(optimiser, settings, 12)) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("kind", ["cosine", "linear"])
def test_it_ends_at_the_lowest_rate_and_never_goes_below(kind):
    settings = OptimiserSettings(schedule=kind, warmup=2, min_learning_rate=0.1)
    factors = [rate_factor(step, settings=settings, steps=10) for step in range(14)]
    assert factors[0] == 0 and max(factors) == factors[2] == 1
    assert factors[10:] == pytest.approx([0.1] * 4) and factors[2:] == sorted(factors[2:], reverse=True)


def moved(checkpoint, folder, part):
    """Mean distance that a part's weights have moved from the base."""
    base, now = load_file(checkpoint / "model.safetensors"), weights(folder)
    return torch.cat([(now[name] - base[name]).abs().flatten() for name in base if part in name]).mean().item()


@pytest.mark.parametrize("train", ["dpo", "full"])
def test_every_part_learns_at_its_own_rate_and_the_language_models_is_logged(
    pairs, settings_for, checkpoint, tmp_path, train
):
    language = "full" if train == "full" else "lora"
    freeze = {"vision": "last:1", "projector": "train", "language": language}
    plain = {"freeze": freeze, "reference": {"mode": "cached"}, "saving": {"log_every": 1}}
    optimiser = {"learning_rate": 1e-3, "schedule": "constant", "max_steps": 1, "max_grad_norm": 0.0}
    slow = {**optimiser, "projector_learning_rate": 1e-4, "vision_learning_rate": 1e-5}
    train_dpo(pairs, settings_for(optimiser=optimiser, **plain), tmp_path / "even")
    train_dpo(pairs, settings_for(optimiser=slow, **plain), tmp_path / "apart")
    even, apart = (
        {
            part: moved(checkpoint, tmp_path / name, part)
            for part in ("projector", "vision_tower", "language_model.model")
        }
        for name in ("even", "apart")
    )
    assert apart["language_model.model"] == pytest.approx(even["language_model.model"], rel=1e-3)
    assert apart["projector"] == pytest.approx(even["projector"] / 10, rel=1e-2)
    assert apart["vision_tower"] == pytest.approx(even["vision_tower"] / 100, rel=2e-2)
    assert metrics(tmp_path / "apart")[0]["learning_rate"] == 1e-3


def test_a_reward_models_head_learns_at_the_general_rate(pairs, settings_for, tmp_path):
    settings = settings_for(
        optimiser={"learning_rate": 1e-2, "projector_learning_rate": 1e-9, "max_steps": 1, "schedule": "constant"},
        validation={"held_out": 0.0},
    )
    made = train_reward(pairs, settings, tmp_path)
    gone = (load_file(made.folder / "head.safetensors")["weight"] - new_head(32, seed=1).weight).abs()
    assert gone.mean().item() == pytest.approx(1e-2, rel=1e-2)


def policy_of(settings, checkpoint):
    return load_policy(settings, Checkpoint(checkpoint), dtype="float32", device="cpu")


def test_rank_stabilised_lora_scales_by_the_root_of_the_rank(settings_for, checkpoint):
    for rslora, scale in [(False, 8 / 4), (True, 8 / 2)]:
        policy = policy_of(settings_for(freeze={"rank": 4, "alpha": 8.0, "rslora": rslora}), checkpoint)
        layers = [layer for layer in policy.model.modules() if isinstance(layer, LoraLinear)]
        assert layers and {layer.scaling["default"] for layer in layers} == {scale}


def test_dropout_is_active_in_training_steps_alone(pairs, settings_for, checkpoint, tmp_path):
    settings = settings_for(freeze={"dropout": 0.5, "projector": "frozen"})
    policy = policy_of(settings, checkpoint)
    with torch.no_grad():
        for name, weight in policy.model.named_parameters():
            if "lora_B" in name:
                weight.normal_(std=0.5)
        batch, _ = PairDataset(pairs, policy.family, packing="tree").batch([(0, 1)])
        dropouts = adapter_dropouts(policy.model)
        still = [answer_logprobs(policy.model, batch, policy.family).sums for _ in range(2)]
        with active(dropouts):
            noisy = [answer_logprobs(policy.model, batch, policy.family).sums for _ in range(2)]
        again = answer_logprobs(policy.model, batch, policy.family).sums
    assert torch.equal(*still) and torch.equal(still[0], again)
    assert not torch.allclose(*noisy) and not torch.allclose(noisy[0], still[0])
    shape = {"optimiser": {"max_steps": 4}, "saving": {"log_every": 1}}
    for name, dropout in [("none", 0.0), ("some", 0.5), ("same", 0.5)]:
        train_dpo(pairs, settings_for(freeze={"dropout": dropout}, **shape), tmp_path / name)
    losses = {name: [line["loss"] for line in metrics(tmp_path / name)] for name in ("none", "some", "same")}
    assert losses["some"] == losses["same"] != losses["none"]
    with pytest.raises(ValidationError, match="not for `method: ppo`"):
        settings_for(method="ppo", freeze={"dropout": 0.1})


def test_layers_are_named_and_unknown_names_are_answered_with_those_there_are(settings_for, checkpoint):
    chosen = settings_for(freeze={"target_modules": ["q_proj", "down_proj"], "projector": "frozen"})
    trained = {plain_name(name).split(".lora_")[0] for name in policy_of(chosen, checkpoint).trained()}
    assert {name.rpartition(".")[2] for name in trained} == {"q_proj", "down_proj"} and len(trained) == 4
    one = settings_for(freeze={"target_modules": ["layers.1.self_attn.v_proj"], "projector": "frozen"})
    assert len(policy_of(one, checkpoint).trained()) == 2
    for names in (["q_proj", "query"], ["q"], []):
        with pytest.raises(SettingsError, match="No layer that could get a LoRA update is called") as error:
            policy_of(settings_for(freeze={"target_modules": names}), checkpoint)
        assert "q_proj" in error.value.try_ and error.value.where == "align.freeze.target_modules"


@pytest.mark.parametrize("train", [train_dpo, train_reward])
def test_a_pairs_weight_multiplies_its_loss(pairs, settings_for, tmp_path, train):
    shape = {
        "optimiser": {"max_steps": 1, "schedule": "constant", "max_grad_norm": 0.0}, "batching": {"pairs": 24},
        "saving": {"log_every": 1}, "validation": {"held_out": 0.0}, "reference": {"mode": "cached"},
    }  # fmt: skip
    weighted = {
        "plain": pairs,
        "double": [replace(pair, weight=2.0) for pair in pairs],
        "half of them": [replace(pair, weight=float(n % 2)) for n, pair in enumerate(pairs)],
    }
    for name, some in weighted.items():
        train(some, settings_for(**shape), tmp_path / name)
    plain, double, half = (metrics(tmp_path / name)[0] for name in weighted)
    assert double["loss"] == pytest.approx(2 * plain["loss"], rel=1e-5)
    assert double["grad_norm"] == pytest.approx(2 * plain["grad_norm"], rel=1e-4)
    assert half["accuracy"] == plain["accuracy"], "metrics count every pair"
    train(pairs[1::2], settings_for(**shape), tmp_path / "the half")
    alone = metrics(tmp_path / "the half")[0]
    assert half["loss"] == pytest.approx(alone["loss"] / 2, rel=1e-4)
    assert half["grad_norm"] == pytest.approx(alone["grad_norm"] / 2, rel=1e-3)


def test_weights_are_a_column_of_the_pairs_and_1_where_there_is_none(pairs, tmp_path):
    def write(name, values):
        rows = [
            {"image": {"bytes": p.pictures[0].source.read_bytes(), "path": None}, "question": p.question,
             "chosen": p.chosen, "rejected": p.rejected, "weight": value}
            for p, value in zip(pairs, values, strict=False)
        ]  # fmt: skip
        pq.write_table(pa.Table.from_pylist(rows), tmp_path / name)
        return tmp_path / name

    file = write("good.parquet", [0.5, None, 0.0, 3.0])
    table = open_pairs(file, cache=tmp_path / "cache")
    rows = list(read_rows(find_pairs(file)))
    assert [pair.weight for pair in rows] == [pair.weight for pair in table] == [0.5, 1.0, 0.0, 3.0]
    assert pair_weights(select(table, [3, 0])).tolist() == [3.0, 0.5]
    assert [pair.digest for pair in table] == [pair.digest for pair in rows]
    for wrong in ([-1.0], [float("nan")], ["heavy"]):
        (pair,) = read_rows(find_pairs(write("wrong.parquet", wrong)))
        assert "is not a number of 0 or more" in pair.malformed


def test_processes_and_resuming_keep_the_groups_of_rates(pairs, settings_for, tmp_path):
    from tests.align.dpo.test_train import RecordingProgress

    settings = settings_for(
        optimiser={"projector_learning_rate": 1e-2, "min_learning_rate": 0.2}, saving={"every": 2, "log_every": 1}
    )
    train_dpo(pairs, settings, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        train_dpo(pairs, settings, tmp_path / "stopped", progress=RecordingProgress(stop_at=5))
    train_dpo(pairs, settings, tmp_path / "stopped")
    same(weights(tmp_path / "whole"), weights(tmp_path / "stopped"))
    assert metrics(tmp_path / "whole") == metrics(tmp_path / "stopped")
