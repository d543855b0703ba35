"""Launchers that shard: FSDP2 through the shipped file, ZeRO-2's arithmetic, and what is refused before the start."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml

from spavl.align.dpo.train import train_dpo
from spavl.align.preflight.device import find_device_context
from spavl.align.preflight.launcher import find_sharding, refuse_what_sharding_breaks
from spavl.align.training.trainer import keep_precision_inside
from spavl.config.align import AlignSettings
from spavl.errors import SettingsError
from tests.align.launches import ROOT, TOLERANCE, Case

FSDP2, ZERO2 = (ROOT / "settings" / "accelerate" / name for name in ("fsdp2.yaml", "zero2.yaml"))
SHARDED_CASES = (Case("dpo", "lora", "bfloat16"), Case("dpo", "full", "float32"))
"""Both dtypes and both kinds of trained weights."""
OTHER_CASES = (Case("dpo", "lora", "float32"), Case("dpo", "full", "bfloat16"))
ON_CPU = """
import pickle, sys
from pathlib import Path
import torch
from accelerate.state import AcceleratorState, PartialState
from accelerate.utils import DistributedType

begin = PartialState.__init__

def init(self, *args, **more):
    begin(self, *args, **more)
    if self.distributed_type == DistributedType.MULTI_CPU:
        self.distributed_type = DistributedType.MULTI_GPU  # accelerate shards on accelerators only

PartialState.__init__ = init
from spavl.align.dpo.train import train_dpo
torch.set_num_threads(1)
pairs, runs = pickle.loads(Path(sys.argv[1]).read_bytes())
for settings, out in runs:
    train_dpo(pairs, settings, out)
    assert AcceleratorState().distributed_type == DistributedType.FSDP
"""


def cached(case: Case, checkpoint: Path, folder: Path) -> AlignSettings:
    """Settings of a case with a cached reference."""
    settings = case.settings(checkpoint, folder / "features")
    reference = {"mode": "cached", "cache": str(folder / "reference")}
    return settings.model_copy(update={"reference": settings.reference.model_copy(update=reference)})


def losses(folder: Path) -> list[float]:
    """The losses of all lines, trained and held out."""
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [row["loss"] if "loss" in row else row["held_out_loss"] for row in rows]


@pytest.mark.slow
@pytest.mark.parametrize("cases", [SHARDED_CASES, OTHER_CASES], ids=["each once", "the other way round"])
def test_fsdp2_through_the_shipped_file_has_the_losses_of_one_process(cases, pairs, checkpoint, tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    runs = [(cached(case, checkpoint, two), two / case.name) for case in cases]
    (tmp_path / "task").write_bytes(pickle.dumps((pairs, runs)))
    (tmp_path / "run.py").write_text(ON_CPU)
    launch = ["-m", "accelerate.commands.launch", "--config_file", str(FSDP2), "--num_processes", "2"]
    done = subprocess.run(
        [sys.executable, *launch, "--main_process_port", "0", str(tmp_path / "run.py"), str(tmp_path / "task")],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", "ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
        timeout=280,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    for case, (_, out) in zip(cases, runs, strict=True):
        train_dpo(pairs, cached(case, checkpoint, one), one / case.name)
        assert losses(out) == pytest.approx(losses(one / case.name), abs=TOLERANCE[case.dtype]), case.name
        assert any((out / kind).is_dir() for kind in ("checkpoint", "adapter"))


@pytest.mark.parametrize(
    ("sections", "where"),
    [
        ({"method": "ppo"}, "align.method"),
        ({"method": "reward"}, "align.method"),
        ({"validation": {"every": 5}}, "align.validation.every"),
        ({"freeze": {"quantisation": "4bit"}}, "align.freeze.quantisation"),
        ({"optimiser": {"name": "paged_adamw_32bit"}}, "align.optimiser.name"),
        ({"freeze": {"language": "full"}, "reference": {"mode": "live"}}, "align.reference.mode"),
    ],
    ids=str,
)
def test_what_fsdp_would_break_is_refused_before_the_model_is_opened(sections, where, monkeypatch):
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    settings = AlignSettings.model_validate({"model": "/nowhere", "machine": {"device": "cpu"}, **sections})
    with pytest.raises(SettingsError) as error:
        find_device_context(settings)
    assert error.value.where == where and error.value.try_


def test_under_deepspeed_ppo_and_zero_3_are_refused_and_dpo_and_reward_models_are_not(monkeypatch):
    monkeypatch.setenv("ACCELERATE_USE_DEEPSPEED", "true")
    monkeypatch.setenv("ACCELERATE_DEEPSPEED_ZERO_STAGE", "2")
    sharding = find_sharding(8)
    assert sharding.optimiser and not sharding.weights
    for method in ("dpo", "reward"):
        refuse_what_sharding_breaks(AlignSettings.model_validate({"method": method}), sharding)
    with pytest.raises(SettingsError, match="PPO is not trained under DeepSpeed"):
        refuse_what_sharding_breaks(AlignSettings.model_validate({"method": "ppo"}), sharding)
    monkeypatch.setenv("ACCELERATE_DEEPSPEED_ZERO_STAGE", "3")
    with pytest.raises(SettingsError, match="ZeRO-3"):
        refuse_what_sharding_breaks(AlignSettings(), sharding)


def test_without_a_sharding_launcher_nothing_is_refused(monkeypatch):
    for name in [name for name in os.environ if name.startswith("ACCELERATE_")]:
        monkeypatch.delenv(name)
    assert not find_sharding(2).weights and not find_sharding(2).optimiser
    refuse_what_sharding_breaks(AlignSettings.model_validate({"method": "ppo"}), find_sharding(2))


def test_arithmetic_is_kept_where_an_engine_switches_autocast_off():
    model = torch.nn.Linear(4, 4)
    keep_precision_inside(model, lambda: torch.autocast("cpu", torch.bfloat16, cache_enabled=False))
    with torch.autocast("cpu", enabled=False):  # what DeepSpeed's engine does around the model
        assert model(torch.ones(1, 4)).dtype == torch.bfloat16


def test_the_shipped_launcher_files_say_what_is_tested():
    fsdp, zero = yaml.safe_load(FSDP2.read_text()), yaml.safe_load(ZERO2.read_text())
    assert (fsdp["distributed_type"], fsdp["fsdp_config"]["fsdp_version"]) == ("FSDP", 2)
    assert (zero["distributed_type"], zero["deepspeed_config"]["zero_stage"]) == ("DEEPSPEED", 2)
    assert fsdp["mixed_precision"] == zero["mixed_precision"] == "no"
