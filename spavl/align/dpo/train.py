"""Pairs → an aligned checkpoint, by DPO.

out/checkpoint      the whole model, opened by plain `from_pretrained`
out/adapter         the same as a peft adapter, where everything trained is in one
out/metrics.jsonl   loss, margin, accuracy … while training        out/validation.jsonl   the panel's looks
out/preflight.txt      what was found before the first step           out/training.json what was made, and from what
out/state           checkpoints from which a stopped training is taken up
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from accelerate import PartialState

from spavl.align.data.batches import StepDataset
from spavl.align.data.pairs import Pair
from spavl.align.dpo.objective import PreferenceObjective
from spavl.align.policy.checkpoint import export
from spavl.align.policy.model_card import model_card
from spavl.align.preflight.prepare import PreparedTraining, prepare
from spavl.align.training.resume import begin, recipe
from spavl.align.training.trainer import (
    PairTrainer,
    Reporter,
    checkpoint_activations,
    last_checkpoint,
    training_arguments,
)
from spavl.align.validation.callback import ValidationCallback
from spavl.align.validation.selection import Validate, select_checkpoint
from spavl.config.align import AlignSettings
from spavl.errors import SettingsError
from spavl.progress import NoProgress, OnProgress, Progress


@dataclass(frozen=True, slots=True)
class TrainingResult:
    """What a training made."""

    checkpoint: Path | None
    """The whole model; None where only the adapter was asked for."""
    adapter: Path | None
    """The same as an adapter; None where weights outside any adapter were trained."""
    steps: int
    chosen: int
    """The step whose weights were written."""
    why: str
    """Why that step."""


def train_dpo(
    pairs: Sequence[Pair],
    settings: AlignSettings,
    out: Path,
    *,
    validation: Validate | None = None,
    progress: Progress | None = None,
) -> TrainingResult:
    """Align `settings.model` with the pairs. A training that was stopped goes on from its last checkpoint.

    `panel` is asked every `settings.panel.every` steps. Raises DataError, ModelError, SettingsError or RunError, each
    before the first step where it can be.
    """
    began = time.perf_counter()
    ready = prepare(pairs, settings, progress or NoProgress(), reference=True)
    main = ready.context.rank == 0
    progress = progress if progress and main else NoProgress()
    if main:
        begin(out, recipe(ready.pairs, settings, ready.identity), progress)
        (out / "preflight.txt").write_text(ready.report.render() + "\n")
    PartialState().wait_for_everyone()
    looks = None
    if validation and settings.validation.every:
        looks = ValidationCallback(validation, ready.policy, settings.validation, out, progress.log)
    with progress.bar(settings.method) as on_progress:
        trainer = _trainer(ready, settings, out, on_progress, looks)
        trainer.train(resume_from_checkpoint=_resume(out))
    trainer.save_model(str(out / "state" / "final"))
    made = TrainingResult(
        out / "checkpoint", out / "adapter", len(ready.schedule), *_choice(looks, settings, len(ready.schedule))
    )
    if main:
        made = _export(made, looks, ready, settings, out)
        _note(out, made, ready, time.perf_counter() - began)
    PartialState().wait_for_everyone()
    return made


def _trainer(
    ready: PreparedTraining,
    settings: AlignSettings,
    out: Path,
    on_progress: OnProgress,
    looks: ValidationCallback | None,
) -> PairTrainer:
    if settings.machine.gradient_checkpointing:
        checkpoint_activations(ready.policy.model)
    trainer = PairTrainer(
        ready.policy,
        PreferenceObjective(ready.policy, settings.loss, ready.context.precision),
        StepDataset(ready.dataset, ready.schedule, ready.context.rank, ready.reference_logprobs),
        training_arguments=training_arguments(
            settings, out / "state", steps=len(ready.schedule), cpu=ready.context.device.type == "cpu"
        ),
        callbacks=[Reporter(out / "metrics.jsonl", on_progress), *([looks] if looks else [])],
    )
    if trainer.is_fsdp_enabled and ready.reference_logprobs is None and ready.policy.before:
        raise SettingsError(
            "A sharded model that is trained in full cannot be its own reference.",
            where="align.reference.mode",
            try_="cached",
        )
    return trainer


def _resume(out: Path) -> str | None:
    found = last_checkpoint(out / "state")
    return str(found) if found else None


def _choice(looks: ValidationCallback | None, settings: AlignSettings, last: int) -> tuple[int, str]:
    if looks is None:
        return last, "the last step"
    best = select_checkpoint(looks.looks, settings.validation)
    limits = (
        f"over-refusal ≤ {settings.validation.over_refusal:.1%} and skill loss ≤ {settings.validation.skill_loss:.1%}"
    )
    if best is None:
        return last, f"the last step, for no step had {limits}"
    return best.step, f"the least unsafe step with {limits}"


def _export(
    made: TrainingResult, looks: ValidationCallback | None, ready: PreparedTraining, settings: AlignSettings, out: Path
) -> TrainingResult:
    trained = out / "state" / "final"
    if looks is not None and made.chosen != made.steps:
        trained = looks.weights(next(look for look in looks.looks if look.step == made.chosen))
    text = model_card(settings, ready.report, step=made.chosen, why=made.why, identity=ready.identity)
    exported = export(trained, settings, ready.source, out, dtype=ready.context.dtype, card=text)
    for spent in [*(out / "state").glob("checkpoint-*"), out / "state" / "panel"]:
        shutil.rmtree(spent, ignore_errors=True)
    return replace(made, checkpoint=exported.checkpoint, adapter=exported.adapter)


def _note(out: Path, made: TrainingResult, ready: PreparedTraining, seconds: float) -> None:
    row = {
        "method": "dpo",
        "model": ready.identity,
        "pairs": len(ready.pairs),
        "steps": made.steps,
        "chosen_step": made.chosen,
        "why": made.why,
        "trained": dict(ready.report.trained),
        "packing": ready.report.packing,
        "reference": "live" if ready.reference_logprobs is None else "cached",
        "left_out": {one.what: list(one.rows) for one in ready.report.findings if one.level == "skip"},
        "seconds": round(seconds, 1),
    }
    (out / "training.json").write_text(json.dumps(row, indent=2, ensure_ascii=False))
