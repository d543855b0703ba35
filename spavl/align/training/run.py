"""One training, from pairs to a folder: the steps that DPO, reward models and PPO share.

    run = TrainingRun.prepare(pairs, settings, out, progress, reference=True)    the model opened, the pairs examined
    run.resume()                                           the last checkpoint kept, if it is of the same training
    …                                                      the method's own part: it trains
    result = run.select(validation_results, steps)         the step whose weights are written
    result = run.export(result, weights)                   `out/checkpoint`, `out/adapter`, model cards
    run.note(result, method)                               `out/training.json`

Every process prepares and trains; `run.main` is the one that writes.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, final

import torch
from accelerate import PartialState
from transformers import TrainerCallback

from spavl.align.data.batches import StepDataset
from spavl.align.data.pairs import Pair
from spavl.align.policy.checkpoint import export
from spavl.align.policy.model_card import model_card
from spavl.align.preflight.prepare import PreparedTraining, prepare
from spavl.align.training.resume import keep_or_clear_state, training_fingerprint
from spavl.align.training.trainer import (
    PairLoss,
    PairTrainer,
    Reporter,
    checkpoint_activations,
    keep_precision_inside,
    last_checkpoint,
    training_arguments,
)
from spavl.align.validation.in_loop import InLoopValidation
from spavl.align.validation.selection import Validate, ValidationResult, explain_selection, weights_folder
from spavl.atomic import write_json, write_text
from spavl.config.align import AlignSettings
from spavl.errors import SettingsError
from spavl.progress import NoProgress, OnProgress, Progress


@dataclass(frozen=True, slots=True)
class TrainingResult:
    """The model that a training made."""

    checkpoint: Path | None
    """The whole model; None where only the adapter was asked for."""
    adapter: Path | None
    """The same as an adapter; None where weights outside any adapter were trained."""
    steps: int
    """Steps (DPO) or rounds (PPO) of the training."""
    chosen: int
    """The step or round whose weights were written."""
    why: str
    """Why that one."""


@final
@dataclass(frozen=True, slots=True)
class TrainingRun:
    """A prepared training and the folder that it writes."""

    settings: AlignSettings
    """The training's settings."""
    out: Path
    """The folder that is written."""
    prepared: PreparedTraining
    """Model, pairs, schedule and preflight report."""
    progress: Progress
    """Of the main process; silent in the others."""
    unit: Literal["step", "round"]
    """What the training counts: optimiser steps over pairs, or rounds of generated answers."""
    began: float
    """When preparing began, as `time.perf_counter()` counts."""

    @classmethod
    def prepare(
        cls,
        pairs: Sequence[Pair],
        settings: AlignSettings,
        out: Path,
        progress: Progress | None,
        *,
        reference: bool,
        on_policy: bool = False,
    ) -> TrainingRun:
        """Open the model and examine the pairs, before anything is written.

        Args:
            pairs: the pairs to train on.
            settings: the training's settings.
            out: the folder to be written.
            progress: where bars and log lines go; None: nowhere.
            reference: the method needs log-probabilities of the model before training.
            on_policy: answers are generated while training, so the reference is computed live, and the time that the
                pairs' own answers would take is not estimated.

        Raises:
            DataError: pairs cannot be trained on.
            ModelError: the model cannot be opened, or trees are wrong with it.
            SettingsError: the settings do not fit the model or the machine.
        """
        began, progress = time.perf_counter(), progress or NoProgress()
        if on_policy:
            live = settings.reference.model_copy(update={"mode": "live"})
            prepared = prepare(
                pairs, settings.model_copy(update={"reference": live}), NoProgress(), reference=reference
            )
            prepared = replace(prepared, report=replace(prepared.report, estimate=None))
        else:
            prepared = prepare(pairs, settings, progress, reference=reference)
        if prepared.context.rank:
            progress = NoProgress()
        if on_policy:
            progress.log(prepared.report.render())
        return cls(settings, out, prepared, progress, "round" if on_policy else "step", began)

    @property
    def main(self) -> bool:
        """Whether this is the process that writes."""
        return self.prepared.context.rank == 0

    @property
    def state(self) -> Path:
        """The folder of what a stopped training resumes from."""
        return self.out / "state"

    @property
    def compute(self) -> torch.dtype:
        """Number format of the model's arithmetic."""
        return torch.bfloat16 if self.prepared.context.dtype == "bfloat16" else torch.float32

    def resume(self, **more: Any) -> None:
        """Keep what the folder holds of this very training, remove what it holds of another; all processes wait.

        Args:
            more: what decides the weights beyond pairs, settings and model, by name.

        Raises:
            RunError: the folder cannot be written.
        """
        if self.main:
            made_from = training_fingerprint(self.prepared.pairs, self.settings, self.prepared.identity, **more)
            keep_or_clear_state(self.out, made_from, self.progress)
        self.wait()

    def write_preflight(self) -> None:
        """Write the preflight report to `out/preflight.txt`.

        Raises:
            RunError: the folder cannot be written.
        """
        if self.main:
            write_text(self.out / "preflight.txt", self.prepared.report.render() + "\n")

    def pair_trainer(
        self, loss: PairLoss, on_progress: OnProgress, callbacks: Iterable[TrainerCallback] = ()
    ) -> PairTrainer:
        """A trainer of the policy on the scheduled pairs, which logs to `out/metrics.jsonl`.

        Args:
            loss: the loss of every pair.
            on_progress: called after every step with the steps done and the steps of the whole training.
            callbacks: called besides.

        Raises:
            MissingExtra: a tracker that is asked for is not installed.
            SettingsError: the model is sharded, and some pairs have no picture.
        """
        prepared = self.prepared
        if self.settings.machine.gradient_checkpointing:
            checkpoint_activations(prepared.policy.model)
        steps, cpu = len(prepared.schedule), prepared.context.device.type == "cpu"
        text_only = bool((prepared.dataset.lengths["pictures"] == 0).any())
        trainer = PairTrainer(
            prepared.policy,
            loss,
            StepDataset(prepared.dataset, prepared.schedule, prepared.context.rank, prepared.reference),
            arguments=training_arguments(self.settings, self.state, steps=steps, cpu=cpu, text_only=text_only),
            callbacks=[Reporter(self.out / "metrics.jsonl", on_progress), *callbacks],
        )
        if trainer.is_deepspeed_enabled:
            keep_precision_inside(prepared.policy.model, prepared.context.precision)
        if trainer.is_fsdp_enabled and text_only:
            raise SettingsError(
                "A sharded model cannot be trained on pairs without a picture: processes would wait for each other.",
                where="FSDP",
                try_="leave these pairs out, or train without FSDP",
            )
        return trainer

    def last_checkpoint(self) -> str | None:
        """The newest whole checkpoint of `PairTrainer`, as `Trainer.train` takes it; None: begin with step 1."""
        found = last_checkpoint(self.state)
        return str(found) if found else None

    def in_loop_validation(self, validate: Validate | None) -> InLoopValidation | None:
        """In-loop validation of the policy; None where nothing is to be validated.

        Args:
            validate: scores the policy.
        """
        limits = self.settings.validation
        if validate is None or not limits.every:
            return None
        policy, log, precision = self.prepared.policy, self.progress.log, self.prepared.context.precision
        return InLoopValidation(validate, policy, limits, self.out, log=log, unit=self.unit, precision=precision)

    def select(self, results: Sequence[ValidationResult], last: int) -> TrainingResult:
        """The step or round whose weights are to be written.

        Args:
            results: of in-loop validation, the model before training first; empty where there was none.
            last: the last step or round.
        """
        chosen, why = explain_selection(results, self.settings.validation, last=last, unit=self.unit)
        return TrainingResult(self.out / "checkpoint", self.out / "adapter", last, chosen, why)

    def weights(self, result: TrainingResult, in_loop: InLoopValidation | None) -> Path:
        """The folder of the trained weights to be written: those of the selected step or round, or the last.

        Args:
            result: what was selected.
            in_loop: what selected it; None: the last is written.
        """
        if in_loop is None or result.chosen == result.steps:
            return self.state / "final"
        return in_loop.weights(result.chosen)

    def export(self, result: TrainingResult, trained: Path, *, merge: bool | None = None) -> TrainingResult:
        """Write checkpoint and adapter with their model card, and say which of them there are.

        Args:
            result: what is written, and why.
            trained: folder of the trained weights (`save_trained`).
            merge: whether a whole checkpoint is written where there is an adapter; None: as the settings say.

        Raises:
            RunError: the disk is full.
        """
        prepared, settings = self.prepared, self.settings
        card = model_card(settings, prepared.report, step=result.chosen, why=result.why, identity=prepared.identity)
        if merge is not None:
            settings = settings.model_copy(update={"saving": settings.saving.model_copy(update={"merged": merge})})
        made = export(trained, settings, prepared.source, self.out, dtype=prepared.context.dtype, card=card)
        return replace(result, checkpoint=made.checkpoint, adapter=made.adapter)

    def remove_checkpoints(self) -> None:
        """Remove what was kept only to resume the training and to choose among its steps."""
        for folder in [*self.state.glob("checkpoint-*"), weights_folder(self.out)]:
            shutil.rmtree(folder, ignore_errors=True)

    def note(self, result: TrainingResult, method: str, **more: Any) -> None:
        """Write `out/training.json`: what was made, and from what.

        Args:
            result: what was made.
            method: how, `dpo` or `ppo`.
            more: what the method has to add, by name.

        Raises:
            RunError: the folder cannot be written.
        """
        report = self.prepared.report
        row = {
            "method": method,
            "model": self.prepared.identity,
            **more,
            "pairs": len(self.prepared.pairs),
            f"{self.unit}s": result.steps,
            f"chosen_{self.unit}": result.chosen,
            "why": result.why,
            "trained": dict(report.trained),
            "packing": report.packing,
            "left_out": self.left_out(),
            "seconds": round(time.perf_counter() - self.began, 1),
        }
        write_json(self.out / "training.json", row)

    def left_out(self) -> dict[str, list[str]]:
        """Ids of the pairs that were left out, by the reason."""
        return {one.what: list(one.rows) for one in self.prepared.report.findings if one.level == "skip"}

    def wait(self) -> None:
        """Wait until every process has come this far."""
        PartialState().wait_for_everyone()
