"""Pairs → a reward model: a linear head on the last token of an answer, by Bradley–Terry.

Trees, loop, resuming and freeze policies are those of DPO; the loss is another, and there is no reference. Pairs on a
share of the pictures are kept out of training, and the accuracy is measured on them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, final

import torch
from torch import nn

from spavl.align import losses
from spavl.align.data.micro_batch import MicroBatch
from spavl.align.diagnostics.margins import RewardMargins
from spavl.align.policy.checkpoint import load_trained, save_trained
from spavl.align.preflight.prepare import refuse_long_prompts
from spavl.align.reward.accuracy import RewardAccuracy, measure_accuracy
from spavl.align.reward.model import ScalarHead, base_spec, new_head, read_card, save_head
from spavl.align.training.record import TrainingRecord, read_finished
from spavl.align.training.run import TrainingResult, TrainingRun
from spavl.align.training.trainer import LossOutput, inference_mode
from spavl.align.validation.held_out import HeldOut
from spavl.config.align import AlignSettings
from spavl.config.ppo import RewardSettings
from spavl.models.identity import identity_of
from spavl.models.trees.score import scalars_at
from spavl.preferences.pairs import Pair, with_blank_pictures
from spavl.progress import Progress

HEAD_MODULE = "reward_head"
"""Name of the head while it is part of the model in training."""


@dataclass(frozen=True, slots=True)
class RewardResult:
    """The reward model that a training made."""

    folder: Path
    """Opened by `RewardModel.load`."""
    steps: int
    """Optimiser steps of the training."""
    held_out: RewardAccuracy | None
    """Accuracy on the held-out pairs; None where no picture was held out."""


def train_reward(
    pairs: Sequence[Pair],
    settings: AlignSettings,
    out: Path,
    *,
    record: TrainingRecord | None = None,
    replace: bool = False,
    classes: Mapping[str, str] | None = None,
    for_ppo: bool = False,
    progress: Progress | None = None,
) -> RewardResult:
    """Train a reward model on pairs; a training that was stopped resumes from its last checkpoint.

    Args:
        pairs: the preference pairs, of which `settings.validation.held_out` is not trained on.
        settings: the training's settings.
        out: the folder to be written; a training that is finished there already is left as it is.
        record: what the training is made from; None: it is found out.
        replace: delete another training that is in the folder.
        classes: class of a pair by its id, for accuracy by class.
        for_ppo: PPO follows with these settings: prompts that it would refuse are refused before anything is trained.
        progress: where bars and log lines go.

    Raises:
        DataError: pairs cannot be trained on.
        ModelError: the model cannot be opened, or trees are wrong with it.
        SettingsError: the settings do not fit the model or the machine.
        MissingExtra: a tracker that is asked for is not installed.
        RunError: the folder holds another training, the loss is not a finite number, or the disk is full.
    """
    settings = settings.model_copy(update={"method": "reward"})
    record = record or TrainingRecord.of(pairs, settings)
    if finished := read_finished(out, record):
        return RewardResult(out, finished["steps"], _accuracy_in(out))
    run = TrainingRun.prepare(pairs, settings, out, progress, record=record, reference=False, replace=replace)
    if for_ppo:
        refuse_long_prompts(run.prepared, settings)
    run.begin()
    run.write_preflight()
    scalar_head, held_out = _new_scalar_head(run, settings.seed or 0), run.held_out()
    model = run.prepared.policy.model
    model.add_module(HEAD_MODULE, scalar_head.head)
    try:
        result, diagnosed = _fit(run, scalar_head, held_out)
    finally:
        delattr(model, HEAD_MODULE)
    accuracy = _accuracy(run, scalar_head, classes or {})
    if run.main:
        _write(run, result, scalar_head.head, accuracy, diagnosed)
    run.wait()
    return RewardResult(out, result.steps, accuracy)


@final
class BradleyTerry:
    """The Bradley–Terry loss of a reward model, a `PairLoss`.

    Args:
        scalar_head: the head in training, on the model in training.
        settings: the loss's settings.
        precision: makes a context of the arithmetic that the model computes in.

    Source:
        `spavl.align.losses.bradley_terry`.
    """

    metrics = ("margin", "accuracy", "reward_chosen", "reward_rejected")
    """Names of the metrics."""

    def __init__(
        self,
        scalar_head: ScalarHead,
        settings: RewardSettings,
        precision: Callable[[], AbstractContextManager[Any]] = nullcontext,
    ) -> None:
        self.scalar_head = scalar_head
        self.settings = settings
        self.precision = precision

    def begin_step(
        self, model: Any, micro_batches: Iterable[MicroBatch], add_up: Callable[[torch.Tensor], torch.Tensor]
    ) -> None:
        """Nothing: no loss depends on other pairs.

        Args:
            model: not read.
            micro_batches: not read.
            add_up: not called; it would add a tensor [N] up over all devices.
        """

    def __call__(self, model: Any, micro_batch: MicroBatch) -> LossOutput:
        """Loss of every pair.

        Args:
            model: the model in training, wrapped for the devices (DDP, FSDP) or not.
            micro_batch: the pairs, on the model's device.
        """
        batch, scalar_head = micro_batch.batch, self.scalar_head
        with self.precision():
            rewards = scalars_at(model, batch, scalar_head.family, batch.last, scalar_head.head)
        chosen, rejected = rewards[micro_batch.chosen], rewards[micro_batch.rejected]
        with torch.no_grad():
            margin = chosen - rejected
            metrics = torch.stack([margin, (margin > 0).float(), chosen, rejected], dim=1)
        return LossOutput(losses.bradley_terry(chosen, rejected, centre=self.settings.centre), metrics)


def _new_scalar_head(run: TrainingRun, seed: int) -> ScalarHead:
    """An untrained head on the policy's model, which is read as it is, without switching adapters."""
    prepared = run.prepared
    policy, packing = prepared.policy, prepared.dataset.packing
    head = new_head(policy.model.config.get_text_config().hidden_size, seed).to(prepared.context.device)
    return ScalarHead(policy.model, None, head, policy.family, run.compute, packing=packing)


