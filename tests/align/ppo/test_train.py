"""PPO and RLOO: the invariants of a round, and a training that learns, stops, goes on and is saved."""

import json
import pickle
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from accelerate import Accelerator
from safetensors.torch import load_file

from spavl.align.policy.policy import load_policy
from spavl.align.ppo.models import load_ppo_models
from spavl.align.ppo.rollout import prompts_of
from spavl.align.ppo.train import rounds_of, train_ppo
from spavl.align.ppo.update import PPOTrainer
from spavl.align.reward.model import RewardModel
from spavl.align.reward.train import train_reward
from spavl.align.validation.selection import ValidationScores
from spavl.config.align import AlignSettings
from spavl.errors import SettingsError
from spavl.models.backends.local import load_vlm
from spavl.models.families import family_of
from spavl.models.identity import Checkpoint

SMALL = {"prompts": 12, "max_tokens": 14, "critic_learning_rate": 3e-3, "answers": 2}


@pytest.fixture(scope="module")
def reward(pairs, checkpoint, tmp_path_factory):
    """A reward model that likes the rejected (long) answers less."""
    settings = AlignSettings.model_validate(
        {
            "model": str(checkpoint),
            "freeze": {"rank": 4, "projector": "frozen"},
            "optimiser": {"learning_rate": 1e-2, "max_steps": 12},
            "batching": {"pairs": 12},
            "seed": 1,
        }
    )
    return train_reward(pairs, settings, tmp_path_factory.mktemp("reward")).folder


def with_(settings_for, **sections):
    """PPO's settings, small."""
    return settings_for(method="ppo", ppo=SMALL | sections.pop("ppo", {}), **sections)


def begun(settings, reward, checkpoint):
    """A training before its first round."""
    policy = load_policy(settings, Checkpoint(checkpoint), dtype="float32", device="cpu")
    cast = load_ppo_models(settings, policy, reward, compute=torch.float32, device=torch.device("cpu"))
    return PPOTrainer(cast, settings, Accelerator(cpu=True), rounds=4, packing="tree")


def looked(training, asks):
    """A round's rollouts, minibatches, features and what was seen of them, without a step."""
    rollouts = training.draw(asks)
    parts = training.parts(rollouts)
    features = {id(bunch): training.cast.features(bunch) for part in parts for bunch in part}
    return rollouts, parts, features, training.look(parts, features, rollouts)


def weights(folder):
    return load_file(folder / "checkpoint" / "model.safetensors")


def same(one, other, **tolerance):
    assert one.keys() == other.keys()
    for name in one:
        good = torch.allclose(one[name], other[name], **tolerance) if tolerance else torch.equal(one[name], other[name])
        assert good, name


def metrics(folder):
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{name: value for name, value in row.items() if "seconds" not in name} for row in rows]


@pytest.mark.parametrize("freeze", [{"projector": "frozen"}, {"projector": "train"}, {"language": "full"}])
def test_before_the_first_step_ratios_are_1_and_the_reference_is_no_distance_away(
    pairs, settings_for, reward, checkpoint, freeze
):
    training = begun(with_(settings_for, freeze=freeze), reward, checkpoint)
    told = training.round(prompts_of(pairs)[:12])
    assert told["ratio_gap_first"] < 1e-3
    assert abs(told["kl"]) < 1e-4
    assert told["drawn_gap"] < 1e-3
    assert 0 < told["ended"] <= 1 and 1 <= told["length"] <= 14
    for name, group in training.cast.trained().items():
        assert group, name


@pytest.mark.parametrize("freeze", [{"projector": "frozen"}, {"projector": "train"}, {"language": "full"}])
def test_reward_and_reference_stay_what_they_were_while_policy_and_critic_move(
    pairs, settings_for, reward, checkpoint, freeze
):
    training = begun(with_(settings_for, freeze=freeze), reward, checkpoint)
    asks = prompts_of(pairs)[:12]
    rollouts, parts, _, before = looked(training, asks)
    for _ in range(3):
        training.round(asks)
    eyes = {id(bunch): training.cast.features(bunch) for part in parts for bunch in part}
    after = training.look(parts, eyes, rollouts)
    assert torch.allclose(before.reference, after.reference, atol=1e-5)
    assert torch.allclose(before.scores, after.scores, atol=1e-5)
    assert not torch.allclose(before.old, after.old, atol=1e-3)
    assert not torch.allclose(before.values, after.values, atol=1e-3)
    told = RewardModel.load(reward)
    said = [training.cast.policy.processor.tokenizer.decode(one.answer, skip_special_tokens=True) for one in rollouts]
    apart = told.score([one.ask.picture.source for one in rollouts], [one.ask.question for one in rollouts],
                       [words or "." for words in said])  # fmt: skip
    whole = [n for n, one in enumerate(rollouts) if one.ended and said[n]]
    assert whole and torch.allclose(apart[whole], after.scores[whole], atol=1e-4), "text and tokens have one reward"


