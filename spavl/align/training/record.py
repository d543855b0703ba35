"""What a training is made from, kept in its folder: by it a training is resumed, known to be done, or not overwritten.

    made-from.json    the record, written before the first step
    settings.yaml     the training's settings, as they were then
    training.json     what was made, written last: where it is there, the training is finished

Nothing trained is deleted because a setting changed: a folder that holds another training is refused, unless its
replacement is asked for.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, final

import yaml

from spavl.align.data.held_out_file import held_out_file
from spavl.atomic import write_json, write_text
from spavl.config.align import AlignSettings
from spavl.config.models import LocalSpec
from spavl.errors import RunError
from spavl.models.backends.device import choose_device, choose_dtype
from spavl.models.identity import identity_of
from spavl.preferences.pairs import Pair
from spavl.preferences.table import pairs_fingerprint
from spavl.run import changes

MADE_FROM, SETTINGS, FINISHED = "made-from.json", "settings.yaml", "training.json"
"""Files of the record."""
STATE = "state"
"""Folder of what a stopped training resumes from."""
STATE_WEIGHTS = ("final", "panel", "best")
"""Folders of weights in it, beside `checkpoint-…`."""
NOT_DECIDING = {"machine", "saving", "validation", "diagnostics", "reference", "features", "model", "revision"}
"""Sections of the settings that do not change the weights of a step; the model counts by its identity."""
OF_OTHER_METHODS = {"dpo": {"reward", "ppo"}, "reward": {"loss", "ppo"}, "ppo": {"loss", "reward"}}
"""Sections that a method does not read; PPO's reward model counts by its identity."""
ON_ITEMS, ON_PAIRS = (
    ("every", "items", "over_refusal", "skill_loss"),
    ("measure_every", "patience", "keep"),
)
"""Settings of validation that choose a step: on benchmark items, and on held-out pairs."""
MEASURED_ON = ("items", "benchmarks", "held_out_pairs")
"""What decides, beside the weights, what is measured: measurements on other items or pairs are not comparable."""
LEFT = ("adapter", "checkpoint", STATE, "head.safetensors", "reward.json", "metrics.jsonl", "validation.jsonl",
        "preflight.txt", SETTINGS, FINISHED, MADE_FROM)  # fmt: skip
"""All that a training leaves in its folder."""
SPOKEN = {
    "pairs": "the pairs", "model": "the model before training", "reward_model": "the reward model",
    "validation.held_out_pairs": "the held-out pairs", "validation.benchmarks": "the items of in-loop validation",
}  # fmt: skip
"""Parts of a record that are hashes, in words."""


@final
@dataclass(frozen=True)
class TrainingRecord:
    """What a training is made from; two trainings with equal records make the same weights, up to rounding."""

    weights: dict[str, Any]
    """All that decides the weights of every step, as JSON."""
    choice: dict[str, Any]
    """All that decides which step is written, and when it stops early."""

    @classmethod
    def of(
        cls, pairs: Sequence[Pair], settings: AlignSettings, *, items: str | None = None,
        identity: str | None = None, **more: Any,
    ) -> TrainingRecord:  # fmt: skip
        """The record of a training before it begins.

        Args:
            pairs: all pairs as read, in their order.
            settings: the training's settings.
            items: hash of the items of in-loop validation.
            identity: of the model before training, where `model_identity` gave it already.
            more: what else decides, by name: the reward model of PPO.

        Raises:
            ModelError: there is no such model.
            DataError: the file of held-out pairs cannot be read.
        """
        deciding = settings.model_dump(mode="json", exclude=NOT_DECIDING | OF_OTHER_METHODS[settings.method])
        if settings.method == "dpo":
            deciding["loss"] = settings.loss.deciding
        if settings.method == "reward":
            del deciding["reward"]["pairs"]  # of PPO; a reward model's own pairs count by their content
        dtype = choose_dtype(settings.machine.dtype, choose_device(settings.machine.device))
        weights = {
            **deciding,
            "held_out": None if settings.validation.held_out_pairs else settings.held_out,
            "dtype": "bfloat16" if dtype == "bfloat16" else "float32",
            "pairs": pairs_fingerprint(pairs),
            "model": identity or model_identity(settings),
            **more,
        }
        return cls(weights, _choice(settings, items))

    @property
    def id(self) -> str:
        """Hash of the record: what scores name a training by."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:16]

    def differences(self, other: TrainingRecord) -> list[str]:
        """In what another record differs, a phrase for each; empty where it does not.

        Args:
            other: the record to compare with, as the new one.
        """
        lines = changes(self.weights, other.weights) + changes(self.choice, other.choice, "validation")
        return [SPOKEN.get(line.partition(":")[0], line) for line in lines]


def model_identity(settings: AlignSettings) -> str:
    """Hash of a model before training, as records have it; its weights are read.

    Args:
        settings: of the training.

    Raises:
        ModelError: there is no such model.
    """
    return identity_of(
        LocalSpec(name="base", path=settings.model, revision=settings.revision, dtype="float32", device="cpu")
    )


def _choice(settings: AlignSettings, items: str | None) -> dict[str, Any]:
    """What of the validation's settings chooses a step in this training."""
    validation = settings.validation.model_dump(mode="json")
    on_items = settings.method != "reward" and settings.validation.every is not None
    held_out = settings.method != "ppo" and bool(settings.held_out or settings.validation.held_out_pairs)
    names = (*(ON_ITEMS if on_items else ()), *(ON_PAIRS if held_out else ()))
    file = settings.validation.held_out_pairs if held_out else None
    choice = {name: validation[name] for name in names}
    if on_items and items:
        choice["benchmarks"] = items
    if file:
        choice["held_out_pairs"] = pairs_fingerprint(held_out_file(file, settings))
    return choice


