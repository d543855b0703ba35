"""Asks the panel while Trainer trains, and keeps the weights of every step that is the best so far."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, final

from accelerate import PartialState
from transformers import TrainerCallback

from spavl.align.panel import Look, Panel, choose, read_looks, write_looks
from spavl.align.policy import Policy
from spavl.align.save import save_trained
from spavl.align.trainer import quiet
from spavl.config.align import PanelSettings


@final
class PanelCallback(TrainerCallback):  # type: ignore[misc]
    """Looks at step 0, every so many steps, and at the last."""

    def __init__(
        self, panel: Panel, policy: Policy, settings: PanelSettings, out: Path, say: Callable[[str], None]
    ) -> None:
        self._panel = panel
        self._policy = policy
        self._settings = settings
        self._lines = out / "panel.jsonl"
        self._weights = out / "state" / "panel"
        self._say = say
        self.looks: list[Look] = []

    def on_train_begin(self, args: Any, state: Any, control: Any, **more: Any) -> None:
        """The model before training; or the looks of the training that is taken up."""
        if state.global_step:
            self.looks = read_looks(self._lines, up_to=state.global_step)
        if not self.looks:
            self._look(0)

    def on_step_end(self, args: Any, state: Any, control: Any, **more: Any) -> None:
        """A look, where one is due."""
        every = self._settings.every or state.max_steps
        if state.global_step % every == 0 or state.global_step == state.max_steps:
            self._look(state.global_step)

    def weights(self, look: Look) -> Path:
        """Where the weights of a look are, if it was ever the best."""
        return self._weights / f"step-{look.step}"

    def _look(self, step: int) -> None:
        world = PartialState()
        if world.is_main_process:
            with quiet(self._policy.model):
                look = Look(step, self._panel(self._policy))
            self.looks.append(look)
            write_looks(self._lines, self.looks)
            seen = look.scores
            self._say(
                f"step {step}: unsafe {seen.unsafe:.1%}, over-refusal {seen.over_refusal:.1%}, skill {seen.skill:.1%}"
            )
            if choose(self.looks, self._settings) is look:
                save_trained(self._policy.trained(), self.weights(look))
        world.wait_for_everyone()