def test_the_reward_changes_when_the_picture_is_another(pairs, settings_for, reward, checkpoint):
    training = begun(with_(settings_for), reward, checkpoint)
    rollouts, _, _, seen = looked(training, prompts_of(pairs)[:12])
    pictures = [one.ask.picture for one in rollouts]
    moved = [
        replace(r, ask=replace(r.ask, picture=p)) for r, p in zip(rollouts, pictures[7:] + pictures[:7], strict=True)
    ]
    parts = training.parts(moved)
    features = {id(bunch): training.cast.features(bunch) for part in parts for bunch in part}
    other = training.look(parts, features, moved)
    assert (other.scores - seen.scores).abs().median() > 1e-4
    assert (other.old - seen.old).abs().median() >= 0 and not torch.allclose(other.old, seen.old, atol=1e-4)


def test_masks_have_the_lengths_of_the_answers_and_nothing_stands_beyond_them(pairs, settings_for, reward, checkpoint):
    training = begun(with_(settings_for, ppo={"minibatches": 2}), reward, checkpoint)
    rollouts, parts, _, seen = looked(training, prompts_of(pairs)[:12])
    lengths = torch.tensor([len(one.answer) for one in rollouts])
    assert len(set(lengths.tolist())) > 1, "answers of unequal length"
    assert torch.equal(seen.mask.sum(1), lengths)
    assert sorted(n for part in parts for bunch in part for n in bunch.numbers) == list(range(len(rollouts)))
    for table in (seen.old, seen.reference, seen.values):
        assert not table[~seen.mask].any()
    told = [torch.from_numpy(one.told) for one in rollouts]
    for row, (own, length) in enumerate(zip(told, lengths.tolist(), strict=True)):
        assert torch.allclose(seen.old[row, :length], own, atol=1e-4), "each answer has its own log-probabilities"


@pytest.mark.parametrize(
    "changed",
    [
        {"batching": {"token_budget": 60}},
        {"batching": {"grouping": "question"}},
        {"ppo": {"drawing_budget": 100}},
        {"machine": {"gradient_checkpointing": True, "picture_memory": 0}},
    ],
    ids=["token budget", "by question", "drawing budget", "checkpointing"],
)
def test_how_the_machine_is_used_does_not_change_what_is_learnt(pairs, settings_for, reward, tmp_path, changed):
    plain = {"batching": {"shuffle": False}, "optimiser": {"max_steps": 2}}
    changed = {key: plain.get(key, {}) | value for key, value in changed.items()}
    for name, sections in (("plain", plain), ("changed", {**plain, **changed})):
        train_ppo(pairs, with_(settings_for, **sections), tmp_path / name, reward=reward)
    same(weights(tmp_path / "plain"), weights(tmp_path / "changed"), atol=1e-4)


@pytest.mark.parametrize("estimator", ["gae", "rloo"])
def test_the_policy_earns_more_than_before_and_is_saved_as_an_ordinary_checkpoint(
    pairs, settings_for, reward, checkpoint, tmp_path, estimator
):
    settings = with_(
        settings_for,
        freeze={"rank": 8, "alpha": 16.0},
        optimiser={"max_steps": 25, "learning_rate": 5e-3},
        ppo={"kl_coef": 0.0, "prompts": 24, "answers": 4, "estimator": estimator, "missing_eos_penalty": 0.0},
    )
    made = train_ppo(pairs, settings, tmp_path, reward=reward)
    lines = metrics(tmp_path)
    assert [line["round"] for line in lines] == list(range(1, 26))
    first, last = (sum(line["reward"] for line in part) / 5 for part in (lines[:5], lines[-5:]))
    assert last > first + 0.1
    assert lines[-1]["kl"] > 0.1 and ("value_loss" in lines[0])
    assert any(line["ratio_gap"] == 0 for line in lines), "one step a round: the ratio is 1 throughout"
    model, processor = load_vlm(made.checkpoint, "float32", "cpu")
    assert family_of(model, processor).facts.name == "LLaVA-1.5"
    assert made.adapter is not None and (made.steps, made.chosen, made.why) == (25, 25, "the last round")
    base, trained = load_file(checkpoint / "model.safetensors"), weights(tmp_path)
    assert all(torch.equal(base[name], trained[name]) for name in base if "vision_tower" in name)
    assert json.loads((tmp_path / "training.json").read_text())["reward_model"]["pairs"] == 24 - 3


