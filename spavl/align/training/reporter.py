"""What a training writes and shows while it goes on: `metrics.jsonl`, and the steps that are done."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, final

from transformers import TrainerCallback
from typing_extensions import override

from spavl.progress import OnProgress

LOGGED = ("loss", "held_out_loss", "margin_own")
"""A line is written of logs that hold one of these: of steps, of held-out pairs, and of diagnostics."""


@final
class Reporter(TrainerCallback):  # type: ignore[misc]
    """Writes `metrics.jsonl`, one line a log, and reports progress.

    Args:
        path: the file.
        on_progress: called after every step with the steps done and the steps of the whole training.
    """

    def __init__(self, path: Path, on_progress: OnProgress) -> None:
        self._path = path
        self._on_progress = on_progress

    @override
    def on_train_begin(self, args: Any, state: Any, control: Any, **more: Any) -> None:
        """Remove the lines after the step that is resumed: they are of the training that stopped."""
        if state.is_world_process_zero:
            lines = self._path.read_text().splitlines() if self._path.is_file() and state.global_step else []
            kept = [line for line in lines if json.loads(line)["step"] <= state.global_step]
            self._path.write_text("".join(f"{line}\n" for line in kept))

    @override
    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **more: Any) -> None:
        """Write the metrics since the last line."""
        if state.is_world_process_zero and any(name in logs for name in LOGGED):
            row = {"step": state.global_step, **{name: value for name, value in logs.items() if name != "epoch"}}
            with self._path.open("a") as file:
                file.write(json.dumps(row) + "\n")

    @override
    def on_step_end(self, args: Any, state: Any, control: Any, **more: Any) -> None:
        """Report the step that is done."""
        self._on_progress(state.global_step, state.max_steps)
