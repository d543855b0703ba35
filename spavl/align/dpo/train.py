"""Pairs → an aligned checkpoint, by DPO.

out/checkpoint       the whole model, opened by plain `from_pretrained`
out/adapter          the same as a peft adapter, where everything trained is in one
out/metrics.jsonl    loss, margin, accuracy … while training
out/validation.jsonl results of in-loop validation
out/preflight.txt    what was found before the first step
out/training.json    what was made, and from what
out/state            checkpoints from which a stopped training resumes
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from spavl.align.data.pairs import Pair
from spavl.align.dpo.objective import PreferenceObjective
from spavl.align.preflight.prepare import PreparedTraining
from spavl.align.training.run import TrainingResult, TrainingRun
from spavl.align.training.trainer import PairTrainer
from spavl.align.validation.callback import ValidationCallback
from spavl.align.validation.selection import Validate
from spavl.config.align import AlignSettings
from spavl.errors import SettingsError
from spavl.progress import Progress


def train_dpo(
    pairs: Sequence[Pair],
    settings: AlignSettings,
    out: Path,
    *,
    validation: Validate | None = None,
    progress: Progress | None = None,
) -> TrainingResult:
    """Align `settings.model` with pairs; a training that was stopped resumes from its last checkpoint.

    Args:
        pairs: the preference pairs.
        settings: the training's settings.
        out: the folder to be written.
        validation: scores the policy every `settings.validation.every` steps.
        progress: where bars and log lines go.

    Raises:
        DataError: pairs cannot be trained on.
        ModelError: the model cannot be opened, or trees are wrong with it.
        SettingsError: the settings do not fit the model or the machine.
        MissingExtra: a tracker that is asked for is not installed.
        RunError: the loss is not a finite number, or the disk is full.
    """
    run = TrainingRun.prepare(pairs, settings, out, progress, reference=True)
    run.resume()
    run.write_preflight()
    prepared, steps = run.prepared, len(run.prepared.schedule)
    in_loop = run.in_loop_validation(validation)
    objective = PreferenceObjective(prepared.policy, settings.loss, prepared.context.precision)
    with run.progress.bar(settings.method) as on_progress:
        trainer = run.pair_trainer(objective, on_progress, [ValidationCallback(in_loop)] if in_loop else [])
        _refuse_sharded_reference(trainer, prepared)
        trainer.train(resume_from_checkpoint=run.last_checkpoint())
    trainer.save_model(str(run.state / "final"))
    result = run.select(in_loop.results if in_loop else [], steps)
    if run.main:
        result = run.export(result, run.weights(result, in_loop))
        run.remove_checkpoints()
        run.note(result, "dpo", reference="live" if prepared.reference is None else "cached")
    run.wait()
    return result


def _refuse_sharded_reference(trainer: PairTrainer, prepared: PreparedTraining) -> None:
    """A live reference swaps whole weights, which no rank has under FSDP."""
    if trainer.is_fsdp_enabled and prepared.reference is None and prepared.policy.before:
        raise SettingsError(
            "A sharded model that is trained in full cannot be its own reference.",
            where="align.reference.mode",
            try_="cached",
        )
