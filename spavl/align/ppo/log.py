"""What a reinforcement run leaves on disk while it runs: its numbers, its looks, and checkpoints to go on from."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, final

import torch
from accelerate import Accelerator
from safetensors.torch import load_file

from spavl.align.policy.checkpoint import TAKES_UP, TRAINED, save_trained
from spavl.align.ppo.advantages import RewardNormalizer
from spavl.align.ppo.update import PPOTrainer
from spavl.align.training.trainer import inference_mode
from spavl.align.validation.selection import Validate, ValidationResult, read_results, select_checkpoint, write_results
from spavl.atomic import atomic_write, write_json
from spavl.config.align import AlignSettings

STATE, OPTIMISER = "state.json", "optimiser.pt"


@final
class PPOLog:
    """The folder of one training, of which the main process writes."""

    def __init__(
        self, out: Path, accelerator: Accelerator, settings: AlignSettings, say: Callable[[str], None]
    ) -> None:
        self.looks: list[ValidationResult] = []
        self._state = out / "state"
        self._metrics = out / "metrics.jsonl"
        self._panel = out / "validation.jsonl"
        self._accelerator = accelerator
        self._settings = settings
        self._say = say
        self._lines: list[dict[str, float]] = []

    def take_up(self, training: PPOTrainer) -> None:
        """Go on from the last checkpoint, if there is one."""
        found = self._checkpoints()
        if not found:
            return
        stored = load_file(found[-1] / TRAINED)
        with torch.no_grad():
            for name, weight in _named(training).items():
                weight.copy_(stored[name])
        state = json.loads((found[-1] / STATE).read_text("utf-8"))
        training.optimiser.load_state_dict(torch.load(found[-1] / OPTIMISER, weights_only=True))
        training.schedule.load_state_dict(state["schedule"])
        training.done.rounds, training.done.multiplier = state["rounds"], state["multiplier"]
        training.done.standard = RewardNormalizer(**state["standard"])
        lines = self._metrics.read_text("utf-8").splitlines() if self._metrics.is_file() else []
        self._lines = [row for row in map(json.loads, lines) if row["round"] <= state["rounds"]]
        self.looks = read_results(self._panel, up_to=state["rounds"])

    def keep(self, training: PPOTrainer, most: int) -> None:
        """Write a checkpoint, whole or not at all; only the newest `most` stay."""
        if self._accelerator.is_main_process:
            folder = self._state / f"checkpoint-{training.done.rounds}"
            with atomic_write(folder, what="A checkpoint", try_=TAKES_UP) as tmp:
                save_trained(_named(training), tmp)
                torch.save(training.optimiser.state_dict(), tmp / OPTIMISER)
                write_json(tmp / STATE, {**asdict(training.done), "schedule": training.schedule.state_dict()})
            for old in self._checkpoints()[:-most]:
                shutil.rmtree(old)
        self._accelerator.wait_for_everyone()

    def keep_final(self, training: PPOTrainer) -> None:
        """Write the weights of the last round."""
        if self._accelerator.is_main_process:
            save_trained(training.cast.policy.trained(), self._state / "final")

    def write(self, number: int, numbers: dict[str, float]) -> None:
        """A line of `metrics.jsonl`."""
        self._lines.append({"round": number, **numbers})
        if self._accelerator.is_main_process:
            text = "".join(json.dumps(line) + "\n" for line in self._lines)
            self._metrics.write_text(text, encoding="utf-8")
        self._accelerator.log(numbers, step=number)

    def look(self, number: int, validation: Validate, training: PPOTrainer) -> None:
        """Ask the panel, and keep the weights if they are the best so far."""
        if self._accelerator.is_main_process:
            with inference_mode(training.cast.policy.model):
                look = ValidationResult(number, validation(training.cast.policy))
            self.looks.append(look)
            write_results(self._panel, self.looks)
            if select_checkpoint(self.looks, self._settings.validation) == look:
                save_trained(training.cast.policy.trained(), self._looked(number))
            unsafe, refused, skill = look.scores.unsafe, look.scores.over_refusal, look.scores.skill
            self._say(f"round {number}: unsafe {unsafe:.1%}, over-refusal {refused:.1%}, skill {skill:.1%}")
        self._accelerator.wait_for_everyone()

    def choice(self, rounds: int) -> tuple[int, str]:
        """The round whose weights are written, and why that one."""
        limits = self._settings.validation
        best = select_checkpoint(self.looks, limits) if self.looks else None
        words = f"over-refusal ≤ {limits.over_refusal:.1%} and skill loss ≤ {limits.skill_loss:.1%}"
        if best is None:
            return rounds, f"the last round, for none had {words}" if self.looks else "the last round"
        return best.step, f"the least unsafe round with {words}"

    def weights(self, number: int) -> Path:
        """Where the weights of a round are: those of a look that was the best so far, else the last."""
        looked = self._looked(number)
        return looked if looked.is_dir() else self._state / "final"

    def forget(self) -> None:
        """The training is over; what it could be taken up from goes."""
        for spent in [*self._checkpoints(), self._state / "panel"]:
            shutil.rmtree(spent, ignore_errors=True)

    def _looked(self, number: int) -> Path:
        return self._state / "panel" / f"round-{number}"

    def _checkpoints(self) -> list[Path]:
        """Whole checkpoints, the oldest first."""
        found = [path for path in self._state.glob("checkpoint-*") if path.suffix != ".tmp"]
        return sorted(found, key=lambda path: int(path.name.removeprefix("checkpoint-")))


def _named(training: PPOTrainer) -> dict[str, Any]:
    return {f"{who}/{name}": weight for who, group in training.cast.trained().items() for name, weight in group.items()}
