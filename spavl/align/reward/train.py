"""Pairs → a reward model: a linear head on the last token of an answer, by Bradley–Terry.

Trees, loop, resuming and freeze policies are those of DPO; the loss is another, and there is no reference. Pairs on a
share of the pictures are kept out of training, and the accuracy is measured on them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, final

import torch
from torch import nn

from spavl.align import losses
from spavl.align.data import validate
from spavl.align.data.batches import MicroBatch
from spavl.align.data.pairs import Pair, with_blank_pictures
from spavl.align.data.table import select
from spavl.align.policy.checkpoint import save_trained
from spavl.align.preflight.usable_pairs import rules_for
from spavl.align.reward.accuracy import HeldOutAccuracy, RewardAccuracy, measure_accuracy, split_by_picture
from spavl.align.reward.model import ScalarHead, base_spec, new_head, save_head
from spavl.align.training.run import TrainingRun
from spavl.align.training.trainer import LossOutput
from spavl.config.align import AlignSettings
from spavl.config.ppo import RewardSettings
from spavl.models.identity import identity_of
from spavl.models.trees.score import scalars_at
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
    classes: Mapping[str, str] | None = None,
    progress: Progress | None = None,
) -> RewardResult:
    """Train a reward model on pairs; a training that was stopped resumes from its last checkpoint.

    Args:
        pairs: the preference pairs, of which `settings.reward.held_out` is not trained on.
        settings: the training's settings.
        out: the folder to be written.
        classes: class of a pair by its id, for accuracy by class.
        progress: where bars and log lines go.

    Raises:
        DataError: pairs cannot be trained on.
        ModelError: the model cannot be opened, or trees are wrong with it.
        SettingsError: the settings do not fit the model or the machine.
        MissingExtra: a tracker that is asked for is not installed.
        RunError: the loss is not a finite number, or the disk is full.
    """
    seed = settings.seed or 0
    learn, held_out = split_by_picture(pairs, settings.reward.held_out, seed)
    run = TrainingRun.prepare(learn, settings, out, progress, reference=False)
    run.resume()
    run.write_preflight()
    held_out = _usable(held_out, run)
    scalar_head = _new_scalar_head(run, seed)
    model = run.prepared.policy.model
    model.add_module(HEAD_MODULE, scalar_head.head)
    try:
        _fit(run, scalar_head, held_out)
    finally:
        delattr(model, HEAD_MODULE)
    accuracy = measure_accuracy(scalar_head, held_out, seed=seed, classes=classes or {}) if held_out else None
    if run.main:
        _write(run, scalar_head.head, accuracy)
    run.wait()
    return RewardResult(out, len(run.prepared.schedule), accuracy)


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


def _usable(pairs: Sequence[Pair], run: TrainingRun) -> Sequence[Pair]:
    """Held-out pairs without those that are invalid, blanked where training is blind."""
    issues = validate.find_issues(pairs, rules_for(run.prepared.policy.family, run.settings))
    usable = select(pairs, (number for number in range(len(pairs)) if number not in issues))
    return [with_blank_pictures(pair) for pair in usable] if run.settings.blind else usable


def _new_scalar_head(run: TrainingRun, seed: int) -> ScalarHead:
    """An untrained head on the policy's model, which is read as it is, without switching adapters."""
    prepared = run.prepared
    policy, packing = prepared.policy, prepared.dataset.packing
    head = new_head(policy.model.config.get_text_config().hidden_size, seed).to(prepared.context.device)
    return ScalarHead(policy.model, None, head, policy.family, run.compute, packing=packing)


def _fit(run: TrainingRun, scalar_head: ScalarHead, held_out: Sequence[Pair]) -> None:
    settings = run.settings.reward
    callbacks = []
    if held_out and settings.measure_every:
        callbacks = [HeldOutAccuracy(scalar_head, held_out, settings.measure_every, run.out / "metrics.jsonl")]
    loss = BradleyTerry(scalar_head, settings, run.prepared.context.precision)
    with run.progress.bar("reward") as on_progress:
        trainer = run.pair_trainer(loss, on_progress, callbacks)
        trainer.train(resume_from_checkpoint=run.last_checkpoint())


def _write(run: TrainingRun, head: nn.Linear, accuracy: RewardAccuracy | None) -> None:
    """Write adapter or checkpoint, the head, and `reward.json`."""
    prepared, settings = run.prepared, run.settings
    trained, steps = prepared.policy.trained(), len(prepared.schedule)
    save_trained(trained, run.state / "final")
    run.export(run.select([], steps), run.state / "final", merge=False)
    card = {
        "base": settings.model,
        "revision": settings.revision,
        "base_identity": identity_of(base_spec(settings.model, settings.revision)),
        "trained": sorted(trained),
        "pairs": len(prepared.pairs),
        "steps": steps,
        "packing": prepared.dataset.packing,
        "held_out": asdict(accuracy) if accuracy else None,
        "left_out": run.left_out(),
    }
    save_head(run.out, head.weight, card)
