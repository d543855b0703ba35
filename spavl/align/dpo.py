"""Pairs → an aligned checkpoint, by DPO.

out/checkpoint      the whole model, opened by plain `from_pretrained`
out/adapter         the same as a peft adapter, where everything trained is in one
out/metrics.jsonl   loss, margin, accuracy … while training        out/panel.jsonl   the panel's looks
out/doctor.txt      what was found before the first step           out/training.json what was made, and from what
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

from spavl.align.card import card
from spavl.align.feed import Steps
from spavl.align.objective import Objective
from spavl.align.pairs import Pair
from spavl.align.panel import Panel, choose
from spavl.align.panel_callback import PanelCallback
from spavl.align.save import export
from spavl.align.setup import Prepared, prepare
from spavl.align.state import begin, recipe
from spavl.align.trainer import PairTrainer, Reporter, arguments, checkpoint_activations, last_checkpoint
from spavl.config.align import AlignSettings
from spavl.errors import SettingsError
from spavl.watch import Progress, Silent, Watch


@dataclass(frozen=True, slots=True)
class Aligned:
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
    panel: Panel | None = None,
    watch: Watch | None = None,
) -> Aligned:
    """Align `settings.model` with the pairs. A training that was stopped goes on from its last checkpoint.

    `panel` is asked every `settings.panel.every` steps. Raises DataError, ModelError, SettingsError or RunError, each
    before the first step where it can be.
    """
    began = time.perf_counter()
    ready = prepare(pairs, settings, watch or Silent(), reference=True)
    main = ready.place.rank == 0
    watch = watch if watch and main else Silent()
    if main:
        begin(out, recipe(ready.pairs, settings, ready.identity), watch)
        (out / "doctor.txt").write_text(ready.checkup.render() + "\n")
    PartialState().wait_for_everyone()
    looks = None
    if panel and settings.panel.every:
        looks = PanelCallback(panel, ready.policy, settings.panel, out, watch.say)
    with watch.bar(settings.method) as told:
        trainer = _trainer(ready, settings, out, told, looks)
        trainer.train(resume_from_checkpoint=_resume(out))
    trainer.save_model(str(out / "state" / "final"))
    made = Aligned(out / "checkpoint", out / "adapter", len(ready.plan), *_choice(looks, settings, len(ready.plan)))
    if main:
        made = _export(made, looks, ready, settings, out)
        _note(out, made, ready, time.perf_counter() - began)
    PartialState().wait_for_everyone()
    return made


def _trainer(
    ready: Prepared, settings: AlignSettings, out: Path, told: Progress, looks: PanelCallback | None
) -> PairTrainer:
    if settings.machine.gradient_checkpointing:
        checkpoint_activations(ready.policy.model)
    trainer = PairTrainer(
        ready.policy,
        Objective(ready.policy, settings.loss, ready.place.precision),
        Steps(ready.feed, ready.plan, ready.place.rank, ready.recorded),
        arguments=arguments(settings, out / "state", steps=len(ready.plan), cpu=ready.place.device.type == "cpu"),
        callbacks=[Reporter(out / "metrics.jsonl", told), *([looks] if looks else [])],
    )
    if trainer.is_fsdp_enabled and ready.recorded is None and ready.policy.before:
        raise SettingsError(
            "A sharded model that is trained in full cannot be its own reference.",
            where="align.reference.mode",
            try_="cached",
        )
    return trainer


def _resume(out: Path) -> str | None:
    found = last_checkpoint(out / "state")
    return str(found) if found else None


def _choice(looks: PanelCallback | None, settings: AlignSettings, last: int) -> tuple[int, str]:
    if looks is None:
        return last, "the last step"
    best = choose(looks.looks, settings.panel)
    limits = f"over-refusal ≤ {settings.panel.over_refusal:.1%} and skill loss ≤ {settings.panel.skill_loss:.1%}"
    if best is None:
        return last, f"the last step, for no step had {limits}"
    return best.step, f"the least unsafe step with {limits}"


def _export(made: Aligned, looks: PanelCallback | None, ready: Prepared, settings: AlignSettings, out: Path) -> Aligned:
    trained = out / "state" / "final"
    if looks is not None and made.chosen != made.steps:
        trained = looks.weights(next(look for look in looks.looks if look.step == made.chosen))
    text = card(settings, ready.checkup, step=made.chosen, why=made.why, identity=ready.identity)
    exported = export(trained, settings, ready.source, out, dtype=ready.place.dtype, card=text)
    for spent in [*(out / "state").glob("checkpoint-*"), out / "state" / "panel"]:
        shutil.rmtree(spent, ignore_errors=True)
    return replace(made, checkpoint=exported.checkpoint, adapter=exported.adapter)


def _note(out: Path, made: Aligned, ready: Prepared, seconds: float) -> None:
    row = {
        "method": "dpo",
        "model": ready.identity,
        "pairs": len(ready.pairs),
        "steps": made.steps,
        "chosen_step": made.chosen,
        "why": made.why,
        "trained": dict(ready.checkup.trained),
        "layout": ready.checkup.layout,
        "reference": "live" if ready.recorded is None else "cached",
        "left_out": {one.what: list(one.rows) for one in ready.checkup.findings if one.level == "skip"},
        "seconds": round(seconds, 1),
    }
    (out / "training.json").write_text(json.dumps(row, indent=2, ensure_ascii=False))
