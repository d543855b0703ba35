"""Pairs → an aligned checkpoint, by DPO or another loss over pairs (`align.loss.kind`).

out/checkpoint       the whole model, opened by plain `from_pretrained`
out/adapter          the same as a peft adapter, where everything trained is in one
out/metrics.jsonl    loss, margin, accuracy … while training, and loss and accuracy on held-out pairs
out/validation.jsonl results of in-loop validation
out/preflight.txt    what was found before the first step
out/settings.yaml    the settings of this training
out/made-from.json   what it is made from: by it the training is resumed, known to be done, or not overwritten
out/training.json    what was made; it is written last
out/state            checkpoints from which a stopped training resumes; removed when it is finished
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from spavl.align.diagnostics.margins import PolicyMargins
from spavl.align.dpo.objective import PreferenceObjective
from spavl.align.preflight.prepare import PreparedTraining
from spavl.align.training.record import TrainingRecord
from spavl.align.training.run import TrainingResult, TrainingRun, finished_result
from spavl.align.training.trainer import PairTrainer
from spavl.align.validation.selection import Validate
from spavl.config.align import AlignSettings
from spavl.errors import SettingsError
from spavl.preferences.pairs import Pair
from spavl.progress import Progress


def train_dpo(
    pairs: Sequence[Pair],
    settings: AlignSettings,
    out: Path,
    *,
    record: TrainingRecord | None = None,
    replace: bool = False,
    validation: Validate | None = None,
    progress: Progress | None = None,
) -> TrainingResult:
    """Align `settings.model` with pairs; a training that was stopped resumes from its last checkpoint.

    Args:
        pairs: the preference pairs, of which `settings.validation.held_out` is not trained on.
        settings: the training's settings.
        out: the folder to be written; a training that is finished there already is left as it is.
        record: what the training is made from; None: it is found out.
        replace: delete another training that is in the folder.
        validation: scores the policy every `settings.validation.every` steps.
        progress: where bars and log lines go.

    Raises:
        DataError: pairs cannot be trained on.
        ModelError: the model cannot be opened, or trees are wrong with it.
        SettingsError: the settings do not fit the model or the machine.
        MissingExtra: a tracker that is asked for is not installed.
        RunError: the folder holds another training, the loss is not a finite number, or the disk is full.
    """
    settings = settings.model_copy(update={"method": "dpo"})
    record = record or TrainingRecord.of(pairs, settings)
    if finished := finished_result(out, record, "step"):
        return finished
    reference = settings.loss.has_reference
    run = TrainingRun.prepare(pairs, settings, out, progress, record=record, reference=reference, replace=replace)
    run.begin()
    run.write_preflight()
    result, weights, found = _fit(run, validation)
    if run.main:
        result = run.export(result, weights)
        where = _reference_in(run.prepared, settings)
        run.finish(result, "dpo", loss=settings.loss.deciding, reference=where, **found)
    run.wait()
    return result


def _fit(run: TrainingRun, validation: Validate | None) -> tuple[TrainingResult, Path, dict[str, Any]]:
    """Train the policy: the step that is to be written, the folder of its weights, and what diagnostics found of it."""
    settings = run.settings
    in_loop, held_out = run.in_loop_validation(validation), run.held_out()
    objective = PreferenceObjective(run.prepared.policy, settings.loss, run.prepared.context.precision)
    device = run.prepared.context.device
    diagnostics = run.diagnostics(PolicyMargins(objective, settings.diagnostics.first_tokens, device))
    with run.progress.bar(settings.method) as on_progress:
        trainer = run.pair_trainer(objective, on_progress, held_out=held_out, in_loop=in_loop, diagnostics=diagnostics)
        _refuse_sharded_reference(trainer, run.prepared)
        trainer.train(resume_from_checkpoint=run.last_checkpoint())
    trainer.save_model(str(run.state / "final"))
    result, weights = run.select(trainer.state.global_step, in_loop=in_loop, held_out=held_out)
    return result, weights, diagnostics.note(result.chosen) if diagnostics else {}


def _reference_in(prepared: PreparedTraining, settings: AlignSettings) -> str:
    """Where the reference's log-probabilities came from."""
    if not settings.loss.has_reference:
        return "none"
    return "live" if prepared.reference is None else "cached"


def _refuse_sharded_reference(trainer: PairTrainer, prepared: PreparedTraining) -> None:
    """A live reference swaps whole weights, which no rank has under FSDP."""
    if trainer.is_fsdp_enabled and prepared.reference is None and prepared.policy.before:
        raise SettingsError(
            "A sharded model that is trained in full cannot be its own reference.",
            where="align.reference.mode",
            try_="cached",
        )
