"""The launcher matrix: every method of alignment with every kind of trained weights, on one process or on several.

    python -m torch.distributed.run --nproc_per_node=2 -m tests.align.launches FOLDER      # what `launch` runs

One pair of processes runs all cases after each other, so that torch is imported once. The base has a head of its own
(no tied weights), as LLaVA-1.5 has.
"""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spavl.config.align import AlignSettings
from spavl.preferences.pairs import Pair

METHODS = ("dpo", "reward", "ppo")
FREEZES: Mapping[str, Mapping[str, Any]] = {
    "lora": {"language": "lora"},
    "full": {"language": "full"},
    "vision": {"language": "lora", "vision": "lora"},
}
LOSSES = ("loss", "value_loss", "held_out_loss", "kl")
"""Columns of `metrics.jsonl` that are compared where they are: not every method has each."""
TOLERANCE = {"float32": 1e-5, "bfloat16": 2e-2}
"""How much a loss may differ between one process and two, by dtype."""
ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Case:
    """One training of the matrix."""

    method: str
    freeze: str
    dtype: str = "float32"
    minibatches: int = 1
    """Of PPO; a round has four pictures."""
    loss: str = "sigmoid"
    """Of DPO, by its kind."""

    @property
    def name(self) -> str:
        return f"{self.method}-{self.freeze}-{self.dtype}" + (
            f"-{self.minibatches}" if self.minibatches > 1 else "" if self.loss == "sigmoid" else f"-{self.loss}"
        )

    def settings(self, checkpoint: Path, features: Path) -> AlignSettings:
        """Settings of the training, four steps long, with a folder for features of pictures.

        PPO in bfloat16 has one round of four steps: after a step the weights differ by rounding, and another token may
        be sampled.
        """
        ppo = {"prompts": 12, "max_tokens": 10, "answers": 2, "critic_learning_rate": 1e-3}
        return AlignSettings.model_validate(
            {
                "method": self.method,
                "model": str(checkpoint),
                "seed": 1,
                "loss": {"kind": self.loss},
                "freeze": {"rank": 4, "alpha": 8.0, **FREEZES[self.freeze]},
                "optimiser": {"learning_rate": 1e-3, "max_steps": 4, "warmup": 0.0},
                "batching": {"pairs": 8},
                "reference": {"mode": "live"},
                "features": {"cache": str(features)},
                "machine": {"dtype": self.dtype, "device": "cpu"},
                "saving": {"every": None, "log_every": 1, "merged": False},
                "validation": {"measure_every": 2, "held_out": 0.1},
                "ppo": {**ppo, "epochs": 4 if self.dtype == "bfloat16" else 2, "minibatches": self.minibatches},
            }
        )


MATRIX = (
    *(Case(method, freeze) for method in METHODS for freeze in FREEZES),
    *(Case(method, "lora", "bfloat16") for method in METHODS),
    Case("dpo", "lora", loss="kto"),
    Case("dpo", "full", loss="sft"),
)


def train(case: Case, pairs: Sequence[Pair], checkpoint: Path, reward: Path, out: Path) -> None:
    """Run one training into `out/NAME`."""
    from spavl.align.dpo.train import train_dpo
    from spavl.align.ppo.train import train_ppo
    from spavl.align.reward.train import train_reward

    settings, folder = case.settings(checkpoint, out / "features"), out / case.name
    match case.method:
        case "dpo":
            train_dpo(pairs, settings, folder)
        case "reward":
            train_reward(pairs, settings, folder)
        case _:
            train_ppo(pairs, settings, folder, reward=reward)


def launch(
    cases: Iterable[Case], pairs: Sequence[Pair], checkpoint: Path, reward: Path, out: Path
) -> subprocess.CompletedProcess[str]:
    """Run trainings on two processes (gloo), one after another; what went wrong with each is in `out/NAME.error`."""
    write_task(cases, pairs, checkpoint, reward, out)
    command = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2", "-m", __name__, str(out)]
    return subprocess.run(
        [sys.executable, *command],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", "ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
        timeout=280,
    )


def write_task(cases: Iterable[Case], pairs: Sequence[Pair], checkpoint: Path, reward: Path, out: Path) -> None:
    """Write down what `python -m tests.align.launches OUT` runs in every process of a launch."""
    out.mkdir(parents=True, exist_ok=True)
    (out / "task").write_bytes(pickle.dumps((tuple(cases), list(pairs), checkpoint, reward)))


def difference(case: Case, one: Path, two: Path) -> float:
    """Largest difference of a loss in any line of two trainings; infinite where one did not finish."""
    rows = [_rows(folder / case.name / "metrics.jsonl") for folder in (one, two)]
    if not rows[0] or len(rows[0]) != len(rows[1]):
        return float("inf")
    return max(abs(a[name] - b[name]) for a, b in zip(*rows, strict=True) for name in LOSSES if name in a)


def _rows(path: Path) -> list[dict[str, float]]:
    rows = [json.loads(line) for line in path.read_text("utf-8").splitlines()] if path.is_file() else []
    return [row for row in rows if "loss" in row]


def main(out: Path) -> None:
    """Run the cases that `launch` wrote down, as one of its processes."""
    import torch

    torch.set_num_threads(1)
    cases, pairs, checkpoint, reward = pickle.loads((out / "task").read_bytes())
    for case in cases:
        try:
            train(case, pairs, checkpoint, reward, out)
        except Exception as error:
            rank = os.environ["RANK"]
            (out / f"{case.name}-{rank}.error").write_text(f"{type(error).__name__}: {error}")
            raise


if __name__ == "__main__":
    main(Path(sys.argv[1]))
