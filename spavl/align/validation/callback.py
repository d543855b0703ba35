"""In-loop validation while Trainer trains."""

from __future__ import annotations

from typing import Any, final

from transformers import TrainerCallback
from typing_extensions import override

from spavl.align.validation.in_loop import InLoopValidation


@final
class ValidationCallback(TrainerCallback):  # type: ignore[misc]
    """Runs in-loop validation between the steps of a Trainer.

    Args:
        validation: of the policy that Trainer trains.
    """

    def __init__(self, validation: InLoopValidation) -> None:
        self._validation = validation

    @override
    def on_train_begin(self, args: Any, state: Any, control: Any, **more: Any) -> None:
        """Validate the model before training, or read the results of the training that is resumed."""
        self._validation.begin(state.global_step)

    @override
    def on_step_end(self, args: Any, state: Any, control: Any, **more: Any) -> None:
        """Validate where it is due, and at the last step, be it because the training stops early."""
        self._validation.run_if_due(
            state.global_step, state.global_step if control.should_training_stop else state.max_steps
        )