def _measured_alike(before: TrainingRecord, record: TrainingRecord) -> bool:
    """Whether a training that goes on may be compared with what was measured before it stopped."""
    return all(before.choice.get(name) == record.choice[name] for name in MEASURED_ON if name in record.choice)


def read_record(out: Path) -> TrainingRecord | None:
    """The record in a training's folder; None where there is none that can be read.

    Args:
        out: the folder of the training.
    """
    try:
        return TrainingRecord(**json.loads((out / MADE_FROM).read_text("utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def read_finished(out: Path, record: TrainingRecord | None = None) -> dict[str, Any] | None:
    """What `training.json` says of a finished training; None where it is another, or its weights are not there.

    Args:
        out: the folder of the training.
        record: of the training that is asked for; None: any.
    """
    if not _has_weights(out) or (record is not None and read_record(out) != record):
        return None
    try:
        found = json.loads((out / FINISHED).read_text("utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def refuse_other_training(out: Path, record: TrainingRecord, *, replace: bool) -> None:
    """Refuse a folder with another training in it that is finished, or that could be resumed. Nothing is written.

    Args:
        out: the folder of the training.
        record: of the training that is to be in it.
        replace: whether the other one is to be deleted, which `begin` does.

    Raises:
        RunError: there is another training.
    """
    held, before = _held(out), read_record(out)
    if not held or replace or before == record:
        return
    stopped = read_finished(out) is None
    if stopped and before is not None and before.weights == record.weights and _measured_alike(before, record):
        return  # it goes on, and another step may be chosen
    differs = (
        before.differences(record) if before else [f"what it was made from is not known, for it has no {MADE_FROM}"]
    )
    of_ppo = record.weights["method"] == "reward"  # PPO trains one under a name of its own
    keep_both = "another `--name`, or with PPO align.reward.folder," if of_ppo else "another `--name`"
    raise RunError(
        f"This folder holds another training, {held}: {'; '.join(differs[:6])}{' …' if len(differs) > 6 else ''}",
        where=str(out),
        try_=f"{keep_both} to keep both; `--replace` to delete the one that is there",
    )


def _held(out: Path) -> str:
    """What would be lost with a folder, in words; empty: nothing."""
    if _has_weights(out):
        return "which is finished"
    steps = [path.name.removeprefix("checkpoint-") for path in (out / STATE).glob("checkpoint-*")]
    done = [int(step) for step in steps if step.isdigit()]
    return f"stopped after {max(done)}, from where it would go on" if done else ""


def _has_weights(out: Path) -> bool:
    return any((out / name).is_dir() for name in ("checkpoint", "adapter"))


def begin(out: Path, record: TrainingRecord, settings: AlignSettings) -> None:
    """Write the record of a training that is about to begin or go on; what a training of other weights left is removed.

    Args:
        out: the folder of the training, after `refuse_other_training`.
        record: of the training.
        settings: written to `settings.yaml`.

    Raises:
        RunError: the folder cannot be written.
    """
    before = read_record(out)
    if before is None or before.weights != record.weights or read_finished(out) is not None:
        for name in LEFT:
            path = out / name
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    write_text(out / SETTINGS, yaml.safe_dump(settings.model_dump(mode="json"), sort_keys=False, allow_unicode=True))
    write_json(out / MADE_FROM, asdict(record))


def remove_state(out: Path) -> None:
    """Remove the weights and optimisers that a training kept to resume from and to choose among, and nothing else.

    Args:
        out: the folder of the training.
    """
    for path in [*(out / STATE).glob("checkpoint-*"), *(out / STATE / name for name in STATE_WEIGHTS)]:
        shutil.rmtree(path, ignore_errors=True)
