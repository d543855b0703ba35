"""QLoRA: the language model is quantised, nothing else; what is written does not depend on it."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import torch

from spavl.align.dpo.train import train_dpo
from spavl.align.policy.policy import load_policy
from spavl.align.ppo.train import train_ppo
from spavl.align.reward.train import train_reward
from spavl.config.align import FreezeSettings
from spavl.errors import MissingExtra
from spavl.models.backends import local_vlm
from spavl.models.identity import Checkpoint
from tests.align.ppo.small import ppo_settings
from tests.tiny import tiny_llava

bitsandbytes = pytest.importorskip("bitsandbytes")


def quantised_layers(model) -> set[str]:
    kinds = (bitsandbytes.nn.Linear4bit, bitsandbytes.nn.Linear8bitLt)
    return {name for name, module in model.named_modules() if isinstance(module, kinds)}


@pytest.mark.parametrize("kind", ["4bit", "8bit"])
@pytest.mark.parametrize("vision", ["frozen", "lora", "full"])
def test_only_the_language_model_is_quantised(settings_for, checkpoint, kind, vision):
    settings = settings_for(freeze={"quantisation": kind, "vision": vision})
    policy = load_policy(settings, Checkpoint(checkpoint), dtype="float32", device="cpu")
    found = quantised_layers(policy.model)
    assert len(found) == 2 * 7, "seven linear layers in each of two layers of the language model"
    assert all("language_model" in name for name in found)
    plain = settings_for(freeze={"vision": vision})
    whole = load_policy(plain, Checkpoint(checkpoint), dtype="float32", device="cpu")
    assert {n: w.shape for n, w in policy.trained().items()} == {n: w.shape for n, w in whole.trained().items()}


@pytest.mark.parametrize("kind", ["4bit", "8bit"])
def test_dpo_on_a_quantised_model_learns_and_is_written_unquantised(pairs, settings_for, tmp_path, kind):
    settings = settings_for(
        freeze={"quantisation": kind}, optimiser={"max_steps": 12, "learning_rate": 1e-2}, saving={"log_every": 1}
    )
    made = train_dpo(pairs, settings, tmp_path)
    rows = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert rows[-1]["loss"] < 0.8 * rows[0]["loss"]
    model, _ = local_vlm.load(made.checkpoint, local_vlm.LoadOptions("float32", "cpu"), None)
    assert not quantised_layers(model) and all(w.dtype == torch.float32 for w in model.parameters())


@pytest.mark.skipif(sys.platform != "linux", reason="mapped files are listed by Linux")
@pytest.mark.parametrize("kind", ["4bit", "8bit"])
def test_a_quantised_model_does_not_keep_its_whole_file_in_memory(tmp_path, kind):
    folder = tiny_llava(tmp_path / "llava", image_size=96)
    model, _ = local_vlm.load(folder, local_vlm.LoadOptions("float32", "cpu", kind), None)
    assert quantised_layers(model)
    assert str(folder) not in Path("/proc/self/maps").read_text()


def test_full_training_of_a_quantised_model_is_refused():
    with pytest.raises(ValueError, match="quantised weights cannot be trained"):
        FreezeSettings(language="full", quantisation="4bit")


def test_without_bitsandbytes_the_package_is_named(checkpoint, monkeypatch):
    monkeypatch.setattr(local_vlm, "find_spec", lambda name: None)
    with pytest.raises(MissingExtra) as error:
        local_vlm.load(checkpoint, local_vlm.LoadOptions("float32", "cpu", "4bit"), None)
    assert "spavl[quantised]" in error.value.try_


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_reward_model_and_ppo_train_on_a_quantised_base(pairs, settings_for, tmp_path, dtype):
    shared = {"freeze": {"quantisation": "4bit"}, "machine": {"dtype": dtype}, "optimiser": {"max_steps": 2}}
    train_reward(pairs, settings_for(method="reward", **shared), tmp_path / "reward")
    settings = ppo_settings(settings_for, **shared)
    made = train_ppo(pairs, settings, tmp_path / "ppo", reward=tmp_path / "reward")
    assert made.steps == 2 and made.adapter is not None
