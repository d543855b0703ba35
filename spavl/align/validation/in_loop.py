"""In-loop validation of a policy: its results so far, and the weights of every step that was the best so far."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, Literal, final

from accelerate import PartialState

from spavl.align.policy.checkpoint import save_trained
from spavl.align.policy.policy import Policy
from spavl.align.training.trainer import inference_mode
from spavl.align.validation.selection import (
    Validate,
    ValidationResult,
    read_results,
    select_checkpoint,
    weights_folder,
    write_results,
)
from spavl.config.align import ValidationSettings


@final
class InLoopValidation:
    """Validates a policy before training, every so many steps or rounds, and at the last.

    Args:
        validate: scores the policy; called in every process, and gives all of them the same scores.
        policy: the model in training.
        settings: how often it is validated, and the limits of the selection.
        out: the folder of the training; results go to `validation.jsonl` in it.
        log: called with a line for every result.
        unit: what is counted.
        precision: makes a context of the arithmetic that the model computes in.
    """

    def __init__(
        self,
        validate: Validate,
        policy: Policy,
        settings: ValidationSettings,
        out: Path,
        *,
        log: Callable[[str], None],
        unit: Literal["step", "round"],
        precision: Callable[[], AbstractContextManager[Any]] = nullcontext,
    ) -> None:
        self._validate = validate
        self._policy = policy
        self._settings = settings
        self._path = out / "validation.jsonl"
        self._weights = weights_folder(out)
        self._log = log
        self._unit = unit
        self._precision = precision
        self.results: list[ValidationResult] = []

    def begin(self, done: int) -> None:
        """Validate the model before training, or read the results of the training that is resumed.

        Args:
            done: steps or rounds done; 0 before training.
        """
        if done:
            self.results = read_results(self._path, up_to=done)
        if not self.results:
            self._run(0)

    def run_if_due(self, number: int, last: int) -> None:
        """Validate after a step or round where it is due.

        Args:
            number: steps or rounds done.
            last: those of the whole training.
        """
        if number % (self._settings.every or last) == 0 or number == last:
            self._run(number)

    def selectable(self) -> list[ValidationResult]:
        """The results whose weights are still there, the model before training first.

        Of the last step `state/final` has them; others may lack them if a training went on under other limits.
        """
        if not self.results:
            return []
        first, last = self.results[0], self.results[-1]
        return [one for one in self.results if one in (first, last) or self.weights(one.step).is_dir()]

    def weights(self, number: int) -> Path:
        """The folder of the trained weights of a step or round; there only if it was the best so far.

        Args:
            number: a step or round that was validated.
        """
        return self._weights / f"{self._unit}-{number}"

    def _run(self, number: int) -> None:
        world = PartialState()
        with inference_mode(self._policy.model), self._precision():
            result = ValidationResult(number, self._validate(self._policy))
        self.results.append(result)
        if world.is_main_process:
            write_results(self._path, self.results)
            if select_checkpoint(self.results, self._settings) is result:
                save_trained(self._policy.trained(), self.weights(number))
            scores = result.scores
            self._log(
                f"{self._unit} {number}: unsafe {scores.unsafe:.1%}, over-refusal {scores.over_refusal:.1%}, "
                f"skill {scores.skill:.1%}"
            )
        world.wait_for_everyone()
