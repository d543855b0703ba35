"""What PPO leaves on disk while it trains: metrics, and checkpoints to resume from."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import final

import torch
from accelerate import Accelerator
from safetensors.torch import load_file
from torch import Tensor

from spavl.align.policy.checkpoint import MAKE_ROOM_AND_RESUME, TRAINED, save_trained
from spavl.align.ppo.advantages import RewardNormalizer
from spavl.align.ppo.update import PPOTrainer
from spavl.atomic import atomic_write, remove_abandoned, write_text

STATE, OPTIMISER = "state.json", "optimiser.pt"


@final
class PPOLog:
    """The folder of one training, into which only the main process writes.

    Args:
        out: the folder.
        accelerator: knows the main process, and passes metrics on to trackers.
    """

    def __init__(self, out: Path, accelerator: Accelerator) -> None:
        self._state = out / "state"
        self._metrics = out / "metrics.jsonl"
        self._accelerator = accelerator
        self._rows: list[dict[str, float]] = []

    @property
    def rows(self) -> Sequence[dict[str, float]]:
        """Metrics of all rounds so far."""
        return self._rows

    def resume(self, trainer: PPOTrainer) -> None:
        """Put the last checkpoint into a trainer; does nothing where there is none.

        Args:
            trainer: one that has not begun.
        """
        found = self._checkpoints()
        if not found:
            return
        stored = load_file(found[-1] / TRAINED)
        with torch.no_grad():
            for name, weight in _trained(trainer).items():
                weight.copy_(stored[name])
        state = json.loads((found[-1] / STATE).read_text("utf-8"))
        trainer.optimiser.load_state_dict(torch.load(found[-1] / OPTIMISER, weights_only=True))
        trainer.schedule.load_state_dict(state["schedule"])
        trainer.state.rounds, trainer.state.multiplier = state["rounds"], state["multiplier"]
        trainer.state.normalizer = RewardNormalizer(**state["normalizer"])
        lines = self._metrics.read_text("utf-8").splitlines() if self._metrics.is_file() else []
        self._rows = [row for row in map(json.loads, lines) if row["round"] <= state["rounds"]]

    def save_checkpoint(self, trainer: PPOTrainer, keep: int) -> None:
        """Write a checkpoint to resume from, atomically, and remove old ones.

        Args:
            trainer: the training, between two rounds.
            keep: how many of the newest checkpoints stay.
        """
        if self._accelerator.is_main_process:
            folder = self._state / f"checkpoint-{trainer.state.rounds}"
            remove_abandoned(folder)
            with atomic_write(folder, what="A checkpoint", try_=MAKE_ROOM_AND_RESUME) as tmp:
                save_trained(_trained(trainer), tmp)
                _save_optimiser(trainer, tmp / OPTIMISER)
                state = {**asdict(trainer.state), "schedule": trainer.schedule.state_dict()}
                (tmp / STATE).write_text(json.dumps(state, indent=2, ensure_ascii=False), "utf-8")
            for old in self._checkpoints()[:-keep]:
                shutil.rmtree(old)
        self._accelerator.wait_for_everyone()

    def save_final(self, trainer: PPOTrainer) -> None:
        """Write the policy's trained weights after the last round.

        Args:
            trainer: the training.
        """
        if self._accelerator.is_main_process:
            save_trained(trainer.models.policy.trained(), self._state / "final")

    def log_round(self, number: int, metrics: dict[str, float]) -> None:
        """Write a round's line of `metrics.jsonl`, and pass it on to trackers.

        Args:
            number: the round, from 1.
            metrics: what `PPOTrainer.run_round` returned.
        """
        self._rows.append({"round": number, **metrics})
        if self._accelerator.is_main_process:
            write_text(self._metrics, "".join(json.dumps(row) + "\n" for row in self._rows))
        self._accelerator.log(metrics, step=number)

    def _checkpoints(self) -> list[Path]:
        """Whole checkpoints, the oldest first."""
        found = [path for path in self._state.glob("checkpoint-*") if path.suffix != ".tmp"]
        return sorted(found, key=lambda path: int(path.name.removeprefix("checkpoint-")))


def _trained(trainer: PPOTrainer) -> dict[str, Tensor]:
    """Trained weights of policy and critic, named `policy/…` and `critic/…`."""
    return {
        f"{who}/{name}": weight for who, group in trainer.models.trained().items() for name, weight in group.items()
    }


def _save_optimiser(trainer: PPOTrainer, path: Path) -> None:
    """Torch raises RuntimeError where a disk is full; here it is an error of the disk."""
    try:
        torch.save(trainer.optimiser.state_dict(), path)
    except RuntimeError as error:
        raise OSError(str(error).splitlines()[0]) from error
