"""A training that is killed with SIGKILL and run again ends with the weights of one that was not interrupted."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests import processes
from tests.end_to_end.conftest import RunCommand, environment, write_pairs

STEPS = 30


@pytest.mark.parametrize(
    ("method", "weights"),
    [
        ("dpo", "checkpoint/model.safetensors"),
        pytest.param("reward", "adapter/adapter_model.safetensors", marks=pytest.mark.slow),
    ],
)
def test_a_killed_training_that_is_run_again_ends_with_the_same_bytes(
    method: str, weights: str, spavl: RunCommand, tmp_path: Path
) -> None:
    write_pairs(tmp_path / "train.parquet", 12, ("what object is shown ?", "is there a cup ?"))
    arguments = ["align", f"align.method={method}", "align.model=miniworld:base", "align.optimiser.learning_rate=1e-3",
                 f"align.optimiser.max_steps={STEPS}", "align.batching.pairs=4", "align.saving.every=5",
                 "align.saving.log_every=1", "--pairs", "train.parquet"]  # fmt: skip
    whole = [sys.executable, "-m", "spavl", *arguments, "--out", "whole"]  # with sets in another order
    subprocess.run(whole, cwd=tmp_path, env=environment(), check=True, capture_output=True)
    training = processes.start("-m", "spavl", *arguments, "--out", "killed", cwd=tmp_path, env=environment())
    state = tmp_path / "killed" / "align" / method / "state"
    _wait_until_saved(state, training)
    training.process.kill()
    assert training.wait().returncode == -signal.SIGKILL
    assert not (state.parent / weights).exists(), "it was killed in the middle"
    spavl(*arguments, "--out", "killed")
    one, other = (tmp_path / out / "align" / method for out in ("whole", "killed"))
    assert (one / weights).read_bytes() == (other / weights).read_bytes()
    assert _losses(one) == _losses(other)


def _wait_until_saved(state: Path, training: processes.Forked) -> None:
    until = time.monotonic() + 120
    while not list(state.glob("checkpoint-*/trainer_state.json")):
        assert training.process.is_alive(), "the training ended before it could be killed"
        assert time.monotonic() < until
        time.sleep(0.002)


def _losses(folder: Path) -> list[tuple[int, float]]:
    logged = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    lines = [line for line in logged if "loss" in line]  # others are of held-out pairs
    assert [line["step"] for line in lines] == list(range(1, STEPS + 1))
    return [(line["step"], line["loss"]) for line in lines]