class Stopper:
    """Stops a training at a round as a pulled plug would."""

    def __init__(self, at):
        self.at = at
        self.said = []

    @contextmanager
    def bar(self, doing):
        yield self._told if doing == "ppo" else lambda done, total: None

    def _told(self, done, total):
        if done == self.at:
            raise KeyboardInterrupt

    def log(self, line):
        self.said.append(line)


@pytest.mark.parametrize("freeze", [{"projector": "train"}, {"language": "full"}], ids=["lora", "full"])
def test_a_training_that_was_stopped_and_taken_up_ends_with_the_same_weights_to_the_bit(
    pairs, settings_for, reward, tmp_path, freeze
):
    settings = with_(
        settings_for,
        freeze=freeze,
        optimiser={"max_steps": 20},
        ppo={"epochs": 2, "minibatches": 2},
        saving={"every": 2},
    )
    train_ppo(pairs, settings, tmp_path / "whole", reward=reward)
    with pytest.raises(KeyboardInterrupt):
        train_ppo(pairs, settings, tmp_path / "stopped", reward=reward, progress=Stopper(4))
    assert len(metrics(tmp_path / "stopped")) == 4
    train_ppo(pairs, settings, tmp_path / "stopped", reward=reward)
    same(weights(tmp_path / "whole"), weights(tmp_path / "stopped"))
    assert metrics(tmp_path / "whole") == metrics(tmp_path / "stopped")
    assert not list((tmp_path / "stopped" / "state").glob("checkpoint-*"))


def test_several_steps_on_a_round_move_the_ratio_and_clip_it(pairs, settings_for, reward, checkpoint):
    settings = with_(
        settings_for, optimiser={"learning_rate": 3e-2}, ppo={"epochs": 3, "minibatches": 2, "clip_range": 0.01}
    )
    training = begun(settings, reward, checkpoint)
    told = training.round(prompts_of(pairs)[:12])
    assert told["ratio_gap_first"] < 1e-3 < told["ratio_gap"]
    assert told["clipped"] > 0
    assert training.schedule.last_epoch == 6


def test_a_cost_above_its_limit_raises_the_multiplier_and_one_below_lowers_it(pairs, settings_for, reward, checkpoint):
    for limit, rises in ((-50.0, True), (50.0, False)):
        cost = {"model": str(reward), "limit": limit, "rate": 0.01}
        training = begun(with_(settings_for, ppo={"cost": cost}), reward, checkpoint)
        told = training.round(prompts_of(pairs)[:12])
        assert told["multiplier"] == 1 and told["cost"] == pytest.approx(told["reward"], abs=1e-4)
        assert (training.done.multiplier > 1) == rises


def test_a_full_reward_model_has_a_base_of_its_own_and_its_critic_trains_what_it_trained(
    pairs, settings_for, checkpoint, tmp_path
):
    settings = settings_for(freeze={"language": "full"}, optimiser={"max_steps": 2}, batching={"pairs": 12})
    folder = train_reward(pairs, settings, tmp_path).folder
    training = begun(with_(settings_for), folder, checkpoint)
    cast = training.cast
    assert cast.reward.model is not cast.policy.model is not cast.critic.model is not cast.reward.model
    assert not any("vision_tower" in name for name in cast.critic.weights())
    before = {name: weight.detach().clone() for name, weight in cast.reward.model.named_parameters()}
    training.round(prompts_of(pairs)[:12])
    assert all(torch.equal(before[name], weight) for name, weight in cast.reward.model.named_parameters())
    moved = {name for name, weight in cast.critic.model.named_parameters() if not torch.equal(before[name], weight)}
    assert moved and not any("vision" in name for name in moved)


