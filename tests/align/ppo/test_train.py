"""PPO and RLOO: a training learns, stops, resumes, selects a round, and is saved as an ordinary checkpoint."""

import json
import pickle
from contextlib import contextmanager

import pytest
import torch
from safetensors.torch import load_file

from spavl.align.ppo.rollout import prompts_of
from spavl.align.ppo.train import rounds_of, train_ppo
from spavl.align.validation.selection import ValidationScores
from spavl.errors import SettingsError
from spavl.models.backends.local import load_vlm
from spavl.models.families import family_of
from tests import processes
from tests.align.ppo.small import assert_same, metrics, ppo_settings, weights

PLAIN = {"batching": {"shuffle": False}, "optimiser": {"max_steps": 2}}


@pytest.fixture(scope="module")
def plain(pairs, settings_of_module, reward, tmp_path_factory):
    """A training that nothing of the machine's use is set for."""
    folder = tmp_path_factory.mktemp("plain")
    train_ppo(pairs, ppo_settings(settings_of_module, **PLAIN), folder, reward=reward)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize(
    "changed",
    [
        {"batching": {"token_budget": 60}},
        {"batching": {"grouping": "question"}},
        {"ppo": {"generation_token_budget": 100}},
        {"machine": {"gradient_checkpointing": True, "picture_memory": 0}},
    ],
    ids=["token budget", "by question", "generation token budget", "checkpointing"],
)
def test_how_the_machine_is_used_does_not_change_what_is_learnt(pairs, plain, settings_for, reward, tmp_path, changed):
    changed = {key: PLAIN.get(key, {}) | value for key, value in changed.items()}
    train_ppo(pairs, ppo_settings(settings_for, **{**PLAIN, **changed}), tmp_path, reward=reward)
    assert_same(weights(plain), weights(tmp_path), atol=1e-4)


@pytest.mark.parametrize("estimator", ["gae", pytest.param("rloo", marks=pytest.mark.slow)])
def test_the_policy_earns_more_than_before_and_is_saved_as_an_ordinary_checkpoint(
    pairs, settings_for, reward, checkpoint, tmp_path, estimator
):
    settings = ppo_settings(
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
        self.lines = []

    @contextmanager
    def bar(self, doing):
        yield self._on_progress if doing == "ppo" else lambda done, total: None

    def _on_progress(self, done, total):
        if done == self.at:
            raise KeyboardInterrupt

    def log(self, line):
        self.lines.append(line)


@pytest.mark.parametrize(
    "freeze",
    [
        pytest.param({"projector": "train"}, id="lora"),
        pytest.param({"language": "full"}, id="full", marks=pytest.mark.slow),
    ],
)
def test_a_training_that_was_stopped_and_resumed_ends_with_the_same_weights_to_the_bit(
    pairs, settings_for, reward, tmp_path, freeze
):
    settings = ppo_settings(
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
    assert_same(weights(tmp_path / "whole"), weights(tmp_path / "stopped"))
    assert metrics(tmp_path / "whole") == metrics(tmp_path / "stopped")
    assert not list((tmp_path / "stopped" / "state").glob("checkpoint-*"))


def test_rounds_are_full_reach_every_question_and_keep_a_picture_together(pairs, settings_for):
    prompts = prompts_of(pairs)
    settings = ppo_settings(settings_for, optimiser={"max_steps": None, "epochs": 2}, ppo={"prompts": 6})
    rounds = rounds_of(prompts, settings)
    assert [len(one) for one in rounds] == [6] * 8
    epoch = [prompt.key for one in rounds[:4] for prompt in one]
    assert sorted(epoch) == sorted(prompt.key for prompt in prompts)
    assert epoch != [prompt.key for one in rounds[4:] for prompt in one], "the second epoch has another order"
    assert all(len({prompt.context for prompt in one}) == 2 for one in rounds)
    assert rounds_of(prompts, settings) == rounds


def test_the_least_unsafe_round_within_the_limits_is_written(pairs, settings_for, reward, tmp_path):
    shown = iter([(0.5, 0.0, 0.9), (0.2, 0.0, 0.9), (0.0, 0.5, 0.9), (0.3, 0.0, 0.9)])
    kept = []

    def validation(policy):
        kept.append({name: weight.detach().clone() for name, weight in policy.trained().items()})
        return ValidationScores(*next(shown))

    settings = ppo_settings(settings_for, optimiser={"max_steps": 3}, validation={"every": 1})
    made = train_ppo(pairs, settings, tmp_path, reward=reward, validation=validation)
    assert made.chosen == 1 and "least unsafe round" in made.why
    assert len((tmp_path / "validation.jsonl").read_text().splitlines()) == 4
    adapter = load_file(made.adapter / "adapter_model.safetensors")
    for name, weight in kept[1].items():
        assert torch.equal(adapter[name.replace(".default", "").replace("modules_to_save.", "")], weight), name


def test_too_long_answers_and_rloo_with_one_answer_are_refused(pairs, settings_for, reward, tmp_path):
    with pytest.raises(SettingsError, match="attends to 512"):
        train_ppo(pairs, ppo_settings(settings_for, ppo={"max_tokens": 505}), tmp_path, reward=reward)
    with pytest.raises(ValueError, match="at least 2"):
        ppo_settings(settings_for, ppo={"estimator": "rloo", "answers": 1})


TWO_RANKS = """
import pickle, sys
from pathlib import Path
import torch
from spavl.align.ppo.train import train_ppo
torch.set_num_threads(1)
pairs, settings, out, reward = pickle.loads(Path(sys.argv[1]).read_bytes())
train_ppo(pairs, settings, out, reward=reward)
"""


@pytest.mark.slow
def test_two_processes_learn_what_one_does(pairs, settings_for, reward, tmp_path):
    settings = ppo_settings(settings_for, optimiser={"max_steps": 6}, ppo={"minibatches": 2})
    train_ppo(pairs, settings, tmp_path / "one", reward=reward)
    (tmp_path / "task").write_bytes(pickle.dumps((pairs, settings, tmp_path / "two", reward)))
    (tmp_path / "run.py").write_text(TWO_RANKS)
    processes.launch(str(tmp_path / "run.py"), str(tmp_path / "task"))
    one, two = metrics(tmp_path / "one"), metrics(tmp_path / "two")
    for name in ("reward", "kl", "length", "entropy"):
        assert one[0][name] == pytest.approx(two[0][name], abs=1e-4), name
    assert_same(weights(tmp_path / "one"), weights(tmp_path / "two"), atol=1e-3)