def _fit(
    run: TrainingRun, scalar_head: ScalarHead, held_out: HeldOut | None
) -> tuple[TrainingResult, dict[str, Any]]:  # fmt: skip
    """Train model and head, which are left as they were after the step that is to be written; and what diagnostics
    found of that step."""
    loss = BradleyTerry(scalar_head, run.settings.reward, run.prepared.context.precision)
    diagnostics = run.diagnostics(RewardMargins(loss))
    with run.progress.bar("reward") as on_progress:
        trainer = run.pair_trainer(loss, on_progress, held_out=held_out, diagnostics=diagnostics)
        trainer.train(resume_from_checkpoint=run.last_checkpoint())
    result, weights = run.select(trainer.state.global_step, held_out=held_out)
    if result.chosen != result.steps:
        load_trained(run.prepared.policy, weights)
    return result, diagnostics.note(result.chosen) if diagnostics else {}


def _accuracy(run: TrainingRun, scalar_head: ScalarHead, classes: Mapping[str, str]) -> RewardAccuracy | None:
    """Accuracy on the held-out pairs, blanked where training is blind; None where there are none."""
    if run.held_out_pairs is None:
        return None
    pairs: Sequence[Pair] = run.held_out_pairs.dataset.pairs
    shown = [with_blank_pictures(pair) for pair in pairs] if run.settings.blind else pairs
    with inference_mode(run.prepared.policy.model):
        return measure_accuracy(scalar_head, shown, seed=run.settings.seed or 0, classes=classes)


def _accuracy_in(folder: Path) -> RewardAccuracy | None:
    """The accuracy that `reward.json` says a finished reward model has."""
    found = read_card(folder)["held_out"]
    if not found:
        return None
    return RewardAccuracy(**{**found, "by_class": {name: (n, share) for name, (n, share) in found["by_class"].items()}})


def _write(
    run: TrainingRun, result: TrainingResult, head: nn.Linear, accuracy: RewardAccuracy | None,
    diagnosed: Mapping[str, Any],
) -> None:  # fmt: skip
    """Write adapter or checkpoint, the head, and `reward.json`."""
    prepared, settings = run.prepared, run.settings
    trained = prepared.policy.trained()
    save_trained(trained, run.state / "final")
    result = run.export(result, run.state / "final", merge=False)
    card = {
        "base": settings.model,
        "revision": settings.revision,
        "base_identity": identity_of(base_spec(settings.model, settings.revision)),
        "trained": sorted(trained),
        "pairs": len(prepared.pairs),
        "steps": result.chosen,
        "packing": prepared.dataset.packing,
        "max_pixels": settings.data.max_pixels,
        "held_out": asdict(accuracy) if accuracy else None,
        "left_out": run.left_out(),
    }
    save_head(run.out, head.weight, card)
    run.finish(result, "reward", **diagnosed)
