"""Asks the panel while Trainer trains, and keeps the weights of every step that is the best so far."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, final

from accelerate import PartialState
from transformers import TrainerCallback

from spavl.align.policy.checkpoint import save_trained
from spavl.align.policy.policy import Policy
from spavl.align.training.trainer import inference_mode
from spavl.align.validation.selection import Validate, ValidationResult, read_results, select_checkpoint, write_results
from spavl.config.align import ValidationSettings


@final
class ValidationCallback(TrainerCallback):  # type: ignore[misc]
    """Looks at step 0, every so many steps, and at the last."""

    def __init__(
        self, validation: Validate, policy: Policy, settings: ValidationSettings, out: Path, say: Callable[[str], None]
    ) -> None:
        self._panel = validation
        self._policy = policy
        self._settings = settings
        self._lines = out / "validation.jsonl"
        self._weights = out / "state" / "panel"
        self._say = say
        self.looks: list[ValidationResult] = []

    def on_train_begin(self, args: Any, state: Any, control: Any, **more: Any) -> None:
        """The model before training; or the looks of the training that is taken up."""
        if state.global_step:
            self.looks = read_results(self._lines, up_to=state.global_step)
        if not self.looks:
            self._look(0)

    def on_step_end(self, args: Any, state: Any, control: Any, **more: Any) -> None:
        """A look, where one is due."""
        every = self._settings.every or state.max_steps
        if state.global_step % every == 0 or state.global_step == state.max_steps:
            self._look(state.global_step)

    def weights(self, look: ValidationResult) -> Path:
        """Where the weights of a look are, if it was ever the best."""
        return self._weights / f"step-{look.step}"

    def _look(self, step: int) -> None:
        world = PartialState()
        if world.is_main_process:
            with inference_mode(self._policy.model):
                look = ValidationResult(step, self._panel(self._policy))
            self.looks.append(look)
            write_results(self._lines, self.looks)
            seen = look.scores
            self._say(
                f"step {step}: unsafe {seen.unsafe:.1%}, over-refusal {seen.over_refusal:.1%}, skill {seen.skill:.1%}"
            )
            if select_checkpoint(self.looks, self._settings) is look:
                save_trained(self._policy.trained(), self.weights(look))
        world.wait_for_everyone()