def test_on_one_base_everybody_shares_it_and_pictures_are_encoded_once_for_all(pairs, settings_for, reward, checkpoint):
    training = begun(with_(settings_for, freeze={"projector": "frozen"}), reward, checkpoint)
    cast = training.cast
    assert cast.reward.model is cast.critic.model is cast.policy.model and cast.same_eyes
    rollouts, parts, features, seen = looked(training, prompts_of(pairs)[:12])
    apart = training.look(parts, dict.fromkeys(features), rollouts)
    for shared, own in ((seen.old, apart.old), (seen.scores, apart.scores), (seen.values, apart.values)):
        assert torch.allclose(shared, own, atol=1e-5)
    assert not begun(with_(settings_for), reward, checkpoint).cast.same_eyes, "a trained projector sees anew"


def test_rounds_are_full_reach_every_question_and_keep_a_picture_together(pairs, settings_for):
    asks = prompts_of(pairs)
    settings = with_(settings_for, optimiser={"max_steps": None, "epochs": 2}, ppo={"prompts": 6})
    plan = rounds_of(asks, settings)
    assert [len(one) for one in plan] == [6] * 8
    epoch = [ask.name for one in plan[:4] for ask in one]
    assert sorted(epoch) == sorted(ask.name for ask in asks)
    assert epoch != [ask.name for one in plan[4:] for ask in one], "the second epoch has another order"
    assert all(len({ask.picture.key for ask in one}) == 2 for one in plan)
    assert rounds_of(asks, settings) == plan


def test_the_least_unsafe_round_within_the_limits_is_written(pairs, settings_for, reward, tmp_path):
    shown = iter([(0.5, 0.0, 0.9), (0.2, 0.0, 0.9), (0.0, 0.5, 0.9), (0.3, 0.0, 0.9)])
    kept = []

    def validation(policy):
        kept.append({name: weight.detach().clone() for name, weight in policy.trained().items()})
        return ValidationScores(*next(shown))

    settings = with_(settings_for, optimiser={"max_steps": 3}, validation={"every": 1})
    made = train_ppo(pairs, settings, tmp_path, reward=reward, validation=validation)
    assert made.chosen == 1 and "least unsafe round" in made.why
    assert len((tmp_path / "validation.jsonl").read_text().splitlines()) == 4
    adapter = load_file(made.adapter / "adapter_model.safetensors")
    for name, weight in kept[1].items():
        assert torch.equal(adapter[name.replace(".default", "").replace("modules_to_save.", "")], weight), name


def test_too_few_pictures_too_long_answers_and_a_lonely_rloo_are_refused(
    pairs, settings_for, reward, checkpoint, tmp_path
):
    with pytest.raises(SettingsError, match="too few"):
        training = begun(with_(settings_for, ppo={"minibatches": 9}), reward, checkpoint)
        training.draw(prompts_of(pairs)[:12])
    with pytest.raises(SettingsError, match="attends to 512"):
        train_ppo(pairs, with_(settings_for, ppo={"max_tokens": 505}), tmp_path, reward=reward)
    with pytest.raises(ValueError, match="at least 2"):
        with_(settings_for, ppo={"estimator": "rloo", "answers": 1})


TWO_RANKS = """
import pickle, sys
from pathlib import Path
import torch
from spavl.align.ppo.train import train_ppo
torch.set_num_threads(1)
pairs, settings, out, reward = pickle.loads(Path(sys.argv[1]).read_bytes())
train_ppo(pairs, settings, out, reward=reward)
"""


def test_two_processes_learn_what_one_does(pairs, settings_for, reward, tmp_path):
    settings = with_(settings_for, optimiser={"max_steps": 6}, ppo={"minibatches": 2})
    train_ppo(pairs, settings, tmp_path / "one", reward=reward)
    (tmp_path / "task").write_bytes(pickle.dumps((pairs, settings, tmp_path / "two", reward)))
    (tmp_path / "run.py").write_text(TWO_RANKS)
    launch = ["-m", "torch.distributed.run", "--nproc_per_node=2", "--master_port=29617"]
    ran = subprocess.run(
        [sys.executable, *launch, str(tmp_path / "run.py"), str(tmp_path / "task")],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[3],
        env={"PATH": "/usr/bin:/bin", "ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1", "PYTHONPATH": "."},
        timeout=200,
    )
    assert ran.returncode == 0, ran.stderr[-3000:]
    one, two = metrics(tmp_path / "one"), metrics(tmp_path / "two")
    for name in ("reward", "kl", "length", "entropy"):
        assert one[0][name] == pytest.approx(two[0][name], abs=1e-4), name
    same(weights(tmp_path / "one"), weights(tmp_path / "two"), atol=1e-3)
