"""When a training on pairs measures itself: now and then, and at the last step; alarms are logged as they ring."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any, final

from transformers import TrainerCallback
from typing_extensions import override

from spavl.align.diagnostics.margins import ReadsMargins, measure_margins
from spavl.align.diagnostics.sample import DiagnosticSample
from spavl.align.diagnostics.signs import DIAGNOSED, alarms_of, numbers_of
from spavl.align.training.trainer import PairTrainer
from spavl.config.align import AlignSettings
from spavl.statistics.alarm import Alarm, rung

PAIRS_BETWEEN = 20
"""Between two measurements this many times as many pairs are trained on as are measured: some 4 % of the work."""


@final
class Diagnostics(TrainerCallback):  # type: ignore[misc]
    """Measures a `PairTrainer` on fixed pairs.

    Args:
        sample: the pairs.
        read: reads their margins.
        settings: of the training.
        name: of the training, in sentences.
        log: called with a line for every alarm that rings and has not rung before.
    """

    def __init__(
        self,
        sample: DiagnosticSample,
        read: ReadsMargins,
        settings: AlignSettings,
        name: str,
        *,
        log: Callable[[str], None],
    ) -> None:
        self._sample = sample
        self._read = read
        self._settings = settings
        self._name = name
        self._log = log
        self._logged: set[str] = set()
        self._trainer: PairTrainer | None = None
        self.rows: list[dict[str, float]] = []

    def attach(self, trainer: PairTrainer) -> None:
        """Measure this trainer.

        Args:
            trainer: one that has not begun.
        """
        self._trainer = trainer
        trainer.add_callback(self)

    def alarms(self, step: int) -> list[Alarm]:
        """The alarms of the last measurement up to a step; none where there is none.

        Args:
            step: whose weights are written.
        """
        rows = [row for row in self.rows if row["step"] <= step]
        return rung(alarms_of(rows[-1], self._name, self._settings.diagnostics.limits)) if rows else []

    def note(self, step: int) -> dict[str, Any]:
        """What `training.json` keeps: the numbers up to the step that is written, and its alarms.

        Args:
            step: whose weights are written.
        """
        rows = [row for row in self.rows if row["step"] <= step]
        alarms = [asdict(alarm) for alarm in self.alarms(step)]
        return {"diagnostics": {**rows[-1], "held_out": self._sample.held_out, "alarms": alarms}} if rows else {}

    @property
    def every(self) -> int | None:
        """Steps between measurements; None: only at the end."""
        wanted, pairs = self._settings.validation.measure_every, self._settings.batching.pairs
        return max(wanted, -(-PAIRS_BETWEEN * len(self._sample) // pairs)) if wanted else None

    @override
    def on_train_begin(self, args: Any, state: Any, control: Any, **more: Any) -> None:
        """Take up the measurements of the training that is resumed."""
        self.rows = [row for row in state.log_history if DIAGNOSED in row and row["step"] <= state.global_step]

    @override
    def on_step_end(self, args: Any, state: Any, control: Any, **more: Any) -> None:
        """Measure where it is due, at the last step, and where the training stops early."""
        step, every = state.global_step, self.every
        if (every and step % every == 0) or step == state.max_steps or control.should_training_stop:
            due = control.should_log
            self._measure(step)
            control.should_log = due  # logging the measurement has struck off the step's own line

    def _measure(self, step: int) -> None:
        trainer = self._trainer
        assert trainer is not None, "it was attached"
        measured = measure_margins(trainer, self._read, self._sample)
        row = numbers_of(measured, self._sample, self._settings.diagnostics)
        self.rows.append({"step": step, **row})
        trainer.log(dict(row))
        for alarm in self.alarms(step):
            if alarm.rings and alarm.name not in self._logged:
                self._logged.add(alarm.name)
                self._log(f"step {step}: alarm {alarm.name}: {alarm.what}")
