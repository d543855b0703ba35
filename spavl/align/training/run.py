"""One training, from pairs to a folder: the steps that DPO, reward models and PPO share.

    record = TrainingRecord.of(pairs, settings)            what it is made from; with another in `out` it ends here
    run = TrainingRun.prepare(pairs, settings, out, progress, record=record, reference=True)
                                                           the model opened, the pairs examined
    run.begin()                                            the record written; a stopped training goes on
    …                                                      the method's own part: it trains
    result = run.select(results, steps)                    the step whose weights are written
    result = run.export(result, weights)                   `out/checkpoint`, `out/adapter`, model cards
    run.finish(result, method)                             `out/training.json`; what was kept to resume is removed

Every process prepares and trains; `run.main` is the one that writes.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, final

import torch
from accelerate import PartialState

from spavl.align.data.batches import PairDataset, StepDataset
from spavl.align.diagnostics.callback import Diagnostics
from spavl.align.diagnostics.margins import ReadsMargins
from spavl.align.diagnostics.sample import draw_sample
from spavl.align.policy.checkpoint import export, last_checkpoint
from spavl.align.policy.model_card import model_card
from spavl.align.preflight.launcher import find_sharding
from spavl.align.preflight.prepare import PreparedTraining, prepare
from spavl.align.training.record import (
    FINISHED,
    STATE,
    TrainingRecord,
    begin,
    read_finished,
    refuse_other_training,
    remove_state,
)
from spavl.align.training.reporter import Reporter
from spavl.align.training.trainer import (
    PairLoss,
    PairTrainer,
    checkpoint_activations,
    keep_precision_inside,
    require_trackers,
    training_arguments,
)
from spavl.align.validation.callback import ValidationCallback
from spavl.align.validation.held_out import HeldOut, HeldOutPairs, prepare_held_out, split_pairs
from spavl.align.validation.in_loop import InLoopValidation
from spavl.align.validation.selection import Validate, explain_selection
from spavl.atomic import write_json, write_text
from spavl.config.align import AlignSettings
from spavl.errors import SettingsError
from spavl.preferences.pairs import Pair
from spavl.progress import NoProgress, OnProgress, Progress
from spavl.run import versions


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


def finished_result(out: Path, record: TrainingRecord, unit: Literal["step", "round"]) -> TrainingResult | None:
    """What a folder holds of this very training, where it is finished; None where it is not.

    Args:
        out: the folder of the training.
        record: of the training that is asked for.
        unit: what it counts.
    """
    found = read_finished(out, record)
    if found is None:
        return None
    checkpoint, adapter = (at if at.is_dir() else None for at in (out / "checkpoint", out / "adapter"))
    return TrainingResult(checkpoint, adapter, found[f"{unit}s"], found[f"chosen_{unit}"], found["why"])


@final
@dataclass(frozen=True, slots=True)
class TrainingRun:
    """A prepared training and the folder that it writes."""

    settings: AlignSettings
    """The training's settings."""
    out: Path
    """The folder that is written."""
    record: TrainingRecord
    """What the training is made from."""
    prepared: PreparedTraining
    """Model, pairs, schedule and preflight report."""
    held_out_pairs: HeldOutPairs | None
    """Pairs that are not trained on, on which loss and accuracy are measured."""
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
        record: TrainingRecord,
        reference: bool,
        replace: bool = False,
    ) -> TrainingRun:
        """Open the model and examine the pairs, before anything is written.

        Args:
            pairs: the pairs to train on, and to hold out of it.
            settings: the training's settings. With `ppo`, which generates its answers, the reference is computed live.
            out: the folder to be written.
            progress: where bars and log lines go; None: nowhere.
            record: what the training is made from.
            reference: the method needs log-probabilities of the model before training.
            replace: delete another training that is in the folder.

        Raises:
            DataError: pairs cannot be trained on.
            ModelError: the model cannot be opened, or trees are wrong with it.
            SettingsError: the settings do not fit the model or the machine.
            MissingExtra: a tracker that is asked for is not installed.
            RunError: the folder holds another training.
        """
        began, progress = time.perf_counter(), progress or NoProgress()
        require_trackers(settings.saving.report_to)
        refuse_other_training(out, record, replace=replace)
        if settings.method == "ppo":
            prepared = _prepare_on_policy(pairs, settings, reference=reference)
            held_out = None
        else:
            learn, apart = split_pairs(pairs, settings)
            prepared = prepare(learn, settings, progress, reference=reference)
            held_out = prepare_held_out(apart, prepared, settings, progress) if apart else None
            _refuse_sharded_text(prepared.dataset, held_out.dataset if held_out else prepared.dataset)
        if prepared.context.rank:
            progress = NoProgress()
        if settings.method == "ppo":
            progress.log(prepared.report.render())
        unit: Literal["step", "round"] = "round" if settings.method == "ppo" else "step"
        return cls(settings, out, record, prepared, held_out, progress, unit, began)

    @property
    def main(self) -> bool:
        """Whether this is the process that writes."""
        return self.prepared.context.rank == 0

    @property
    def state(self) -> Path:
        """The folder of what a stopped training resumes from."""
        return self.out / STATE

    @property
    def compute(self) -> torch.dtype:
        """Number format of the model's arithmetic."""
        return torch.bfloat16 if self.prepared.context.dtype == "bfloat16" else torch.float32

    def begin(self) -> None:
        """Write what the training is made from; what another one left is removed. All processes wait.

        Raises:
            RunError: the folder cannot be written.
        """
        if self.main:
            begin(self.out, self.record, self.settings)
        self.wait()

    def write_preflight(self) -> None:
        """Write the preflight report to `out/preflight.txt`.

        Raises:
            RunError: the folder cannot be written.
        """
        if self.main:
            write_text(self.out / "preflight.txt", self.prepared.report.render() + "\n")

    def pair_trainer(
        self,
        loss: PairLoss,
        on_progress: OnProgress,
        *,
        held_out: HeldOut | None = None,
        in_loop: InLoopValidation | None = None,
        diagnostics: Diagnostics | None = None,
    ) -> PairTrainer:
        """A trainer of the policy on the scheduled pairs, which logs to `out/metrics.jsonl`.

        Args:
            loss: the loss of every pair.
            on_progress: called after every step with the steps done and the steps of the whole training.
            held_out: measures on held-out pairs, and may stop the training early.
            in_loop: validates on benchmark items.
            diagnostics: measures margins of a few fixed pairs.

        Raises:
            MissingExtra: a tracker that is asked for is not installed.
        """
        prepared = self.prepared
        if self.settings.machine.gradient_checkpointing:
            checkpoint_activations(prepared.policy.model)
        steps, cpu = len(prepared.schedule), prepared.context.device.type == "cpu"
        text_only = _has_text_only(prepared.dataset)
        trainer = PairTrainer(
            prepared.policy,
            loss,
            StepDataset(prepared.dataset, prepared.schedule, prepared.context.rank, prepared.reference),
            arguments=training_arguments(self.settings, self.state, steps=steps, cpu=cpu, text_only=text_only),
            optimiser=self.settings.optimiser,
            callbacks=[Reporter(self.out / "metrics.jsonl", on_progress)],
        )
        if held_out:
            held_out.attach(trainer)
        if in_loop:  # after the held-out pairs, for it validates where these stop the training
            trainer.add_callback(ValidationCallback(in_loop))
        if diagnostics:
            diagnostics.attach(trainer)
        if trainer.is_deepspeed_enabled:
            keep_precision_inside(prepared.policy.model, prepared.context.precision)
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

    def held_out(self) -> HeldOut | None:
        """What measures on the held-out pairs while training; None where there are none."""
        if self.held_out_pairs is None:
            return None
        return HeldOut(self.held_out_pairs, self.settings.validation, self.state, log=self.progress.log)

    def diagnostics(self, read: ReadsMargins) -> Diagnostics | None:
        """What measures margins of a few fixed pairs while training; None where nothing is to be measured, or the loss
        has no margin: it compares with nothing before training, or reads answers alone.

        Args:
            read: reads the margins.
        """
        loss = self.settings.loss
        if self.settings.method == "dpo" and not (loss.has_reference and loss.answers == "pairs"):
            return None
        sample = draw_sample(self.settings, self.prepared, self.held_out_pairs)
        if sample is None:
            return None
        read.remember(sample)
        return Diagnostics(sample, read, self.settings, self.out.name, log=self.progress.log)

    def select(
        self, last: int, *, in_loop: InLoopValidation | None = None, held_out: HeldOut | None = None
    ) -> tuple[TrainingResult, Path]:
        """The step or round whose weights are to be written, and the folder that holds them.

        What benchmark items show decides where there is such a validation, else what held-out pairs show.

        Args:
            last: the last step or round; `state/final` holds its weights.
            in_loop: validated on benchmark items.
            held_out: measured on held-out pairs.
        """
        chosen, why = last, f"the last {self.unit}"
        if in_loop:
            chosen, why = explain_selection(in_loop.selectable(), self.settings.validation, last=last, unit=self.unit)
        elif held_out:
            chosen, why = held_out.explain(last)
        if held_out and last < len(self.prepared.schedule):
            why += f"; stopped early after step {last} of {len(self.prepared.schedule)}"
        self.progress.log(f"weights of {self.unit} {chosen} of {last}: {why}")
        trained = self.state / "final"
        if chosen != last:
            source = in_loop or held_out
            assert source is not None, "nothing else chooses a step"
            trained = source.weights(chosen)
        return TrainingResult(self.out / "checkpoint", self.out / "adapter", last, chosen, why), trained

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

    def finish(self, result: TrainingResult, method: str, **more: Any) -> None:
        """Write `out/training.json`, by which the training is finished, and remove what was kept to resume it.

        Args:
            result: what was made.
            method: how, `dpo`, `reward` or `ppo`.
            more: what the method has to add, by name.

        Raises:
            RunError: the folder cannot be written.
        """
        report = self.prepared.report
        row = {
            "method": method,
            "id": self.record.id,
            "model": self.prepared.identity,
            **more,
            "pairs": len(self.prepared.pairs),
            "held_out": len(self.held_out_pairs) if self.held_out_pairs else 0,
            f"{self.unit}s": result.steps,
            f"chosen_{self.unit}": result.chosen,
            "why": result.why,
            "trained": dict(report.trained),
            "packing": report.packing,
            "left_out": self.left_out(),
            "versions": versions(),
            "device": self.prepared.context.device.type,
            "seconds": round(time.perf_counter() - self.began, 1),
        }
        write_json(self.out / FINISHED, row)
        if self.settings.saving.when_finished == "remove":
            remove_state(self.out)

    def left_out(self) -> dict[str, list[str]]:
        """Ids of the pairs that were left out, by the reason."""
        return {one.what: list(one.rows) for one in self.prepared.report.findings if one.level == "skip"}

    def wait(self) -> None:
        """Wait until every process has come this far."""
        PartialState().wait_for_everyone()


def _has_text_only(dataset: PairDataset) -> bool:
    return bool((dataset.lengths["pictures"] == 0).any())


def _refuse_sharded_text(*datasets: PairDataset) -> None:
    """Refuse pairs without a picture where weights are sharded: who needs no vision tower would not share its part."""
    if find_sharding(1).weights and any(map(_has_text_only, datasets)):
        raise SettingsError(
            "A sharded model cannot be trained on pairs without a picture: processes would wait for each other.",
            where="FSDP",
            try_="leave these pairs out, or train without FSDP",
        )


def _prepare_on_policy(pairs: Sequence[Pair], settings: AlignSettings, *, reference: bool) -> PreparedTraining:
    """Prepared for answers that are generated while training: the reference is computed live, and the time that the
    pairs' own answers would take is not estimated."""
    live = settings.reference.model_copy(update={"mode": "live"})
    prepared = prepare(pairs, settings.model_copy(update={"reference": live}), NoProgress(), reference=reference)
    return replace(prepared, report=replace(prepared.report, estimate=None))
